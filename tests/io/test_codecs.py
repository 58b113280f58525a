"""Cells are the same whatever packs them in a file, in whichever types."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.io import count_rows, open_cells
from count_cases import labelled_cells

zarr = pytest.importorskip("zarr")

HDF5 = {
    "plain": {},
    "chunked": {"chunks": (100,)},
    "gzip": {"chunks": (100,), "compression": "gzip"},
    "gzip-shuffled": {"chunks": (100,), "compression": "gzip", "compression_opts": 9, "shuffle": True},
    "lzf": {"chunks": (100,), "compression": "lzf"},
    "checksummed": {"chunks": (100,), "compression": "gzip", "fletcher32": True},
}
PLUGINS = {"zstd": "Zstd", "lz4": "LZ4", "blosc": "Blosc"}


@pytest.fixture
def cells():
    made = labelled_cells(1, {"a": 60, "b": 41}, n_genes=37, mean=0.7)
    made.X = made.X.astype(np.float32)
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks that end anywhere in chunks."""
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 150)


def check(path, cells) -> None:
    """The rows, the groups and the record of the groups."""
    opened = open_cells(path)
    assert opened.X is None
    blocks = [block for _, block in opened.blocks(require_integers=True)]
    assert len(blocks) > 2
    np.testing.assert_array_equal(sp.vstack(blocks).toarray(), cells.X.toarray())
    found, expected = (bulkgen.pseudobulk(source, by="label", k=4, strategy="sum") for source in (path, cells))
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert found.uns["bulkgen"] == expected.uns["bulkgen"]


def rewrite_hdf5(path, options) -> None:
    """Store the entries in another way."""
    with h5py.File(path, "a") as file:
        for name in ("data", "indices"):
            values = file[f"X/{name}"][:]
            del file[f"X/{name}"]
            file.create_dataset(f"X/{name}", data=values, **options)


@pytest.mark.parametrize("options", HDF5.values(), ids=HDF5)
def test_an_hdf5_file_in_any_packing(cells, tmp_path, options):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    rewrite_hdf5(path, options)
    check(path, cells)


@pytest.mark.parametrize("filter_name", PLUGINS)
def test_a_filter_of_a_plugin_is_read_where_it_is_installed(cells, tmp_path, filter_name):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    rewrite_hdf5(path, {"chunks": (100,), **getattr(hdf5plugin, PLUGINS[filter_name])()})
    check(path, cells)


def test_a_filter_that_is_not_installed_is_named_with_its_remedy(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    with h5py.File(path, "a") as file:
        values = file["X/data"][:]
        del file["X/data"]
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((100,))
        # a number that nobody has registered
        settings.set_filter(511, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file["X"].id, b"data", h5py.h5t.NATIVE_FLOAT, space, settings)
        for first in range(0, values.size, 100):
            file["X/data"].id.write_direct_chunk((first,), b"packed")
    with pytest.raises(OSError, match=r"/X/data is packed by the HDF5 filter 511 .*pip install hdf5plugin"):
        open_cells(path)


@pytest.mark.parametrize("values", [np.float32, np.float64, np.int8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("columns", [np.int32, np.int64])
@pytest.mark.parametrize("pointers", [np.int32, np.int64])
def test_any_types_of_values_columns_and_row_pointers(cells, tmp_path, values, columns, pointers):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    with h5py.File(path, "a") as file:
        for name, dtype in (("data", values), ("indices", columns), ("indptr", pointers)):
            stored = file[f"X/{name}"][:].astype(dtype)
            del file[f"X/{name}"]
            file.create_dataset(f"X/{name}", data=stored, chunks=(100,), compression="gzip")
    rows = [block for _, block in open_cells(path).blocks(require_integers=True)]
    np.testing.assert_array_equal(sp.vstack(rows).toarray(), cells.X.toarray())
    groups = bulkgen.pseudobulk(path, by="label", k=4, strategy="sum").X
    np.testing.assert_array_equal(
        groups.toarray(), bulkgen.pseudobulk(cells, by="label", k=4, strategy="sum").X.toarray()
    )


def zarr_codecs(version: int) -> dict[str, dict]:
    if version == 2:
        import numcodecs

        return {
            "plain": {"compressors": None},
            "gzip": {"compressors": numcodecs.GZip(1)},
            "zstd": {"compressors": numcodecs.Zstd(1)},
            "lz4": {"compressors": numcodecs.LZ4()},
            "blosc-lz4": {"compressors": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE)},
            "blosc-zstd": {"compressors": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE)},
        }
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    return {
        "plain": {"compressors": None},
        "gzip": {"compressors": GzipCodec(level=1)},
        "zstd": {"compressors": ZstdCodec(level=1)},
        "blosc-lz4": {"compressors": BloscCodec(cname="lz4")},
        "blosc-zstd": {"compressors": BloscCodec(cname="zstd")},
        "sharded": {"compressors": ZstdCodec(level=1), "shards": (300,)},
    }


@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
@pytest.mark.parametrize(
    ("version", "codec"), [(version, codec) for version in (2, 3) for codec in zarr_codecs(version)]
)
def test_a_zarr_store_of_any_version_and_codec(cells, tmp_path, version, codec):
    path = tmp_path / "cells.zarr"
    with ad.settings.override(zarr_write_format=version):
        cells.write_zarr(path)
    root = zarr.open_group(str(path), mode="a", use_consolidated=False)
    for name in ("data", "indices"):
        values = root[f"X/{name}"][:]
        options = {"shape": values.shape, "dtype": values.dtype, "chunks": (100,), **zarr_codecs(version)[codec]}
        root.create_array(f"X/{name}", overwrite=True, **options)[:] = values
    zarr.consolidate_metadata(root.store)
    check(path, cells)
