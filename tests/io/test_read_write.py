"""Cells from and to files."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.errors import CountsError, OutputExistsError
from bulkgen.io import check_anndata, check_cells_output, make_anndata, provenance, read, write
from count_cases import labelled_cells, make_cells, matrix_bytes


@pytest.fixture
def cells() -> ad.AnnData:
    adata = labelled_cells(1, {"A": 9, "B": 7})
    adata.layers["twice"] = adata.X * 2
    adata.var["symbol"] = [f"S{i // 2}" for i in range(adata.n_vars)]
    adata.obsm["pca"] = np.arange(2.0 * adata.n_obs).reshape(adata.n_obs, 2)
    adata.uns["note"] = {"deep": "yes"}
    return adata


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("suffix", "dense"), [(".h5ad", False), (".h5ad", True), (".zarr", False)])
def test_a_round_trip_keeps_every_bit_and_annotation(tmp_path, cells, suffix, dense):
    if dense:
        cells.X = cells.X.toarray()
    path = tmp_path / f"cells{suffix}"
    write(cells, path)
    back = read(path)
    assert matrix_bytes(back.X) == matrix_bytes(cells.X)
    assert matrix_bytes(back.layers["twice"]) == matrix_bytes(cells.layers["twice"])
    assert back.obs.astype(str).equals(cells.obs.astype(str))
    assert back.var.astype(str).equals(cells.var.astype(str))
    assert np.array_equal(back.obsm["pca"], cells.obsm["pca"])
    assert back.uns["note"]["deep"] == "yes"
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_writing_does_not_change_the_object(tmp_path, cells, suffix):
    # anndata itself turns columns of strings into categories in the caller's object
    cells.raw = cells
    obs, var, raw = cells.obs.dtypes.to_dict(), cells.var.dtypes.to_dict(), cells.raw.var.dtypes.to_dict()
    before = matrix_bytes(cells.X)
    write(cells, tmp_path / f"cells{suffix}")
    assert cells.obs.dtypes.to_dict() == obs == {"label": np.dtype(object), "dose": np.dtype(object)}
    assert cells.var.dtypes.to_dict() == var
    assert cells.raw.var.dtypes.to_dict() == raw
    assert matrix_bytes(cells.X) == before
    back = read(tmp_path / f"cells{suffix}")
    assert np.array_equal(back.raw.X.toarray(), cells.X.toarray())


def test_a_view_is_written_and_stays_a_view(tmp_path, cells):
    view = cells[cells.obs["label"] == "A", 3:]
    write(view, tmp_path / "view.h5ad")
    assert view.is_view
    assert np.array_equal(read(tmp_path / "view.h5ad").X.toarray(), view.X.toarray())


def test_what_does_not_exist_or_has_another_suffix_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.h5ad"):
        read(tmp_path / "gone.h5ad")
    (tmp_path / "cells.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"cells\.csv is no \.h5ad file or \.zarr store; .*: bulkgen bulk "):
        read(tmp_path / "cells.csv")


def truncated(path, cells):
    write(cells, path)
    path.write_bytes(path.read_bytes()[:3000])


def text(path, cells):
    path.write_text("this is no HDF5")


def no_anndata(path, cells):
    with h5py.File(path, "w") as file:
        file["matrix"] = [1, 2]


def no_matrix_inside(path, cells):
    write(cells, path)
    with h5py.File(path, "a") as file:
        del file["X"]["indices"]


def folder(path, cells):
    path.mkdir()


@pytest.mark.filterwarnings("ignore:.*written without encoding metadata")
@pytest.mark.parametrize("damage", [truncated, text, no_anndata, no_matrix_inside, folder])
def test_a_file_that_is_no_anndata_is_refused_in_one_line_that_names_it(tmp_path, cells, damage):
    path = tmp_path / "cells.h5ad"
    damage(path, cells)
    with pytest.raises(OSError, match=r"cells\.h5ad cannot be read as an AnnData") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_store_that_is_no_anndata_is_refused(tmp_path):
    (tmp_path / "cells.zarr").mkdir()
    with pytest.raises(OSError, match=r"cells\.zarr cannot be read as an AnnData"):
        read(tmp_path / "cells.zarr")


def test_counts_are_checked_and_the_offender_named(tmp_path, cells):
    logged = cells.copy()
    logged.X = np.log1p(cells.X)
    logged.write_h5ad(tmp_path / "logged.h5ad")
    with pytest.raises(CountsError, match=r"cell 'c0', gene 'g.*log-normalised"):
        read(tmp_path / "logged.h5ad")
    assert read(tmp_path / "logged.h5ad", counts="any").n_obs == cells.n_obs


def test_a_layer_takes_the_place_of_the_matrix_and_is_checked(tmp_path, cells):
    cells.layers["logged"] = np.log1p(cells.X)
    write(cells, tmp_path / "cells.h5ad")
    assert matrix_bytes(read(tmp_path / "cells.h5ad", layer="twice").X) == matrix_bytes(cells.layers["twice"])
    with pytest.raises(CountsError, match="log-normalised"):
        read(tmp_path / "cells.h5ad", layer="logged")
    with pytest.raises(ValueError, match=r"cells\.h5ad has no layer 'counts'; layers: .*'twice'"):
        read(tmp_path / "cells.h5ad", layer="counts")


def test_the_counts_may_be_in_a_layer_alone(tmp_path, cells):
    del cells.X
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert matrix_bytes(read(tmp_path / "cells.h5ad", layer="twice").X) == matrix_bytes(cells.layers["twice"])
    with pytest.raises(ValueError, match="has no matrix X; name a layer"):
        read(tmp_path / "cells.h5ad")


def test_repeated_cell_names_are_refused_with_the_remedy(tmp_path):
    make_cells(np.ones((3, 2), np.float32))[[0, 1, 1]].write_h5ad(tmp_path / "twice.h5ad")
    with pytest.raises(ValueError, match=r"'c1' occurs more than once; mend with adata\.obs_names_make_unique"):
        read(tmp_path / "twice.h5ad")


def test_fractions_are_accepted_of_what_bulkgen_made_unless_integers_are_asked_for(tmp_path, cells):
    means = bulkgen.pseudobulk(cells, by="label", k=3)
    write(means, tmp_path / "means.h5ad")
    assert matrix_bytes(read(tmp_path / "means.h5ad").X) == matrix_bytes(means.X)
    with pytest.raises(CountsError, match="whole numbers"):
        read(tmp_path / "means.h5ad", counts="integer")
    broken = means.copy()
    broken.X.data[0] = -1
    with pytest.raises(CountsError, match="negative"):
        check_anndata(broken)


def test_a_backed_file_stays_on_disk(tmp_path, cells):
    write(cells, tmp_path / "cells.h5ad")
    backed = read(tmp_path / "cells.h5ad", backed=True)
    assert backed.isbacked
    assert not sp.issparse(backed.X)
    assert matrix_bytes(backed.to_memory().X) == matrix_bytes(cells.X)
    with pytest.raises(TypeError, match="to_memory"):
        bulkgen.split_benchmark(backed, label="label")
    backed.file.close()


def test_what_cannot_be_backed_is_refused(tmp_path, cells):
    (tmp_path / "cells.zarr").mkdir()
    write(cells, tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"backed=True needs an \.h5ad file"):
        read(tmp_path / "cells.zarr", backed=True)
    before = (tmp_path / "cells.h5ad").read_bytes()
    with pytest.raises(ValueError, match="backed=True reads X alone"):
        read(tmp_path / "cells.h5ad", backed=True, layer="twice")
    assert (tmp_path / "cells.h5ad").read_bytes() == before


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_an_output_that_exists_is_refused_and_kept_unless_overwritten(tmp_path, suffix):
    path, cells = tmp_path / f"cells{suffix}", labelled_cells(1, {"A": 9, "B": 7})
    write(cells, path)
    other = cells[:5].copy()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(other, path)
    assert read(path).n_obs == 16
    write(other, path, overwrite=True)
    assert read(path).n_obs == 5
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(("suffix", "old"), [(".h5ad", False), (".h5ad", True), (".zarr", True)])
def test_a_failure_while_writing_leaves_nothing_but_the_old_output(tmp_path, suffix, old):
    path, cells = tmp_path / f"cells{suffix}", labelled_cells(1, {"A": 9, "B": 7})
    if old:
        write(cells, path)
    cells.uns["unwritable"] = object()
    with pytest.raises(Exception, match="object"):  # anndata's own error
        write(cells, path, overwrite=True)
    assert names(tmp_path) == ([path.name] if old else [])
    if old:
        assert read(path).n_obs == 16


def test_outputs_of_other_kinds_are_refused_before_any_work(tmp_path, cells):
    for call in (lambda path: write(cells, path), lambda path: check_cells_output(path, overwrite=False)):
        with pytest.raises(ValueError, match=r"cells\.csv must end in \.h5ad or \.zarr"):
            call(tmp_path / "cells.csv")
    assert names(tmp_path) == []


def test_the_parts_of_an_anndata_are_not_copied_or_renamed():
    X = np.ones((2, 3), np.float32)
    obs, var = pd.DataFrame(index=["a", "b"]), pd.DataFrame({"symbol": ["x", "y", "z"]}, index=list("xyz"))
    adata = make_anndata(
        X, obs=obs, var=var, uns={"bulkgen": provenance("pseudobulk", {}, key=None, source=None)}, layers={"m": X}
    )
    assert np.shares_memory(adata.X, X)
    assert list(adata.obs_names) == ["a", "b"]
    assert list(adata.var["symbol"]) == ["x", "y", "z"]
    assert adata.uns["bulkgen"]["kind"] == "pseudobulk"
    assert np.array_equal(adata.layers["m"], X)
