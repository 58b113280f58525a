"""Files that the commands wrote, as a user of another tool finds them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import bulkgen as bg
from documented_data import write_small_data

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with small data."""
    folder = tmp_path_factory.mktemp("interoperation")
    write_small_data(folder)
    return folder


@pytest.fixture(scope="session")
def _made(data) -> dict[str, AnnData]:
    cells = bg.read(data / "cells.h5ad")
    split = bg.split_benchmark(cells, label="drug", test_fraction=0.2, rng=0)
    by = ["drug", "cell_line"]
    return {
        "cells": cells,
        "train": split.train,
        "test": split.test,
        "pseudobulk": bg.pseudobulk(cells, by=by, k=5, strategy="sum", rng=0),
        "means": bg.pseudobulk(cells, by=by, k=5, strategy="mean", rng=0),
        "profiles": bg.bulk_profiles(cells, by=by),
        "synthetic": bg.synthesize(
            cells, by=by, method="donor_shift", control="vehicle", control_by=["cell_line"], n_cells=20, rng=3
        ),
        "gaussian": bg.synthesize(cells, by=by, method="truncated_gaussian", n_cells=20, rng=0),
        "thinned": bg.thin(cells, fraction=0.5, rng=0),
    }


@pytest.fixture
def made(_made) -> SimpleNamespace:
    """What bulkgen returns, by what made it: copies of one's own."""
    return SimpleNamespace(**{name: adata.copy() for name, adata in _made.items()})


@pytest.fixture(scope="session")
def files(_made, data) -> dict[str, Path]:
    """The same as files, also of the writer that goes row by row."""
    paths = {name: data / f"{name}.h5ad" for name in _made}
    for name, adata in _made.items():
        if name != "cells":
            bg.write(adata, paths[name])
    rows = data / "pseudobulk_by_rows.h5ad"
    bg.pseudobulk(paths["cells"], by=["drug", "cell_line"], k=5, strategy="sum", rng=0, out=rows)
    return paths | {"pseudobulk_by_rows": rows}


@pytest.fixture(scope="session")
def dictionaries(data) -> Path:
    """The folder of the vocabularies."""
    return data / "dictionaries"
