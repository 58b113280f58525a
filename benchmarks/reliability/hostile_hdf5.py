"""Hostile HDF5: cells in .h5ad, and fits, with links out of them, sizes that are none, values that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

import stored_things
from hostile_cases import CELLS, FIT, WITNESS, case


@contextmanager
def _edited(folder: Path) -> Iterator[h5py.File]:
    with h5py.File(stored_things.make("h5ad", folder), "a") as file:
        yield file


def _path(folder: Path) -> Path:
    return folder / stored_things.NAMES["h5ad"]


def _replaced(file: h5py.File, name: str, values: object) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


@case(CELLS, "open_cells", "link into another file")
def external_link(folder: Path) -> Path:
    with h5py.File(folder / f"{WITNESS}.h5", "w") as other:
        other["data"] = np.ones(5)
    with _edited(folder) as file:
        file["uns/secret"] = h5py.ExternalLink(str(folder / f"{WITNESS}.h5"), "/data")
    return _path(folder)


@case(CELLS, "open_cells", "values in other files")
def external_storage(folder: Path) -> Path:
    (folder / WITNESS).write_bytes(bytes(4000))
    with _edited(folder) as file:
        file["uns"].create_dataset("secret", (1000,), "f4", external=[(str(folder / WITNESS), 0, 4000)])
    return _path(folder)


@case(CELLS, "open_cells", "values in other files")
def virtual_data_set(folder: Path) -> Path:
    with h5py.File(folder / f"{WITNESS}.h5", "w") as other:
        other["data"] = np.ones(5)
    with _edited(folder) as file:
        layout = h5py.VirtualLayout((5,), "f8")
        layout[:] = h5py.VirtualSource(str(folder / f"{WITNESS}.h5"), "data", (5,))
        file["uns"].create_virtual_dataset("secret", layout)
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def soft_link_loop(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/loop"] = h5py.SoftLink("/uns")
    return _path(folder)


@case(CELLS, "open_cells", "too many links")
def soft_links_to_each_other(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/one"], file["uns/two"] = h5py.SoftLink("/uns/two"), h5py.SoftLink("/uns/one")
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def hard_link_loop(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/loop"] = file["uns"]
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def groups_linked_two_to_the_forty_times(folder: Path) -> Path:
    with _edited(folder) as file:
        group = file["uns"]
        for _ in range(40):
            below = group.create_group("left")
            group["right"] = below
            group = below
    return _path(folder)


@case(CELLS, "open_cells", "nested more than")
def groups_nested_a_thousand_deep(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns"].create_group("/".join("a" * 1000))
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def dense_matrix_of_a_terabyte_without_chunks(folder: Path) -> Path:
    with _edited(folder) as file:
        del file["X"]
        file.create_dataset("X", (stored_things.N_CELLS, 1 << 32), "f4", chunks=(1, 1 << 20), fillvalue=1)
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def dense_matrix_of_a_terabyte_without_storage(folder: Path) -> Path:
    with _edited(folder) as file:
        file.create_dataset("obsm/big", (stored_things.N_CELLS, 1 << 32), "f4")
    return _path(folder)


@case(CELLS, "open_cells", "not monotone|do not fit")
def row_pointers_to_two_to_the_fifty_entries(folder: Path) -> Path:
    with _edited(folder) as file:
        pointers = file["X/indptr"][:].astype(np.int64)
        pointers[-1] = 1 << 50
        _replaced(file, "X/indptr", pointers)
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def two_to_the_fifty_row_pointers(folder: Path) -> Path:
    with _edited(folder) as file:
        del file["X/indptr"]
        file["X"].create_dataset("indptr", (1 << 50,), "i8", chunks=(1 << 16,))
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def shape_of_two_to_the_fifty_cells(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([1 << 50, stored_things.N_GENES])
    return _path(folder)


@case(CELLS, "open_cells", "1125899906842624")
def shape_of_two_to_the_fifty_genes(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([stored_things.N_CELLS, 1 << 50])
    return _path(folder)


@case(CELLS, "open_cells", "rows and columns")
def shape_of_one_number(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([stored_things.N_CELLS])
    return _path(folder)


@case(CELLS, "open_cells", "bytes for 1,024 bytes", heavy=True)
def gzip_bomb_in_a_chunk(folder: Path) -> Path:
    import zlib

    with _edited(folder) as file:
        bomb = file["uns"].create_dataset("bomb", (1024,), "u1", chunks=(1024,), compression="gzip")
        bomb.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 29), 9))
    return _path(folder)


@case(CELLS, "open_cells", "column 47")
def column_indices_out_of_range(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indices"][3] = stored_things.N_GENES + 7
    return _path(folder)


@case(CELLS, "open_cells", "column -5")
def negative_column_indices(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indices"][3] = -5
    return _path(folder)


@case(CELLS, "open_cells", "not monotone|fall at row")
def row_pointers_that_go_back(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indptr"][2] = int(file["X/indptr"][5])
    return _path(folder)


def _with_value(folder: Path, value: float) -> Path:
    with _edited(folder) as file:
        file["X/data"][3] = value
    return _path(folder)


@case(CELLS, "open_cells", "finite")
def a_count_that_is_no_number(folder: Path) -> Path:
    return _with_value(folder, np.nan)


@case(CELLS, "open_cells", "finite")
def an_infinite_count(folder: Path) -> Path:
    return _with_value(folder, np.inf)


@case(CELLS, "open_cells", "negative")
def a_negative_count(folder: Path) -> Path:
    return _with_value(folder, -1.0)


@case(CELLS, "open_cells", "dtype object")
def counts_that_are_text(folder: Path) -> Path:
    with _edited(folder) as file:
        size = file["X/data"].shape[0]
        _replaced(file, "X/data", np.array([b"many"] * size, dtype=object))
    return _path(folder)


@case(CELLS, "open_cells", "dtype object")
def counts_that_are_references(folder: Path) -> Path:
    with _edited(folder) as file:
        size = file["X/data"].shape[0]
        _replaced(file, "X/data", np.array([file["uns"].ref] * size, dtype=h5py.ref_dtype))
    return _path(folder)


@case(CELLS, "open_cells", "codes")
def label_codes_out_of_range(folder: Path) -> Path:
    with _edited(folder) as file:
        file["obs/label/codes"][0] = 99
    return _path(folder)


@case(CELLS, "open_cells", "os.system")
def an_unknown_encoding(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["encoding-type"] = "os.system"
    return _path(folder)


def _in_the_middle(folder: Path, part: str, value: float) -> Path:
    """Write a value into a block that is read after others, and before others."""
    with _edited(folder) as file:
        file[f"X/{part}"][file[f"X/{part}"].shape[0] // 2] = value
    return _path(folder)


@case(CELLS, "open_cells", "column 1000")
def a_column_index_out_of_range_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indices", 1000)


@case(CELLS, "open_cells", "not monotone|fall at row|do not fit")
def a_row_pointer_beyond_the_entries_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indptr", 1 << 30)


@case(CELLS, "open_cells", "not monotone|fall at row")
def a_negative_row_pointer_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indptr", -7)


@case(CELLS, "open_cells", "finite")
def a_count_that_is_no_number_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "data", np.nan)


@case(CELLS, "open_cells", "negative")
def a_negative_count_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "data", -3.0)


@case(CELLS, "open_cells", "cannot be read")
def a_chunk_of_nonsense_in_the_middle(folder: Path) -> Path:
    with _edited(folder) as file:
        values = file["X/data"][:]
        del file["X/data"]
        made = file["X"].create_dataset("data", data=values, chunks=(100,), compression="gzip")
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        made.id.write_direct_chunk((values.size // 200 * 100,), b"nonsense" * 20)
    return _path(folder)


@case(CELLS, "open_cells", "lost 1 of")
def a_chunk_that_was_never_written(folder: Path) -> Path:
    with _edited(folder) as file:
        values = file["X/data"][:]
        del file["X/data"]
        made = file["X"].create_dataset("data", values.shape, values.dtype, chunks=(100,))
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        made[: values.size // 2] = values[: values.size // 2]
        made[values.size // 2 + 200 :] = values[values.size // 2 + 200 :]
    return _path(folder)


def _fit_with(folder: Path, **changed: object) -> Path:
    path = stored_things.make("fit", folder)
    with h5py.File(path, "a") as file:
        for name, values in changed.items():
            place = f"uns/bulkgen_fit/{name}"
            _replaced(file, place, values)
    return path


@case(FIT, "open_fit", "os.system")
def fit_of_an_unknown_method(folder: Path) -> Path:
    return _fit_with(folder, method="os.system")


@case(FIT, "open_fit", "damaged fit")
def fit_with_deeply_nested_parameters(folder: Path) -> Path:
    return _fit_with(folder, parameters="[" * 100_000)


@case(FIT, "open_fit", "damaged fit")
def fit_with_parameters_that_are_no_table(folder: Path) -> Path:
    return _fit_with(folder, parameters="[1, 2]")


@case(FIT, "open_fit", "damaged fit")
def fit_without_a_state(folder: Path) -> Path:
    path = stored_things.make("fit", folder)
    with h5py.File(path, "a") as file:
        del file["uns/bulkgen_fit/state"]
    return path
