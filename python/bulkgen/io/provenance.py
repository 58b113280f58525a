"""Where an object came from: what made it, with which parameters, from which input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import xxhash

from bulkgen.rng import STREAM_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

__all__ = ["content_hash", "provenance", "provenance_of"]


def content_hash(adata: AnnData) -> str:
    """XXH3-128 of the counts, cell names and gene names of an AnnData in memory, as 32 hexadecimal digits.

    The same counts stored otherwise (dense, other types) have another hash.
    """
    digest = xxhash.xxh3_128()
    X = adata.X
    if not (isinstance(X, np.ndarray) or (sp.issparse(X) and X.format in ("csr", "csc"))):
        raise TypeError(f"the matrix must be in memory, got {type(X).__name__}; read it with adata.to_memory()")
    parts = (X,) if isinstance(X, np.ndarray) else (X.data, X.indices, X.indptr)
    digest.update(f"{'dense' if isinstance(X, np.ndarray) else X.format} {X.shape}".encode())
    for part in parts:
        digest.update(str(part.dtype).encode())
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    for names in (adata.obs_names, adata.var_names):
        # each name is ended, so that no other list of names spells the same text
        digest.update("".join(f"{name}\0" for name in names).encode())
    return digest.hexdigest()


def provenance(
    kind: str, parameters: Mapping[str, object], *, key: int | None, source: AnnData | None
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
        The AnnData it was made from: its content is hashed and its own provenance kept as ``history``.

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


def provenance_of(adata: AnnData) -> dict[str, object] | None:
    """Return ``uns["bulkgen"]`` of an object that bulkgen made, else ``None``."""
    record = adata.uns.get("bulkgen")
    if record is None:
        return None
    # numbers come back from files as NumPy's
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in record.items()}
