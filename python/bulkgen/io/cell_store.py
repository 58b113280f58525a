"""Cells, whatever holds them: annotation in memory, counts read row by row as they are needed."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.arguments import checked
from bulkgen.errors import CountsError
from bulkgen.io.cell_files import check_cell_file, check_cell_names, no_such_layer, unreadable
from bulkgen.io.checks import compressed_counts
from bulkgen.io.count_rows import CountRows, MatrixRows, SelectedRows
from bulkgen.io.hdf5_chunks import check_filters
from bulkgen.io.lazy_rows import LazyRows
from bulkgen.io.provenance import ContentDigest
from bulkgen.io.resources import available_memory, size_text
from bulkgen.io.storage import check_storage
from bulkgen.io.stored_rows import StoredRows, open_group

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from bulkgen.io.checks import CountMatrix
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["CellStore", "Cells", "open_cells"]

#: What the functions that read cells by rows take.
Cells: TypeAlias = "ad.AnnData | CellStore | str | Path"

#: What has to be in memory as a whole may take this share of what is available.
_SHARE_OF_MEMORY = 0.5


@dataclass(repr=False)
class CellStore:
    """Cells whose annotation is in memory, and whose counts may be on disk.

    Attributes
    ----------
    obs, var
        Annotation of cells and genes.
    uns
        Of a file: the provenance alone.
    X
        The matrix as it was given, where it is in memory; else ``None``.
    stored
        Its rows, where they are not in memory.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: Mapping[str, Any]
    X: CountMatrix | None = None
    stored: CountRows | None = None
    _hash: str | None = None

    def __repr__(self) -> str:
        place = "in memory" if self.stored is None else "read by rows"
        return f"CellStore({self.n_obs:,} cells × {self.n_vars:,} genes, {place}; obs: {', '.join(self.obs.columns)})"

    @cached_property
    def counts(self) -> CountRows:
        """The rows of the matrix."""
        if self.stored is not None:
            return self.stored
        assert self.X is not None
        return MatrixRows(self.X if isinstance(self.X, np.ndarray) else compressed_counts(self.X))

    @property
    def obs_names(self) -> pd.Index:
        """Names of the cells."""
        return self.obs.index

    @property
    def var_names(self) -> pd.Index:
        """Names of the genes."""
        return self.var.index

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return len(self.obs)

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return len(self.var)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.n_obs, self.n_vars

    def blocks(
        self,
        ranges: Iterable[tuple[int, int]] | None = None,
        *,
        require_integers: bool,
        hashed: bool = False,
    ) -> Generator[tuple[int, sp.csr_matrix]]:
        """Yield ``(first cell, block)``: checked, canonical CSR.

        Parameters
        ----------
        ranges
            From ``counts.ranges``, the default.
        require_integers
            Refuse fractional values.
        hashed
            Hash what is read, so that :meth:`stored_hash` need not read it again; the ranges must cover every cell.

        Yields
        ------
        first_cell
            Number of the block's first cell.
        block
            Its counts, cells × genes.

        Raises
        ------
        CountsError, InvalidCsrError
            As :func:`bulkgen.io.canonical_counts`; the message names cell and gene.
        """
        digest = ContentDigest(self.counts.form, self.shape) if hashed and self._hash is None else None
        yield from self.counts.blocks(
            ranges,
            require_integers=require_integers,
            cell_names=self.obs_names,
            gene_names=self.var_names,
            digest=digest,
        )
        if digest is not None:
            self._hash = digest.finish(self.obs_names, self.var_names)

    def stored_hash(self) -> str:
        """Hash counts that are not in memory, as :func:`bulkgen.io.content_hash` does, unless it was done.

        Returns
        -------
        str
            Hexadecimal.
        """
        if self._hash is None:
            digest = ContentDigest(self.counts.form, self.shape)
            for _, block in self.counts.stored_blocks(self.counts.ranges()):
                digest.add(block)
            self._hash = digest.finish(self.obs_names, self.var_names)
        return self._hash

    def set_hash(self, pieces: Sequence[bytes]) -> None:
        """Make the hash of what was read elsewhere.

        Parameters
        ----------
        pieces
            Digests of the pieces that were read, in order (``ContentDigest``).
        """
        digest = ContentDigest(self.counts.form, self.shape)
        digest.extend(pieces)
        self._hash = digest.finish(self.obs_names, self.var_names)

    def take(self, rows: Int64Array, *, require_integers: bool) -> sp.csr_matrix:
        """Return some cells in memory, checked; the others are checked, too.

        Parameters
        ----------
        rows
            Numbers of the cells, ascending.
        require_integers
            Refuse fractional values.

        Returns
        -------
        scipy.sparse.csr_matrix
            Cells × genes.

        Raises
        ------
        CountsError, InvalidCsrError
            As :meth:`blocks`.
        MemoryError
            If they would take more than half of the memory.
        """
        lengths = self.counts.expected_lengths()
        _check_memory(
            16 * int(lengths[rows].sum()), f"{rows.size} cells", "take fewer: reference_cells=, --reference-cells"
        )
        parts = []
        for first, block in self.blocks(require_integers=require_integers, hashed=True):
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + block.shape[0])] - first
            parts.append(block if here.size == block.shape[0] else block[here])
        return sp.vstack(parts, format="csr") if parts else sp.csr_matrix((0, self.n_vars), dtype=np.float32)

    def to_memory(self) -> ad.AnnData:
        """Read everything.

        Returns
        -------
        anndata.AnnData
            Counts and annotation; the counts are not checked.
        """
        X = self.X
        if X is None:
            parts = [block for _, block in self.counts.stored_blocks(self.counts.ranges())]
            X = np.concatenate(parts) if self.counts.form == "dense" else sp.vstack(parts, format="csr")
        return ad.AnnData(X, obs=self.obs, var=self.var, uns=dict(self.uns))

    def select_genes(self, names: Iterable[str]) -> CellStore:
        """Return the cells with some of the genes.

        Parameters
        ----------
        names
            Names of genes that there are, in the order that is wanted.

        Returns
        -------
        CellStore
            Nothing is read for it.
        """
        columns = self.var_names.get_indexer(pd.Index(list(names))).astype(np.int64)
        X = None if self.X is None else self.X[:, columns]
        stored = None if self.stored is None else SelectedRows(self.stored, columns)
        return CellStore(self.obs, self.var.iloc[columns], self.uns, X, stored)


