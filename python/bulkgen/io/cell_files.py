"""Files that cells are read from: what else users have, and how it becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from bulkgen.ensembl import is_gene

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

__all__ = ["check_cell_file", "check_cell_names", "no_such_layer", "unreadable"]

#: Tables that `bulkgen bulk` reads, and what separates their columns where anndata reads them too.
_TABLES = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".gct": None, ".parquet": None}
#: How other files become .h5ad, by their ending.
_REMEDIES = {
    ".rds": "in R: anndataR::write_h5ad(readRDS({path!r}), {output!r})",
    ".h5seurat": "in R: SeuratDisk::Convert({path!r}, dest = 'h5ad')",
    ".loom": "in Python: anndata.io.read_loom({path!r}).write_h5ad({output!r})",
    ".mtx": "in Python: scanpy.read_10x_mtx({folder!r}).write_h5ad({output!r})",
    ".xlsx": "save its sheet as {table}",
}
#: What files of gzip begin with.
_GZIP = b"\x1f\x8b"


def check_cell_file(path: Path) -> None:
    """Refuse what is no ``.h5ad`` file or ``.zarr`` store by its name and first bytes, and say how it becomes one.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    OSError
        If it is a folder with the name of a file, or its bytes are no HDF5.
    ValueError
        If it is called something else.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix not in (".h5ad", ".h5", ".zarr"):
        raise ValueError(f"{path} is no .h5ad file or .zarr store; {_remedy(path)}")
    if path.suffix == ".zarr":
        return
    if path.is_dir():
        raise unreadable(path, "it is a folder; a zarr store ends in .zarr")
    if h5py.is_hdf5(path):
        return
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise unreadable(path, "it is empty; make or copy it again")
    if start.startswith(_GZIP):
        raise unreadable(path, f"it is packed by gzip; unpack it: mv {path} {path}.gz && gunzip {path}.gz")
    raise unreadable(path, f"it is no HDF5 file, whatever its name says; it begins {start!r}")


def check_cell_names(names: pd.Index) -> None:
    """Refuse names of cells that occur twice, or are those of genes.

    Raises
    ------
    ValueError
        The message names the first.
    """
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(
            f"cell names must be unique, but {twice!r} occurs more than once; mend with adata.obs_names_make_unique()"
        )
    if len(names) and all(is_gene(str(name)) for name in names):
        raise ValueError(f"the rows are genes ({names[0]}, ...), not cells; turn the matrix: adata = adata.T")


def no_such_layer(place: Path | str, layer: str, layers: Iterable[str], *, raw: bool) -> str:
    """Say that cells have no such layer, and where counts may be instead."""
    listed = ", ".join(map(repr, layers)) or "none"
    remedy = "; counts may be in raw: adata.raw.to_adata().write_h5ad('counts.h5ad')" if raw else ""
    return f"{place} has no layer {layer!r}; layers: {listed}{remedy}"


def unreadable(path: Path, error: Exception | str) -> OSError:
    """Return what to raise where a file is not what it should be, with the words of anndata, h5py or zarr."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    again = "; it is cut short: copy or download it again" if "truncated file" in reason else ""
    return OSError(f"{path} cannot be read as an AnnData ({path.suffix}): {reason}{again}")


def _remedy(path: Path) -> str:
    if path.is_dir():
        return f"a folder of Cell Ranger: in Python, scanpy.read_10x_mtx({str(path)!r}).write_h5ad('{path}.h5ad')"
    unpacked = path.with_suffix("") if path.suffix == ".gz" else path
    kind, output = unpacked.suffix.lower(), str(unpacked.with_suffix(".h5ad"))
    if kind == ".h5ad" and path.suffix == ".gz":
        return f"unpack it: gunzip {path}"
    if kind in _TABLES:
        bulk = f"a table of bulk samples is read by: bulkgen bulk {path} ..."
        delimiter = _TABLES[kind]
        if delimiter is None:
            return bulk
        read = f"anndata.io.read_csv({str(path)!r}, delimiter={delimiter!r})"
        return f"{bulk}; one of cells (rows): in Python, {read}.write_h5ad({output!r})"
    how = _REMEDIES.get(kind, "read it with scanpy, and write it with adata.write_h5ad({output!r})")
    return how.format(path=str(path), output=output, folder=str(path.parent), table=unpacked.with_suffix(".csv"))
