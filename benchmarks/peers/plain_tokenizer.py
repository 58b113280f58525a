"""A plain tokenizer: the same steps as the reference Geneformer tokenizer, written anew from its description.

Chunks of 512 cells are scaled to counts per 10,000 and divided by the genes' medians in float64; one unstable
``np.argsort`` per cell; the cells as arrays in a Python list; ``datasets`` makes the data set, cuts it and adds the
special tokens with ``map``, and saves it. API: datasets >= 2.19.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData

import datasets
from bulkgen import Vocabulary

_CHUNK = 512
_TARGET_SUM = 10_000


def tokenize(cells: AnnData, vocabulary: Vocabulary, out: Path) -> Path:
    """Tokenize cells (genes named by the vocabulary's ids, ``obs["n_counts"]``) to a folder."""
    ids = list(cells.var_names)
    token = np.array([vocabulary.tokens[gene] for gene in ids])
    median = np.array([vocabulary.medians[gene] for gene in ids])
    total = cells.obs["n_counts"].to_numpy(np.float64)
    ranked = []
    for first in range(0, cells.n_obs, _CHUNK):
        block = cells.X[first : first + _CHUNK].astype(np.float64)
        scaled = block.multiply(1 / total[first : first + _CHUNK, None]).tocsr() * _TARGET_SUM
        scaled = scaled.multiply(1 / median).tocsr()
        for i in range(scaled.shape[0]):
            row = slice(scaled.indptr[i], scaled.indptr[i + 1])
            ranked.append(token[scaled.indices[row]][np.argsort(-scaled.data[row])])
    data = datasets.Dataset.from_dict({"input_ids": ranked, "cell_id": list(cells.obs_names)})

    def finish(cell: dict[str, object]) -> dict[str, object]:
        tokens = cell["input_ids"][: vocabulary.max_genes]  # type: ignore[index]
        if vocabulary.cls is not None:
            tokens = [vocabulary.cls, *tokens, vocabulary.eos]
        return {"input_ids": tokens, "length": len(tokens)}

    # the cache would answer the second round
    datasets.disable_caching()
    datasets.disable_progress_bars()
    data.map(finish).save_to_disk(str(out))
    return out
