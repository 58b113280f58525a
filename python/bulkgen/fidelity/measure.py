"""All metrics that need nothing but cells, of every class, as a tidy table."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bulkgen.fidelity.copying import copying_metrics
from bulkgen.fidelity.dependence import dependence_metrics
from bulkgen.fidelity.discrimination import discrimination_metrics
from bulkgen.fidelity.distribution import distribution_metrics
from bulkgen.fidelity.effect import effect_metrics
from bulkgen.fidelity.expression import expression_metrics
from bulkgen.fidelity.metrics import METRICS
from bulkgen.fidelity.token_metrics import token_metrics
from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bulkgen.fidelity.cells import Cells
    from bulkgen.fidelity.metrics import Metric, MetricGroup
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import View

__all__ = ["MACRO", "MEASURES", "check_groups", "measure"]

#: The label of a row that holds the mean over classes.
MACRO = ""


#: The groups of metrics that need nothing but cells, and the function that gives all metrics of a group for a class.
MEASURES: Mapping[MetricGroup, Callable[[Space, View, str], Mapping[str, float | Undefined]]] = MappingProxyType(
    {
        "tokens": token_metrics,
        "cells": expression_metrics,
        "dependence": dependence_metrics,
        "distribution": distribution_metrics,
        "discrimination": discrimination_metrics,
        "effect": effect_metrics,
        "copying": copying_metrics,
    }
)


def check_groups(groups: Collection[MetricGroup] | None) -> tuple[MetricGroup, ...]:
    """Return these groups of :data:`MEASURES`; all of them for ``None``.

    Raises
    ------
    ValueError
        If one is unknown.
    """
    wanted = tuple(MEASURES) if groups is None else tuple(groups)
    for group in wanted:
        if group not in MEASURES:
            raise ValueError(f"metrics must be among {', '.join(map(repr, MEASURES))}, got {group!r}")
    return wanted


def measure(space: Space, synthetic: Cells, *, groups: Collection[MetricGroup] | None = None) -> pd.DataFrame:
    """Measure synthetic cells against real test cells.

    The ceiling is ``measure(space, space.training.cells.as_synthetic())``: what real cells reach that are not the test
    cells (for `copying` it is the opposite: what a copy looks like). The floor is what Poisson cells reach.

    Parameters
    ----------
    space
        The real cells and what was learnt from them.
    synthetic
        Cells of the same genes and classes; about as many of each as the real test cells have. With tokens, if the
        metrics of tokens are asked for.
    groups
        Groups of :data:`MEASURES`; by default all.

    Returns
    -------
    pandas.DataFrame
        One row per metric and class, and one per metric with the empty label for the mean over the classes that have
        a value: columns `metric`, `group`, `label`, `value`, `note`. A value is NaN where the metric has none, for the
        reason in the note.

    Raises
    ------
    GeneOverlapError, LabelError, ValueError
        Those of :meth:`Space.view`; or if a group is unknown.
    """
    wanted = check_groups(groups)
    view = space.view(synthetic)
    rows: list[_Row] = []
    for group in (group for group in MEASURES if group in wanted):
        classes = {label: _of_class(group, space, view, label) for label in space.labels}
        for metric in (metric for metric in METRICS.values() if metric.group == group):
            values = {label: found[metric.name] for label, found in classes.items()}
            rows += [_row(metric, label, value) for label, value in values.items()]
            rows.append(_macro(metric, values))
    return pd.DataFrame(rows, columns=_Row._fields)


class _Row(NamedTuple):
    metric: str
    group: str
    label: str
    value: float
    note: str


def _of_class(group: MetricGroup, space: Space, view: View, label: str) -> Mapping[str, float | Undefined]:
    try:
        # one thread, as in Space.fit
        with threadpool_limits(limits=1):
            return MEASURES[group](space, view, label)
    except Undefined as reason:
        return {metric.name: reason for metric in METRICS.values() if metric.group == group}


def _row(metric: Metric, label: str, value: float | Undefined) -> _Row:
    if isinstance(value, Undefined):
        return _Row(metric.name, metric.group, label, float("nan"), str(value))
    return _Row(metric.name, metric.group, label, value, "")


def _macro(metric: Metric, values: Mapping[str, float | Undefined]) -> _Row:
    defined = [value for value in values.values() if not isinstance(value, Undefined)]
    without = {label: value for label, value in values.items() if isinstance(value, Undefined)}
    if not defined:
        return _row(metric, MACRO, next(iter(without.values())))
    note = f"without {', '.join(without)}" if without else ""
    return _Row(metric.name, metric.group, MACRO, float(np.mean(defined)), note)
