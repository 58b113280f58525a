"""What generators are tried on: a task turns real labelled cells into trials, one per seed.

Everything that a generator or a model may learn from comes from a trial's training cells; its test cells are touched
only to score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.errors import LabelError
from bulkgen.fidelity.sequencing import sequenced_bulk
from bulkgen.io import canonical_counts, make_anndata, provenance
from bulkgen.profiles import bulk_profiles
from bulkgen.rng import key_from_rng
from bulkgen.splits import split_benchmark, strata_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    from anndata import AnnData

    from bulkgen.kernels.protocol import Float64Array, Int64Array
    from bulkgen.splits import Strata

__all__ = ["TASKS", "LabelControlTask", "LabelTask", "Task", "Trial", "VirtualDrugs", "at_most", "make_task"]


@dataclass(frozen=True, eq=False)
class Trial:
    """One seed of a task.

    Attributes
    ----------
    train, test
        Labelled real cells, without a cell (or source cell, or group) in common.
    bulk
        Profiles of the training cells, as :func:`bulkgen.bulk_profiles` gives them.
    reference
        The single cells that generators may learn from: training cells, as a rule the controls alone.
    label
        Column of the classes.
    by
        The columns that the profiles are grouped by, `label` first.
    make_bulk
        Makes the profiles of any part of the training cells.
    control
        The control's label, or ``None``.
    group
        Column that says which cells belong together (donor, patient, family of source cells), or ``None``.
    """

    train: AnnData
    test: AnnData
    bulk: AnnData
    reference: AnnData
    label: str
    by: tuple[str, ...]
    make_bulk: Callable[[AnnData], AnnData]
    control: str | None = None
    group: str | None = None

    def without(self, held: Int64Array) -> Trial:
        """Return the trial as if some training cells had never been there, neither in the bulk nor in the reference.

        Parameters
        ----------
        held
            Rows of the training cells to leave out.
        """
        names = self.train.obs_names[held]
        train = self.train[~self.train.obs_names.isin(names)].copy()
        reference = self.reference[~self.reference.obs_names.isin(names)].copy()
        return replace(self, train=train, bulk=self.make_bulk(train), reference=reference)

    def folds(self, n_folds: int, *, key: int) -> Int64Array:
        """Divide the training cells: the fold of each, stratified by label; a group is in one fold alone.

        With fewer groups than folds are asked for there are as many folds as groups.

        Raises
        ------
        LabelError
            If a label has fewer cells than folds are asked for, or all cells are of one group.
        """
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        labels = strata_of(self.train.obs, self.label).codes
        fewest = int(np.bincount(labels).min())
        if fewest < n_folds:
            raise LabelError(f"a label has {fewest} training cell(s), fewer than the {n_folds} folds")
        groups = None
        if self.group is not None:
            strata = strata_of(self.train.obs, self.group)
            if len(strata.table) < 2:
                raise LabelError(f"all training cells are of one {self.group!r}, which leaves nothing to hold out")
            groups, n_folds = strata.codes, min(n_folds, len(strata.table))
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        splitter = kind(n_folds, shuffle=True, random_state=key & 0xFFFF_FFFF)
        fold = np.zeros(labels.size, np.int64)
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            fold[held] = number
        return fold

    def numbers(self, n_cells: int | None = None) -> dict[str, int]:
        """Return the cells to generate of each stratum of the bulk.

        Parameters
        ----------
        n_cells
            Cells of each class, over its strata in proportion to the training cells; by default as many as there are
            training cells.
        """
        strata = strata_of(self.train.obs, self.by)
        sizes = np.bincount(strata.codes, minlength=len(strata.table))
        if n_cells is not None:
            labels = strata.table[self.label].astype(str).to_numpy(dtype=object)
            sizes = share_out(sizes, labels, dict.fromkeys(labels, n_cells))
        return {name: int(size) for name, size in zip(strata.names(), sizes, strict=True)}

    def some(self, numbers: Mapping[str, int], *, key: int) -> Int64Array:
        """Choose training cells at random, so many of each stratum or all that it has: their rows, ascending."""
        return at_most(strata_of(self.train.obs, self.by), numbers, key=key)


def share_out(sizes: Int64Array, labels: npt.NDArray[np.object_], wanted: Mapping[str, int]) -> Int64Array:
    """Share the cells wanted of each label out to its strata.

    Parameters
    ----------
    sizes
        Cells that each stratum has; its share is in proportion.
    labels
        Label of each stratum.
    wanted
        Cells by label; none of a label that is not named.
    """
    numbers = np.zeros(sizes.size, np.int64)
    for label, n_cells in wanted.items():
        here = labels == label
        # differences of the rounded cumulative shares add up to n_cells
        ends = np.floor(np.cumsum(sizes[here]) / sizes[here].sum() * n_cells + 0.5)
        numbers[here] = np.diff(ends, prepend=0).astype(np.int64)
    return numbers


@dataclass(frozen=True)
class Task(ABC):
    """A design of trials, as plain settings."""

    #: Name on the command line and in results.
    name: ClassVar[str]

    label: str

    @abstractmethod
    def trial(self, real: AnnData, *, rng: np.random.SeedSequence, threads: int | None = None) -> Trial:
        """Make the trial of one seed.

        Parameters
        ----------
        real
            Labelled real cells, raw counts. Not changed.
        rng
            The seed; the same one gives the same trial.
        threads
            Default: the CPUs available.
        """

    @property
    def mixed(self) -> str | None:
        """What is not as measured in this task's cells, or ``None`` where they are real cells."""
        return None

    def settings(self) -> dict[str, object]:
        """Return the name and all settings."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class LabelTask(Task):
    """Any column of labels.

    Attributes
    ----------
    label
        The column.
    by
        Further columns that the bulk profiles are grouped by (cell type, patient).
    group
        Column of donors or patients: each is either in training or in test.
    test_fraction
        Share of the cells to test on.
    """

    name: ClassVar[str] = "label"

    by: tuple[str, ...] = ()
    group: str | None = None
    test_fraction: float = 0.3

    def trial(self, real: AnnData, *, rng: np.random.SeedSequence, threads: int | None = None) -> Trial:
        """Split the cells; the reference is all training cells."""
        train, test = self._split(real, rng)
        columns = (self.label, *self.by)
        make_bulk = partial(bulk_profiles, by=columns, threads=threads)
        return Trial(train, test, make_bulk(train), train, self.label, columns, make_bulk, group=self.group)

    def _split(self, real: AnnData, rng: np.random.SeedSequence) -> tuple[AnnData, AnnData]:
        if self.group is not None:
            return _split_by_group(
                real, label=self.label, group=self.group, test_fraction=self.test_fraction, key=key_from_rng(rng)
            )
        split = split_benchmark(
            real,
            label=self.label,
            test_fraction=self.test_fraction,
            validation_fraction=0.0,
            stratify_by=self.by,
            rng=rng,
        )
        return split.train, split.test


@dataclass(frozen=True)
class LabelControlTask(LabelTask):
    """Labels of which one is the control: single cells are there of the control alone, bulk of every label.

    Attributes
    ----------
    control
        The control's label.
    by
        Columns within which a label is compared with its own control (cell type, patient).
    reference
        ``"control"``: generators learn from the control's training cells. ``"all"``: from all training cells.
    """

    name: ClassVar[str] = "label_control"

    control: str = ""
    reference: Literal["control", "all"] = "control"

    def trial(self, real: AnnData, *, rng: np.random.SeedSequence, threads: int | None = None) -> Trial:
        """Split the cells; the reference is the control's training cells, unless all were asked for."""
        trial = super().trial(real, rng=rng, threads=threads)
        controls = _labelled(trial.train, self.label, self.control)
        return replace(trial, reference=controls if self.reference == "control" else trial.train, control=self.control)


