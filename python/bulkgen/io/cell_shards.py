"""Cells in shards, each an AnnData of its own, and all of them as one whose matrix stays on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.arguments import checked
from bulkgen.errors import MissingExtraError
from bulkgen.io.h5ad import write
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder, size_of
from bulkgen.io.storage import check_storage
from bulkgen.io.writing import new_hdf5
from bulkgen.json_format import JsonFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bulkgen.io.checks import CountMatrix
    from bulkgen.io.shards import ShardRecord

__all__ = ["manifest_text", "open_shards", "write_cell_shard"]

_FORMAT = JsonFormat(
    "bulkgen-cells",
    1,
    what="a manifest of cells (tokens are opened by bulkgen.TokenDataset.load)",
    remedy="mend it with resume=True (--resume)",
)
#: Bytes of a block of rows that is read at once.
_BLOCK_BYTES = 2**26


def write_cell_shard(path: Path, cells: ad.AnnData) -> dict[str, object]:
    """Write the cells of a shard, and return what :func:`manifest_text` needs to know of it."""
    if path.suffix == ".h5ad":
        draft = path.with_name(f"draft{path.suffix}")
        write(cells, draft)
        _copy_in_order(draft, path)
        draft.unlink()
    else:
        write(cells, path)
    stored = cells.X.nnz if sp.issparse(cells.X) else cells.X.size
    return {"genes": cells.n_vars, "sparse": bool(sp.issparse(cells.X)), "stored": int(stored)}


def _copy_in_order(source: Path, target: Path) -> None:
    """Copy an HDF5 file object by object, so that equal content has equal bytes.

    HDF5 places what it writes as its handles are closed, and anndata's lie in cycles that Python closes when it next
    collects garbage: written directly, equal content lies at other places of the file now and then.
    """
    import h5py

    with h5py.File(source, "r") as old, new_hdf5(target) as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        for name in old:
            old.copy(name, new, name)


def manifest_text(
    records: Sequence[ShardRecord], *, provenance: Mapping[str, object], version: str, more: Mapping[str, object]
) -> str:
    """Return the text of the manifest of all shards, in their order; `version` is that of bulkgen."""
    manifest = {
        **_FORMAT.head,
        "bulkgen": version,
        "rows": sum(record.rows for record in records),
        "genes": records[0].facts["genes"],
        "sparse": records[0].facts["sparse"],
        "stored": sum(record.facts["stored"] for record in records),
        "provenance": dict(provenance),
        **more,
        "shards": [record.identity() for record in records],
    }
    return json.dumps(manifest, indent=2, allow_nan=False) + "\n"


@checked
def open_shards(path: str | Path) -> ad.AnnData:
    """Open the shards of cells in a folder as one AnnData.

    Parameters
    ----------
    path
        The folder that ``bulkgen.synthesize(..., out=, shard_size=)`` wrote.

    Returns
    -------
    anndata.AnnData
        ``obs``, ``var`` and ``uns`` in memory; ``X`` a Dask array, whose blocks are rows of one shard, read when they
        are needed. Its tasks are a path and a range of rows, so that other processes can do them.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no cells, or not all of them yet.
    OSError
        If a shard cannot be read.
    MissingExtraError
        Without the extra ``dask``.
    """
    try:
        import dask.array
        from dask.delayed import delayed
    except ImportError as error:
        raise MissingExtraError("dask", "dask") from error
    folder = ShardFolder.open(path)
    manifest = _manifest(folder)
    shards = _checked_shards(folder, manifest)
    parts = [_read_elements(shard, ("obs",))["obs"] for shard in shards]
    for shard, part, said in zip(shards, parts, manifest["shards"], strict=True):
        if len(part) != said["rows"]:
            raise OSError(_other(shard, f"of {len(part):,} cells, not {said['rows']:,}"))
    other = _read_elements(shards[0], ("var", "uns"))
    sparse, n_genes = manifest["sparse"], manifest["genes"]
    if len(other["var"]) != n_genes:
        raise OSError(_other(shards[0], f"of {len(other['var']):,} genes, not {n_genes:,}"))
    # values and columns of four bytes each
    row_bytes = 8 * manifest["stored"] / manifest["rows"] if sparse else 4 * n_genes
    rows = max(1, int(_BLOCK_BYTES / max(row_bytes, 1)))
    meta = sp.csr_matrix((0, 0), dtype=np.float32) if sparse else np.empty((0, 0), np.float32)
    read_lazily = delayed(_read_rows, pure=True)
    da: Any = dask.array
    blocks = [
        da.from_delayed(
            read_lazily(str(shard), first, min(first + rows, size)),
            shape=(min(first + rows, size) - first, n_genes),
            dtype=np.float32,
            meta=meta,
        )
        for shard, size in zip(shards, (shard["rows"] for shard in manifest["shards"]), strict=True)
        for first in range(0, size, rows)
    ]
    return ad.AnnData(da.concatenate(blocks), obs=_joined(parts), var=other["var"], uns=other["uns"])


def _manifest(folder: ShardFolder) -> dict[str, Any]:
    place = folder.path / MANIFEST_FILE
    folder.check_complete()
    manifest = _FORMAT.read(place)
    try:
        numbers = [manifest[name] for name in ("rows", "genes", "stored")]
        numbers += [shard[name] for shard in manifest["shards"] for name in ("rows", "bytes")]
        whole = all(type(number) is int and number >= 0 for number in numbers) and manifest["rows"] >= 1
        plan, names = folder.plan, [shard["name"] for shard in manifest["shards"]]
        whole &= len(names) == len(plan) and names == [plan.name(number) for number in range(len(plan))]
        whole &= type(manifest["sparse"]) is bool
    except (KeyError, TypeError) as error:
        raise _FORMAT.damaged(place, f"{error!r:.80}") from error
    if not whole:
        raise _FORMAT.damaged(place, "it is no manifest of these shards")
    return manifest


def _checked_shards(folder: ShardFolder, manifest: Mapping[str, Any]) -> list[Path]:
    """Return the paths of the shards, each of the size that the manifest says."""
    shards = []
    for said in manifest["shards"]:
        shard = folder.path / said["name"]
        try:
            size = size_of(shard)
        except OSError as error:
            raise OSError(_other(shard, "missing")) from error
        if size != said["bytes"]:
            raise OSError(_other(shard, f"of {size:,} bytes, not {said['bytes']:,}"))
        shards.append(shard)
    return shards


def _other(shard: Path, what: str) -> str:
    return f"{shard} is not the shard that was made: it is {what}; mend the folder with resume=True (--resume)"


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put rows below each other; a column of text is a category of every text in it, as anndata stores it."""
    obs = pd.concat(parts)
    for name in obs.columns:
        dtypes = {part[name].dtype for part in parts}
        if len(dtypes) > 1 and obs[name].dtype == object:
            obs[name] = obs[name].astype("category")
    return obs


