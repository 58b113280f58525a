"""Training sets: what a run trains on, made from the training cells alone.

Fewer cells of a generator are the first of more, and every model trains on the same set.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from bulkgen.aggregate import pseudobulk
from bulkgen.io import make_anndata, provenance
from bulkgen.study.data import join_tokens, take_tokens
from bulkgen.study.generation import Generation
from bulkgen.study.run import PseudobulkCells, RealCells
from bulkgen.study.selection import Selection, held_out_of, run_rng
from bulkgen.synthesis import synthesize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from anndata import AnnData

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.splits import Remainder
    from bulkgen.study.data import StudyData
    from bulkgen.study.run import Run, SyntheticCells
    from bulkgen.study.selection import Side
    from bulkgen.tokens import TokenDataset
    from bulkgen.training.synthetic_tokens import SyntheticTokens

__all__ = ["SAMPLE", "HeldOut", "TrainingSet", "make_training_set"]

#: Cells of a training set, at most about, that it is described and compared with real cells by.
SAMPLE = 2000
#: Column of pseudo-bulk with the cells behind each sample.
_CELLS = "n_obs_aggregated"
#: Training sets that a process keeps.
_KEPT_SETS = 2


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A tenth of a training set, of each class, made of other cells than those trained on.

    Attributes
    ----------
    tokens
        The samples: single cells, or pseudo-bulk.
    cells
        Cells behind each sample, shape (samples,).
    small
        Samples of fewer than k/2 cells, where a label and dose has no larger one; others of that size are left out.
    """

    tokens: TokenDataset
    cells: Int64Array
    small: int = 0

    @classmethod
    def of_cells(cls, tokens: TokenDataset) -> HeldOut:
        """Return single cells."""
        return cls(tokens, np.ones(len(tokens), dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Put what several components hold out end to end."""
        cells = np.concatenate([part.cells for part in parts])
        return cls(join_tokens([part.tokens for part in parts]), cells, sum(part.small for part in parts))


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a run trains on.

    Attributes
    ----------
    tokens
        The training cells; of fresh ones, those of the first epoch.
    held_out
        What is validated on; ``None`` where nothing was asked for.
    sample
        Counts of some of the training cells, each component and class in proportion.
    fresh
        What draws the cells of every epoch, for models that train on fresh ones.
    """

    tokens: TokenDataset
    held_out: HeldOut | None
    sample: AnnData
    fresh: SyntheticTokens | None = None


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
    fresh
        Returns what draws them anew in every epoch, beside cells that stay the same; ``None`` for cells that stay.
    """

    tokens: TokenDataset
    held_out: HeldOut | None
    n_cells: int
    some: Callable[[float], AnnData]
    fresh: Callable[[TokenDataset | None], SyntheticTokens] | None = None


@dataclass(frozen=True, eq=False)
class _Maker:
    run: Run
    data: StudyData

    @property
    def selection(self) -> Selection:
        return Selection(self.run, self.data)

    @property
    def equal(self) -> bool:
        return self.run.ablation == "equal_library_sizes"

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
        sample = _stacked([component.some(share) for component in components], [self.data.label])
        tokens = self._ablated(join_tokens([component.tokens for component in components]), 0)
        stored = [component.tokens for component in components if component.fresh is None]
        beside = join_tokens(stored) if stored else None
        fresh = next((component.fresh(beside) for component in components if component.fresh is not None), None)
        held = [component.held_out for component in components if component.held_out is not None]
        if not held:
            return TrainingSet(tokens, None, sample, fresh)
        held_out = HeldOut.joined(held)
        return TrainingSet(tokens, replace(held_out, tokens=self._ablated(held_out.tokens, 1)), sample, fresh)

    def _real(self, settings: RealCells) -> _Component:
        part = self.data.real("train", equal=self.equal)
        assert part is not None
        train, held = self.selection.divided(self.selection.real_rows(settings))
        return _Component(
            part.tokens_of(np.sort(train)),
            HeldOut.of_cells(part.tokens_of(np.sort(held))) if self.run.holds_out else None,
            train.size,
            lambda share: part.cells[np.sort(_first_share(train, part.labels[train], share))],
        )

    def _pseudobulk(self, settings: PseudobulkCells, number: int) -> _Component:
        """Divide the cells first, so that no cell is behind samples on both sides, then aggregate both."""
        part = self.selection.cells
        labels = self.selection.labels if settings.labels is None else settings.labels
        train, held = self.selection.divided(np.concatenate([self.selection.order(label) for label in labels]))

        def aggregated(rows: Int64Array, side: int) -> AnnData:
            """Aggregate the cells of each label and dose; one with fewer than k of them still gives one sample."""
            cells = part.cells[np.sort(rows)]
            sizes = cells.obs.groupby(list(self.data.by), observed=True)[self.data.label].transform("size")
            few = sizes.to_numpy(dtype=np.int64) < settings.k
            sides: tuple[tuple[Remainder, npt.NDArray[np.bool_]], ...] = (("merge", ~few), ("keep", few))
            samples = [
                pseudobulk(
                    cells[chosen],
                    by=self.data.by,
                    k=settings.k,
                    strategy=settings.strategy,
                    cv=0.0 if remainder == "keep" else settings.cv,
                    remainder=remainder,
                    thin=settings.thin,
                    rng=run_rng(self.run, "AGGREGATE", number, side),
                    threads=self.data.facts.threads,
                )
                for remainder, chosen in sides
                if chosen.any()
            ]
            return self._equalised(_stacked(samples, [*self.data.by, _CELLS]), number, side)

        made = aggregated(train, 0)
        return _Component(
            _plain(self.data.tokens_of(made), self.data.label),
            self._held_samples(aggregated(held, 1), settings.k) if self.run.holds_out else None,
            made.n_obs,
            lambda share: made[_first_share(np.arange(made.n_obs), _labels_of(made, self.data.label), share)],
        )

    def _held_samples(self, samples: AnnData, k: float) -> HeldOut:
        """Leave out samples of fewer than k/2 cells, unless a label (at a dose) has no larger one."""
        cells = samples.obs[_CELLS]
        most = samples.obs.groupby(list(self.data.by), observed=True)[_CELLS].transform("max")
        tokens = self.data.tokens_of(samples[((cells >= k / 2) | (most < k / 2)).to_numpy()])
        behind = cells[tokens.column("cell_id").tolist()].to_numpy(dtype=np.int64)
        return HeldOut(_plain(tokens, self.data.label), behind, int((behind < k / 2).sum()))

    def _synthetic(self, settings: SyntheticCells, number: int) -> _Component:
        generation, fresh = Generation(self.selection, settings), self.run.model.fresh_cells
        rng = held_rng = run_rng(self.run, "SYNTHESIZE", number)
        if fresh:
            # a stream of its own: no epoch ever comes to the cells that are held out
            held_rng = run_rng(self.run, "SYNTHESIZE", number, 1)
        threads = self.data.facts.threads

        def cells(side: Side, share: float = 1.0) -> AnnData:
            wanted = {name: ceil(n * share) for name, n in generation.numbers(side).items()}
            made = synthesize(fitted=generation.fit(side), n_cells=wanted, rng=rng, threads=threads)
            return self._equalised(made, number, 0)

        def tokens_of(side: Side) -> TokenDataset:
            if self.equal:
                return _plain(self.data.tokens_of(cells(side)), self.data.label)
            # straight to tokens: no matrix of all cells exists
            made = synthesize(
                fitted=generation.fit(side),
                n_cells=generation.numbers(side),
                rng=held_rng if side == "held out" else rng,
                threads=threads,
                to="tokens",
                vocabulary=self.data.vocabulary,
                label=self.data.label,
                gene_ids=self.data.gene_ids,
            )
            return _plain(made, self.data.label)

        # what is drawn anew in every epoch, or made of real cells, is divided before it is made
        divided = self.run.holds_out and (fresh or generation.regroups)
        side: Side = "train" if divided else "all"
        tokens, held_out = tokens_of(side), None
        if divided and generation.numbers("held out"):
            held_tokens = tokens_of("held out")
            regrouped = generation.regroups
            held_out = self._regrouped(held_tokens, settings) if regrouped else HeldOut.of_cells(held_tokens)
        elif self.run.holds_out and not divided:
            held = held_out_of(tokens.label_values)
            tokens, held_tokens = (take_tokens(tokens, np.flatnonzero(rows)) for rows in (~held, held))
            held_out = HeldOut.of_cells(held_tokens)
        drawn = partial(self._drawn_anew, generation, side, rng) if fresh else None
        return _Component(tokens, held_out, len(tokens), lambda share: cells(side, share), drawn)

    def _drawn_anew(
        self, generation: Generation, side: Side, rng: np.random.SeedSequence, beside: TokenDataset | None
    ) -> SyntheticTokens:
        """Return what draws cells in the loader; in the first epoch they are those that are stored otherwise."""
        from bulkgen.training.synthetic_tokens import SyntheticTokens

        return SyntheticTokens(
            generation.fit(side),
            generation.numbers(side),
            vocabulary=self.data.vocabulary,
            label=self.data.label,
            real=beside,
            gene_ids=self.data.gene_ids,
            rng=rng,
        )

    def _regrouped(self, tokens: TokenDataset, settings: SyntheticCells) -> HeldOut:
        """Count the different cells behind samples of k held-out cells: at most all that the class has of them."""
        k = int(settings.parameters.get("k", 1))
        rows = self.selection.of_side(self.selection.cells.rows(self.selection.labels), "held out")
        there = Counter(self.selection.cells.labels[rows].tolist())
        cells = np.array([min(k, there[label]) for label in tokens.label_values.tolist()], dtype=np.int64)
        return HeldOut(tokens, cells, int((cells < k / 2).sum()))

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


def _first_share(rows: Int64Array, labels: npt.NDArray[np.object_], share: float) -> Int64Array:
    """Return the first of some rows, the share of each label, rounded up."""
    number = pd.Series(labels).groupby(labels, sort=False).cumcount().to_numpy()
    counts = Counter(labels.tolist())
    most = np.array([np.ceil(counts[label] * share) for label in labels.tolist()])
    return rows[number < most]


def _labels_of(cells: AnnData, label: str) -> npt.NDArray[np.object_]:
    return np.asarray(cells.obs[label].astype(str).to_numpy(dtype=object))


def _stacked(samples: Sequence[AnnData], columns: Sequence[str]) -> AnnData:
    """Put cells of the same genes below each other, with some of their columns; the first is the label."""
    obs = pd.concat([cells.obs[list(columns)].astype({columns[0]: str}) for cells in samples])
    obs[columns[0]] = pd.Categorical(obs[columns[0]])
    if not obs.index.is_unique:
        obs.index = pd.Index([f"cell-{i}" for i in range(len(obs))])
    counts = sp.vstack([sp.csr_matrix(cells.X, dtype=np.float32) for cells in samples], format="csr")
    # averages among them are fractions, which cells of unknown origin may not be
    record = provenance("training_sample", {}, key=None, source=None)
    return make_anndata(counts, obs=obs, var=samples[0].var.copy(), uns={"bulkgen": record})


def _plain(tokens: TokenDataset, label: str) -> TokenDataset:
    """Return tokens with those columns alone that all training sets have."""
    return replace(tokens, table=tokens.table.select(["input_ids", "length", "cell_id", label]))


def _renamed(cells: pa.ListArray, new: Int64Array) -> pa.ListArray:
    """Return cells whose tokens have other names."""
    offsets = cells.offsets.to_numpy()
    values = cells.flatten().to_numpy()
    renamed = pa.array(new[values].astype(values.dtype))
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), renamed, type=cells.type)
