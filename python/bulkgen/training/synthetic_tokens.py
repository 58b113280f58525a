"""Fresh synthetic cells, made inside the data loader: no training step sees a cell twice, and nothing is stored."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa

from bulkgen.arguments import checked
from bulkgen.cell_request import MOST_NUMBERS, CellRequest, cells_per_stratum
from bulkgen.errors import LabelError
from bulkgen.fits import Fit, load_fit
from bulkgen.rng import key_from_rng
from bulkgen.synthesis import synthesize_tokens
from bulkgen.tokens.encode import load_vocabulary
from bulkgen.tokens.encoder import Encoder
from bulkgen.tokens.genes import map_genes
from bulkgen.training.labels import LabelMap, label_values
from bulkgen.training.run import need_extra

need_extra("train")

import torch  # noqa: E402 - after the check, whose message says what to install
from torch import distributed  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # noqa: E402

from bulkgen.training.batches import collate, cut_tokens  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.rng import RandomState
    from bulkgen.tokens import TokenDataset, Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath
    from bulkgen.training.batches import Cell

__all__ = ["SyntheticLoader", "SyntheticTokens"]

#: Cells that are drawn, and shuffled, together: so many as give batches of like lengths, few enough for the cache.
_CELLS_PER_BLOCK = 512
#: NumPy draws the classes of a block from no more cells than this.
_MOST_CELLS = 10**9

# what a random order is for: the last part of the seed of its generator
_CLASSES, _REAL, _BLOCK = 1, 2, 3


class _Share(NamedTuple):
    """A block of an epoch: its number in its rank, and per source the first cell and the cells."""

    block: int
    first: Int64Array
    cells: Int64Array


class SyntheticTokens(IterableDataset["Cell | dict[str, torch.Tensor]"]):
    """Fresh synthetic cells as tokens, for :class:`torch.utils.data.DataLoader` and :func:`bulkgen.finetune`.

    An epoch has of every stratum the same number n of cells: those with the numbers ``epoch * n`` to
    ``(epoch + 1) * n - 1``, the cells that :func:`bulkgen.synthesize` gives these numbers. So every epoch can be had
    again, and no two have a cell in common. The workers of a loader, and the ranks of a distributed training
    (``torch.distributed``, else the variables ``RANK`` and ``WORLD_SIZE``), share the cells of an epoch among them,
    each cell once. Cells that express no gene of the vocabulary stay, without tokens.

    The classes come in the order of a full shuffle: blocks of about 512 cells are drawn, each with as many cells of
    every stratum as chance gives it, and shuffled.

    Parameters
    ----------
    fitted
        A fit from :func:`bulkgen.fit_generator`, or the file that it was saved to.
    n_cells
        Cells of an epoch: per stratum, or a mapping from stratum name to cells. With `proportions`, all cells.
    vocabulary, gene_ids, vocabulary_path
        As in :func:`bulkgen.tokenize`.
    proportions
        Share of each stratum in `n_cells`, by name, in any unit; strata that are not named have none.
    label
        The grouping column to predict; may be left out where there is only one.
    real
        Labelled cells that every epoch has too, each once.
    context
        Cells are cut to this many tokens, special tokens included; ``None`` for the vocabulary's context.
    batch_size
        ``None``: iteration gives cells, ``{"input_ids": tokens, "label": class}``, for a loader with a `batch_size` of
        its own. Else padded batches of so many cells of like lengths, for a loader with ``batch_size=None``
        (:meth:`loader`). Every rank has the same number of batches.
    rng
        Seed of the cells and of their order.

    Attributes
    ----------
    fit, vocabulary, label, real, context, batch_size
        As given.
    labels
        The classes.
    epoch
        The epoch of the next iteration, from 0; see :meth:`set_epoch`.

    Raises
    ------
    LabelError
        If `label` is no grouping column, a stratum is not there, or real cells have no label.
    VocabularyMismatchError
        If the real cells were made with another vocabulary.
    GeneOverlapError
        If under 10 % of the fit's genes are genes of the vocabulary.
    ValueError
        For numbers that are out of range.
    MissingExtraError
        If torch is not installed.
    """

    @checked
    def __init__(
        self,
        fitted: Fit | str | Path,
        n_cells: int | Mapping[str, int] = 1000,
        *,
        vocabulary: str | Path | Vocabulary = "V1",
        proportions: Mapping[str, float] | None = None,
        label: str | None = None,
        real: TokenDataset | None = None,
        context: int | None = None,
        batch_size: int | None = None,
        gene_ids: str | None = None,
        vocabulary_path: VocabularyPath | None = None,
        rng: RandomState = 0,
    ) -> None:
        super().__init__()
        self.fit = fitted if isinstance(fitted, Fit) else load_fit(fitted)
        self.vocabulary = load_vocabulary(vocabulary, vocabulary_path)
        self.label = _label_column(self.fit, label)
        self.real = real
        strata = [str(name) for name in self.fit.strata.index]
        numbers = cells_per_stratum(n_cells, strata) if proportions is None else _shares(n_cells, proportions, strata)
        self._numbers = np.array(numbers, dtype=np.int64)
        self._key = key_from_rng(rng)
        self._gene_ids = gene_ids
        # in shared memory, so that workers that outlive an epoch hear of the next
        self._epoch = _shared(0)

        names = [str(name) for name in self.fit.strata[self.label]]
        real_names = np.empty(0, dtype=object)
        if real is not None:
            real.vocabulary.check_same(self.vocabulary, this="the real tokens", that="the synthetic cells")
            real_names = label_values(real, None, what="real")
        counts: dict[str, int] = {}
        for name, number in (
            *zip(names, numbers, strict=True),
            *zip(*np.unique(real_names.astype(str), return_counts=True), strict=True),
        ):
            if number:
                counts[str(name)] = counts.get(str(name), 0) + int(number)
        ordered = tuple(sorted(counts))
        self.labels = LabelMap(self.label, ordered, tuple(counts[name] for name in ordered))
        place = {name: i for i, name in enumerate(ordered)}
        self._class_of_stratum = np.array([place.get(name, -1) for name in names], dtype=np.int64)
        self._class_of_real = np.array([place[name] for name in real_names], dtype=np.int64)
        #: Cells of each source of an epoch: the strata, then the real cells.
        self._sources = np.append(self._numbers, len(self._class_of_real))
        if self.cells >= _MOST_CELLS:
            raise ValueError(f"an epoch has {self.cells} cells; it must have fewer than {_MOST_CELLS}")
        genes = map_genes(self.fit.var, self.vocabulary, gene_ids=gene_ids)
        encoder = Encoder(self.vocabulary, genes, keep_empty=True, counts=False, threads=1)
        self._encoding, self._token_type = encoder.encoding, encoder.token_type.to_pandas_dtype()
        self._rank_when_pickled = (0, 1)
        self._set_shape(batch_size, context)

    def __repr__(self) -> str:
        return (
            f"SyntheticTokens({self.fit!r}, {self.cells:,} cells an epoch, vocabulary={self.vocabulary.name!r}, "
            f"label={self.label!r}, {len(self.labels.names)} labels)"
        )

    def _set_shape(self, batch_size: int | None, context: int | None) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._positions = self.vocabulary.context if context is None else min(context, self.vocabulary.context)
        special = (self._encoding.cls >= 0) + (self._encoding.eos >= 0)
        if context is not None and context <= special:
            raise ValueError(f"context must be more than the {special} special tokens of a cell, got {context}")
        self.batch_size, self.context = batch_size, context
        self._encoding = replace(self._encoding, most_genes=self._positions - special)

    @checked
    def batched(self, batch_size: int, *, context: int | None) -> Self:
        """Return the same cells as batches.

        Parameters
        ----------
        batch_size
            Cells of a batch.
        context
            Tokens that a cell is cut to; ``None`` for the vocabulary's.

        Returns
        -------
        SyntheticTokens
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._epoch = _shared(self.epoch)
        other._set_shape(batch_size, context)
        return other

    @property
    def cells(self) -> int:
        """Cells of an epoch, of all ranks."""
        return int(self._sources.sum())

    @property
    def real_classes(self) -> Int64Array:
        """The class of each real cell."""
        return self._class_of_real

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration, from 0."""
        return int(self._epoch)

    @checked
    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; the workers of a loader hear of it, even if they persist.

        Parameters
        ----------
        epoch
            From 0.

        Raises
        ------
        ValueError
            If the epoch is negative, or so late that there are no numbers left for its cells.
        """
        self._check_epoch(epoch)
        self._epoch.fill_(epoch)

    def _check_epoch(self, epoch: int) -> None:
        if epoch < 0 or (epoch + 1) * int(self._numbers.max()) > MOST_NUMBERS:
            raise ValueError(f"epoch must be from 0 to {MOST_NUMBERS // int(self._numbers.max()) - 1}, got {epoch}")

    def __len__(self) -> int:
        """Return the cells, or batches, of an epoch in this rank."""
        rank, ranks = _rank()
        return self._cells_of_rank(rank, ranks) if self.batch_size is None else len(self._batches(rank, ranks))

    def __iter__(self) -> Iterator[Cell | dict[str, torch.Tensor]]:
        worker, (rank, ranks) = get_worker_info(), _rank()
        part, parts = (0, 1) if worker is None else (worker.id, worker.num_workers)
        if worker is not None and ranks == 1:
            # a worker that was spawned does not know its parent's process group
            rank, ranks = self._rank_when_pickled
        epoch = self.epoch
        sizes = None if self.batch_size is None else self._batches(rank, ranks)
        for share in self._blocks(epoch, rank, ranks):
            if share.block % parts == part:
                cells, lengths = self._draw(epoch, share)
                random = np.random.default_rng((self._key, epoch, _BLOCK, rank, share.block))
                order = random.permutation(len(cells))
                if sizes is None:
                    yield from (cells[i] for i in order)
                    continue
                order = order[np.argsort(-lengths[order], kind="stable")]
                first = share.block * self.batches_per_block
                here = sizes[first : first + self.batches_per_block]
                batches = np.split(order, np.cumsum(here)[:-1])
                for i in random.permutation(len(batches)):
                    batch = _Batch([cells[cell] for cell in batches[i]], self.vocabulary.pad, self._positions)
                    # a worker's batch becomes tensors when its loader unpickles it
                    yield batch.tensors() if worker is None else cast("dict[str, torch.Tensor]", batch)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_rank_when_pickled": _rank()}

    @checked
    def loader(self, *, workers: int = 0, pin_memory: bool = False) -> SyntheticLoader:
        """Return a loader of the batches of an epoch.

        Parameters
        ----------
        workers
            Processes that make cells; 0 to make them in this one, when they are asked for.
        pin_memory
            Put batches where a CUDA device copies from fastest.

        Returns
        -------
        SyntheticLoader
            A :class:`torch.utils.data.DataLoader`.

        Raises
        ------
        ValueError
            If there is no `batch_size`.
        """
        if self.batch_size is None:
            raise ValueError("cells have no batches: pass batch_size= to SyntheticTokens")
        # a worker draws the next block while the batches of the last are used
        options: dict[str, object] = {}
        if workers:
            options = {"prefetch_factor": self.batches_per_block, "persistent_workers": True}
        return SyntheticLoader(self, batch_size=None, num_workers=workers, pin_memory=pin_memory, **options)  # type: ignore[arg-type]

    @checked
    def materialize(self, epoch: int = 0, *, threads: int | None = None) -> TokenDataset:
        """Return the cells of an epoch, of all ranks, as a token data set: stratum by stratum, then the real cells.

        Cells that express no gene of the vocabulary are left out, as :func:`bulkgen.synthesize` does.

        Parameters
        ----------
        epoch
            From 0.
        threads
            Default: the CPUs available.

        Returns
        -------
        TokenDataset
            In memory.

        Raises
        ------
        ValueError
            As :meth:`set_epoch`.
        """
        self._check_epoch(epoch)
        request = CellRequest(self.fit, self._numbers.tolist(), epoch)
        tokens = synthesize_tokens(
            request,
            key=self._key,
            vocabulary=self.vocabulary,
            label=self.label,
            gene_ids=self._gene_ids,
            threads=threads,
        )
        if self.real is None:
            return tokens
        columns = {name: self.real.table[name] for name in ("input_ids", "length", "cell_id")}
        columns[self.label] = pa.array(self.real.label_values, pa.string())
        joined = pa.concat_tables([tokens.table, pa.table(columns)], promote_options="permissive")
        of_both = replace(tokens, table=joined)
        lengths, added = of_both.lengths, len(self.real)
        summary = replace(
            tokens.summary,
            cells_in=tokens.summary.cells_in + added,
            cells_out=lengths.size,
            cells_saturated=tokens.summary.cells_saturated + self.real.summary.cells_saturated,
            tokens_total=int(lengths.sum()),
            tokens_median=float(np.median(lengths)),
            tokens_max=int(lengths.max()),
        )
        return replace(of_both, summary=summary, provenance={**tokens.provenance, "real_cells": added})

    def facts(self) -> dict[str, object]:
        """Return what decides the cells.

        Returns
        -------
        dict
            As JSON can hold it.
        """
        return {
            "fit": self.fit.fingerprint,
            "parameters": self.fit.parameters,
            "key": self._key,
            "label": self.label,
            "gene_ids": self._gene_ids,
            "cells_per_epoch": self.cells,
            "cells_per_stratum": dict(zip(map(str, self.fit.strata.index), self._numbers.tolist(), strict=True)),
            "real_cells": len(self._class_of_real),
        }

    @property
    def batches_per_block(self) -> int:
        """Batches that are drawn together, and whose cells are sorted by length."""
        return max(1, _CELLS_PER_BLOCK // (self.batch_size or _CELLS_PER_BLOCK))

    def _cells_of_rank(self, rank: int, ranks: int) -> int:
        return self.cells * (rank + 1) // ranks - self.cells * rank // ranks

    def _batches(self, rank: int, ranks: int) -> list[int]:
        """Return the sizes of the batches of a rank: all full but the last, and as many in every rank."""
        size = cast("int", self.batch_size)
        cells, most = self._cells_of_rank(rank, ranks), -(-self.cells // ranks)
        n = -(-most // size)
        if self.cells // ranks < n:
            raise ValueError(
                f"{self.cells} cells cannot be dealt to {ranks} ranks so that each has as many batches of {size}; make "
                f"n_cells a multiple of the ranks, or batch_size larger"
            )
        sizes = [size] * (n - 1) + [cells - size * (n - 1)]
        if sizes[-1] == 0:
            # the other ranks have one cell more, and with it a batch more
            sizes[-2:] = [size - 1, 1]
        return sizes

    def _blocks(self, epoch: int, rank: int, ranks: int) -> Iterator[_Share]:
        """Yield the blocks of a rank.

        Every process deals all cells of the epoch to all blocks, which takes no time, and then draws its own. A
        block has as many cells of each source as it would after a shuffle of all.
        """
        random = np.random.default_rng((self._key, epoch, _CLASSES))
        size = _CELLS_PER_BLOCK if self.batch_size is None else self.batches_per_block * self.batch_size
        first = np.concatenate((epoch * self._numbers, [0]))
        left = self._sources.copy()
        for owner in range(rank + 1):
            total = self._cells_of_rank(owner, ranks)
            for block, start in enumerate(range(0, total, size)):
                cells = random.multivariate_hypergeometric(left, min(size, total - start), method="marginals")
                if owner == rank:
                    yield _Share(block, first.copy(), cells)
                first += cells
                left -= cells

    def _draw(self, epoch: int, share: _Share) -> tuple[list[Cell], Int64Array]:
        """Return the cells of a block, and their lengths."""
        *synthetic, real = share.cells.tolist()
        room = self._encoding.room(len(self._encoding.token))
        tokens = np.empty(sum(synthetic) * room, dtype=self._token_type)
        lengths, genes = np.empty((2, sum(synthetic)), dtype=np.int64)
        start = done = 0
        for stratum, n in enumerate(synthetic):
            if n:
                here = slice(done, done + n)
                self.fit.fitted.sample_tokens(
                    stratum,
                    self._encoding,
                    tokens[start:],
                    lengths[here],
                    genes[here],
                    key=self._key,
                    first_cell=int(share.first[stratum]),
                )
                start += int(lengths[here].sum())
                done += n
        ends = np.cumsum(lengths).tolist()
        classes = np.repeat(self._class_of_stratum, synthetic).tolist()
        starts = [0, *ends[:-1]]
        cells: list[Cell] = [
            {"input_ids": tokens[a:b], "label": kind} for a, b, kind in zip(starts, ends, classes, strict=True)
        ]
        if self.real is not None and real:
            order = np.random.default_rng((self._key, epoch, _REAL)).permutation(len(self._class_of_real))
            for cell in order[share.first[-1] : share.first[-1] + real]:
                ids = cut_tokens(self.real.input_ids(int(cell)), self.context, eos=self.vocabulary.eos)
                cells.append({"input_ids": ids, "label": int(self._class_of_real[cell])})
            lengths = np.array([len(cell["input_ids"]) for cell in cells], dtype=np.int64)
        return cells, lengths


@dataclass(frozen=True)
class _Batch:
    """Cells of a batch, which are pickled end to end in two bytes a token and unpickled as padded tensors.

    A loader would put tensors of a worker into shared memory, sixteen bytes a token, and fetch each through a socket.
    """

    cells: list[Cell]
    pad: int
    positions: int

    def tensors(self) -> dict[str, torch.Tensor]:
        return collate(self.cells, pad=self.pad, positions=self.positions)

    def __reduce__(self) -> tuple[object, ...]:
        tokens = [cell["input_ids"] for cell in self.cells]
        ends = np.cumsum([len(ids) for ids in tokens])
        labels = [cell["label"] for cell in self.cells]
        return _unpickled, (np.concatenate(tokens), ends, labels, self.pad, self.positions)


def _unpickled(
    tokens: npt.NDArray[np.integer], ends: Int64Array, labels: list[int], pad: int, positions: int
) -> dict[str, torch.Tensor]:
    rows = np.split(tokens, ends[:-1])
    cells: list[Cell] = [{"input_ids": ids, "label": label} for ids, label in zip(rows, labels, strict=True)]
    return _Batch(cells, pad, positions).tensors()


class SyntheticLoader(DataLoader["dict[str, torch.Tensor]"]):
    """The batches of :class:`SyntheticTokens`; knows their epochs, as the Trainer of Hugging Face asks for."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        cast("SyntheticTokens", self.dataset).set_epoch(epoch)


def _shared(number: int) -> torch.Tensor:
    shared: torch.Tensor = torch.tensor(number).share_memory_()  # type: ignore[no-untyped-call]
    return shared


def _rank() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks; workers of a loader inherit the variables."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _label_column(fit: Fit, label: str | None) -> str:
    columns = [str(name) for name in fit.strata.columns]
    if label is None and len(columns) == 1:
        return columns[0]
    if label not in columns:
        asked = "label is needed" if label is None else f"the fit has no grouping column {label!r}"
        raise LabelError(f"{asked}; its columns: {', '.join(map(repr, columns))}")
    return label


def _shares(n_cells: int | Mapping[str, int], proportions: Mapping[str, float], names: list[str]) -> list[int]:
    """Deal cells to the strata in proportion, those left over to the largest remainders."""
    if not isinstance(n_cells, int) or isinstance(n_cells, bool) or n_cells < 1:
        raise ValueError(f"with proportions n_cells is the number of all cells, at least 1, got {n_cells!r}")
    unknown = [name for name in proportions if name not in names]
    if unknown:
        raise LabelError(f"proportions names the stratum {unknown[0]!r}; strata: {', '.join(map(repr, names))}")
    parts: npt.NDArray[np.float64] = np.array([float(proportions.get(name, 0.0)) for name in names])
    if not np.isfinite(parts).all() or parts.min() < 0 or parts.sum() == 0:
        raise ValueError(f"proportions must be at least 0 and not all 0, got {dict(proportions)}")
    exact = n_cells * parts / parts.sum()
    numbers = np.floor(exact).astype(np.int64)
    largest = np.argsort(-(exact - numbers), kind="stable")[: n_cells - int(numbers.sum())]
    numbers[largest] += 1
    return [int(number) for number in numbers]
