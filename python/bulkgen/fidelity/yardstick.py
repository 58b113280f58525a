"""What cells are measured against in one trial: real training and test cells, their space, and trained models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.fidelity.cells import Cells
from bulkgen.fidelity.drawing import DONOR
from bulkgen.fidelity.measure import MACRO, check_groups, measure
from bulkgen.fidelity.representation import column_moments
from bulkgen.fidelity.space import Space
from bulkgen.fidelity.utility import train_and_test
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of
from bulkgen.tokens import Vocabulary, tokenize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.fidelity.metrics import MetricGroup
    from bulkgen.fidelity.tasks import Trial
    from bulkgen.fidelity.utility import Model
    from bulkgen.kernels.protocol import Float64Array, Int64Array
    from bulkgen.tokens import TokenDataset
    from bulkgen.training import Scores

__all__ = ["Score", "Yardstick"]


@dataclass(frozen=True)
class Score:
    """One number: a metric of a class, or of all (:data:`bulkgen.fidelity.MACRO`)."""

    metric: str
    label: str
    value: float
    model: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The real cells of a trial, ready to measure others.

    Attributes
    ----------
    training, test
        The real cells, tokens included.
    space
        Where metrics compare.
    label
        Column of the classes.
    vocabulary, gene_ids
        How cells become tokens.
    names
        Names of the training cells.
    groups
        Groups of metrics that are measured.
    rng
        Seed of the training of models.
    threads
        As everywhere.
    """

    training: Cells
    test: Cells
    space: Space
    label: str
    vocabulary: Vocabulary
    gene_ids: str | None
    names: pd.Index
    groups: tuple[MetricGroup, ...]
    rng: np.random.SeedSequence
    threads: int | None

    @classmethod
    def of(
        cls,
        trial: Trial,
        *,
        groups: Collection[MetricGroup] | None,
        vocabulary: Vocabulary | None,
        gene_ids: str | None,
        rng: np.random.SeedSequence,
        threads: int | None,
    ) -> Yardstick:
        """Prepare real cells.

        Parameters
        ----------
        trial
            The trial.
        groups
            Groups of metrics to measure, beside utility; ``None`` for all.
        vocabulary
            ``None``: fitted to the training cells.
        gene_ids
            Column of ``var`` with the ids that the vocabulary knows; by default ``var_names``.
        rng, threads
            Seed of metrics and models; threads.
        """
        train, test, label = trial.train, trial.test, trial.label
        if vocabulary is None:
            vocabulary = Vocabulary.fit(train, gene_ids=gene_ids)
        numbers = None if trial.group is None else _common_groups(train, test, trial.group)

        def cells(adata: AnnData, here: slice) -> Cells:
            tokens = _tokens(adata, label=label, vocabulary=vocabulary, gene_ids=gene_ids, threads=threads)
            made = Cells.from_anndata(adata, label=label, tokens=tokens)
            return made if numbers is None else replace(made, group=numbers[here])

        training = cells(train, slice(0, train.n_obs))
        tested = cells(test, slice(train.n_obs, None))
        space = Space.fit(training, tested, control=trial.control, key=key_from_rng(rng))
        wanted = check_groups(groups)
        return cls(training, tested, space, label, vocabulary, gene_ids, train.obs_names, wanted, rng, threads)

    def ceiling(self, rows: Int64Array) -> Cells:
        """Return these real training cells as if a generator had made them."""
        standing = self.training.as_synthetic()
        return standing if len(rows) == len(standing) else standing.take(rows)

    def cells(self, synthetic: AnnData) -> Cells:
        """Take synthetic cells, with their tokens, and their donors where ``obs["donor"]`` names training cells."""
        tokens = _tokens(
            synthetic, label=self.label, vocabulary=self.vocabulary, gene_ids=self.gene_ids, threads=self.threads
        )
        donor = None
        if DONOR in synthetic.obs:
            donor = self.names.get_indexer(synthetic.obs[DONOR].astype(str)).astype(np.int64)
        return Cells.from_anndata(synthetic, label=self.label, donor=donor, tokens=tokens)

    def metrics(self, cells: Cells) -> Iterator[Score]:
        """Measure everything that needs the cells alone."""
        found = measure(self.space, cells, groups=self.groups)
        columns = (found[name] for name in ("metric", "label", "value", "note"))
        for metric, label, value, note in zip(*columns, strict=True):
            yield Score(str(metric), str(label), float(value), note=str(note))

    def utility(self, cells: Cells, model: Model) -> Iterator[Score]:
        """Train a model on the cells and score it on the real test cells."""
        assert cells.tokens is not None
        assert self.test.tokens is not None
        scores = train_and_test(model, cells.tokens, self.test.tokens, rng=self.rng, threads=self.threads)
        yield from _scores(scores, model.shown)

    def majority(self) -> Iterator[Score]:
        """Score the commonest training label given to every test cell."""
        labels, numbers = np.unique(self.training.labels, return_counts=True)
        commonest = labels[np.argmax(numbers)]
        classes, support = np.unique(self.test.labels, return_counts=True)
        recall = (classes == commonest).astype(float)
        share = float(support[classes == commonest].sum() / support.sum())
        yield Score("tstr_balanced_accuracy", MACRO, float(recall.mean()))
        yield Score("tstr_macro_f1", MACRO, 2 * share / (1 + share) / len(classes))
        for name, value in zip(classes, recall, strict=True):
            yield Score("tstr_recall", str(name), float(value))

    def genes(self, cells: Cells) -> pd.DataFrame:
        """Compare mean and share of zeros of each gene over all cells with those of the real test cells."""
        real, made = self.test.counts, cells.counts
        return pd.DataFrame(
            {
                "gene": self.test.genes.astype(str),
                "real_mean": column_moments(real)[0],
                "mean": column_moments(made)[0],
                "real_zeros": _zeros(real),
                "zeros": _zeros(made),
            }
        )

    def projection(self, cells: Cells, *, most: int = 300) -> pd.DataFrame:
        """Put up to `most` cells of each label into the plane of the training cells' first two components."""
        view = self.space.view(cells)
        parts = []
        for label in self.space.labels:
            seen = view[label]
            points = seen.coordinates[seen.some(most), :2]
            parts.append(pd.DataFrame({"label": label, "x": points[:, 0], "y": points[:, 1]}))
        return pd.concat(parts, ignore_index=True)


def _scores(scores: Scores, model: str) -> Iterator[Score]:
    yield Score("tstr_balanced_accuracy", MACRO, scores.balanced_accuracy, model)
    yield Score("tstr_macro_f1", MACRO, scores.macro_f1, model)
    for label in scores.present:
        yield Score("tstr_recall", label, scores.per_class[label]["recall"], model)


def _tokens(
    adata: AnnData, *, label: str, vocabulary: Vocabulary, gene_ids: str | None, threads: int | None
) -> TokenDataset:
    return tokenize(
        adata,
        vocabulary=vocabulary,
        label=label,
        gene_ids=gene_ids,
        keep_empty=True,
        allow_fractional=True,
        threads=threads,
    )


def _common_groups(train: AnnData, test: AnnData, group: str) -> Int64Array:
    """Give the groups of training and test cells one numbering."""
    both = pd.concat([train.obs[[group]].astype(str), test.obs[[group]].astype(str)], ignore_index=True)
    return strata_of(both, group).codes


def _zeros(counts: sp.csr_matrix) -> Float64Array:
    """Return the share of cells without a count of each gene."""
    found = np.bincount(counts.indices[counts.data > 0], minlength=counts.shape[1])
    share: Float64Array = 1 - found / max(1, counts.shape[0])
    return share
