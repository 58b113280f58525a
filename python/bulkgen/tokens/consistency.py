"""What a vocabulary must be, so that the encoder and a model can rely on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["first_problem"]

_MAX_TOKEN = 2**31 - 1


def first_problem(vocabulary: Vocabulary) -> str | None:
    """Return what is wrong with a vocabulary, or None."""
    # what was read from a file may be anything
    if not isinstance(cast("object", vocabulary.name), str):
        return "its name is no text"
    tokens = cast("object", vocabulary.tokens)
    medians = cast("object", vocabulary.medians)
    special = vocabulary.special_tokens
    if not isinstance(tokens, dict) or not isinstance(medians, dict) or not tokens:
        return "it has no genes (tokens and medians must be non-empty dictionaries)"
    ids = [*special.values(), *tokens.values()]
    wrong = next((t for t in ids if type(t) is not int or not 0 <= t <= _MAX_TOKEN), None)
    if wrong is not None:
        return f"{wrong!r:.40} is not a token (an int from 0 to {_MAX_TOKEN})"
    if len(set(ids)) != len(ids):
        first = dict[int, str]()
        for name, token in [*special.items(), *tokens.items()]:
            if token in first:
                return f"token {token} is used twice, for {first[token]} and {name}"
            first[token] = name
    if (vocabulary.cls is None) != (vocabulary.eos is None):
        return "it has one of <cls> and <eos>; it must have both or neither"
    if type(vocabulary.context) is not int or vocabulary.max_genes < 1 or vocabulary.context > _MAX_TOKEN:
        return f"context {vocabulary.context!r:.40} leaves no room for genes, or is beyond {_MAX_TOKEN}"
    for gene in tokens:
        median = medians.get(gene)
        if not (type(median) is float and math.isfinite(median) and median > 0):
            return f"gene {gene} has median {median!r}; every gene needs one that is a positive finite float"
    if len(medians) != len(tokens):
        extra = next(gene for gene in medians if gene not in tokens)
        return f"{len(medians) - len(tokens)} genes have a median but no token, first {extra}"
    return _mapping_problem(vocabulary)


def _mapping_problem(vocabulary: Vocabulary) -> str | None:
    mapping = cast("Mapping[object, object] | None", vocabulary.mapping)
    if mapping is None:
        return None
    if not isinstance(mapping, dict):
        return f"mapping is a {type(mapping).__name__}, not a dictionary"
    for other, gene in mapping.items():
        if not isinstance(other, str) or other != other.upper():
            return f"mapping has the id {other!r}; its ids must be upper-case strings"
        if gene not in vocabulary.tokens:
            return f"mapping leads from {other} to {gene!r}, which has no token"
    return None
