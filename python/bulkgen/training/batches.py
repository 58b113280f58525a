"""Token data sets as batches for torch: cutting, padding, and batches of cells of like length."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.distributed import Processes

__all__ = [
    "Cell",
    "Cells",
    "LengthGroupedSampler",
    "ProcessBatches",
    "TrainingLoader",
    "balanced_cells",
    "collate",
    "cut_lengths",
    "cut_tokens",
    "padded_length",
]

#: Batches whose cells are sorted by length together: enough for little padding, few enough to stay random.
_BATCHES_PER_GROUP = 50
_PAD_TO_MULTIPLE = 8


class Cell(TypedDict):
    """One cell: its tokens (a view), and its class or -1."""

    input_ids: npt.NDArray[np.integer]
    label: int


#: Stands in a batch without cells, for a process that has to go through the model with the others: its class is the
#: one that torch's cross-entropy leaves out, and the Trainer's number of cells too.
_NO_CELL: Cell = {"input_ids": np.empty(0, dtype=np.int64), "label": -100}


def cut_tokens(tokens: npt.NDArray[np.integer], context: int | None, *, eos: int | None) -> npt.NDArray[np.integer]:
    """Cut a cell to a context; a closing ``<eos>`` stays its last token (``<cls>``, the first, stays anyway).

    Parameters
    ----------
    tokens
        Shape (length,).
    context
        Most tokens to keep; ``None`` for all.
    eos
        The ``<eos>`` of the vocabulary, if it has one.
    """
    if context is None or len(tokens) <= context:
        return tokens
    if eos is None or tokens[-1] != eos:
        return tokens[:context]
    return np.concatenate((tokens[: context - 1], tokens[-1:]))


def cut_lengths(tokens: TokenDataset, context: int | None) -> npt.NDArray[np.int64]:
    """Return the tokens of each cell after :func:`cut_tokens`, shape (cells,)."""
    return tokens.lengths if context is None else np.minimum(tokens.lengths, context)


class Cells(Dataset[Cell]):
    """Cells of a token data set, in an order of one's own; tokens stay the views that they are.

    Attributes
    ----------
    lengths
        Tokens of each cell after cutting, in the order of this data set; shape (cells,).
    order
        Cell of the token data set at each place; shape (cells,).
    """

    def __init__(
        self,
        tokens: TokenDataset,
        *,
        context: int | None,
        classes: npt.NDArray[np.int64] | None = None,
        sort_by_length: bool = False,
    ) -> None:
        self._tokens, self._offsets = tokens.flat()
        self._context = context
        self._eos = tokens.vocabulary.eos
        self._classes = classes
        lengths = cut_lengths(tokens, context)
        # longest first: a batch too large for the memory fails at once, not in the end
        self.order = np.argsort(-lengths, kind="stable") if sort_by_length else np.arange(len(lengths))
        self.lengths = lengths[self.order]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Cell:
        cell = self.order[place]
        ids = cut_tokens(self._tokens[self._offsets[cell] : self._offsets[cell + 1]], self._context, eos=self._eos)
        return {"input_ids": ids, "label": -1 if self._classes is None else int(self._classes[cell])}


def padded_length(longest: int, *, positions: int) -> int:
    """Return how wide the rows of a batch are, from its longest cell: a multiple of 8 where the positions allow it."""
    return min(-(-longest // _PAD_TO_MULTIPLE) * _PAD_TO_MULTIPLE, positions)


def collate(cells: Sequence[Cell], *, pad: int, positions: int) -> dict[str, torch.Tensor]:
    """Make a padded batch: to its longest cell, rounded up to a multiple of 8 where the positions allow it.

    Parameters
    ----------
    cells
        The cells; none longer than `positions`.
    pad
        The ``<pad>`` of the vocabulary.
    positions
        Positions of the model.

    Returns
    -------
    dict
        ``input_ids`` and ``attention_mask`` (cells, longest), and ``labels`` (cells,) where cells have classes;
        int64. A cell without tokens is one ``<pad>`` that counts. A batch without cells is one such cell, of a class
        that no loss counts.
    """
    cells = cells or [_NO_CELL]
    longest = max(1, *(len(cell["input_ids"]) for cell in cells))
    width = padded_length(longest, positions=positions)
    ids = np.full((len(cells), width), pad, dtype=np.int64)
    mask = np.zeros((len(cells), width), dtype=np.int64)
    mask[:, 0] = 1
    for row, cell in enumerate(cells):
        ids[row, : len(cell["input_ids"])] = cell["input_ids"]
        mask[row, : len(cell["input_ids"])] = 1
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    labels = [cell["label"] for cell in cells]
    if labels[0] != -1:
        batch["labels"] = torch.tensor(labels, dtype=torch.int64)
    return batch


def balanced_cells(classes: npt.NDArray[np.int64], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw as many cells as there are, of every class the same number (some, by lot, one more).

    No cell of a class comes twice more often than another of it.

    Parameters
    ----------
    classes
        Class of each cell, shape (cells,).
    generator
        Where the draw comes from.

    Returns
    -------
    numpy.ndarray
        Cells in random order, shape (cells,).
    """
    present = generator.permutation(np.unique(classes))
    shares = np.full(len(present), len(classes) // len(present))
    shares[: len(classes) % len(present)] += 1
    drawn = []
    for kind, share in zip(present, shares, strict=True):
        cells = generator.permutation(np.flatnonzero(classes == kind))
        drawn.append(np.resize(cells, share))
    order: npt.NDArray[np.int64] = generator.permutation(np.concatenate(drawn))
    return order


class LengthGroupedSampler(Sampler[int]):
    """Random order in which the cells of a batch have like lengths, so that little is padding.

    All cells are shuffled and cut into groups of 50 batches; a group is sorted by length and cut into batches;
    then all batches are shuffled. (The sampler of transformers keeps each group in order of length, longest
    first: where length goes with the label, labels then come in waves.) The order is a function of seed and
    epoch alone.

    Parameters
    ----------
    lengths
        Tokens of each cell, shape (cells,).
    batch_size
        Cells of a step, whose lengths are alike.
    seed
        Seed of the order.
    balance
        Class of each cell, shape (cells,), where every class shall come equally often (:func:`balanced_cells`);
        ``None`` for every cell once per epoch.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        balance: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._balance = balance
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self._seed, self._epoch))
        order = generator.permutation(len(self))
        if self._balance is not None:
            order = balanced_cells(self._balance, generator)
        # the last, short batch has to stay the last: batches are cut again from this order by ProcessBatches
        whole = len(order) - len(order) % self._batch_size
        order, rest = order[:whole], order[whole:]
        size = self._batch_size * _BATCHES_PER_GROUP
        groups = [order[start : start + size] for start in range(0, whole, size)]
        sorted_groups = [group[np.argsort(-self._lengths[group], kind="stable")] for group in groups]
        if sorted_groups:
            batches = np.concatenate(sorted_groups).reshape(-1, self._batch_size)
            order = batches[generator.permutation(len(batches))].ravel()
        yield from np.concatenate((order, rest)).tolist()


class ProcessBatches(Sampler[list[int]]):
    """The batches of one process.

    A step of the optimizer takes ``batch_size * accumulation`` cells in every process. They are the next cells of
    one order, dealt in turn: cells of like length go to all processes, which then take like time. The processes
    have disjoint cells, together all, and the same number of batches; where the last step of an epoch has too few
    cells for that, a process has an empty batch, which counts for nothing. One process has the order as it is.

    Parameters
    ----------
    order
        The order of all cells, for steps of all processes.
    batch_size
        Cells that go through the model of a process together.
    accumulation
        Batches per step and process.
    processes
        The processes.
    """

    def __init__(
        self, order: LengthGroupedSampler, *, batch_size: int, accumulation: int, processes: Processes
    ) -> None:
        self._order = order
        self._batch_size = batch_size
        self._per_step = batch_size * accumulation * processes.count
        self._processes = processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._order.set_epoch(epoch)

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        steps, rest = divmod(len(self._order), self._per_step)
        return steps * self._batches(self._per_step) + self._batches(rest)

    def __iter__(self) -> Iterator[list[int]]:
        cells = list(self._order)
        for start in range(0, len(cells), self._per_step):
            step = cells[start : start + self._per_step]
            mine = step[self._processes.rank :: self._processes.count]
            for batch in range(self._batches(len(step))):
                yield mine[batch * self._batch_size : (batch + 1) * self._batch_size]

    def _batches(self, cells: int) -> int:
        """Return the batches of a process in a step of so many cells: those of the process that has most."""
        most = -(-cells // self._processes.count)
        return -(-most // self._batch_size)


class TrainingLoader(DataLoader["Cell"]):
    """The batches of one process as tensors.

    Parameters
    ----------
    cells
        The training cells.
    batches
        Which of them are a batch.
    collate
        Makes the tensors of a batch.
    pin_memory
        Whether they are on their way to a CUDA device.
    """

    def __init__(
        self,
        cells: Cells,
        batches: ProcessBatches,
        *,
        collate: Callable[[list[Cell]], dict[str, torch.Tensor]],
        pin_memory: bool,
    ) -> None:
        super().__init__(cells, batch_sampler=batches, collate_fn=collate, pin_memory=pin_memory)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        cast("ProcessBatches", self.batch_sampler).set_epoch(epoch)
