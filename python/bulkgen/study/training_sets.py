"""Training sets: what a run trains on, made from the training cells alone.

All of it is seeded by the run's seed and by what is drawn, never by where it stands. So for one seed the real cells of
a smaller number are among those of a larger one, fewer cells of a generator are the first of more, and every model
trains on the same set.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import IntEnum
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from bulkgen.aggregate import pseudobulk
from bulkgen.errors import LabelError
from bulkgen.fidelity.methods import FROM_CELLS
from bulkgen.fidelity.sequencing import sequenced_bulk
from bulkgen.fidelity.tasks import share_out
from bulkgen.fits import fit_generator
from bulkgen.generators.registry import generator_class
from bulkgen.io import make_anndata
from bulkgen.profiles import bulk_profiles
from bulkgen.rng import Purpose, key_from_rng
from bulkgen.splits import shuffled, strata_of
from bulkgen.study.data import join_tokens, take_tokens
from bulkgen.study.run import PseudobulkCells, RealCells, digest
from bulkgen.synthesis import synthesize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from anndata import AnnData

    from bulkgen.fits import Fit
    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.study.data import LabelledCells, StudyData
    from bulkgen.study.run import Run, SyntheticCells
    from bulkgen.tokens import TokenDataset

__all__ = ["SAMPLE", "TrainingSet", "make_training_set", "run_rng"]

#: Cells of a training set, at most about, that it is described and compared with real cells by.
SAMPLE = 2000
#: Every so many cells of a class, one is held out to validate on.
_HELD_OUT = 10
#: Training sets and fits that a process keeps.
_KEPT_SETS, _KEPT_FITS, _KEPT_BULKS = 2, 4, 8


#: Which training cells: those to train on, those held out, or all.
Side: TypeAlias = Literal["all", "train", "held out"]


class _Use(IntEnum):
    """What the randomness of a run is for; part of every seed."""

    ORDER = 0
    AGGREGATE = 1
    SYNTHESIZE = 2
    BIAS = 3
    READS = 4
    EQUALISE = 5
    SHUFFLE = 6
    PERMUTE = 7
    VALIDATION = 8
    MODEL = 9


def run_rng(run: Run, use: str, *more: int) -> np.random.SeedSequence:
    """Return the seed of one use of randomness in a run."""
    return np.random.SeedSequence([run.seed, _Use[use], *more])


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a run trains on.

    Attributes
    ----------
    tokens
        The training cells.
    held_out
        A tenth of the set, of each class, made of other cells than those trained on; ``None`` where none was asked for.
    sample
        Counts of some of the training cells, each component and class in proportion.
    """

    tokens: TokenDataset
    held_out: TokenDataset | None
    sample: AnnData


def make_training_set(run: Run, data: StudyData) -> TrainingSet:
    """Make the training set of a run, or return it if the process made it a moment ago.

    Raises
    ------
    LabelError
        If a class has no cells to train on, or a generator lacks a control.
    ValueError
        If a generator's parameters do not fit.
    """
    return data.shared("training set", run.training_key, _Maker(run, data).make, most=_KEPT_SETS)


@dataclass(frozen=True, eq=False)
class _Component:
    """One part of a training set.

    Attributes
    ----------
    tokens, held_out
        As of :class:`TrainingSet`.
    n_cells
        Training cells.
    some
        Returns the counts of about this share of them.
    """

    tokens: TokenDataset
    held_out: TokenDataset | None
    n_cells: int
    some: Callable[[float], AnnData]