@dataclass(frozen=True)
class VirtualDrugs(Task):
    """Effects of known size: each drug replaces a share of a control cell's molecules by those of another line's cell.

    The control class is real cells of one line. A cell of a drug is a real cell of that line mixed with a real cell of
    one other line; every cell is thinned to a library size of its own. No source cell serves both training and test.

    Within each of the two the source cells of every line are dealt into families, and only cells of one family are
    mixed. A source cell serves several cells, of several drugs, but all of them are of its family: whoever keeps
    families together (:attr:`Trial.group`) has no source cell of any line on both sides.

    Attributes
    ----------
    label
        Column of the lines (or cell types).
    control
        The line that the drugs act on.
    alpha
        Expected share of the molecules from the other line: the size of the effect.
    library_size, library_size_sd
        Median of the library sizes, and standard deviation of their logarithms (log-normal).
    n_train, n_test
        Cells of each class.
    bulk_reads
        Reads of each bulk profile.
    platform_bias
        Standard deviation of a gene-wise log-normal factor that all bulk profiles share (gene length, capture), as
        between bulk and single-cell platforms.
    """

    name: ClassVar[str] = "virtual_drugs"

    control: str
    alpha: float = 0.2
    library_size: float = 4800.0
    library_size_sd: float = 0.3
    n_train: int = 250
    n_test: int = 150
    bulk_reads: int = 20_000_000
    platform_bias: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be in (0, 1), got {self.alpha}")
        for name in ("library_size", "n_train", "n_test", "bulk_reads"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("library_size_sd", "platform_bias"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    @property
    def mixed(self) -> str:
        """What the cells are."""
        return (
            f"virtual drugs: real cells of {self.control} in which {self.alpha:.0%} of the molecules come from real "
            f"cells of another {self.label}, thinned to about {self.library_size:,.0f} UMIs. No such drug was measured."
        )

    def trial(self, real: AnnData, *, rng: np.random.SeedSequence, threads: int | None = None) -> Trial:
        """Mix the cells of one seed; the reference is the training cells of the control class alone."""
        generator = np.random.default_rng(key_from_rng(rng))
        counts = canonical_counts(real.X, require_integers=True, cell_names=real.obs_names, gene_names=real.var_names)
        train_sources, test_sources = self._sources(real, generator)
        train = self._mix(real, counts, train_sources, self.n_train, "train", generator)
        test = self._mix(real, counts, test_sources, self.n_test, "test", generator)
        # one factor per gene for all profiles of a seed
        bias = generator.lognormal(0.0, self.platform_bias, real.n_vars)
        make_bulk = partial(
            sequenced_bulk,
            by=_DRUG,
            reads=self.bulk_reads,
            bias=bias,
            key=int(generator.integers(2**63)),
            threads=threads,
        )
        reference = _labelled(train, _DRUG, self.control)
        return Trial(train, test, make_bulk(train), reference, _DRUG, (_DRUG,), make_bulk, self.control, _FAMILY)

    def _sources(
        self, real: AnnData, generator: np.random.Generator
    ) -> tuple[dict[str, Int64Array], dict[str, Int64Array]]:
        """Return the source cells of training and of test, by line."""
        strata = strata_of(real.obs, self.label)
        lines = dict(zip(strata.names(), strata.rows(), strict=True))
        if self.control not in lines or len(lines) < 2:
            raise LabelError(
                f"virtual drugs need cells of the control {self.control!r} and of another value of {self.label!r}; "
                f"values: {', '.join(map(repr, lines))}"
            )
        share = self.n_train / (self.n_train + self.n_test)
        train, test = {}, {}
        for line, rows in lines.items():
            n = round(rows.size * share)
            if not 2 <= n < rows.size:
                raise LabelError(f"{self.label} {line!r} has {rows.size} cells, too few to make training and test of")
            order = generator.permutation(rows)
            train[line], test[line] = order[:n], order[n:]
        return train, test

    def _mix(
        self,
        real: AnnData,
        counts: sp.csr_matrix,
        sources: dict[str, Int64Array],
        n_cells: int,
        part: str,
        generator: np.random.Generator,
    ) -> AnnData:
        families = _families(sources, n_cells)
        family = np.arange(n_cells) % len(families[self.control])
        blocks, obs = [], []
        for line in (self.control, *(line for line in sources if line != self.control)):
            base = _drawn(families[self.control], family, generator)
            sizes = generator.lognormal(np.log(self.library_size), self.library_size_sd, n_cells)
            label, other_names = self.control, np.full(n_cells, "")
            if line == self.control:
                cells = _thinned(counts[base], sizes, generator)
            else:
                other = _drawn(families[line], family, generator)
                label, other_names = f"{self.control}+{line}", real.obs_names[other].astype(str)
                cells = _thinned(counts[base], (1 - self.alpha) * sizes, generator)
                cells += _thinned(counts[other], self.alpha * sizes, generator)
            blocks.append(cells)
            names = [f"{part}-{number}" for number in family]
            base_names = real.obs_names[base].astype(str)
            obs.append(pd.DataFrame({_DRUG: label, _SOURCE: base_names, _OTHER: other_names, _FAMILY: names}))
        matrix = sp.vstack(blocks, format="csr").astype(np.float32)
        table = pd.concat(obs, ignore_index=True)
        table.index = pd.Index([f"{part}-{i}" for i in range(len(table))])
        table[_DRUG] = pd.Categorical(table[_DRUG])
        record = provenance("mixed", {**self.settings(), "part": part}, key=None, source=real)
        return make_anndata(
            matrix, obs=table, var=real.var.copy(), uns={"bulkgen": {**record, "simulated": self.mixed}}
        )


#: Columns of the virtual drugs' cells: class, source cells of the control and of the other line (empty in controls).
_DRUG, _SOURCE, _OTHER, _FAMILY = "virtual_drug", "source_cell", "other_source_cell", "family"
#: Families of source cells: enough for folds of several families each, but of this many cells of every line if there
#: are as many, so that a family still mixes many pairs; whatever the size, no fewer than a cross-validation has folds.
_MOST_FAMILIES, _FAMILY_SIZE, _FEWEST_FAMILIES = 12, 3, 3


def _families(sources: Mapping[str, Int64Array], n_cells: int) -> dict[str, list[Int64Array]]:
    """Deal the source cells of each line, in random order already, evenly into the same number of families.

    Every class gets cells of every family.
    """
    fewest = min(rows.size for rows in sources.values())
    wanted = max(_FEWEST_FAMILIES, min(_MOST_FAMILIES, fewest // _FAMILY_SIZE))
    number = min(wanted, fewest, n_cells)
    return {line: np.array_split(rows, number) for line, rows in sources.items()}


def _drawn(families: Sequence[Int64Array], family: Int64Array, generator: np.random.Generator) -> Int64Array:
    """Give each cell a source cell of its family; those of a family serve equally often, give or take once."""
    rows = np.empty(family.size, np.int64)
    for number, members in enumerate(families):
        here = np.flatnonzero(family == number)
        # a new order each round: the same pairs would meet in every one
        rounds = [generator.permutation(members) for _ in range(-(-here.size // members.size))]
        rows[here] = np.concatenate(rounds)[: here.size]
    return rows


def at_most(strata: Strata, numbers: Mapping[str, int], *, key: int) -> Int64Array:
    """Choose cells at random, at most so many of each stratum (all of one without a number): their rows, ascending."""
    generator = np.random.default_rng(key)
    chosen = [
        generator.permutation(rows)[: numbers.get(name, rows.size)]
        for name, rows in zip(strata.names(), strata.rows(), strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _thinned(cells: sp.csr_matrix, targets: Float64Array, generator: np.random.Generator) -> sp.csr_matrix:
    """Keep each molecule with the probability that brings a cell to its target library size, at most 1."""
    totals = np.asarray(cells.sum(axis=1), dtype=np.float64).ravel()
    kept = np.minimum(1.0, np.divide(targets, totals, out=np.ones_like(totals), where=totals > 0))
    drawn = generator.binomial(cells.data.astype(np.int64), np.repeat(kept, np.diff(cells.indptr)))
    thinned = sp.csr_matrix((drawn, cells.indices.copy(), cells.indptr.copy()), shape=cells.shape)
    thinned.eliminate_zeros()
    return thinned


def _labelled(cells: AnnData, label: str, value: str) -> AnnData:
    """Return the cells of one label."""
    found = (cells.obs[label].astype(str) == value).to_numpy()
    if not found.any():
        values = ", ".join(repr(str(name)) for name in cells.obs[label].unique())
        raise LabelError(f"control={value!r} is not among the values of {label!r}: {values}")
    return cells[found].copy()


def _split_by_group(
    real: AnnData, *, label: str, group: str, test_fraction: float, key: int
) -> tuple[AnnData, AnnData]:
    """Put whole groups into test, with about the share of every label that was asked for."""
    from sklearn.model_selection import StratifiedGroupKFold

    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must be in (0, 1), got {test_fraction}")
    labels, groups = strata_of(real.obs, label), strata_of(real.obs, group)
    n_folds = min(len(groups.table), max(2, round(1 / test_fraction)))
    if n_folds < 2:
        raise LabelError(f"column {group!r} has one value, but training and test need at least one each")
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=key & 0xFFFF_FFFF)
    classes = np.arange(len(labels.table))
    for train, test in folds.split(labels.codes, labels.codes, groups.codes):
        if all(np.isin(classes, labels.codes[rows]).all() for rows in (train, test)):
            return real[train].copy(), real[test].copy()
    raise LabelError(
        f"no division of the {len(groups.table)} groups of {group!r} leaves every label of {label!r} in both training "
        "and test; every label needs cells in at least two groups"
    )


#: Tasks by name.
TASKS: dict[str, type[Task]] = {task.name: task for task in (LabelTask, LabelControlTask, VirtualDrugs)}


def make_task(
    name: str | None,
    *,
    label: str,
    control: str | None = None,
    by: str | Sequence[str] | None = None,
    group: str | None = None,
    **settings: object,
) -> Task:
    """Build a task from its name and settings.

    Parameters
    ----------
    name
        A name of :data:`TASKS`; by default ``label_control`` where a control is named, else ``label``.
    label, control, by, group
        As in :func:`bulkgen.benchmark_generators`.
    **settings
        Further fields of the task.

    Raises
    ------
    ValueError
        If there is no such task, or it does not have or lacks a setting.
    """
    name = name or ("label" if control is None else "label_control")
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(map(repr, TASKS))}, got {name!r}")
    cls = TASKS[name]
    columns = None if by is None else (by,) if isinstance(by, str) else tuple(by)
    given = {"control": control, "by": columns, "group": group, **settings}
    given = {key: value for key, value in given.items() if value is not None}
    known = [key for key in cls.__dataclass_fields__ if key != "label"]
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ValueError(f"task {name!r} has no setting {unknown[0]!r}; it has {', '.join(known)}")
    if "control" in known and not given.get("control"):
        raise ValueError(f"task {name!r} needs control=, the label of the control cells (--control)")
    return cls(label=label, **given)
