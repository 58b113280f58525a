"""One small thing of every kind that bulkgen stores, and how each is opened: its structure and its content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import bulkgen
from bulkgen.io import make_anndata, read, read_table, write

N_CELLS, N_GENES = 60, 40

#: Generators that are fitted quickly, each with the parameters that the cells below allow.
GENERATORS = {
    "truncated_gaussian": {},
    "thin": {},
    "multinomial": {},
    "poisson": {},
    "negative_binomial": {},
    "copula": {"factors": 2},
    "donor_shift": {"control": "A"},
    "mixture": {"states": "state"},
    "pseudobulk": {"k": 3},
}


def cells() -> ad.AnnData:
    """Raw counts of two labels."""
    rng = np.random.default_rng(0)
    label = np.repeat(["A", "B"], N_CELLS // 2)
    rates = rng.gamma(1.0, 4.0, N_GENES) * np.where(label[:, None] == "B", rng.gamma(4.0, 0.25, N_GENES), 1.0)
    counts = sp.csr_matrix(rng.poisson(rates).astype(np.float32))
    obs = pd.DataFrame({"label": label, "state": ["s", "t"] * (N_CELLS // 2), "depth": counts.sum(axis=1).A1})
    obs.index = [f"cell{i}" for i in range(N_CELLS)]
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(N_GENES)]}, index=[f"ENSG{i:011d}" for i in range(N_GENES)])
    return make_anndata(counts, obs=obs, var=var)


def fit(method: str) -> bulkgen.Fit:
    """Fit a generator to the cells."""
    made = cells()
    return bulkgen.fit_generator(made, by="label", method=method, threads=1, **GENERATORS[method])


def tokens() -> bulkgen.TokenDataset:
    """Tokens of the cells, with counts, a label and a column."""
    made = cells()
    vocabulary = bulkgen.Vocabulary.fit(made, context=32)
    return bulkgen.tokenize(made, vocabulary=vocabulary, label="label", columns=["state"], counts=True, threads=1)


def make(kind: str, folder: Path) -> Path:
    """Store a thing of a kind in a folder."""
    path = folder / NAMES[kind]
    if kind in ("h5ad", "zarr"):
        write(cells(), path)
    elif kind == "foreign_h5ad":
        cells().write_h5ad(path, compression="gzip")
    elif kind == "fit":
        fit("negative_binomial").save(path)
    elif kind == "tokens":
        tokens().save(path)
    elif kind == "vocabulary":
        bulkgen.Vocabulary.fit(cells(), context=32).save(path)
    else:
        made = cells()
        table = pd.DataFrame(made.X.toarray().T.astype(np.int64), made.var_names, made.obs_names)
        table = table.rename_axis("gene_id").reset_index()
        if kind == "parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, sep="\t", index=False)
    return path


#: Kind -> file name.
NAMES = {
    "h5ad": "cells.h5ad",
    "foreign_h5ad": "foreign.h5ad",
    "zarr": "cells.zarr",
    "fit": "fit.h5ad",
    "tokens": "cells.dataset",
    "vocabulary": "vocabulary.json",
    "parquet": "bulk.parquet",
    "tsv": "bulk.tsv",
    "tsv_gz": "bulk.tsv.gz",
}


def open_cells(path: Path) -> tuple[str, str]:
    """Open an AnnData and use it."""
    found = read(path)
    profiles = bulkgen.bulk_profiles(found, by="label", threads=1)
    structure = f"{found.shape} {profiles.n_vars} {found.obs.dtypes.map(lambda kind: kind.kind).to_dict()}"
    matrix = found.X.toarray() if sp.issparse(found.X) else found.X
    return structure, _digest(matrix.tobytes(), found.obs.to_csv(), found.var.to_csv())


def open_fit(path: Path) -> tuple[str, str]:
    """Open a fit and draw from it."""
    found = bulkgen.load_fit(path)
    drawn = bulkgen.synthesize(fitted=found, n_cells=4, rng=0, threads=1)
    return f"{drawn.shape} {found.method}", _digest(found.fingerprint, found.strata.to_csv(), found.var.to_csv())


def open_tokens(path: Path) -> tuple[str, str]:
    """Open a token data set and read all of it."""
    found = bulkgen.TokenDataset.load(path)
    flat, offsets = found.flat()
    cut = [found.input_ids(i).tolist() for i in range(len(found))]
    structure = f"{len(found)} {found.table.schema} {found.label_names} {offsets[-1] == flat.size}"
    rows = json.dumps(found.table.to_pydict(), sort_keys=True)
    return structure, _digest(rows, json.dumps([cut, found.label_values.tolist(), found.vocabulary.fingerprint]))


def open_vocabulary(path: Path) -> tuple[str, str]:
    """Open a vocabulary."""
    found = bulkgen.Vocabulary.load(path)
    return f"{len(found)} {found.context}", _digest(found.fingerprint, found.name)


def open_table(path: Path) -> tuple[str, str]:
    """Read a table of bulk counts."""
    found = bulkgen.read_bulk(path)
    structure = f"{found.shape} {found.X.dtype}"
    return structure, _digest(found.X.tobytes(), found.obs.to_csv(), found.var.to_csv())


def open_any_table(path: Path) -> tuple[str, str]:
    """Read a table, whatever it holds."""
    found = read_table(path)
    return f"{found.shape}", _digest(found.to_csv())


#: Kind -> how it is opened.
OPENED = dict.fromkeys(NAMES, "open_table") | {
    "h5ad": "open_cells",
    "foreign_h5ad": "open_cells",
    "zarr": "open_cells",
    "fit": "open_fit",
    "tokens": "open_tokens",
    "vocabulary": "open_vocabulary",
}


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return digest.hexdigest()
