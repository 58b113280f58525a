"""Labels of cells and classes of a model: the sorted names of the training data give the classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from bulkgen.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.config import ClassWeights

__all__ = ["LabelMap", "label_values"]


def label_values(tokens: TokenDataset, label: str | None, *, what: str) -> npt.NDArray[np.object_]:
    """Return the label of each cell, shape (cells,).

    Parameters
    ----------
    tokens
        The cells.
    label
        Column that holds the labels; ``None`` for the data set's own.
    what
        What the cells are ("training", "test", …), for messages.

    Raises
    ------
    LabelError
        If there is no such column, or a cell has no label.
    """
    name = tokens.label if label is None else label
    columns = [column for column in tokens.table.column_names if column not in ("input_ids", "counts")]
    if name is None:
        raise LabelError(
            f"the {what} tokens have no label; tokenize them with label=<obs column> (--label), or name one of "
            f"their columns: {', '.join(columns)}"
        )
    if name not in columns:
        raise LabelError(f"the {what} tokens have no column {name!r}; they have {', '.join(columns)}")
    values = tokens.column(name)
    missing = sum(value is None for value in values)
    if missing:
        raise LabelError(
            f"{missing} of {len(values)} cells of the {what} tokens have no label in {name!r}; drop them before "
            f"tokenizing"
        )
    return values


@dataclass(frozen=True)
class LabelMap:
    """Classes of a model.

    Attributes
    ----------
    column
        Name of the column that held the labels.
    names
        Labels, sorted; the place of a label is its class.
    training_counts
        Training cells of each label, in the order of `names`.
    """

    column: str
    names: tuple[str, ...]
    training_counts: tuple[int, ...]

    @property
    def majority(self) -> str:
        """The commonest label of the training cells; the first by name where several are."""
        return self.names[int(np.argmax(self.training_counts))]

    @classmethod
    def from_tokens(cls, tokens: TokenDataset, *, label: str | None = None) -> LabelMap:
        """Make the classes from training cells.

        Raises
        ------
        LabelError
            If cells have no label, or all have the same one.
        """
        values = label_values(tokens, label, what="training")
        counts = Counter(cast("list[str]", values.tolist()))
        names = tuple(sorted(counts))
        if len(names) < 2:
            found = f"all have {names[0]!r}" if names else "there are no cells"
            raise LabelError(f"a classifier needs training cells of two labels or more; {found}")
        return cls(str(label or tokens.label), names, tuple(counts[name] for name in names))

    def classes(self, tokens: TokenDataset, *, label: str | None, what: str) -> npt.NDArray[np.int64]:
        """Return the class of each cell by the name of its label, shape (cells,).

        Raises
        ------
        LabelError
            If a cell has no label, or one that the training cells did not have.
        """
        values = label_values(tokens, label, what=what)
        place = {name: i for i, name in enumerate(self.names)}
        unseen = Counter(value for value in values.tolist() if value not in place)
        if unseen:
            found = ", ".join(f"{name!r} ({n} cells)" for name, n in sorted(unseen.items()))
            raise LabelError(
                f"the {what} tokens have labels that training never saw: {found}. The model knows "
                f"{', '.join(map(repr, self.names))}; drop those cells, or train with them"
            )
        return np.fromiter((place[value] for value in values), dtype=np.int64, count=len(values))

    def class_weights(self, weights: ClassWeights) -> npt.NDArray[np.float64] | None:
        """Return what a cell of each class weighs in the loss, shape (classes,); ``None`` where all weigh 1.

        Parameters
        ----------
        weights
            ``"none"``, ``"balanced"``, or the weight of every label. The result is scaled so that the training
            cells weigh 1 on average: the learning rate and the regularization keep their meaning.

        Raises
        ------
        ValueError
            If a label has no weight, or a weight no label.
        """
        if weights == "none":
            return None
        counts = np.array(self.training_counts, dtype=np.float64)
        if weights == "balanced":
            weights = dict(zip(self.names, 1 / counts, strict=True))
        if set(weights) != set(self.names):
            raise ValueError(
                f"class_weights must name the labels of the training cells, {', '.join(map(repr, self.names))}; got "
                f"{', '.join(map(repr, weights)) or 'none'}"
            )
        given = np.array([weights[name] for name in self.names])
        scaled: npt.NDArray[np.float64] = given * (counts.sum() / (counts @ given))
        return scaled

    def to_dict(self) -> dict[str, object]:
        """Return the classes as a dictionary that JSON can hold."""
        return {
            "column": self.column,
            "names": list(self.names),
            "training_counts": dict(zip(self.names, self.training_counts, strict=True)),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> LabelMap:
        """Make the classes from what :meth:`to_dict` gave."""
        names = tuple(cast("list[str]", values["names"]))
        counts = cast("dict[str, int]", values["training_counts"])
        return cls(cast("str", values["column"]), names, tuple(counts[name] for name in names))