def _read_rows(path: str, first: int, last: int) -> CountMatrix:
    """Read rows of a shard."""
    import h5py

    def rows(group: Any) -> CountMatrix:  # noqa: ANN401 - a group of h5py or zarr
        X = group["X"]
        encoding = dict(X.attrs).get("encoding-type", "array")
        return ad.io.sparse_dataset(X)[first:last] if encoding == "csr_matrix" else X[first:last]

    try:
        if path.endswith(".h5ad"):
            with h5py.File(path, "r") as file:
                return rows(file)
        import zarr

        return rows(zarr.open_group(path, mode="r"))
    # what h5py, zarr and the decoders raise differs, and names no file
    except Exception as error:
        raise OSError(_unreadable(path, error)) from error


def _read_elements(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read parts of a shard that are not its matrix."""
    try:
        check_storage(path)
        if path.suffix == ".h5ad":
            import h5py

            with h5py.File(path, "r") as file:
                return {name: ad.io.read_elem(file[name]) for name in names}
        import zarr

        group = zarr.open_group(path, mode="r")
        return {name: ad.io.read_elem(group[name]) for name in names}
    except Exception as error:
        raise OSError(_unreadable(path, error)) from error


def _unreadable(path: Path | str, error: Exception) -> str:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return f"{path} cannot be read ({reason}); mend the folder with resume=True (--resume)"
