"""Chunks are what HDF5 itself reads and writes, whoever packs them."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from isal import isal_zlib

import bulkgen
from bulkgen.io import hdf5_chunks
from bulkgen.io.hdf5_chunks import ColumnWriter, chunk_reader
from count_cases import make_cells

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
@pytest.mark.parametrize("fletcher32", [False, True])
@pytest.mark.parametrize(("unpacker", "at_once"), [(zlib, 0), (zlib, 10**9), (isal_zlib, 0), (isal_zlib, 10**9)])
def test_chunks_of_gzip_are_those_that_hdf5_reads(tmp_path, dtype, shuffle, fletcher32, unpacker, at_once, monkeypatch):
    monkeypatch.setattr(hdf5_chunks, "unpacker", unpacker)
    monkeypatch.setattr(hdf5_chunks, "_AT_ONCE", at_once)
    values = np.arange(1000).astype(dtype)
    with h5py.File(tmp_path / "column.h5", "w") as file:
        options = {"compression": "gzip", "shuffle": shuffle, "fletcher32": fletcher32}
        column = file.create_dataset("column", data=values, chunks=(130,), **options)
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


@pytest.mark.parametrize("size", [1, 2, 359, 360, 361, 70_001])
@pytest.mark.parametrize("fill", ["zeros", "words of 2^16 - 1", "anything"])
def test_checksums_are_those_of_hdf5_for_bytes_of_every_kind(tmp_path, size, fill):
    """Odd numbers of bytes, sums that are 0 modulo 2^16 - 1: what is stored unpacked is checked as it is."""
    values = {
        "zeros": np.zeros(size, np.uint8),
        "words of 2^16 - 1": np.full(size, 255, np.uint8),
        "anything": np.random.default_rng(size).integers(0, 256, size, np.uint8),
    }[fill]
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", data=values, chunks=(size,), compression="gzip", fletcher32=True)
        np.testing.assert_array_equal(chunk_reader(column)(0), values)
        _, raw = column.id.read_direct_chunk((0,))
        stored = file.create_dataset("stored", data=values, chunks=(size,), fletcher32=True)
        _, stored_raw = stored.id.read_direct_chunk((0,))
    for checked in (raw, stored_raw):
        assert hdf5_chunks._checked(checked) == checked[:-4]
        for place in {0, len(checked) // 2, len(checked) - 1}:
            damaged = bytearray(checked)
            damaged[place] ^= 4
            with pytest.raises(ValueError, match="checksum"):
                hdf5_chunks._checked(bytes(damaged))


@pytest.mark.parametrize("raw", [b"abc", b"abc\0\0\0\0"])
def test_a_chunk_without_its_checksum_is_damaged(tmp_path, raw):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", (64,), "i4", chunks=(64,), compression="gzip", fletcher32=True)
        column.id.write_direct_chunk((0,), raw)
        with pytest.raises(OSError, match=r"column\.h5.*/column is damaged at 0: .*checksum"):
            chunk_reader(column)(0)


def test_numbers_that_bulkgen_writes_are_read_by_many_threads(tmp_path):
    bulkgen.write(make_cells(sp.csr_matrix(np.ones((3, 2), np.float32))), tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as file:
        assert chunk_reader(file["X/data"]) is not None
        assert chunk_reader(file["X/indices"]) is not None


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (30,)}, {"compression": "lzf"}, {"chunks": (9,), "fletcher32": True}]
)
def test_other_filters_are_left_to_hdf5(tmp_path, options):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        assert chunk_reader(file.create_dataset("column", data=np.arange(90), **options)) is None


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (zlib.compress(bytes(40)), "40 bytes, not 256"),
        (b"junk", "damaged"),
        (zlib.compress(bytes(range(256)))[:-3], "damaged"),
        (zlib.compress(bytes(range(256)))[:-1] + b"!", "damaged"),
        # would be 512 MiB
        (zlib.compress(bytes(2**29)), "does not end after 256 bytes"),
    ],
)
def test_a_damaged_chunk_is_an_error_that_names_the_place(tmp_path, raw, match):
    with h5py.File(tmp_path / "column.h5", "w") as file:
        column = file.create_dataset("column", (64,), "i4", chunks=(64,), compression="gzip")
        column.id.write_direct_chunk((0,), raw)
        with pytest.raises(OSError, match=rf"column\.h5.*/column.*{match}"):
            chunk_reader(column)(0)
