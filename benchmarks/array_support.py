"""Which kinds of cells each public function takes: every function is called with every kind, and results are compared.

python benchmarks/array_support.py    write docs/reference/array_support.md
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import scipy.sparse as sp

import bulkgen

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "array_support.md"
N_CELLS, N_GENES = 60, 30

Kinds = Mapping[str, Callable[[], Any]]

HEAD = """# Array support

Made by `python benchmarks/array_support.py`, which calls every function with the same {cells} cells in every kind, and
compares what comes out; `tests/benchmarks/test_array_support.py` says whether the page still holds.

| column | the cells are |
|---|---|
| NumPy, CSR, CSC | an AnnData in memory, its `X` a `numpy.ndarray`, `scipy.sparse.csr_matrix` or `csc_matrix` |
| sparse array | an AnnData in memory, its `X` a `scipy.sparse.csr_array` |
| Dask | an AnnData whose `X` is a Dask array of CSR blocks |
| backed | `bulkgen.read(path, backed=True)`, or anndata's own |
| lazy | `anndata.experimental.read_lazy(path)` |
| .h5ad, .zarr | the path itself |
| store | `bulkgen.open_cells(...)` of any of these |

**yes**: taken, and the result has the same bits as that of CSR. –: refused with an error; read such cells with
`bulkgen.read(path)`, or bring them into memory with `.to_memory()`. Functions that take what is not in memory read it
by rows, block by block ([scale](../design/scale.md)).

"""


def small_cells() -> ad.AnnData:
    """Return labelled cells in CSR."""
    rng = np.random.default_rng(0)
    label = np.repeat(["a", "b"], N_CELLS // 2)
    rates = np.tile(rng.gamma(0.8, 3.0, N_GENES), (N_CELLS, 1))
    rates[label == "b", :10] *= 4
    return ad.AnnData(
        sp.csr_matrix(rng.poisson(rates).astype(np.float32)),
        obs=pd.DataFrame({"label": label}, index=[f"cell{i}" for i in range(N_CELLS)]),
        var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(1, N_GENES + 1)]),
    )


def kinds(cells: ad.AnnData, folder: Path) -> Kinds:
    """Return what makes each kind of the same cells."""
    h5ad, zarr = folder / "cells.h5ad", folder / "cells.zarr"
    bulkgen.write(cells, h5ad)
    bulkgen.write(cells, zarr)

    def holding(X: object) -> ad.AnnData:
        return ad.AnnData(X, obs=cells.obs.copy(), var=cells.var.copy())

    return {
        "CSR": cells.copy,
        "NumPy": lambda: holding(cells.X.toarray()),
        "CSC": lambda: holding(cells.X.tocsc()),
        "sparse array": lambda: holding(sp.csr_array(cells.X)),
        "Dask": lambda: holding(da.from_array(cells.X, chunks=(25, N_GENES))),
        "backed": lambda: bulkgen.read(h5ad, backed=True),
        "lazy": lambda: ad.experimental.read_lazy(h5ad),
        ".h5ad": lambda: h5ad,
        ".zarr": lambda: zarr,
        "store": lambda: bulkgen.open_cells(h5ad),
    }


def calls(cells: ad.AnnData, folder: Path) -> dict[str, Callable[[Any], object]]:
    """Return, for each function, a call of it that depends on its cells alone."""
    vocabulary = bulkgen.Vocabulary.fit(cells)
    bulk = bulkgen.bulk_profiles(cells, by="label")
    quick = {"label": "label", "seeds": 1, "metrics": ("cells",), "threads": 1}

    def written(given: object) -> object:
        bulkgen.write(given, folder / "written.h5ad", overwrite=True)
        return bulkgen.read(folder / "written.h5ad")

    return {
        "open_cells": lambda given: bulkgen.open_cells(given).to_memory(),
        "write": written,
        "split_benchmark": lambda given: bulkgen.split_benchmark(given, label="label").train,
        "pseudobulk": lambda given: bulkgen.pseudobulk(given, by="label", k=5),
        "thin": lambda given: bulkgen.thin(given, fraction=0.5),
        "bulk_profiles": lambda given: bulkgen.bulk_profiles(given, by="label"),
        "fit_generator": lambda given: bulkgen.fit_generator(given, by="label").fingerprint,
        "fit_generator (reference)": lambda given: bulkgen.fit_generator(bulk, reference=given).fingerprint,
        "synthesize": lambda given: bulkgen.synthesize(given, by="label", method="multinomial", n_cells=5),
        "match_genes": lambda given: bulkgen.match_genes(bulk, given, vocabulary).reference,
        "Vocabulary.fit": lambda given: bulkgen.Vocabulary.fit(given).to_json(),
        "tokenize": lambda given: bulkgen.tokenize(given, vocabulary=vocabulary, label="label").flat()[0],
        "score_cells": lambda given: bulkgen.score_cells(cells, given, **quick).results,
        "benchmark_generators": lambda given: bulkgen.benchmark_generators(given, methods=["poisson"], **quick).results,
    }


def digest(result: object) -> str:
    """Return a hash of the values of a result, however they are stored."""
    if isinstance(result, ad.AnnData):
        X = result.X.toarray() if sp.issparse(result.X) else np.asarray(result.X)
        return digest(X.astype(np.float64)) + digest(result.obs) + digest(list(result.var_names))
    if isinstance(result, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest()
    if isinstance(result, pd.DataFrame):
        # seconds and bytes are no results of the cells
        kept = result[result["group"] != "cost"] if "group" in result else result
        return hashlib.sha256(kept.astype(str).to_csv().encode()).hexdigest()
    return hashlib.sha256(str(result).encode()).hexdigest()


def support(only: Callable[[str], bool] = lambda name: True) -> dict[str, dict[str, str]]:
    """Call every function with every kind; return ``yes`` or the name of the error."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, cells = Path(temporary), small_cells()
        given = kinds(cells, folder)
        for name, call in calls(cells, folder).items():
            if not only(name):
                continue
            expected = digest(call(given["CSR"]()))
            found[name] = {kind: verdict(call, make, expected) for kind, make in given.items()}
    return found


def verdict(call: Callable[[Any], object], make: Callable[[], Any], expected: str) -> str:
    """Return what becomes of one call."""
    cells = make()
    try:
        same = digest(call(cells)) == expected
    except Exception as error:  # which one is what is asked
        return f"`{type(error).__name__}`"
    finally:
        if getattr(cells, "isbacked", False):
            cells.file.close()
    return "yes" if same else "**another result**"


def page(found: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page."""
    columns = ["NumPy", "CSR", "CSC", "sparse array", "Dask", "backed", "lazy", ".h5ad", ".zarr", "store"]
    lines = [f"| function | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| `{name}` | {' | '.join('yes' if row[kind] == 'yes' else '–' for kind in columns)} |"
        for name, row in found.items()
    ]
    refused = ["", "What is refused:", ""]
    for name, row in found.items():
        errors: dict[str, list[str]] = {}
        for kind in columns:
            if row[kind] != "yes":
                errors.setdefault(row[kind], []).append(kind)
        if errors:
            refused.append(f"* `{name}`: " + "; ".join(f"{error} ({', '.join(of)})" for error, of in errors.items()))
    return HEAD.format(cells=N_CELLS) + "\n".join(lines + refused) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(support()), encoding="utf-8")
    print(PAGE)
