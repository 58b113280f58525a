"""What a benchmark has found so far: numbers, failures, and what its plots need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.fidelity.metrics import METRICS
from bulkgen.fidelity.results import COLUMNS, FEW_CELLS_COLUMNS, BenchmarkResults, with_gap_closed
from bulkgen.io import content_hash, provenance_of
from bulkgen.kernels import get_kernels
from bulkgen.rng import STREAM_VERSION
from bulkgen.training.run import package_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from anndata import AnnData

    from bulkgen.fidelity.cells import Cells
    from bulkgen.fidelity.results import Role
    from bulkgen.fidelity.utility import Model
    from bulkgen.fidelity.yardstick import Score, Yardstick

__all__ = ["Tally", "describe_input", "not_measured"]


@dataclass(eq=False)
class Tally:
    """Rows of the tables of :class:`~bulkgen.fidelity.results.BenchmarkResults` as they come."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    failures: list[dict[str, object]] = field(default_factory=list)
    trials: list[dict[str, object]] = field(default_factory=list)
    curves: list[pd.DataFrame] = field(default_factory=list)
    genes: list[pd.DataFrame] = field(default_factory=list)
    projections: list[pd.DataFrame] = field(default_factory=list)

    def add(self, seed: int, method: str, role: Role, scores: Iterable[Score]) -> None:
        """Add numbers of a method."""
        for found in scores:
            group = METRICS[found.metric].group
            self.rows.append(
                (seed, method, role, group, found.metric, found.model, found.label, found.value, found.note)
            )

    def fail(self, seed: int, method: str, stage: str, error: Exception) -> None:
        """Record what stopped a method."""
        reason = f"{type(error).__name__}: {error}"
        self.failures.append({"seed": seed, "method": method, "stage": stage, "reason": reason})

    def measure(
        self, seed: int, method: str, role: Role, yardstick: Yardstick, cells: Cells, models: Sequence[Model]
    ) -> None:
        """Measure cells and add what was found; an error is raised."""
        for _, scores in _stages(yardstick, cells, models):
            self.add(seed, method, role, scores())

    def attempt(
        self, seed: int, method: str, role: Role, yardstick: Yardstick, cells: Cells, models: Sequence[Model]
    ) -> None:
        """Measure cells and add what was found; an error is recorded, and the other stages go on."""
        for stage, scores in _stages(yardstick, cells, models):
            try:
                # all or nothing of a stage
                found = list(scores())
            except Exception as error:  # cells of a third party may fail anywhere
                self.fail(seed, method, stage, error)
            else:
                self.add(seed, method, role, found)

    def picture(self, yardstick: Yardstick, sets: Mapping[str, Cells]) -> None:
        """Keep what the plots of genes and of the plane need."""
        for shown, cells in sets.items():
            self.genes.append(yardstick.genes(cells).assign(method=shown))
            self.projections.append(yardstick.projection(cells).assign(method=shown))
        self.projections.append(yardstick.projection(yardstick.test).assign(method="test"))

    def describe(self, seed: int, yardstick: Yardstick, *, ceiling: Cells, **facts: object) -> None:
        """Keep the sizes of a trial: real training and test cells, and those of the training cells in the ceiling."""

        def per_label(cells: Cells) -> dict[str, int]:
            return {label: int((cells.labels == label).sum()) for label in yardstick.space.labels}

        vocabulary = {
            "name": yardstick.vocabulary.name,
            "fingerprint": yardstick.vocabulary.fingerprint,
            "genes": len(yardstick.vocabulary.tokens),
        }
        sets = {"train": yardstick.training, "test": yardstick.test, "ceiling": ceiling}
        sizes = {name: per_label(cells) for name, cells in sets.items()}
        self.trials.append({"seed": seed, **sizes, "vocabulary": vocabulary, **facts})

    def results(self, settings: Mapping[str, object]) -> BenchmarkResults:
        """Make the tables."""
        return BenchmarkResults(
            results=with_gap_closed(pd.DataFrame(self.rows, columns=list(COLUMNS))),
            settings={
                **settings,
                "trials": self.trials,
                "failures": self.failures,
                "versions": package_versions(),
                "stream_version": STREAM_VERSION,
                "backend": get_kernels().name,
            },
            few_cells=_stacked(self.curves, FEW_CELLS_COLUMNS),
            genes=_stacked(self.genes),
            projection=_stacked(self.projections),
        )


def describe_input(cells: AnnData) -> dict[str, object]:
    """Say which cells went in."""
    return {
        "cells": cells.n_obs,
        "genes": cells.n_vars,
        "hash": content_hash(cells),
        "provenance": provenance_of(cells),
    }


def not_measured(cells: AnnData, *, mixed: str | None = None) -> dict[str, str] | None:
    """Say what about the cells was not measured: the input is simulated, or a task has mixed them.

    Parameters
    ----------
    cells
        The input; its provenance tells if it is simulated.
    mixed
        What the task has done to the cells, if anything.

    Returns
    -------
    dict or None
        ``what`` (``simulated data`` or ``mixed cells``) and ``note``.
    """
    record = provenance_of(cells) or {}
    notes = [] if mixed is None else [mixed]
    if record.get("simulated"):
        notes.insert(0, str(record.get("note", "The input is simulated: no cell was measured.")))
    if not notes:
        return None
    return {"what": "simulated data" if record.get("simulated") else "mixed cells", "note": " ".join(notes)}


def _stages(
    yardstick: Yardstick, cells: Cells, models: Sequence[Model]
) -> list[tuple[str, Callable[[], Iterable[Score]]]]:
    def utility(model: Model) -> Callable[[], Iterable[Score]]:
        return lambda: yardstick.utility(cells, model)

    return [
        ("metrics", lambda: yardstick.metrics(cells)),
        *((f"model {model.shown}", utility(model)) for model in models),
    ]


def _stacked(tables: Sequence[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=list(columns))
    stacked = pd.concat(tables, ignore_index=True)
    return stacked[list(columns)] if columns else stacked
