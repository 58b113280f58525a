"""Generators of a study, fitted to the bulk of a run's training cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bulkgen.errors import LabelError
from bulkgen.fidelity.sequencing import sequenced_bulk
from bulkgen.fidelity.tasks import share_out
from bulkgen.fits import fit_generator
from bulkgen.generators.registry import generator_class
from bulkgen.profiles import bulk_profiles
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of
from bulkgen.study.run import RealCells, digest
from bulkgen.study.selection import n_held_out, run_rng

if TYPE_CHECKING:
    from anndata import AnnData

    from bulkgen.fits import Fit
    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.study.data import StudyData
    from bulkgen.study.run import Run, SyntheticCells
    from bulkgen.study.selection import Selection, Side

__all__ = ["Generation"]

#: Fits and bulk profiles that a process keeps.
_KEPT_FITS, _KEPT_BULKS = 4, 8


@dataclass(frozen=True, eq=False)
class Generation:
    """One component of synthetic cells.

    Attributes
    ----------
    selection
        The run's training cells.
    settings
        The component.
    """

    selection: Selection
    settings: SyntheticCells

    @property
    def run(self) -> Run:
        """The run."""
        return self.selection.run

    @property
    def data(self) -> StudyData:
        """The study's data."""
        return self.selection.data

    @property
    def regroups(self) -> bool:
        """Whether the cells are made of single cells of every class, which are divided before."""
        return generator_class(self.settings.method).from_cells

    def fit(self, side: Side) -> Fit:
        """Fit a generator to the bulk and the reference cells of a side of the training cells.

        Only what regroups cells is fitted to each side; other generators draw the cells of both from one fit.
        """
        side = side if self.regroups else "all"
        same = self.settings.model_dump(mode="json", exclude={"per_class", "ratio", "labels"})
        seeded = self.settings.bulk_reads is not None or self.settings.donors is not None or side != "all"
        beside = None
        if self.settings.reference == "seen":
            seeded = True
            beside = [cells.model_dump(mode="json") for cells in self.run.training if isinstance(cells, RealCells)]
        key = digest([same, self.selection.labels, side, beside, self.run.seed if seeded else None])
        return self.data.shared("fit", key, lambda: self._new_fit(side), most=_KEPT_FITS)

    def _new_fit(self, side: Side) -> Fit:
        part, rows = self.selection.cells, self._reference_rows()
        if self.settings.donors is not None:
            rows = self._first_donors(rows, self.settings.donors)
        rows = self.selection.of_side(rows, side)
        return fit_generator(
            self._bulk(side),
            reference=part.cells[rows],
            method=self.settings.method,
            threads=self.data.facts.threads,
            **self._settled(),
        )

    def _reference_rows(self) -> Int64Array:
        """Return the training cells that the generator may learn from."""
        part, control, reference = self.selection.cells, self.data.facts.control, self.settings.reference
        held = () if self.settings.held_dose is None else (self.settings.held_dose,)
        if reference == "all":
            return part.rows(self.selection.labels, without_doses=held)
        if reference == "control" and control is None:
            raise LabelError(
                f"{self.settings.method} learns from the control's cells, but the study has no control: name it with "
                "control= in [data], or set reference = 'all'"
            )
        rows = part.rows(() if control is None else (control,), without_doses=held)
        if reference == "seen":
            own = self.selection.own_rows()
            rows = np.union1d(rows, own[~np.isin(part.doses[own], held)])
        return rows

    def numbers(self, side: Side) -> dict[str, int]:
        """Return the cells to make of each stratum: those of a class in proportion to its real training cells.

        A tenth of each class is held out; there may be none to hold out.
        """
        part = self.selection.cells
        rows = part.rows(self.selection.labels, dose=self.settings.held_dose, control=self.data.facts.control)
        wanted = Counter(part.labels[rows].tolist())
        if self.settings.ratio is not None:
            beside = Counter(part.labels[self.selection.own_rows()].tolist())
            wanted = Counter({label: max(1, round(self.settings.ratio * n)) for label, n in beside.items()})
        elif self.settings.per_class is not None:
            wanted = Counter(dict.fromkeys(wanted, self.settings.per_class))
        made = wanted.keys() if self.settings.labels is None else self.settings.labels
        missing = sorted({*made} - {*self.selection.labels})
        if missing:
            raise LabelError(f"{missing[0]!r} is no label of the run, so no cells of it can be made")
        if side != "all":
            held = {label: n_held_out(n) for label, n in wanted.items()}
            wanted = Counter(held) if side == "held out" else wanted - Counter(held)
        there = self.selection.of_side(rows, side) if self.regroups else rows
        strata = strata_of(part.cells.obs.iloc[there], self.data.by)
        sizes = np.bincount(strata.codes, minlength=len(strata.table)).astype(np.int64)
        labels = strata.table[self.data.label].astype(str).to_numpy(dtype=object)
        shared = share_out(sizes, labels, {label: wanted[label] for label in made})
        return {name: int(n) for name, n in zip(strata.names(), shared, strict=True) if n}

    def _first_donors(self, rows: Int64Array, donors: int) -> Int64Array:
        """Return the first reference cells of each label and dose in the seed's order."""
        part = self.selection.cells
        ordered = np.concatenate([self.selection.order(str(label)) for label in np.unique(part.labels[rows])])
        ordered = ordered[np.isin(ordered, rows)]
        number = pd.Series(ordered).groupby([part.labels[ordered], part.doses[ordered]], dropna=False).cumcount()
        return np.sort(ordered[number.to_numpy() < donors])

    def _settled(self) -> dict[str, Any]:
        """Return a generator's parameters with what the study settles, where they are left at their defaults.

        The control is the study's; variances are the control's where other classes have few reference cells or none.
        """
        settled: dict[str, str] = {}
        if self.data.facts.control is not None:
            settled["control"] = self.data.facts.control
            if self.settings.reference != "all" or self.settings.held_dose is not None:
                settled["variance_from"] = "control"
        fields = generator_class(self.settings.method).model_fields
        parameters = dict(self.settings.parameters)
        for name, value in settled.items():
            if name in fields and parameters.get(name, fields[name].default) == fields[name].default:
                parameters[name] = value
        return parameters

    def _bulk(self, side: Side) -> AnnData:
        """Return the profiles of the problem's classes, and of the control."""
        control = self.data.facts.control
        labels = {*self.selection.labels}
        if self.settings.reference != "all" and control is not None:
            labels.add(control)
        settings = self.settings
        seed = None if settings.bulk_reads is None and side == "all" else self.run.seed
        key = digest([sorted(labels), settings.held_dose, settings.bulk_reads, settings.bias_sd, side, seed])
        return self.data.shared("bulk", key, lambda: self._new_bulk(labels, side), most=_KEPT_BULKS)

    def _new_bulk(self, labels: set[str], side: Side) -> AnnData:
        part = self.selection.cells
        rows = part.rows(labels, dose=self.settings.held_dose, control=self.data.facts.control)
        rows = self.selection.of_side(rows, side)
        cells, threads = part.cells[rows], self.data.facts.threads
        if self.settings.bulk_reads is None:
            return bulk_profiles(cells, by=self.data.by, threads=threads)
        normal = np.random.default_rng(run_rng(self.run, "BIAS")).standard_normal(cells.n_vars)
        return sequenced_bulk(
            cells,
            by=self.data.by,
            reads=self.settings.bulk_reads,
            bias=np.exp(self.settings.bias_sd * normal),
            key=key_from_rng(run_rng(self.run, "READS")),
            threads=threads,
        )
