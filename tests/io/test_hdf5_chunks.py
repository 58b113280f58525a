"""Chunks are what HDF5 itself reads and writes, whoever packs them."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bulkgen.io.hdf5_chunks import ColumnWriter, chunk_reader

TYPES = [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as made:
        yield made


@settings(max_examples=60, deadline=None)
@given(
    values=st.sampled_from(TYPES).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 70))),
    chunk=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 70), max_size=3),
    shuffled=st.booleans(),
)
def test_hdf5_reads_what_was_packed_in_threads(tmp_path_factory, pool, values, chunk, cuts, shuffled):
    with h5py.File(tmp_path_factory.mktemp("packed") / "column.h5", "w") as file:
        column = ColumnWriter(file, "column", values.dtype, chunk=chunk, pool=pool, shuffled=shuffled)
        for part in np.split(values, sorted(min(cut, values.size) for cut in cuts)):
            column.append(part)
        column.finish()
        assert file["column"].dtype == values.dtype
        assert file["column"][:].tobytes() == values.tobytes()


def test_counts_of_many_chunks_are_packed_well(tmp_path, pool):
    values = np.random.default_rng(0).poisson(1.5, 300_000).astype(np.int64)
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = ColumnWriter(file, "column", np.int64, chunk=1 << 16, pool=pool)
        column.append(values)
        column.finish()
        np.testing.assert_array_equal(file["column"][:], values)
        assert file["column"].id.get_storage_size() < values.nbytes / 20


@pytest.mark.parametrize("dtype", [*TYPES, np.dtype(">i4")])
@pytest.mark.parametrize("shuffle", [False, True])
def test_chunks_of_gzip_are_those_that_hdf5_reads(tmp_path, dtype, shuffle):
    values = np.arange(1000).astype(dtype)
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", data=values, chunks=(130,), compression="gzip", shuffle=shuffle)
        read = chunk_reader(column)
        found = [read(first) for first in range(0, 1000, 130)]
    assert {part.dtype for part in found} == {np.dtype(dtype)}
    np.testing.assert_array_equal(np.concatenate(found)[:1000], values)


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", (90,), "i4", chunks=(30,), compression="gzip", fillvalue=7)
        column[30:60] = 1
        read = chunk_reader(column)
        assert [set(read(first)) for first in (0, 30, 60)] == [{7}, {1}, {7}]


@pytest.mark.parametrize(("shuffle", "mask", "pack"), [(True, 1, zlib.compress), (True, 3, bytes), (False, 1, bytes)])
def test_a_chunk_stored_without_a_filter_is_read(tmp_path, shuffle, mask, pack):
    values = np.arange(64, dtype=np.int32)
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", (64,), "i4", chunks=(64,), compression="gzip", shuffle=shuffle)
        column.id.write_direct_chunk((0,), pack(values.tobytes()), filter_mask=mask)
    with h5py.File(tmp_path / "column.h5") as file:
        np.testing.assert_array_equal(file["column"][:], values)
        np.testing.assert_array_equal(chunk_reader(file["column"])(0), values)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (30,)}, {"compression": "lzf"}, {"compression": "gzip", "fletcher32": True}]
)
def test_other_filters_are_left_to_hdf5(tmp_path, options):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        assert chunk_reader(file.create_dataset("column", data=np.arange(90), **options)) is None


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (zlib.compress(bytes(40)), "40 bytes, not 256"),
        (b"junk", "damaged"),
        (zlib.compress(bytes(range(256)))[:-3], "does not end"),
        # would be 256 MiB
        (zlib.compress(bytes(2**28)), "does not end"),
    ],
)
def test_a_damaged_chunk_is_an_error_that_names_the_place(tmp_path, raw, match):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", (64,), "i4", chunks=(64,), compression="gzip")
        column.id.write_direct_chunk((0,), raw)
        with pytest.raises(OSError, match=rf"column\.h5.*/column.*{match}"):
            chunk_reader(column)(0)
