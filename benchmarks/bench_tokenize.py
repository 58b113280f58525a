"""Counts in memory to a token data set on disk: bulkgen and a plain tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

import calls
import datasets
import workloads
from peers import plain_tokenizer

CELLS, GENES_PER_CELL = 10_000, 2_369


def bench_tokenize(race, scale, tmp_path):
    """Seconds for 10,000 cells of 2,369 expressed genes, V2 vocabulary."""
    vocabulary = workloads.vocabulary("V2")
    cells = workloads.cells_of_vocabulary(
        vocabulary, workloads.scaled(CELLS, scale, least=20), workloads.GENES, GENES_PER_CELL
    )
    matrix = cells.X
    column = np.full(vocabulary.size, -1)
    column[[vocabulary.tokens[gene] for gene in cells.var_names]] = np.arange(cells.n_vars)
    median = np.array([vocabulary.medians[gene] for gene in cells.var_names])

    def ours(threads: int | None) -> Path:
        calls.tokenize(cells, vocabulary, tmp_path / "bulkgen", threads=threads)
        return tmp_path / "bulkgen"

    def plain() -> Path:
        shutil.rmtree(tmp_path / "plain", ignore_errors=True)
        return plain_tokenizer.tokenize(cells, vocabulary, tmp_path / "plain")

    def check(side: str, folder: Path) -> None:
        data = datasets.load_from_disk(str(folder)).with_format("arrow")[:]
        assert data["cell_id"].to_pylist() == list(cells.obs_names), side
        for i, tokens in enumerate(data["input_ids"]):
            row = slice(matrix.indptr[i], matrix.indptr[i + 1])
            values = matrix.data[row].astype(np.float64) / median[matrix.indices[row]]
            tokens = np.asarray(tokens.values)
            if vocabulary.cls is not None:
                assert tokens[0] == vocabulary.cls, side
                assert tokens[-1] == vocabulary.eos, side
                tokens = tokens[1:-1]
            columns = column[tokens]
            assert np.array_equal(np.sort(columns), matrix.indices[row]), f"{side}: other genes in cell {i}"
            by_column = np.zeros(cells.n_vars)
            by_column[matrix.indices[row]] = values
            # the plain tokenizer multiplies more often: values an ulp apart may change places
            np.testing.assert_allclose(by_column[columns], np.sort(values)[::-1], rtol=1e-12, err_msg=side)

    race(
        "tokenize",
        {
            "bulkgen": lambda: ours(None),
            "bulkgen, 1 thread": lambda: ours(1),
            "plain tokenizer": plain,
        },
        check=check,
        rounds=3,
        work=cells.n_obs,
        checked=f"Same tokens up to ties, read back from disk: each cell holds exactly its genes (vocabulary "
        f"{vocabulary.name}, none cut), between the special tokens, in descending order of count / median.",
    )