@checked
def open_cells(cells: Cells, *, layer: str | None = None) -> CellStore:
    """Open cells from memory or disk; nothing of their counts is read yet.

    Parameters
    ----------
    cells
        AnnData (in memory, backed or lazy), or an ``.h5ad`` file or ``.zarr`` store. Counts in compressed rows or dense
        are read by rows; those in compressed columns have none to read, and are loaded.
    layer
        Take the counts from this layer instead of ``X``.

    Returns
    -------
    CellStore
        :func:`bulkgen.pseudobulk`, :func:`bulkgen.bulk_profiles`, :func:`bulkgen.tokenize` and the others take it in
        the place of an AnnData.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    OSError
        If what is there cannot be read, or is no AnnData.
    CountsError
        If there is no matrix.
    MemoryError
        If counts in compressed columns would take more than half of the memory.
    ValueError
        If the layer does not exist, or cell names in a file are not unique.
    """
    if isinstance(cells, CellStore):
        if layer is not None:
            raise ValueError("the cells are open already; name the layer where they are opened")
        return cells
    if isinstance(cells, str | os.PathLike):
        return _opened(Path(cells), layer)
    if layer is not None and layer not in cells.layers:
        raise ValueError(no_such_layer("adata", layer, cells.layers, raw=getattr(cells, "raw", None) is not None))
    X = cells.X if layer is None else cells.layers[layer]
    if X is None:
        raise CountsError("adata has no matrix X; put the counts there, for example adata.X = adata.layers['counts']")
    obs, var = (_in_memory(table) for table in (cells.obs, cells.var))
    if isinstance(X, np.ndarray) or sp.issparse(X):
        return CellStore(obs, var, cells.uns, X)
    return CellStore(obs, var, cells.uns, *_rows_of(X))


