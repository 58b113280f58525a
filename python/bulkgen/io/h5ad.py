"""AnnData in and out: the one place that imports anndata."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anndata as ad
import numpy as np

from bulkgen.arguments import checked
from bulkgen.io.atomic import atomic_directory, atomic_file, check_output
from bulkgen.io.cell_files import check_cell_file, check_cell_names, no_such_layer, unreadable
from bulkgen.io.checks import canonical_counts
from bulkgen.io.provenance import provenance_of
from bulkgen.io.storage import check_storage
from bulkgen.io.writing import PACKED, PACKED_NUMBERS, new_hdf5, settled_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import h5py
    import pandas as pd

    from bulkgen.io.checks import CountMatrix

__all__ = ["check_anndata", "check_cells_output", "make_anndata", "read", "write"]


@checked
def read(
    path: str | Path,
    *,
    layer: str | None = None,
    backed: bool = False,
    counts: Literal["auto", "integer", "any"] = "auto",
) -> ad.AnnData:
    """Read an ``.h5ad`` file or ``.zarr`` store and check that it holds counts.

    Parameters
    ----------
    path
        The file or store.
    layer
        Take the counts from this layer instead of ``X``.
    backed
        Leave the matrix on disk (``.h5ad`` only); it is checked when it is read.
    counts
        ``integer``: whole numbers only. ``any``: fractional values too. ``auto``: whole numbers, unless bulkgen itself
        made the file (pseudo-bulk means and truncated Gaussian cells are fractional).

    Returns
    -------
    anndata.AnnData
        Cells x genes.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    CountsError, InvalidCsrError
        If the matrix is not what it should be; the message names the first offending cell and gene.
    OSError
        If what is there cannot be read, or is no AnnData.
    ValueError
        If `layer` does not exist (or is asked of a backed file), or cell names are not unique.
    """
    path = Path(path)
    check_cell_file(path)
    if backed and path.suffix == ".zarr":
        raise ValueError("backed=True needs an .h5ad file, got a .zarr store")
    if backed and layer is not None:
        raise ValueError("backed=True reads X alone; read the layer into memory, or write it as X of another file")
    try:
        with warnings.catch_warnings():
            # refused below
            warnings.filterwarnings("ignore", "Observation names are not unique", UserWarning)
            check_storage(path)
            adata = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path, backed="r" if backed else None)
    # what anndata, h5py and zarr raise differs with what is wrong and with their version
    except Exception as error:
        raise unreadable(path, error) from error
    if layer is not None:
        if layer not in adata.layers:
            raise ValueError(no_such_layer(path, layer, adata.layers, raw=adata.raw is not None))
        adata.X = adata.layers[layer]
    if not backed:
        check_anndata(adata, counts=counts)
    return adata


def check_anndata(adata: ad.AnnData, *, counts: Literal["auto", "integer", "any"] = "auto") -> None:
    """Check an AnnData as :func:`read` does, and raise the same errors."""
    check_cell_names(adata.obs_names)
    if adata.X is None:
        raise ValueError("the AnnData has no matrix X; name a layer: bulkgen.read(path, layer='counts')")
    integers = counts == "integer" or (counts == "auto" and provenance_of(adata) is None)
    canonical_counts(adata.X, require_integers=integers, cell_names=adata.obs_names, gene_names=adata.var_names)


def check_cells_output(path: str | Path, *, overwrite: bool) -> Path:
    """Refuse a path that :func:`write` would refuse (call it before any work starts)."""
    path = Path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        raise ValueError(f"the output {path} must end in .h5ad or .zarr")
    return check_output(path, overwrite=overwrite)


@checked
def write(adata: ad.AnnData, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an AnnData to ``.h5ad`` or ``.zarr``; the output appears whole or not at all.

    Parameters
    ----------
    adata
        What to write. Not changed, and not checked.
    path
        The file or store.
    overwrite
        Replace it if it exists.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is false.
    ValueError
        If `path` ends in something else.
    """
    path = check_cells_output(path, overwrite=overwrite)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Writing zarr v2 data", UserWarning)
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        if path.suffix == ".zarr":
            with atomic_directory(path, overwrite=overwrite) as temporary, settled_zarr():
                _shallow(adata).write_zarr(temporary)
        else:
            with atomic_file(path, overwrite=overwrite) as temporary:
                _write_hdf5(_shallow(adata), temporary)


#: Kinds of parts of an AnnData that hold numbers alone, as anndata names them.
_NUMBERS = frozenset(("array", "csr_matrix", "csc_matrix"))


def _write_hdf5(adata: ad.AnnData, path: Path) -> None:
    """Write with checksums of the values."""
    adata.strings_to_categoricals()
    if adata.raw is not None:
        adata.strings_to_categoricals(adata.raw.var)

    def write_part(write: Callable[..., None], group: h5py.Group, name: str, part: object, **options: Any) -> None:  # noqa: ANN401
        if part is None and name.strip("/") in ("X", "raw"):
            return
        # strings lie elsewhere in the file, where HDF5 has no checksums
        numbers = options["iospec"].encoding_type in _NUMBERS
        write(group, name, part, dataset_kwargs=PACKED_NUMBERS | {"fletcher32": True} if numbers else PACKED)

    with new_hdf5(path) as file:
        ad.experimental.write_dispatched(file, "/", adata, callback=write_part)


def _shallow(adata: ad.AnnData) -> ad.AnnData:
    """Return a copy that shares the arrays: anndata turns strings into categories in place when it writes."""
    return ad.AnnData(
        adata.X,
        obs=adata.obs,
        var=adata.var,
        uns=dict(adata.uns),
        **{name: dict(getattr(adata, name)) for name in ("layers", "obsm", "varm", "obsp", "varp")},
        raw=adata.raw,
    )


def make_anndata(
    X: CountMatrix,
    *,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    uns: Mapping[str, object] | None = None,
    layers: Mapping[str, np.ndarray] | None = None,
) -> ad.AnnData:
    """Build an AnnData (cells x genes) from its parts; the other layers of bulkgen do not import anndata."""
    return ad.AnnData(X, obs=obs, var=var, uns=dict(uns or {}), layers=dict(layers or {}))
