"""Where an object came from: what made it, with which parameters, from which input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import xxhash

from bulkgen.rng import STREAM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData

    from bulkgen.io.cell_store import CellStore
    from bulkgen.io.checks import CountMatrix

__all__ = ["PIECE", "ContentDigest", "content_hash", "provenance", "provenance_of"]

#: Rows that have a digest of their own.
PIECE = 1024


class ContentDigest:
    """XXH3-128 of counts, cell names and gene names, fed with consecutive blocks of rows.

    Every :data:`PIECE` rows have a digest of their own, and the whole is the digest of these: so that one pass over
    blocks of rows suffices, and several processes can share it.

    Parameters
    ----------
    form
        ``dense``, ``csr`` or ``csc``.
    shape
        Cells, genes.
    """

    def __init__(self, form: str, shape: tuple[int, int]) -> None:
        self._head = f"{form} {shape}"
        self._index_type = np.int32 if max(shape) <= np.iinfo(np.int32).max else np.int64
        self._pieces: list[bytes] = []
        # the piece that is not full yet: its digests by array, its rows and its stored entries
        self._parts: dict[str, xxhash.xxh3_128] = {}
        self._rows = self._entries = 0

    def add(self, block: CountMatrix) -> None:
        """Add rows of the matrix as they are stored (CSC: the whole of it, which is one piece)."""
        if not isinstance(block, np.ndarray) and block.format == "csc":
            self._add_compressed(block.data, block.indices, block.indptr)
            return
        first = 0
        while first < block.shape[0]:
            last = min(block.shape[0], first + PIECE - self._rows)
            if isinstance(block, np.ndarray):
                self._update("values", block[first:last])
            else:
                entries = slice(block.indptr[first], block.indptr[last])
                self._add_compressed(block.data[entries], block.indices[entries], block.indptr[first : last + 1])
            self._rows += last - first
            if self._rows == PIECE:
                self._end_piece()
            first = last

    def extend(self, pieces: Sequence[bytes]) -> None:
        """Add the pieces of another digest, of rows that follow; those before them ended with a piece."""
        assert self._rows == 0
        self._pieces += pieces

    def pieces(self) -> list[bytes]:
        """Return the digests of all pieces; nothing may be added after."""
        if self._parts:
            self._end_piece()
        return self._pieces

    def finish(self, cell_names: Iterable[object], gene_names: Iterable[object]) -> str:
        """Return the hash of everything that was added, as 32 hexadecimal digits."""
        digest = xxhash.xxh3_128(self._head.encode())
        for piece in self.pieces():
            digest.update(piece)
        for names in (cell_names, gene_names):
            # each name is ended, so that no other list of names spells the same text
            digest.update("".join(f"{name}\0" for name in names).encode())
        return digest.hexdigest()

    def _add_compressed(self, values: np.ndarray, indices: np.ndarray, pointers: np.ndarray) -> None:
        self._update("values", values)
        # the width of the indices is no content, and differs between blocks and the whole
        self._update("indices", indices.astype(self._index_type, copy=False))
        self._update("ends", pointers[1:].astype(np.int64) - int(pointers[0]) + self._entries)
        self._entries += int(pointers[-1]) - int(pointers[0])

    def _end_piece(self) -> None:
        digest = xxhash.xxh3_128()
        for name, part in sorted(self._parts.items()):
            digest.update(name.encode() + part.digest())
        self._pieces.append(digest.digest())
        self._parts, self._rows, self._entries = {}, 0, 0

    def _update(self, name: str, values: np.ndarray) -> None:
        key = f"{name} {values.dtype}"
        self._parts.setdefault(key, xxhash.xxh3_128()).update(
            np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        )


def content_hash(source: AnnData | CellStore) -> str:
    """XXH3-128 of the counts, cell names and gene names of cells, as 32 hexadecimal digits.

    The same counts stored otherwise (dense, other types) have another hash; where they are stored does not matter.

    Parameters
    ----------
    source
        Cells x genes, in memory, or a store of cells.

    Returns
    -------
    str
        The digits.

    Raises
    ------
    TypeError
        If the matrix of an AnnData is not in memory.
    """
    X = source.X
    if X is None and (stored := getattr(source, "stored_hash", None)) is not None:
        return str(stored())
    if X is None or not (isinstance(X, np.ndarray) or (sp.issparse(X) and X.format in ("csr", "csc"))):
        raise TypeError(f"the matrix must be in memory, got {type(X).__name__}; read it with adata.to_memory()")
    digest = ContentDigest("dense" if isinstance(X, np.ndarray) else X.format, X.shape)
    digest.add(X)
    return digest.finish(source.obs_names, source.var_names)


def provenance(
    kind: str, parameters: Mapping[str, object], *, key: int | None, source: AnnData | CellStore | None
) -> dict[str, str | int]:
    """Describe a new object for ``uns["bulkgen"]``.

    Parameters
    ----------
    kind
        What the object is: ``pseudobulk``, ``bulk_profiles``, ``synthetic``, ``split``.
    parameters
        What determined it; must be representable in JSON.
    key
        The 64-bit key of its random streams, if it used any.
    source
        The cells it was made from: their content is hashed and their own provenance kept as ``history``.

    Returns
    -------
    dict
        Flat, of strings and integers, so that h5ad and zarr store it as it is.
    """
    from importlib.metadata import version

    record: dict[str, str | int] = {
        "kind": kind,
        "parameters": json.dumps(dict(parameters), sort_keys=True, default=str),
        "bulkgen_version": version("bulkgen"),
        "stream_version": STREAM_VERSION,
    }
    if key is not None:
        record["key"] = f"{key:016x}"
    if source is not None:
        record["input_hash"] = content_hash(source)
        earlier = provenance_of(source)
        if earlier is not None:
            record["history"] = json.dumps(earlier, sort_keys=True, default=str)
            if earlier.get("simulated"):
                record["simulated"] = str(earlier["simulated"])
    return record


def provenance_of(adata: AnnData | CellStore) -> dict[str, object] | None:
    """Return ``uns["bulkgen"]`` of an object that bulkgen made, else ``None``.

    Raises
    ------
    ValueError
        If what is there is no record.
    """
    record = adata.uns.get("bulkgen")
    if record is None:
        return None
    if isinstance(record, Mapping):
        # numbers come back from files as NumPy's
        found = {name: value.item() if isinstance(value, np.generic) else value for name, value in record.items()}
        if isinstance(found.get("kind", ""), str) and _is_table(found.get("parameters", "{}")):
            return found
    raise ValueError(
        "uns['bulkgen'] is no record that bulkgen made, or a damaged one; if the cells are not bulkgen's: "
        "del adata.uns['bulkgen']"
    )


def _is_table(text: object) -> bool:
    """Whether a text holds a table in JSON."""
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
