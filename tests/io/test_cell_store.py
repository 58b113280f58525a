"""Cells that are not in memory are the same cells, whatever holds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.io import count_rows, open_cells
from bulkgen.io.count_rows import MatrixRows, reading_ahead
from bulkgen.io.lazy_rows import LazyRows
from bulkgen.io.stored_rows import StoredRows, _Ahead
from count_cases import labelled_cells


@pytest.fixture
def cells():
    made = labelled_cells(1, {"a": 60, "b": 41}, n_genes=37, mean=0.7)
    made.X = made.X.astype(np.float32)
    made.layers["doubled"] = made.X * 2
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few rows."""
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 150)


def rows_of(opened):
    parts = [block for _, block in opened.blocks(require_integers=True)]
    assert len(parts) > 2
    return sp.vstack(parts).toarray()


def stored(cells, tmp_path, kind):
    """The same cells in another form; the file is closed by the garbage collector at the latest."""
    if kind.startswith("h5ad"):
        path = tmp_path / "cells.h5ad"
        cells.write_h5ad(path, compression=kind.partition("-")[2] or None)
        return path
    path = tmp_path / "cells.zarr"
    bulkgen.write(cells, path)
    return path


@pytest.mark.parametrize("kind", ["h5ad", "h5ad-gzip", "h5ad-lzf", "zarr"])
@pytest.mark.parametrize("form", [sp.csr_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_rows_of_a_file_are_the_matrix(cells, tmp_path, kind, form, dtype):
    expected = cells.X.toarray()
    cells.X = form(expected).astype(dtype)
    opened = open_cells(stored(cells, tmp_path, kind))
    assert opened.X is None
    np.testing.assert_array_equal(rows_of(opened), expected)
    assert opened.obs_names.equals(cells.obs_names)
    assert list(opened.obs["label"]) == list(cells.obs["label"])


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_rows_of_a_layer_are_the_layer(cells, tmp_path, kind):
    opened = open_cells(stored(cells, tmp_path, kind), layer="doubled")
    np.testing.assert_array_equal(rows_of(opened), cells.layers["doubled"].toarray())


def test_wide_indices_and_row_pointers_are_read(cells, tmp_path):
    path = stored(cells, tmp_path, "h5ad")
    with h5py.File(path, "a") as file:
        for name in ("indices", "indptr"):
            values = file[f"X/{name}"][:].astype(np.int64)
            del file[f"X/{name}"]
            file[f"X/{name}"] = values
    np.testing.assert_array_equal(rows_of(open_cells(path)), cells.X.toarray())


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_backed_and_lazy_cells_are_read_by_rows(cells, tmp_path, kind):
    path = stored(cells, tmp_path, kind)
    lazy = ad.experimental.read_lazy(path)
    opened = open_cells(lazy)
    assert opened.X is None
    np.testing.assert_array_equal(rows_of(opened), cells.X.toarray())
    if kind == "h5ad":
        backed = bulkgen.read(path, backed=True)
        opened = open_cells(backed)
        assert isinstance(opened.stored, StoredRows)
        np.testing.assert_array_equal(rows_of(opened), cells.X.toarray())
        backed.file.close()


def test_every_chunk_of_a_dask_array_is_computed_once(cells):
    dask_array = pytest.importorskip("dask.array")
    computed = []

    def chunk(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][0])
        return sp.csr_matrix(block)

    dense = cells.X.toarray()
    array = dask_array.from_array(dense, chunks=(23, dense.shape[1])).map_blocks(
        chunk, dtype=dense.dtype, meta=sp.csr_matrix((0, 0), dtype=dense.dtype)
    )
    lazy = ad.AnnData(array, obs=cells.obs, var=cells.var)
    computed.clear()
    np.testing.assert_array_equal(rows_of(open_cells(lazy)), dense)
    assert computed == [0, 1, 2, 3, 4]


def test_counts_in_columns_are_loaded_where_they_fit_and_refused_where_not(cells, tmp_path, monkeypatch):
    expected = cells.X.toarray()
    cells.X = sp.csc_matrix(cells.X)
    path = stored(cells, tmp_path, "h5ad")
    opened = open_cells(path)
    assert opened.X is not None
    np.testing.assert_array_equal(opened.X.toarray(), expected)
    # what control groups leave counts, not what the machine has
    monkeypatch.setattr("bulkgen.io.cell_store.available_memory", lambda: 2000)
    with pytest.raises(MemoryError, match=r"stored by columns .* more than half of the 2\.0 kB .*tocsr"):
        open_cells(path)


def test_a_unit_of_work_is_small_and_reads_elsewhere(cells, tmp_path):
    import pickle

    opened = open_cells(stored(cells, tmp_path, "h5ad"))
    text = pickle.dumps(opened.counts.unit(10, 20))
    assert len(text) < 1000
    np.testing.assert_array_equal(pickle.loads(text).read().toarray(), cells.X[10:20].toarray())


def test_blocks_end_where_they_are_asked_to():
    rows = MatrixRows(sp.csr_matrix(np.ones((100, 10), np.int32)))
    ranges = rows.ranges(32, multiple_of=4)
    assert [last for _, last in ranges] == sorted({*range(12, 32, 12), 32, 44, 56, 64, 76, 88, 96, 100})
    assert [first for first, _ in ranges] == [0, *(last for _, last in ranges[:-1])]


def test_reading_ahead_stops_with_its_user_and_passes_errors_on():
    closed = []

    def items():
        try:
            yield 1
            yield 2
            raise ValueError("broken")
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="broken"):
        list(reading_ahead(items()))
    ahead = reading_ahead(items())
    assert next(ahead) == 1
    ahead.close()
    assert closed == [True, True]


