"""What the pages speak of, small: cells, bulk of the same drugs, and dictionaries in the form of Geneformer's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from bulkgen.io import write

if TYPE_CHECKING:
    from pathlib import Path

LINES = ("A549", "H1975", "HCC827")
DRUGS = ("vehicle", "BMS", "Dex")
N_CELLS, N_GENES = 180, 80
GENES = [f"ENSG{i:011d}" for i in range(1, N_GENES + 1)]

#: A study of seconds in the place of the poster's.
STUDY = """
name = "small"
seeds = [0]

[data]
source = "file"
path = "cells.h5ad"
label = "drug"
control = "vehicle"

[split]
test_fraction = 0.25

[models.linear]

[generators.multinomial]
reference = "control"

[parts.bulkiness]
k = [1, 2]
strategies = ["mean"]
validation = ["same"]
"""


def write_small_data(folder: Path) -> None:
    """Write everything into a folder."""
    rng = np.random.default_rng(0)
    line, drug = rng.choice(LINES, N_CELLS), rng.choice(DRUGS, N_CELLS)
    mean = rng.gamma(0.6, 3.0, N_GENES)
    rates = np.tile(mean, (N_CELLS, 1))
    for place, name in enumerate(LINES):
        rates[line == name, 10 * place : 10 * place + 10] *= 4
    for place, name in enumerate(DRUGS[1:]):
        rates[drug == name, 40 + 10 * place : 50 + 10 * place] *= 4
    counts = rng.poisson(rates).astype(np.float32)
    cells = AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame({"cell_line": line, "drug": drug}, index=[f"cell{i}" for i in range(N_CELLS)]),
        var=pd.DataFrame({"symbol": [f"GENE{i}" for i in range(1, N_GENES + 1)]}, index=GENES),
    )
    write(cells, folder / "cells.h5ad")

    samples = pd.DataFrame({"sample": [f"s{i}" for i in range(6)], "drug": np.repeat(DRUGS, 2)})
    bulk = {
        name: rng.poisson(30 * counts[drug == given].sum(axis=0)) for name, given in samples.itertuples(index=False)
    }
    pd.DataFrame(bulk, index=pd.Index(GENES, name="gene")).to_csv(folder / "counts.tsv.gz", sep="\t")
    samples.to_csv(folder / "samples.csv", index=False)
    (folder / "small.toml").write_text(STUDY, encoding="utf-8")
    write_dictionaries(folder / "dictionaries", np.maximum(mean, 0.1))


def write_dictionaries(folder: Path, medians: np.ndarray) -> None:
    """Write V1 and V2 of these genes, under the names of the files that Geneformer published."""
    folder.mkdir()
    mapping = {name: gene for i, gene in enumerate(GENES, 1) for name in (gene, f"GENE{i}")}
    of_cells = dict(zip(GENES, medians.tolist(), strict=True))
    for suffix, special in (("gc30M", ("<pad>", "<mask>")), ("gc104M", ("<pad>", "<mask>", "<cls>", "<eos>"))):
        tokens = {name: i for i, name in enumerate((*special, *GENES))}
        files = {"token_dictionary": tokens, "gene_median_dictionary": of_cells, "ensembl_mapping_dict": mapping}
        for name, values in files.items():
            (folder / f"{name}_{suffix}.json").write_text(json.dumps(values), encoding="utf-8")
