"""An AnnData on disk whose matrix is written a few rows at a time."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np

from bulkgen.io.atomic import atomic_directory, atomic_file
from bulkgen.io.h5ad import check_cells_output
from bulkgen.io.hdf5_chunks import ColumnWriter
from bulkgen.io.writing import PACKED, PACKED_NUMBERS, new_hdf5, settled_zarr
from bulkgen.kernels import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    import pandas as pd
    import scipy.sparse as sp

__all__ = ["RowWriter", "write_rows"]

#: Values of a chunk: 512 KiB of 64-bit numbers, within the cache of HDF5.
_CHUNK = 1 << 16
#: The chunks of zarr are files.
_ZARR_CHUNK = 1 << 20


class RowWriter:
    """Appends rows to the matrix of an AnnData on disk; made by :func:`write_rows`."""

    def __init__(self, root: Any, n_columns: int, pool: Executor) -> None:  # noqa: ANN401 - of h5py or zarr
        self._root, self._n_columns, self._pool = root, n_columns, pool
        self._columns: dict[str, ColumnWriter] = {}
        self._zarr = not hasattr(root, "create_dataset") or type(root).__module__.startswith("zarr")
        self._ends: list[np.ndarray] = [np.zeros(1, np.int64)]
        self._rows = self._entries = 0
        self._finished = False

    def append(self, block: sp.csr_matrix | np.ndarray) -> None:
        """Add rows; all blocks are of one kind and type."""
        if isinstance(block, np.ndarray):
            self._extend("X", self._rows, block)
        else:
            if self._rows == 0:
                self._root.create_group("X")
            for name, values in (("data", block.data), ("indices", block.indices)):
                self._add(f"X/{name}", values)
            self._ends.append(block.indptr[1:].astype(np.int64) + self._entries)
            self._entries += int(block.indptr[-1])
        self._rows += block.shape[0]

    def finish(self, *, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, object]) -> None:
        """Write everything beside the matrix; call it once, last."""
        annotation = ad.AnnData(obs=obs, var=var, uns=dict(uns))
        annotation.strings_to_categoricals()
        root = self._root
        for column in self._columns.values():
            column.finish()
        if len(self._ends) > 1:
            indptr = np.concatenate(self._ends)
            if self._entries <= np.iinfo(np.int32).max:
                # as SciPy has it
                indptr = indptr.astype(np.int32)
            ad.io.write_elem(root, "X/indptr", indptr, dataset_kwargs={} if self._zarr else PACKED_NUMBERS)
            matrix: dict[str, object] = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
            matrix["shape"] = [self._rows, self._n_columns]
            for part in ("data", "indices", "indptr"):
                for name in list(root[f"X/{part}"].attrs):
                    del root[f"X/{part}"].attrs[name]
        else:
            matrix = {"encoding-type": "array", "encoding-version": "0.2.0"}
        for name, value in matrix.items():
            root["X"].attrs[name] = value
        for name, value in {"encoding-type": "anndata", "encoding-version": "0.1.0"}.items():
            root.attrs[name] = value
        parts = {"obs": annotation.obs, "var": annotation.var, "uns": dict(annotation.uns)}
        parts |= {name: {} for name in ("layers", "obsm", "varm", "obsp", "varp")}
        for name, part in parts.items():
            ad.io.write_elem(root, name, part, dataset_kwargs={} if self._zarr else PACKED)
        self._finished = True

    def _add(self, name: str, values: np.ndarray) -> None:
        """Extend an array of the stored entries."""
        if self._zarr:
            self._extend(name, self._entries, values)
            return
        if name not in self._columns:
            self._columns[name] = ColumnWriter(self._root, name, values.dtype, chunk=_CHUNK, pool=self._pool)
        self._columns[name].append(values)

    def _extend(self, name: str, start: int, values: np.ndarray) -> None:
        if name not in self._root:
            chunk = _ZARR_CHUNK if self._zarr else _CHUNK
            across = values.shape[1:]
            options: dict[str, Any] = {} if self._zarr else PACKED_NUMBERS | {"maxshape": (None, *across)}
            (self._root.create_array if self._zarr else self._root.create_dataset)(
                name,
                shape=(0, *across),
                dtype=values.dtype,
                chunks=(max(1, chunk // max(1, int(np.prod(across)))), *(max(1, n) for n in across)),
                **options,
            )
        array = self._root[name]
        array.resize((start + values.shape[0], *values.shape[1:]))
        array[start:] = values


@contextmanager
def write_rows(path: str | Path, *, n_columns: int, overwrite: bool = False) -> Iterator[RowWriter]:
    """Write an AnnData to ``.h5ad`` or ``.zarr`` by rows; it appears whole or not at all.

    The file is what :func:`bulkgen.write` would have written, in other chunks.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is false.
    ValueError
        If `path` ends in something else.
    """
    path = check_cells_output(path, overwrite=overwrite)
    whole = atomic_directory if path.suffix == ".zarr" else atomic_file
    with warnings.catch_warnings(), whole(path, overwrite=overwrite) as temporary:
        warnings.filterwarnings("ignore", "Writing zarr v2 data", UserWarning)
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        with (
            _new_root(temporary, zarr=path.suffix == ".zarr") as root,
            ThreadPoolExecutor(resolve_threads(None), "bulkgen-writer") as pool,
        ):
            writer = RowWriter(root, n_columns, pool)
            yield writer
            assert writer._finished


@contextmanager
def _new_root(path: Path, *, zarr: bool) -> Iterator[Any]:
    if not zarr:
        with new_hdf5(path) as root:
            yield root
        return
    import zarr as zarr_

    with settled_zarr():
        root = zarr_.open_group(str(path), mode="w", zarr_format=ad.settings.zarr_write_format)
        yield root
        zarr_.consolidate_metadata(root.store)