@pytest.mark.parametrize(
    ("damage", "error", "match"),
    [
        (lambda x: x["indptr"].__setitem__(5, 10**6), InvalidCsrError, "indptr"),
        (lambda x: x["data"].__setitem__(-1, -1), CountsError, "negative"),
        (lambda x: x["data"].__setitem__(-1, 0.5), CountsError, "fraction|whole|integer"),
        (lambda x: x["indices"].__setitem__(-1, 10**6), InvalidCsrError, "column|ind"),
    ],
)
def test_a_damaged_file_is_refused_where_it_is_read(cells, tmp_path, damage, error, match):
    path = stored(cells, tmp_path, "h5ad")
    with h5py.File(path, "a") as file:
        damage(file["X"])
    with pytest.raises(error, match=match):
        list(open_cells(path).blocks(require_integers=True))


def test_what_is_no_store_of_cells_is_refused(cells, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        open_cells(tmp_path / "none.h5ad")
    (tmp_path / "junk.h5ad").write_bytes(b"junk")
    with pytest.raises(OSError, match="cannot be read as an AnnData"):
        open_cells(tmp_path / "junk.h5ad")
    with pytest.raises(ValueError, match=r"no layer 'counts'; layers: 'doubled'"):
        open_cells(stored(cells, tmp_path, "h5ad"), layer="counts")
    with pytest.raises(ValueError, match=r"no layer 'counts'; layers: 'doubled'"):
        open_cells(cells, layer="counts")


def test_a_file_of_cell_ranger_is_told_from_an_anndata(tmp_path):
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "w") as file:
        for part in ("data", "indices", "indptr", "shape"):
            file[f"matrix/{part}"] = np.zeros(3, np.int64)
    for opens in (open_cells, bulkgen.read):
        with pytest.raises(OSError, match=r"it has no obs.*scanpy\.read_10x_h5"):
            opens(tmp_path / "filtered_feature_bc_matrix.h5")


def test_lazy_rows_join_chunks(cells):
    dask_array = pytest.importorskip("dask.array")
    dense = cells.X.toarray()
    rows = LazyRows(dask_array.from_array(dense, chunks=(7, 37)))
    with rows.reader() as read:
        np.testing.assert_array_equal(read(3, 24), dense[3:24])
        np.testing.assert_array_equal(read(24, 101), dense[24:])


@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_places_that_are_no_whole_numbers_are_refused(cells, tmp_path, part):
    path = stored(cells, tmp_path, "h5ad")
    with h5py.File(path, "a") as file:
        values = file[f"X/{part}"][:] + 0.5
        del file[f"X/{part}"]
        file[f"X/{part}"] = values
    with pytest.raises(InvalidCsrError, match=rf"{part} holds float64"):
        open_cells(path)


def test_what_is_read_ahead_is_copied_a_few_times_and_not_held_for_long():
    class Array:
        """One chunk is the whole of it."""

        dtype, shape, chunks = np.dtype(np.int64), (1024,), (1024,)

        def __getitem__(self, where):
            return np.arange(1024)[where]

    with ThreadPoolExecutor(1) as pool:
        ahead = _Ahead(Array(), pool)
        slices = [ahead.read(first, first + 8) for first in range(0, 1024, 8)]
    assert np.concatenate(slices).tolist() == list(range(1024))
    held = {id(found.base): found.base for found in slices}.values()
    # each is half of the one before
    assert sorted((base.size for base in held), reverse=True)[:4] == [1024, 512, 256, 128]
    assert len(held) <= 11
