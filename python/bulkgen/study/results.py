"""Results of a study: one row for each place of each run, made from the records alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bulkgen.arguments import checked
from bulkgen.display import with_table
from bulkgen.study.config import StudyConfig
from bulkgen.study.data import DataFacts
from bulkgen.study.folder import RunError, RunRecord, StudyFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkgen.study.parts import Point

__all__ = ["StudyResults", "results_table", "write_tables"]

_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")
#: Sets that a run is scored on: the name in its record, and the beginning of the column.
_SCORED = {"test": "", "validation": "validation_", "validation_real": "validation_real_"}
_FIDELITY = (
    "token_ks",
    "token_wasserstein",
    "token_top_overlap",
    "token_rank_displacement",
    "fold_change_slope",
    "fold_change_correlation",
    "fold_change_direction",
)
_TEXT = ("part", "problem", "series", "name", "model", "key", "status")


@dataclass(frozen=True, eq=False, repr=False)
class StudyResults:
    """What a study found so far.

    Attributes
    ----------
    folder
        Where it lies: ``study.toml`` (the settings, every default spelled out), ``data.json``, ``split.parquet``,
        ``runs/<key>.json``, ``results.parquet`` and ``.csv``, ``cost.csv``, and what the report adds.
    config
        The settings.
    data
        Facts of the data.
    points
        Where every run stands in every part.
    runs
        Key → record of the runs that are done or failed.
    """

    folder: Path
    config: StudyConfig
    data: DataFacts
    points: tuple[Point, ...]
    runs: Mapping[str, RunRecord]

    def __repr__(self) -> str:
        done = len(self.runs) - len(self.failed)
        return f"StudyResults({self.folder}, runs: {done} done, {len(self.failed)} failed, {len(self.missing)} missing)"

    def _repr_html_(self) -> str:
        return with_table(self, self.progress().set_index("part"))

    @classmethod
    @checked
    def load(cls, folder: str | Path) -> StudyResults:
        """Read the folder of a study, also while it runs.

        Parameters
        ----------
        folder
            The folder.

        Returns
        -------
        StudyResults

        Raises
        ------
        FileNotFoundError
            If there is no study, or none whose data was opened yet.
        StudyConfigError
            If its settings cannot be read.
        """
        place = StudyFolder(Path(folder))
        if not place.settings.is_file():
            raise FileNotFoundError(f"{place.path} holds no study; make one with: bulkgen study run")
        config = StudyConfig.from_toml(place.settings)
        if not place.data.is_file():
            raise FileNotFoundError(f"{place.path} holds a study whose data was never opened; run it again")
        try:
            data = DataFacts.model_validate_json(place.data.read_text(encoding="utf-8"))
        except ValueError as error:
            reason = next(iter(str(error).splitlines()))
            raise ValueError(f"{place.data} is damaged ({reason}); remove it and run the study again") from error
        points = tuple(config.points(data))
        return cls(place.path, config, data, points, _records(place, points))

    @property
    def failed(self) -> dict[str, RunRecord]:
        """The runs that failed."""
        return {key: record for key, record in self.runs.items() if record["status"] == "failed"}

    @property
    def benchmark_error(self) -> RunError | None:
        """Why the generator benchmark failed, if it did."""
        place = StudyFolder(self.folder).benchmark_state
        if not place.is_file():
            return None
        found: RunError | None = json.loads(place.read_text(encoding="utf-8"))["error"]
        return found

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of the runs that are still to be done."""
        return tuple(key for key in dict.fromkeys(point.run.key for point in self.points) if key not in self.runs)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each point, in the order of the settings.

        ``part``, ``problem``, ``series``, ``name``, ``x``, ``model``, ``seed``, ``key``, ``status`` (``done``,
        ``failed`` or ``missing``); then, of runs that are done, the number of training ``cells``, the scores on the
        test cells (``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``recall_<label>``), what the majority class
        and chance would reach, the scores on the validation cells of the run (``validation_…``) and on the real
        ones (``validation_real_…``), and how far the training cells are from real ones.
        """
        return results_table(self.points, self.runs, labels=tuple(self.data.labels))

    @cached_property
    def cost(self) -> pd.DataFrame:
        """Seconds and peak memory (MB) of each run that is done or failed."""
        rows = [
            {
                "key": key,
                "model": record["run"]["model"]["name"],
                "seed": record["run"]["seed"],
                "status": record["status"],
                **record["cost"],
            }
            for key, record in self.runs.items()
        ]
        return pd.DataFrame(rows, columns=["key", "model", "seed", "status", "seconds", "peak_memory"])

    def progress(self) -> pd.DataFrame:
        """Count the runs of each part.

        Returns
        -------
        pandas.DataFrame
            One row per part: ``done``, ``failed``, ``missing``, and the seconds of those done.
        """
        rows = []
        for name, part in self.config.parts.items():
            keys = dict.fromkeys(point.run.key for point in self.points if point.part == name)
            records = [self.runs[key] for key in keys if key in self.runs]
            failed = sum(record["status"] == "failed" for record in records)
            rows.append(
                {
                    "part": name,
                    "title": part.title,
                    "done": len(records) - failed,
                    "failed": failed,
                    "missing": len(keys) - len(records),
                    "seconds": sum(record["cost"]["seconds"] or 0.0 for record in records),
                }
            )
        return pd.DataFrame(rows)


def results_table(points: Sequence[Point], runs: Mapping[str, RunRecord], *, labels: Sequence[str]) -> pd.DataFrame:
    """Make the table of :attr:`StudyResults.table`; it holds no times, so that the same study gives the same bytes."""
    rows = [_row(point, runs.get(point.run.key)) for point in points]
    columns = ["part", "problem", "series", "name", "x", "model", "seed", "key", "status", "cells", *_SCORES]
    columns += [f"recall_{label}" for label in labels]
    columns += [*(f"majority_{score}" for score in _SCORES), "chance"]
    columns += [f"{prefix}{score}" for prefix in _SCORED.values() if prefix for score in _SCORES]
    table = pd.DataFrame(rows, columns=[*columns, *_FIDELITY])
    # numbers stay numbers where no run has one yet
    whole = {"seed": "int64", "cells": "Int64"}
    return table.astype({column: whole.get(column, "float64") for column in map(str, table) if column not in _TEXT})


def write_tables(folder: StudyFolder, config: StudyConfig, data: DataFacts) -> None:
    """Write the results and the costs of a study from its records."""
    points = tuple(config.points(data))
    results = StudyResults(folder.path, config, data, points, _records(folder, points))
    folder.write_table(folder.path / "results.parquet", results.table)
    folder.write_table(folder.path / "results.csv", results.table)
    folder.write_table(folder.path / "cost.csv", results.cost)


def _records(folder: StudyFolder, points: Sequence[Point]) -> dict[str, RunRecord]:
    found = ((key, folder.record(key)) for key in dict.fromkeys(point.run.key for point in points))
    return {key: record for key, record in found if record is not None}


def _row(point: Point, record: RunRecord | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "part": point.part,
        "problem": point.problem,
        "series": point.series,
        "name": point.name,
        "x": point.x,
        "model": point.run.model.name,
        "seed": point.run.seed,
        "key": point.run.key,
        "status": "missing" if record is None else record["status"],
    }
    if record is None or record["result"] is None:
        return row
    result = record["result"]
    for name, prefix in _SCORED.items():
        scores = result.get(name)
        if scores is not None:
            row |= {f"{prefix}{score}": scores[score] for score in _SCORES}
    test = result["test"]
    classes = test["per_class"].items()
    row |= {f"recall_{label}": scores["recall"] for label, scores in classes if scores["support"]}
    row |= {f"majority_{score}": test["majority"][score] for score in _SCORES}
    row |= {"chance": test["chance"], "cells": result["training_set"]["cells"]}
    return row | {name: (result.get("fidelity") or {}).get(name) for name in _FIDELITY}