@dataclass(frozen=True, eq=False)
class _Maker:
    run: Run
    data: StudyData

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.data.facts.labels) if self.run.labels is None else self.run.labels

    @property
    def equal(self) -> bool:
        return self.run.ablation == "equal_library_sizes"

    @property
    def holds_out(self) -> bool:
        return self.run.validation != "real"

    def make(self) -> TrainingSet:
        """Make all components and join them."""
        components = []
        made: Counter[str] = Counter()
        for cells in self.run.training:
            if isinstance(cells, RealCells):
                components.append(self._real(cells))
            elif isinstance(cells, PseudobulkCells):
                components.append(self._pseudobulk(cells, made["pseudobulk"]))
                made["pseudobulk"] += 1
            else:
                components.append(self._synthetic(cells, made[cells.method]))
                made[cells.method] += 1
        share = min(1.0, SAMPLE / max(1, sum(component.n_cells for component in components)))
        sample = _stacked([component.some(share) for component in components], self.data.label)
        tokens = self._ablated(join_tokens([component.tokens for component in components]), 0)
        held = [component.held_out for component in components if component.held_out is not None]
        return TrainingSet(tokens, self._ablated(join_tokens(held), 1) if held else None, sample)

    def _real(self, settings: RealCells) -> _Component:
        part = _training_cells(self.data, equal=self.equal)
        train, held = self._divided(self._real_rows(settings), part)
        return _Component(
            part.tokens_of(np.sort(train)),
            part.tokens_of(np.sort(held)) if self.holds_out else None,
            train.size,
            lambda share: part.cells[np.sort(_first_share(train, part.labels[train], share))],
        )

    def _real_rows(self, settings: RealCells) -> Int64Array:
        """Return the rows of the real cells, those of a class in the seed's order."""
        rows = []
        for label in self.labels:
            order = self._order(label)
            if settings.without_dose is not None:
                part = _training_cells(self.data)
                order = order[part.doses[order] != settings.without_dose]
            n = max(1, round(settings.share * order.size)) if settings.per_class is None else settings.per_class
            rows.append(order[:n])
        return np.concatenate(rows)

    def _order(self, label: str) -> Int64Array:
        """Return all training cells of a label in the seed's order, the same in every problem."""
        rows = _training_cells(self.data).rows([label])
        number = list(self.data.facts.labels).index(label)
        return shuffled(rows, key=key_from_rng(run_rng(self.run, "ORDER")), purpose=Purpose.SPLIT, stratum=number)

    def _divided(self, rows: Int64Array, part: LabelledCells) -> tuple[Int64Array, Int64Array]:
        """Divide cells into those to train on and those held out, if any are."""
        if not self.holds_out:
            return rows, rows[:0]
        held = _held_out(part.labels[rows])
        return rows[~held], rows[held]

    def _pseudobulk(self, settings: PseudobulkCells, number: int) -> _Component:
        """Divide the cells first, so that no cell is behind samples on both sides, then aggregate both."""
        part = _training_cells(self.data)
        labels = self.labels if settings.labels is None else settings.labels
        train, held = self._divided(np.concatenate([self._order(label) for label in labels]), part)

        def aggregated(rows: Int64Array, side: int) -> AnnData:
            fewest = min(Counter(part.labels[rows]).values())
            samples = pseudobulk(
                part.cells[np.sort(rows)],
                by=self.data.label,
                k=settings.k,
                strategy=settings.strategy,
                cv=settings.cv,
                # a label with fewer cells than k still gives one sample
                remainder="keep" if fewest < settings.k else "merge",
                thin=settings.thin,
                rng=run_rng(self.run, "AGGREGATE", number, side),
                threads=self.data.facts.threads,
            )
            return self._equalised(samples, number, side)

        made = aggregated(train, 0)
        return _Component(
            _plain(self.data.tokens_of(made), self.data.label),
            _plain(self.data.tokens_of(aggregated(held, 1)), self.data.label) if self.holds_out else None,
            made.n_obs,
            lambda share: made[_first_share(np.arange(made.n_obs), _labels_of(made, self.data.label), share)],
        )

    def _synthetic(self, settings: SyntheticCells, number: int) -> _Component:
        rng = run_rng(self.run, "SYNTHESIZE", number)
        threads = self.data.facts.threads

        def cells(side: Side, share: float = 1.0) -> AnnData:
            wanted = {name: ceil(n * share) for name, n in self._numbers(settings, side).items()}
            made = synthesize(fitted=self._fit(settings, side), n_cells=wanted, rng=rng, threads=threads)
            return self._equalised(made, number, 0)

        def tokens_of(side: Side) -> TokenDataset:
            if self.equal:
                return _plain(self.data.tokens_of(cells(side)), self.data.label)
            # straight to tokens: no matrix of all cells exists
            made = synthesize(
                fitted=self._fit(settings, side),
                n_cells=self._numbers(settings, side),
                rng=rng,
                threads=threads,
                to="tokens",
                vocabulary=self.data.vocabulary,
                label=self.data.label,
                gene_ids=self.data.gene_ids,
            )
            return _plain(made, self.data.label)

        if self.holds_out and settings.method in FROM_CELLS:
            # what regroups real cells regroups those to train on and those held out apart
            tokens = tokens_of("train")
            return _Component(tokens, tokens_of("held out"), len(tokens), lambda share: cells("train", share))
        tokens, held_out = tokens_of("all"), None
        if self.holds_out:
            held = _held_out(tokens.label_values)
            tokens, held_out = (take_tokens(tokens, np.flatnonzero(side)) for side in (~held, held))
        return _Component(tokens, held_out, len(tokens), lambda share: cells("all", share))

    def _fit(self, settings: SyntheticCells, side: Side) -> Fit:
        """Fit a generator to the bulk of the problem's training cells, and the reference cells of a side."""
        same = settings.model_dump(mode="json", exclude={"per_class", "ratio", "labels"})
        seeded = settings.bulk_reads is not None or settings.donors is not None or side != "all"
        key = digest([same, self.labels, side, self.run.seed if seeded else None])
        return self.data.shared("fit", key, lambda: self._new_fit(settings, side), most=_KEPT_FITS)

    def _new_fit(self, settings: SyntheticCells, side: Side) -> Fit:
        part, control = _training_cells(self.data), self.data.facts.control
        of_control = settings.reference == "control"
        if of_control and control is None:
            raise LabelError(
                f"{settings.method} learns from the control's cells, but the study has no control: name it with "
                "control= in [data], or set reference = 'all'"
            )
        held = () if settings.held_dose is None else (settings.held_dose,)
        rows = part.rows([control] if of_control and control is not None else self.labels, without_doses=held)
        if settings.donors is not None:
            rows = self._first_donors(rows, part, settings.donors)
        rows = self._of_side(rows, side)
        return fit_generator(
            self._bulk(settings),
            reference=part.cells[rows],
            method=settings.method,
            threads=self.data.facts.threads,
            **self._settled(settings),
        )

    def _of_side(self, rows: Int64Array, side: Side) -> Int64Array:
        """Return those of some training cells that are on a side."""
        if side == "all":
            return rows
        ordered = np.concatenate([self._order(label) for label in self.labels])
        train, held = self._divided(ordered, _training_cells(self.data))
        return rows[np.isin(rows, held if side == "held out" else train)]

    def _first_donors(self, rows: Int64Array, part: LabelledCells, donors: int) -> Int64Array:
        """Return the first reference cells of each label and dose in the seed's order."""
        ordered = np.concatenate([self._order(str(label)) for label in np.unique(part.labels[rows])])
        ordered = ordered[np.isin(ordered, rows)]
        number = pd.Series(ordered).groupby([part.labels[ordered], part.doses[ordered]], dropna=False).cumcount()
        return np.sort(ordered[number.to_numpy() < donors])

    def _settled(self, settings: SyntheticCells) -> dict[str, Any]:
        """Return a generator's parameters with what the study settles, where they are left at their defaults.

        The control is the study's; variances are the control's where not every class has reference cells.
        """
        settled: dict[str, str] = {}
        if self.data.facts.control is not None:
            settled["control"] = self.data.facts.control
            if settings.reference == "control" or settings.held_dose is not None:
                settled["variance_from"] = "control"
        fields = generator_class(settings.method).model_fields
        parameters = dict(settings.parameters)
        for name, value in settled.items():
            if name in fields and parameters.get(name, fields[name].default) == fields[name].default:
                parameters[name] = value
        return parameters

    def _bulk(self, settings: SyntheticCells) -> AnnData:
        """Return the profiles of the problem's classes, and of the control."""
        control = self.data.facts.control
        labels = {*self.labels} | ({control} if settings.reference == "control" and control is not None else set())
        seed = None if settings.bulk_reads is None else self.run.seed
        key = digest([sorted(labels), settings.held_dose, settings.bulk_reads, settings.bias_sd, seed])
        return self.data.shared("bulk", key, lambda: self._new_bulk(settings, labels), most=_KEPT_BULKS)

    def _new_bulk(self, settings: SyntheticCells, labels: set[str]) -> AnnData:
        part = _training_cells(self.data)
        rows = part.rows(labels, dose=settings.held_dose, control=self.data.facts.control)
        cells, threads = part.cells[rows], self.data.facts.threads
        if settings.bulk_reads is None:
            return bulk_profiles(cells, by=self.data.by, threads=threads)
        normal = np.random.default_rng(run_rng(self.run, "BIAS")).standard_normal(cells.n_vars)
        return sequenced_bulk(
            cells,
            by=self.data.by,
            reads=settings.bulk_reads,
            bias=np.exp(settings.bias_sd * normal),
            key=key_from_rng(run_rng(self.run, "READS")),
            threads=threads,
        )

    def _numbers(self, settings: SyntheticCells, side: Side) -> dict[str, int]:
        """Return the cells to make of each stratum: those of a class in proportion to its real training cells."""
        part = _training_cells(self.data)
        rows = part.rows(self.labels, dose=settings.held_dose, control=self.data.facts.control)
        wanted = Counter(part.labels[rows].tolist())
        if settings.ratio is not None:
            real = next(cells for cells in self.run.training if isinstance(cells, RealCells))
            beside = Counter(part.labels[self._real_rows(real)].tolist())
            wanted = Counter({label: max(1, round(settings.ratio * n)) for label, n in beside.items()})
        elif settings.per_class is not None:
            wanted = Counter(dict.fromkeys(wanted, settings.per_class))
        made = wanted.keys() if settings.labels is None else settings.labels
        missing = sorted({*made} - {*self.labels})
        if missing:
            raise LabelError(f"{missing[0]!r} is no label of the run, so no cells of it can be made")
        if side != "all":
            held = {label: _n_held_out(n) for label, n in wanted.items()}
            wanted = Counter(held) if side == "held out" else wanted - Counter(held)
        strata = strata_of(part.cells.obs.iloc[self._of_side(rows, side)], self.data.by)
        sizes = np.bincount(strata.codes, minlength=len(strata.table)).astype(np.int64)
        labels = strata.table[self.data.label].astype(str).to_numpy()
        shared = share_out(sizes, labels, {label: wanted[label] for label in made})
        return {name: int(n) for name, n in zip(strata.names(), shared, strict=True) if n}

    def _equalised(self, cells: AnnData, number: int, side: int) -> AnnData:
        return self.data.equalised(cells, rng=run_rng(self.run, "EQUALISE", number, side)) if self.equal else cells

    def _ablated(self, tokens: TokenDataset, side: int) -> TokenDataset:
        """Take away the labels or the names of the genes, if the run is to do without."""
        if self.run.ablation == "shuffled_labels":
            rng = np.random.default_rng(run_rng(self.run, "SHUFFLE", side))
            place = tokens.table.schema.get_field_index(self.data.label)
            labels = pa.array(rng.permutation(tokens.label_values.astype(str)).tolist(), pa.string())
            return replace(tokens, table=tokens.table.set_column(place, self.data.label, labels))
        if self.run.ablation == "permuted_genes":
            rng = np.random.default_rng(run_rng(self.run, "PERMUTE"))
            vocabulary = tokens.vocabulary
            genes = np.array(sorted(vocabulary.tokens.values()))
            new = np.arange(vocabulary.size)
            new[genes] = rng.permutation(genes)
            place = tokens.table.schema.get_field_index("input_ids")
            column = tokens.table["input_ids"]
            renamed = pa.chunked_array([_renamed(chunk, new) for chunk in column.chunks], type=column.type)
            return replace(tokens, table=tokens.table.set_column(place, tokens.table.schema.field(place), renamed))
        return tokens