def _in_memory(table: Any) -> pd.DataFrame:  # noqa: ANN401 - a data frame, or a lazy one
    found: pd.DataFrame = table.to_memory() if hasattr(table, "to_memory") else table
    return found


def _rows_of(X: Any) -> tuple[CountMatrix | None, CountRows | None]:  # noqa: ANN401 - backed or lazy
    """Return a matrix that is not in memory as a whole, or else its rows."""
    if getattr(X, "format", None) == "csc":
        # a backed matrix stored by column has no rows to read
        group = getattr(X, "group", None)
        if group is not None:
            _check_fits(group, str(getattr(group, "name", "X")))
        return X.to_memory(), None
    place = getattr(X, "group", X)
    file = getattr(place, "file", None)
    if file is not None and file.mode == "r":
        return None, StoredRows(file.filename, place.name)
    return None, LazyRows(X)


def _opened(path: Path, layer: str | None) -> CellStore:
    check_cell_file(path)
    group = "X" if layer is None else f"layers/{layer}"
    try:
        check_storage(path)
        with warnings.catch_warnings(), open_group(path) as root:
            # refused below
            warnings.filterwarnings("ignore", "Observation names are not unique", UserWarning)
            warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
            for name in ("obs", "var", group):
                if name in root:
                    check_filters(root[name])
            obs, var = (ad.io.read_elem(root[name]) for name in ("obs", "var"))
            uns = (
                {"bulkgen": ad.io.read_elem(root["uns/bulkgen"])} if "uns" in root and "bulkgen" in root["uns"] else {}
            )
            annotation = ad.AnnData(obs=obs, var=var, uns=uns)
            layers = list(root["layers"].keys()) if "layers" in root else []
            raw = "raw" in root
            present = layer in layers if layer is not None else "X" in root
            X = None
            if present:
                place = root[group]
                encoding = str(place.attrs.get("encoding-type", place.attrs.get("h5sparse_format", "")))
                if hasattr(place, "keys") and not encoding.startswith(("csr", "csc")):
                    raise ValueError(f"its {group} is no matrix that is known: encoding-type {encoding!r:.40}")
                if encoding.startswith("csc"):
                    _check_fits(place, f"{path}, {group}")
                    X = ad.io.read_elem(place)
    except MemoryError:
        raise
    # what anndata, h5py and zarr raise differs with what is wrong and with their version
    except Exception as error:
        raise unreadable(path, error) from error
    if not present:
        if layer is None:
            raise CountsError(f"{path} has no matrix X; name a layer: layer='counts', --layer counts")
        raise ValueError(no_such_layer(path, layer, layers, raw=raw))
    check_cell_names(annotation.obs_names)
    stored = StoredRows(path, group) if X is None else None
    shape = stored.shape if stored is not None else X.shape if X is not None else ()
    if shape != annotation.shape:
        raise OSError(f"{path}, {group} has the shape {shape}, but there are {annotation.shape} cells and genes")
    return CellStore(annotation.obs, annotation.var, dict(annotation.uns), X, stored)


def _check_fits(group: Any, name: str) -> None:  # noqa: ANN401 - of h5py or zarr
    """Refuse a matrix by columns that memory does not hold together with its rows."""
    entries = int(group["data"].shape[0])
    needed = 2 * entries * (group["data"].dtype.itemsize + group["indices"].dtype.itemsize)
    _check_memory(
        needed,
        f"{name} is stored by columns (CSC), so that cells cannot be read one after the other; to turn it",
        "write it by rows once, where there is room: adata.X = adata.X.tocsr()",
    )


def _check_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse what takes too large a share of the memory that this process can still take."""
    available = available_memory()
    if available is not None and needed > available * _SHARE_OF_MEMORY:
        raise MemoryError(
            f"{what} takes {size_text(needed)}, more than half of the {size_text(available)} of memory that are "
            f"available; {remedy}"
        )
