"""The cells of a study: read or simulated, and those that its settings keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.datasets import sciplex2_twin
from bulkgen.errors import LabelError
from bulkgen.io import read, read_sciplex2
from bulkgen.label_columns import no_such_column
from bulkgen.tokens.obs import CELL_ID, RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from anndata import AnnData

    from bulkgen.study.config import DataSettings

__all__ = ["study_cells"]


def study_cells(settings: DataSettings) -> tuple[AnnData, str]:
    """Return the cells that the settings keep, labels as text and doses as numbers, and what they are called.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    LabelError
        If a column or label is missing, or a label has too few cells.
    ValueError
        If names of cells or genes occur twice.
    """
    cells, name = _read(settings)
    _check_columns(cells, settings)
    return _chosen(cells, settings), name


def _read(settings: DataSettings) -> tuple[AnnData, str]:
    """Return all cells, and what they are called."""
    if settings.source == "sciplex2_twin":
        doses = (0.0, 10.0) if settings.doses is None else settings.doses
        return sciplex2_twin(settings.n_cells, doses=doses, rng=settings.rng), "simulated twin of sci-Plex2"
    assert settings.path is not None
    if settings.source == "sciplex2":
        return read_sciplex2(settings.path), "sci-Plex2"
    return read(settings.path), settings.path.stem


def _check_columns(cells: AnnData, settings: DataSettings) -> None:
    named = {"label": settings.label, "dose": settings.dose, **{f"where.{column}": column for column in settings.where}}
    for key, column in named.items():
        if column is not None and column not in cells.obs:
            raise LabelError(f"[data] {key}: {no_such_column(cells.obs.columns, column)}")
    if settings.label in (CELL_ID, *RESERVED):
        raise LabelError(
            f"[data] label: tokens have a column {settings.label!r} of their own; rename the one of obs, such as to "
            f"{settings.label + '_label'!r}"
        )
    for names, what in ((cells.obs_names, "cell names"), (cells.var_names, "gene names")):
        if not names.is_unique:
            raise ValueError(f"{what} must be unique, but {names[names.duplicated()][0]!r} occurs more than once")


def _chosen(cells: AnnData, settings: DataSettings) -> AnnData:
    """Return the cells that the settings keep."""
    obs = cells.obs
    keep = np.ones(cells.n_obs, dtype=bool)
    for column, wanted in settings.where.items():
        values = [wanted] if isinstance(wanted, str | int | float) else list(wanted)
        # a value read from TOML meets one read from a file: 10 is "10" is 10.0
        keep &= _matches(obs[column], values)
    doses = None
    if settings.dose is not None:
        doses = pd.to_numeric(obs[settings.dose].astype(str), errors="coerce").to_numpy(np.float64)
        # the control has no dose where it says none
        none = obs[settings.dose].isna().to_numpy() & (obs[settings.label].astype(str) == settings.control).to_numpy()
        doses[none] = 0.0
        bad = keep & np.isnan(doses)
        if bad.any():
            raise LabelError(
                f"[data] dose: {int(bad.sum())} cells have no number in {settings.dose!r}, such as "
                f"{str(obs[settings.dose][bad].iloc[0])!r}; only the control's may be missing, which is dose 0: give "
                f"them one, or leave them out with where="
            )
        if settings.doses is not None:
            keep &= np.isin(doses, settings.doses)
    elif settings.doses is not None:
        raise LabelError("[data] doses: name the column of doses too, dose=")
    missing = int((keep & obs[settings.label].isna().to_numpy()).sum())
    if missing:
        raise LabelError(
            f"[data] label: {missing} cells have no value in {settings.label!r}; leave them out with where="
        )
    if not keep.any():
        raise LabelError(f"[data]: no cell is left of {cells.n_obs}; check where= and doses=")
    counts = obs[settings.label].astype(str)[keep].value_counts()
    rare = counts.index[counts < settings.min_cells]
    if settings.control in rare:
        raise LabelError(
            f"[data] min_cells: the control {settings.control!r} has {counts[settings.control]} cells, fewer than "
            f"{settings.min_cells}"
        )
    keep &= ~obs[settings.label].astype(str).isin(rare).to_numpy()
    cells = cells[keep].copy()
    cells.obs[settings.label] = pd.Categorical(cells.obs[settings.label].astype(str))
    if doses is not None:
        cells.obs[settings.dose] = doses[keep]
    labels = list(cells.obs[settings.label].cat.categories)
    if settings.control is not None and settings.control not in labels:
        raise LabelError(f"[data] control: {settings.control!r} is not among the labels {', '.join(map(repr, labels))}")
    if len(labels) < 2:
        raise LabelError(f"[data] label: a study needs two labels or more, found {', '.join(map(repr, labels))}")
    return cells


def _matches(column: pd.Series, wanted: Sequence[object]) -> npt.NDArray[np.bool_]:
    texts = column.astype(str)
    found = texts.isin([str(value) for value in wanted]).to_numpy()
    numbers = [float(value) for value in wanted if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers:
        found |= np.isin(pd.to_numeric(texts, errors="coerce").to_numpy(np.float64), numbers)
    return np.asarray(found, dtype=bool)