def _training_cells(data: StudyData, *, equal: bool = False) -> LabelledCells:
    part = data.real("train", equal=equal)
    assert part is not None
    return part


def _n_held_out(n: int) -> int:
    """Return how many of n cells of a label are held out: a tenth, one of fewer than ten, unless it is the only one."""
    return n // _HELD_OUT if n >= _HELD_OUT else int(n > 1)


def _held_out(labels: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Mark every tenth cell of each label; the last of a label with fewer."""
    number = pd.Series(labels).groupby(labels, sort=False).cumcount().to_numpy()
    sizes = Counter(labels.tolist())
    size = np.array([sizes[label] for label in labels.tolist()])
    held = np.where(size >= _HELD_OUT, number % _HELD_OUT == _HELD_OUT - 1, (number == size - 1) & (size > 1))
    return np.asarray(held, dtype=bool)


def _first_share(rows: Int64Array, labels: npt.NDArray[np.object_], share: float) -> Int64Array:
    """Return the first of some rows, the share of each label, rounded up."""
    number = pd.Series(labels).groupby(labels, sort=False).cumcount().to_numpy()
    counts = Counter(labels.tolist())
    most = np.array([np.ceil(counts[label] * share) for label in labels.tolist()])
    return rows[number < most]


def _labels_of(cells: AnnData, label: str) -> npt.NDArray[np.object_]:
    return np.asarray(cells.obs[label].astype(str).to_numpy(dtype=object))


def _stacked(samples: Sequence[AnnData], label: str) -> AnnData:
    """Put cells of the same genes below each other."""
    labels = np.concatenate([_labels_of(cells, label) for cells in samples])
    obs = pd.DataFrame({label: pd.Categorical(labels)}, index=[f"cell-{i}" for i in range(labels.size)])
    counts = sp.vstack([sp.csr_matrix(cells.X, dtype=np.float64) for cells in samples], format="csr")
    return make_anndata(counts, obs=obs, var=samples[0].var.copy(), uns={"bulkgen": dict(samples[0].uns["bulkgen"])})


def _plain(tokens: TokenDataset, label: str) -> TokenDataset:
    """Return tokens with those columns alone that all training sets have."""
    return replace(tokens, table=tokens.table.select(["input_ids", "length", "cell_id", label]))


def _renamed(cells: pa.ListArray, new: Int64Array) -> pa.ListArray:
    """Return cells whose tokens have other names."""
    offsets = cells.offsets.to_numpy()
    values = cells.flatten().to_numpy()
    renamed = pa.array(new[values].astype(values.dtype))
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), renamed, type=cells.type)
