"""sci-Plex2 (Srivatsan et al. 2020) as it is handed around, in three shapes, read into one clean AnnData."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.ensembl import strip_version
from bulkgen.errors import CountsError, LabelError
from bulkgen.io.checks import canonical_counts, library_sizes
from bulkgen.io.h5ad import make_anndata, read
from bulkgen.io.provenance import provenance, provenance_of
from bulkgen.io.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

__all__ = ["SCIPLEX2_DOSES", "SCIPLEX2_DRUGS", "qc_table", "read_sciplex2"]

SCIPLEX2_DRUGS = ("BMS", "Dex", "Nutlin", "SAHA")
#: Doses of the experiment; 0 is vehicle.
SCIPLEX2_DOSES = (0.0, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0)

_KIND = "sciplex2"  # of the provenance of a clean AnnData
_MIN_COUNTS, _MAX_COUNTS, _MAX_MITOCHONDRIAL = 500, 12_000, 0.5
_MISSING = {"", "nan", "na", "none", "<na>"}
_VEHICLE = {"control", "vehicle", "dmso"}
#: Columns of obs that say where a cell was grown.
_PLACES = ("replicate", "plate", "well")
#: What makes a hash label certain (Srivatsan et al., their analysis of this experiment).
_HASH = {"hash_umis": 30.0, "top_to_second_best_ratio": 10.0}
_HASH_Q = 0.01
_HASH_LABEL = "top_oligo"
#: How the files of GEO's triplet are known.
_COUNTS, _GENES, _CELLS, _METADATA = "UMI.count.matrix", "gene.annotations", "cell.annotations", "pData"
_BLOCK_LINES = 4_000_000

_SHAPES = """the shapes that are read:
  preprocessed .h5ad: obs 'drug' and 'dose', var 'Ensemble Id'
  scPerturb .h5ad: obs 'perturbation' and 'dose_value', var 'ensembl_id'
  GEO GSM4150377: a folder with *UMI.count.matrix*, *gene.annotations* and *pData*"""


@dataclass(frozen=True)
class _Shape:
    """Where a file keeps what is needed."""

    name: str
    drug: str
    dose: str
    gene_ids: str
    q_value: str = "qval"


_H5AD_SHAPES = (
    _Shape("preprocessed", drug="drug", dose="dose", gene_ids="Ensemble Id"),
    _Shape("scPerturb", drug="perturbation", dose="dose_value", gene_ids="ensembl_id", q_value="qval_demultiplexing"),
)
_GEO = _Shape("GEO", drug="drug", dose="dose", gene_ids="gene_id")


@dataclass(frozen=True)
class _Raw:
    """Cells as a file has them."""

    shape: _Shape
    counts: sp.csr_matrix
    obs: pd.DataFrame
    gene_ids: Sequence[str]
    symbols: Sequence[str]
    source: AnnData | None = None


def read_sciplex2(path: str | Path, *, doses: Sequence[float] | None = None, confident_hashes: bool = False) -> AnnData:
    """Read sci-Plex2 from any of the shapes in which it is published, and apply its quality control.

    Cells are kept that have more than 500 and fewer than 12,000 counts, less than 50 % of them mitochondrial, and a
    known drug and dose. What each step leaves is in :func:`qc_table`.

    Parameters
    ----------
    path
        A preprocessed ``.h5ad`` (``sciPlex2_A549_all4_drugs_and_doses.h5ad``), scPerturb's ``.h5ad``, or the folder
        with the files of GEO sample GSM4150377. A file that this function's result was written to is read as it is.
    doses
        Doses to keep, out of 0, 0.1, 0.5, 1, 5, 10, 50 and 100. ``None``: all. The five-label problem has (0, 10).
    confident_hashes
        Keep only cells whose hash label is certain, as the authors do: more than 30 hash UMI, ten times more of the
        best than of the second hash, q < 0.01. Needs the columns of scPerturb's or GEO's files.

    Returns
    -------
    AnnData
        Cells × genes; ``X`` CSR int32 counts. ``obs``: ``treated_label`` (``Untreated`` at dose 0, else the drug),
        ``drug`` (of the cell's well, whatever its dose), ``dose`` (float), and ``replicate``, ``plate`` and ``well``
        where the file has them. ``var``: unique Ensembl ids without version (counts of one gene's columns are added),
        ``symbol``. ``uns["bulkgen"]``: shape, file and quality control.

    Raises
    ------
    FileNotFoundError
        If nothing is at `path`, or a file of GEO's is missing.
    ValueError
        If what is there is not sci-Plex2 in one of the three shapes; the message lists them.
    CountsError
        If the matrix does not hold raw counts.
    LabelError
        If no cell is left, or none of them at dose 0 although that dose was asked for.

    Notes
    -----
    scPerturb calls cells without a hash label ``control``. They are not vehicle cells, which have a drug and dose 0;
    they are dropped with the other cells of unknown drug or dose.

    References
    ----------
    Srivatsan et al., Science 367:45 (2020); Peidli et al., Nature Methods 21:531 (2024).
    """
    path = Path(path)
    wanted = _check_doses(doses)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}; bulkgen fetch sciplex2 downloads one")
    if path.is_dir() and path.suffix != ".zarr":
        raw = _read_geo(path)
    elif _COUNTS in path.name:
        raw = _read_geo(path.parent)
    else:
        adata = _read_h5ad(path)
        if (provenance_of(adata) or {}).get("kind") == _KIND:
            if wanted is not None or confident_hashes:
                raise ValueError(f"{path} has been cleaned already: doses and hashes are chosen from the original file")
            return adata
        raw = _from_anndata(adata, path)
    return _clean(raw, path, wanted, confident_hashes=confident_hashes)


def qc_table(adata: AnnData) -> pd.DataFrame:
    """Return what each step of quality control left.

    Parameters
    ----------
    adata
        Cells x genes, from :func:`bulkgen.io.read_sciplex2`.

    Returns
    -------
    pandas.DataFrame
        One row per step: ``axis`` (cells or genes), ``step``, ``left``, ``removed``.

    Raises
    ------
    ValueError
        If `adata` is something else.
    """
    record = provenance_of(adata) or {}
    if "qc" not in record:
        raise ValueError("the AnnData has no record of quality control; read it with bulkgen.io.read_sciplex2")
    return pd.DataFrame(json.loads(str(record["qc"])), columns=["axis", "step", "left", "removed"])


def _check_doses(doses: Sequence[float] | None) -> list[float] | None:
    if doses is None:
        return None
    wanted = sorted({float(dose) for dose in doses})
    if not wanted or not set(wanted) <= set(SCIPLEX2_DOSES):
        raise ValueError(f"doses must be some of {SCIPLEX2_DOSES}, got {tuple(doses)}")
    return wanted


def _read_h5ad(path: Path) -> AnnData:
    with warnings.catch_warnings():
        # symbols are no names of genes; the ids are made unique below
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        return read(path, counts="integer")


def _from_anndata(adata: AnnData, path: Path) -> _Raw:
    for shape in _H5AD_SHAPES:
        if {shape.drug, shape.dose} <= set(adata.obs) and shape.gene_ids in adata.var:
            break
    else:
        raise ValueError(
            f"{path} is not sci-Plex2 in a known shape: obs has {_some(adata.obs)}, var has {_some(adata.var)}; "
            f"{_SHAPES}"
        )
    obs = adata.obs.rename(columns={shape.drug: "drug", shape.dose: "dose"})
    counts = canonical_counts(adata.X, require_integers=True)
    ids = adata.var[shape.gene_ids].astype(object).tolist()
    return _Raw(shape, counts, obs, ids, adata.var_names.astype(str).tolist(), source=adata)


def _read_geo(folder: Path) -> _Raw:
    genes = _lines(_geo_file(folder, _GENES), names=["gene_id", "symbol"])
    metadata = read_table(_geo_file(folder, _METADATA), text=True)
    if _HASH_LABEL not in metadata:
        raise ValueError(f"the pData in {folder} has no column {_HASH_LABEL!r} but {_some(metadata)}; {_SHAPES}")
    metadata.index = pd.Index(metadata["Cell"] if "Cell" in metadata else metadata.index.astype(str))
    if not metadata.index.is_unique:
        raise ValueError(
            f"cell {metadata.index[metadata.index.duplicated()][0]!r} occurs twice in the pData of {folder}"
        )
    annotations = _find(folder, _CELLS)
    # the matrix numbers the cells of the annotations; without these, the pData are in the same order
    cells = metadata.index if annotations is None else pd.Index(_lines(annotations, names=["cell"])["cell"])
    metadata = metadata.reindex(cells)
    hashes = metadata[_HASH_LABEL]
    parts = hashes.str.extract(r"^(?P<drug>[^_]+)_(?P<dose>[^_]+)_(?P<well>[^_]+)$")
    wrong = parts["drug"].isna() & ~hashes.map(_is_missing)
    if wrong.any():
        raise ValueError(
            f"{_HASH_LABEL} must be <drug>_<dose>_<well>, but cell {cells[wrong][0]!r} has {hashes[wrong].iloc[0]!r}"
        )
    counts = _read_triplets(_geo_file(folder, _COUNTS), n_cells=len(cells), n_genes=len(genes))
    kept = metadata[metadata.columns.intersection([*_HASH, _GEO.q_value, "replicate", "plate"])]
    return _Raw(_GEO, counts, kept.join(parts), genes["gene_id"].tolist(), genes["symbol"].tolist())


def _geo_file(folder: Path, kind: str) -> Path:
    found = _find(folder, kind)
    if found is None:
        raise FileNotFoundError(f"{folder} has no file *{kind}*; {_SHAPES}")
    return found


def _find(folder: Path, kind: str) -> Path | None:
    found = sorted(path for path in folder.glob(f"*{kind}*") if path.is_file())
    # the folder may hold the other experiments of the series
    found = [path for path in found if "sciPlex2" in path.name] or found
    if len(found) > 1:
        raise ValueError(
            f"{folder} has {len(found)} files *{kind}*: {', '.join(path.name for path in found)}; keep one"
        )
    return found[0] if found else None


def _lines(path: Path, *, names: list[str]) -> pd.DataFrame:
    """Read the first columns of a table without a header."""
    table = pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    if table.shape[1] < len(names):
        raise ValueError(f"{path} must have {len(names)} columns separated by tabs, found {table.shape[1]}")
    return table.iloc[:, : len(names)].set_axis(names, axis=1)


def _read_triplets(path: Path, *, n_cells: int, n_genes: int) -> sp.csr_matrix:
    """Read lines `gene cell count`, both counted from 1, as cells × genes."""
    blocks: list[NDArray[np.int32]] = []
    try:
        # in blocks: the table of the whole file would be a second copy
        lines = pd.read_csv(path, sep="\t", header=None, dtype=np.int32, chunksize=_BLOCK_LINES)
        blocks.extend(block.to_numpy() for block in lines)
    except (OSError, EOFError, ValueError) as error:
        raise OSError(f"{path} cannot be read as lines of gene, cell and count: {error}") from error
    if any(block.shape[1] != 3 for block in blocks):
        raise ValueError(f"{path} must have three columns (gene, cell, count), found {blocks[0].shape[1]}")
    gene, cell, count = (np.concatenate([block[:, place] for block in blocks]) for place in range(3))
    for name, number, n in (("gene", gene, n_genes), ("cell", cell, n_cells)):
        if number.min() < 1 or number.max() > n:
            raise ValueError(
                f"{path} numbers {name}s from {number.min()} to {number.max()}, but there are {n:,} {name}s "
                "(counted from 1); are all files of one download?"
            )
    if count.min() < 0:
        raise CountsError(f"counts must not be negative, but {path} holds {count.min()}")
    return sp.csr_matrix((count, (cell - 1, gene - 1)), shape=(n_cells, n_genes))


class _Steps:
    """Quality control, one step after the other."""

    def __init__(self, n_cells: int) -> None:
        self.kept: NDArray[np.bool_] = np.ones(n_cells, dtype=bool)
        self.rows: list[tuple[str, str, int, int]] = [("cells", "in the file", n_cells, 0)]

    def keep(self, step: str, which: NDArray[np.bool_]) -> None:
        before = int(self.kept.sum())
        self.kept &= which
        left = int(self.kept.sum())
        self.rows.append(("cells", step, left, before - left))

    def genes(self, step: str, left: int, *, before: int) -> None:
        self.rows.append(("genes", step, left, before - left))


def _clean(raw: _Raw, path: Path, doses: list[float] | None, *, confident_hashes: bool) -> AnnData:
    drug, dose = _labels(raw, path)
    steps = _Steps(len(drug))
    if confident_hashes:
        steps.keep("certain hash label", _certain(raw, path))
    size = library_sizes(raw.counts)
    steps.keep(f"more than {_MIN_COUNTS} counts", size > _MIN_COUNTS)
    steps.keep(f"fewer than {_MAX_COUNTS:,} counts", size < _MAX_COUNTS)
    mitochondrial = np.array([symbol.upper().startswith("MT-") for symbol in raw.symbols])
    share = raw.counts @ mitochondrial.astype(np.float64) / np.maximum(size, 1.0)
    steps.keep(
        f"less than {100 * _MAX_MITOCHONDRIAL:.0f} % mitochondrial ({mitochondrial.sum()} genes)",
        share < _MAX_MITOCHONDRIAL,
    )
    steps.keep("drug and dose known", (drug.notna() & dose.notna()).to_numpy())
    if doses is not None:
        steps.keep(f"dose {' or '.join(f'{at:g}' for at in doses)}", dose.isin(doses).to_numpy())
    kept = steps.kept
    if not kept.any():
        raise LabelError(f"no cell of {path} is left:\n{pd.DataFrame(steps.rows).to_string(index=False, header=False)}")
    drug, dose = drug[kept], dose[kept]
    if (doses is None or 0.0 in doses) and not (dose == 0.0).any():
        raise LabelError(f"{path} has no cell at dose 0, so no untreated cells; doses: {sorted(set(dose))}")

    X, var = _unique_genes(raw, kept, steps)
    obs = pd.DataFrame({"treated_label": drug.where(dose != 0.0, "Untreated"), "drug": drug, "dose": dose})
    for place in _PLACES:
        if place in raw.obs:
            obs[place] = raw.obs[place][kept].astype(str)
    for name in obs.columns.difference(["dose"]):
        obs[name] = obs[name].astype("category")
    parameters = {
        "file": path.name,
        "shape": raw.shape.name,
        "doses": doses,
        "confident_hashes": confident_hashes,
    }
    record = provenance(_KIND, parameters, key=None, source=raw.source)
    return make_anndata(X, obs=obs, var=var, uns={"bulkgen": record | {"qc": json.dumps(steps.rows)}})


def _labels(raw: _Raw, path: Path) -> tuple[pd.Series[str], pd.Series[float]]:
    """Drug and dose of every cell, missing where unknown."""
    drug = raw.obs["drug"].astype(object)
    drug = drug.mask(drug.map(_is_missing))
    if _HASH_LABEL in raw.obs:
        # whatever was written in the other columns for want of a hash label
        drug = drug.mask(raw.obs[_HASH_LABEL].map(_is_missing).astype(bool))
    written = raw.obs["dose"].astype(object)
    dose = pd.to_numeric(written.mask(written.map(_is_missing)), errors="coerce").astype(np.float64)
    wrong = dose.isna() & ~written.map(_is_missing)
    wrong |= dose.notna() & ~dose.isin(SCIPLEX2_DOSES)
    if wrong.any():
        raise ValueError(
            f"{path} has dose {written[wrong].iloc[0]!r}, which sci-Plex2 has not (in µM: "
            f"{', '.join(f'{at:g}' for at in SCIPLEX2_DOSES)}); is it another experiment of the series?"
        )
    vehicle = drug.map(lambda name: isinstance(name, str) and name.lower() in _VEHICLE)
    other = sorted(set(drug[~vehicle].dropna().astype(str)) - set(SCIPLEX2_DRUGS))
    if other:
        raise ValueError(
            f"{path} has drugs that sci-Plex2 has not: {_some(other)}; expected {', '.join(SCIPLEX2_DRUGS)}. "
            "Is it another experiment of the series?"
        )
    if (vehicle & (dose > 0.0)).any():
        raise ValueError(f"{path} has vehicle cells at dose {dose[vehicle & (dose > 0.0)].iloc[0]:g}, expected 0")
    return drug, dose


def _certain(raw: _Raw, path: Path) -> NDArray[np.bool_]:
    missing = [name for name in (*_HASH, raw.shape.q_value) if name not in raw.obs]
    if missing:
        raise ValueError(f"confident_hashes needs the columns {', '.join(missing)}, which {path} has not")
    certain = pd.to_numeric(raw.obs[raw.shape.q_value], errors="coerce") < _HASH_Q
    for name, least in _HASH.items():
        certain &= pd.to_numeric(raw.obs[name], errors="coerce") > least
    return certain.to_numpy()


def _unique_genes(raw: _Raw, kept: NDArray[np.bool_], steps: _Steps) -> tuple[sp.csr_matrix, pd.DataFrame]:
    """Add the counts of columns of one gene; genes stand in the order of their first column."""
    ids = np.array(["" if _is_missing(gene) else strip_version(str(gene)) for gene in raw.gene_ids], dtype=object)
    named = ids != ""
    place, unique = pd.factorize(ids[named])
    if len(unique) == 0:
        raise ValueError(f"no gene has an Ensembl id in {raw.shape.gene_ids!r}")
    steps.genes("in the file", len(ids), before=len(ids))
    steps.genes("with an Ensembl id", int(named.sum()), before=len(ids))
    steps.genes("unique without version (counts added)", len(unique), before=int(named.sum()))
    counts = raw.counts[np.flatnonzero(kept)]
    whole = sp.csr_matrix((counts.data.astype(np.int32), counts.indices, counts.indptr), shape=counts.shape)
    if len(unique) < len(ids):
        column = np.flatnonzero(named)
        to_gene = sp.csr_matrix((np.ones(len(column), np.int32), (column, place)), shape=(len(ids), len(unique)))
        whole = whole @ to_gene
    whole.sort_indices()
    whole.eliminate_zeros()
    first = np.flatnonzero(named)[np.unique(place, return_index=True)[1]]
    return whole, pd.DataFrame({"symbol": [str(raw.symbols[at]) for at in first]}, index=pd.Index(unique))


def _is_missing(value: object) -> bool:
    return bool(pd.isna(value)) or str(value).strip().lower() in _MISSING  # type: ignore[call-overload]


def _some(names: Iterable[object]) -> str:
    """List the first ten names, for a message."""
    listed = [repr(str(name)) for name in names]
    return ", ".join(listed[:10]) + (", …" if len(listed) > 10 else "") if listed else "nothing"
