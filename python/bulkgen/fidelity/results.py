"""Results of a benchmark: tidy tables with their settings, written to a folder whole or not at all, and read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.display import with_table
from bulkgen.fidelity.measure import MACRO
from bulkgen.fidelity.methods import BASELINE, CEILING, FLOOR
from bulkgen.fidelity.metrics import METRICS
from bulkgen.io import atomic_directory
from bulkgen.json_format import JsonFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLUMNS", "FEW_CELLS_COLUMNS", "BenchmarkResults", "Role", "with_gap_closed"]

Role = Literal["ceiling", "floor", "majority", "generator"]

#: Columns of the table of results. ``label`` is a class, or empty (:data:`~bulkgen.fidelity.MACRO`) for the mean over
#: classes and for what belongs to no class; ``model`` is empty but for utility; ``note`` says why a value is NaN, or
#: which classes a mean leaves out.
COLUMNS = ("seed", "method", "role", "group", "metric", "model", "label", "value", "note")
#: Columns of the few-cells table. ``synthetic`` names the method, empty for real cells alone; ``size`` is real cells
#: per class, and ``all`` says whether those are all there are; ``weight`` is that chosen for a synthetic cell.
FEW_CELLS_COLUMNS = ("seed", "size", "all", "synthetic", "weight", "balanced_accuracy", "macro_f1")
#: A smaller difference of balanced accuracy between real cells and the truncated Gaussian is no gap to close.
_LEAST_GAP = 0.02

_FORMAT = JsonFormat("bulkgen-benchmark", 1, what="the settings of a benchmark", remedy="run the benchmark again")
_SETTINGS = "settings.json"
_TABLES = ("results", "few_cells", "genes", "projection")


@dataclass(frozen=True, eq=False, repr=False)
class BenchmarkResults:
    """What a benchmark found.

    Attributes
    ----------
    results
        One number per row; see :data:`~bulkgen.fidelity.results.COLUMNS` and :data:`bulkgen.fidelity.METRICS`.
    settings
        How it was made: task, methods, models, seeds, vocabulary, versions, the input's hash. ``failures`` lists what
        failed: seed, method, stage, reason.
    few_cells
        See :data:`~bulkgen.fidelity.results.FEW_CELLS_COLUMNS`; empty if not asked for.
    genes
        First seed: mean and zero fraction of each gene, ``method``, ``gene``, ``real_mean``, ``mean``, ``real_zeros``,
        ``zeros``.
    projection
        First seed: two principal components of real training cells, with the cells of every method in their plane:
        ``method``, ``label``, ``x``, ``y``. Test cells are the method ``test``.
    """

    results: pd.DataFrame
    settings: Mapping[str, Any]
    few_cells: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(FEW_CELLS_COLUMNS)))
    genes: pd.DataFrame = field(default_factory=pd.DataFrame)
    projection: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __repr__(self) -> str:
        said = self.not_measured
        cells = "" if said is None else f"; {said['what'].upper()}"
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        return (
            f"BenchmarkResults({', '.join(self.methods)}; {self.results['metric'].nunique()} metrics, "
            f"{self.seeds} seed{'s' if self.seeds > 1 else ''}{cells}{failed})"
        )

    def _repr_html_(self) -> str:
        summary = self.summary()
        of_all = summary[(summary["label"] == MACRO) & (summary["role"] != "majority")]
        # a metric of utility is of a model
        named = of_all.assign(metric=(of_all["metric"] + ", " + of_all["model"]).str.removesuffix(", "))
        return with_table(self, named.pivot_table(index="metric", columns="method", values="mean", sort=False))

    @property
    def failures(self) -> list[dict[str, Any]]:
        """What failed: seed, method, stage and reason."""
        return list(self.settings["failures"])

    @property
    def methods(self) -> tuple[str, ...]:
        """Ceiling, generators in their order, floor: the rows of a table, failed ones included."""
        shown = [method["shown"] for method in self.settings["methods"]]
        return (CEILING, *shown, FLOOR)

    @property
    def models(self) -> tuple[str, ...]:
        """Models of the utility, in their order."""
        return tuple(model["shown"] for model in self.settings["models"])

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.settings["seeds"])

    @property
    def not_measured(self) -> Mapping[str, str] | None:
        """What must be said in large type: ``what`` the cells are (simulated, mixed) and a ``note``; else ``None``."""
        found: Mapping[str, str] | None = self.settings["not_measured"]
        return found

    def summary(self) -> pd.DataFrame:
        """Summarise every number over the seeds.

        Returns
        -------
        pandas.DataFrame
            The columns that name a number, then ``mean``, ``sd`` (n - 1; NaN for one seed) and ``seeds``.
        """
        keys = [column for column in COLUMNS if column not in ("seed", "value", "note")]
        grouped = self.results.groupby(keys, sort=False, observed=True)["value"]
        found = grouped.agg(mean="mean", sd="std", seeds="count").reset_index()
        return pd.DataFrame(found)

    @checked
    def value(self, method: str, metric: str, *, model: str = "", label: str = MACRO) -> tuple[float, float]:
        """Return one number over the seeds.

        Parameters
        ----------
        method
            One of :attr:`methods`.
        metric
            One of :data:`bulkgen.fidelity.METRICS`.
        model
            One of :attr:`models`, for metrics of utility.
        label
            A class; by default the mean over classes.

        Returns
        -------
        mean, standard_deviation
            NaN where there is none.
        """
        table = self.results
        here = (
            (table["method"] == method)
            & (table["metric"] == metric)
            & (table["model"] == model)
            & (table["label"] == label)
        )
        values = table.loc[here, "value"].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        if not values.size:
            return float("nan"), float("nan")
        return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else float("nan")

    @checked
    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``results.parquet`` and ``.csv``, ``summary.csv``, ``settings.json`` and the further tables.

        Parameters
        ----------
        folder
            The folder to make.
        overwrite
            Replace it if it exists.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        OutputExistsError
            If `folder` exists and `overwrite` is false.
        """
        with atomic_directory(folder, overwrite=overwrite) as temporary:
            for name in _TABLES:
                table: pd.DataFrame = getattr(self, name)
                if name == "results" or len(table):
                    table.to_parquet(temporary / f"{name}.parquet", index=False)
            self.results.to_csv(temporary / "results.csv", index=False)
            self.summary().to_csv(temporary / "summary.csv", index=False)
            if len(self.few_cells):
                self.few_cells.to_csv(temporary / "few_cells.csv", index=False)
            # last, so that a folder with settings is a whole one
            text = json.dumps({**_FORMAT.head, **self.settings}, indent=2, default=_plain)
            (temporary / _SETTINGS).write_text(text + "\n", encoding="utf-8")
        return Path(folder)

    @classmethod
    @checked
    def load(cls, folder: str | Path) -> BenchmarkResults:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        folder
            The folder.

        Returns
        -------
        BenchmarkResults

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If it holds no results of a benchmark.
        """
        place = Path(folder)
        if not place.is_dir():
            raise FileNotFoundError(f"there is no folder {place}; make one with: bulkgen benchmark")
        if not (place / _SETTINGS).is_file():
            raise ValueError(f"{place} holds no results of bulkgen benchmark (no {_SETTINGS} in it)")
        settings = _FORMAT.read(place / _SETTINGS)
        tables = {
            name: pd.read_parquet(place / f"{name}.parquet")
            for name in _TABLES
            if (place / f"{name}.parquet").is_file()
        }
        settings = {name: value for name, value in settings.items() if name not in _FORMAT.head}
        return cls(settings=settings, **tables)


def with_gap_closed(table: pd.DataFrame) -> pd.DataFrame:
    """Add the share of the gap between truncated Gaussian and real cells that each method closes.

    (method - truncated Gaussian) / (real - truncated Gaussian) of the balanced accuracy, seed by seed and model by
    model; without rows where the truncated Gaussian failed, or is less than 0.02 below real cells: no gap to close.
    """
    accuracy = table[(table["metric"] == "tstr_balanced_accuracy") & (table["role"] != "majority")]
    added = []
    for _, rows in accuracy.groupby(["seed", "model"], sort=False):
        score = rows.set_index("method")["value"]
        if not {CEILING, BASELINE} <= set(score.index) or score[CEILING] - score[BASELINE] < _LEAST_GAP:
            continue
        share = (score - score[BASELINE]) / (score[CEILING] - score[BASELINE])
        metric = METRICS["tstr_gap_closed"]
        added.append(rows.assign(metric=metric.name, group=metric.group, value=share.to_numpy()))
    return pd.concat([table, *added], ignore_index=True)


def _plain(value: object) -> object:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
