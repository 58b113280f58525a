"""The definition of rank-value tokens, one cell and one gene at a time."""

from __future__ import annotations

import math


def rank_tokens(row, token, median, *, most_genes, cls=-1, eos=-1):
    """Tokens and counts of one dense row: descending count / median, ties by column, zeros and unknown genes out."""
    candidates = []
    for column, count in enumerate(row):
        if count != 0 and token[column] >= 0:
            value = float(count) / float(median[column])
            assert not math.isnan(value)
            candidates.append((-value, column))
    ranked = [column for _, column in sorted(candidates)][:most_genes]
    tokens = [int(token[column]) for column in ranked]
    counts = [float(row[column]) for column in ranked]
    if cls >= 0:
        tokens, counts = [cls, *tokens], [0.0, *counts]
    if eos >= 0:
        tokens, counts = [*tokens, eos], [*counts, 0.0]
    return tokens, counts


def collapse(row, genes):
    """Add the counts of columns of the same gene into the first of them; ``None`` is no gene."""
    first = {}
    result = [0] * len(row)
    for column, gene in enumerate(genes):
        target = column if gene is None else first.setdefault(gene, column)
        result[target] += row[column]
    return result
