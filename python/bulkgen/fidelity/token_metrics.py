"""Tokens: how many a cell has, which ones, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import View
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["token_metrics", "top_tokens"]

#: Tokens compared: as many as a cell of Geneformer V1 holds.
TOP_TOKENS = 2_048


def token_metrics(space: Space, synthetic: View, label: str) -> dict[str, float]:
    """Compare how real test cells and synthetic cells of a class use tokens.

    Returns
    -------
    dict
        ``token_count_ks``, ``token_count_wasserstein``: distance of the numbers of tokens per cell.
        ``token_top_overlap``: of the 2,048 tokens found in most real cells (all that are found, where these are fewer)
        the share that is among as many of the synthetic cells. ``token_rank_displacement``: mean over the same tokens
        of the absolute difference of mean relative ranks; the relative rank within a cell is 0 for the first token and
        towards 1 for the last, 1 for one that the cell lacks, so that no token is left out for being rare.
    """
    real, made = (cells.token_use for cells in space.pair(synthetic, label))
    if len(real.cells) != len(made.cells):
        raise ValueError("tokens of real and synthetic cells are of different vocabularies; tokenize both with one")
    top = top_tokens(real.cells, TOP_TOKENS)
    if not len(top):
        raise Undefined("no real test cell has a token")
    shared = np.intersect1d(top, top_tokens(made.cells, len(top)))
    return {
        "token_count_ks": float(ks_2samp(real.per_cell, made.per_cell, method="asymp").statistic),
        "token_count_wasserstein": float(wasserstein_distance(real.per_cell, made.per_cell)),
        "token_top_overlap": len(shared) / len(top),
        "token_rank_displacement": float(np.abs(real.earliness[top] - made.earliness[top]).mean()),
    }


def top_tokens(cells: Int64Array, n_tokens: int) -> Int64Array:
    """Return up to `n_tokens` tokens that most cells hold (of equals the smaller id), none that no cell holds."""
    order = np.argsort(-cells, kind="stable")[:n_tokens]
    return order[cells[order] > 0].astype(np.int64)
