"""A token data set: flat Arrow columns, the vocabulary that made them, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pyarrow as pa

from bulkgen.arguments import checked
from bulkgen.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from bulkgen.tokens.summary import TokenizeSummary
    from bulkgen.tokens.vocabulary import Vocabulary

    Tokens: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.int32]

__all__ = ["TokenDataset"]


@dataclass(frozen=True, eq=False, repr=False)
class TokenDataset:
    """Cells as rank-ordered tokens.

    Attributes
    ----------
    table
        Arrow table, one row per cell: ``input_ids`` (list of int16, or int32 if the vocabulary needs it),
        ``length`` (int64, special tokens included), ``counts`` where asked for (list of float32, counts per
        10,000 in the order of the tokens, 0 for special tokens), ``cell_id`` (`obs_names`), and the chosen
        `obs` columns.
    vocabulary
        The vocabulary of the tokens.
    label
        Name of the `obs` column that is the label, or ``None``.
    summary
        What the tokenization did.
    provenance
        ``uns["bulkgen"]`` of the input: how the cells were made.
    """

    table: pa.Table
    vocabulary: Vocabulary
    label: str | None
    summary: TokenizeSummary
    provenance: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of cells."""
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return (
            f"TokenDataset({len(self)} cells, vocabulary={self.vocabulary.name!r}, label={self.label!r}, "
            f"columns={self.table.column_names})"
        )

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each cell, special tokens included; shape (cells,)."""
        return np.asarray(self.table["length"].to_numpy(), dtype=np.int64)

    @checked
    def input_ids(self, i: int) -> Tokens:
        """Return the tokens of a cell.

        Parameters
        ----------
        i
            Number of the cell.

        Returns
        -------
        numpy.ndarray
            Shape (length,); a read-only view, not a copy.

        Raises
        ------
        IndexError
            If there is no such cell.
        """
        return self._cell("input_ids", i)

    @checked
    def counts(self, i: int) -> npt.NDArray[np.float32]:
        """Return the counts per 10,000 of a cell in the order of its tokens.

        Parameters
        ----------
        i
            Number of the cell.

        Returns
        -------
        numpy.ndarray
            Shape (length,), float32; a read-only view, not a copy.

        Raises
        ------
        IndexError
            If there is no such cell.
        KeyError
            If the data set was made without ``counts=True``.
        """
        if "counts" not in self.table.column_names:
            raise KeyError("this token data set has no counts; make it with counts=True (--counts)")
        return self._cell("counts", i)  # type: ignore[return-value]

    def flat(self) -> tuple[Tokens, npt.NDArray[np.int64]]:
        """Return all tokens end to end, and where each cell starts.

        Returns
        -------
        tokens
            Shape (total,).
        offsets
            Shape (cells + 1,): cell `i` is ``tokens[offsets[i]:offsets[i + 1]]``.

        Raises
        ------
        ValueError
            If a token is none of the vocabulary, which a model would take for a place in its memory.
        """
        return self._flat

    @checked
    def column(self, name: str) -> npt.NDArray[np.object_]:
        """Return the values of an `obs` column as strings.

        Parameters
        ----------
        name
            Name of the column.

        Returns
        -------
        numpy.ndarray
            Shape (cells,), of strings; a missing value is ``None``.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if name not in self.table.column_names or name in ("input_ids", "counts"):
            have = [n for n in self.table.column_names if n not in ("input_ids", "counts")]
            raise KeyError(f"this token data set has no column {name!r}; it has {', '.join(have)}")
        values = np.empty(len(self), dtype=object)
        values[:] = [None if value is None else str(value) for value in self.table[name].to_pylist()]
        return values

    @cached_property
    def label_values(self) -> npt.NDArray[np.object_]:
        """Label of each cell as a string, shape (cells,).

        Raises
        ------
        LabelError
            If the data set was made without a label.
        """
        if self.label is None:
            raise LabelError("this token data set has no label; tokenize with label=<obs column> (--label)")
        return self.column(self.label)

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The labels, sorted; a label's place here is its class id."""
        return tuple(sorted(set(self.label_values)))

    @checked
    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a folder that :func:`datasets.load_from_disk` reads, whole or not at all.

        Beside the Arrow shards it holds ``vocabulary.json`` and, written last, ``bulkgen.json``. A label is
        stored twice: as its own string column, and as a column ``label`` of class ids in sorted order of the
        names (a `datasets.ClassLabel`).

        Parameters
        ----------
        path
            The folder to make.
        overwrite
            Replace a folder that exists.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        OutputExistsError
            If it exists and `overwrite` is false.
        """
        from bulkgen.tokens.arrow import save_dataset

        return save_dataset(self, path, overwrite=overwrite)

    @checked
    def write_hub_folder(
        self, path: str | Path, *, license: str, split: str = "train", overwrite: bool = False
    ) -> Path:
        """Write a folder that :func:`datasets.load_dataset` reads, as the Hugging Face hub holds data sets.

        It holds ``data/<split>-00000-of-0000N.parquet``, the ``vocabulary.json`` and ``bulkgen.json`` of :meth:`save`,
        and ``README.md``: a data set card that says, from the provenance, whether the cells are synthetic, pseudo-bulk
        or simulated, by which generator, parameters and seed, of which source, and what they must not be used for.
        :meth:`load` reads the folder too.

        Parameters
        ----------
        path
            The folder to make.
        license
            Identifier that the hub has for the licence, such as ``cc-by-4.0``. There is no default: the licences of the
            data that the cells were made from bind whoever publishes them.
        split
            Name of the split: ``train``, ``validation`` or ``test``.
        overwrite
            Replace a folder that exists.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        OutputExistsError
            If it exists and `overwrite` is false.
        ValueError
            If `license` or `split` is no name.
        """
        from bulkgen.tokens.hub import write_hub_folder

        return write_hub_folder(self, path, license=license, split=split, overwrite=overwrite)

    @checked
    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str,
        split: str = "train",
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Upload what :meth:`write_hub_folder` writes to a data set repository of the Hugging Face hub.

        The repository is made if there is none. One repository holds one token data set: its earlier rows and its card
        are replaced. The files are made in the system's folder for temporary files first (``TMPDIR``).

        Parameters
        ----------
        repo_id
            ``user/name``.
        license, split
            As of :meth:`write_hub_folder`.
        private
            Whether a new repository is private; by default what the account says.
        token
            Of the hub; by default that of ``hf auth login``.

        Returns
        -------
        str
            Address of the repository.

        Raises
        ------
        huggingface_hub.errors.HfHubHTTPError
            If the hub refuses.
        ConnectionError
            If it cannot be reached.
        ValueError
            If `license` or `split` is no name.
        """
        from bulkgen.tokens.hub import push_to_hub

        return push_to_hub(self, repo_id, license=license, split=split, private=private, token=token)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> TokenDataset:
        """Open a folder that :meth:`save`, :meth:`write_hub_folder` or :func:`bulkgen.tokenize` wrote.

        The tokens stay on disk; those of a folder for the hub are packed, and are unpacked into memory.

        Parameters
        ----------
        path
            The folder.

        Returns
        -------
        TokenDataset

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If it is not a complete token data set of bulkgen.
        VocabularyMismatchError
            If its tokens were made with another vocabulary than the one beside them.
        """
        from bulkgen.tokens.arrow import load_dataset

        return load_dataset(path)

    @cached_property
    def _chunks(self) -> tuple[npt.NDArray[np.int64], dict[str, list[tuple[npt.NDArray[np.int32], Tokens]]]]:
        """First row of each chunk, and per list column the (offsets, values) of its chunks."""
        names = [name for name in ("input_ids", "counts") if name in self.table.column_names]
        parts = {name: [_parts(chunk) for chunk in self.table[name].chunks] for name in names}
        rows = [len(offsets) - 1 for offsets, _ in parts["input_ids"]]
        return np.concatenate(([0], np.cumsum(rows, dtype=np.int64))).astype(np.int64), parts

    def _cell(self, name: str, i: int) -> Tokens:
        cells = len(self)
        if not -cells <= i < cells:
            raise IndexError(f"cell {i} of a token data set of {cells} cells")
        starts, parts = self._chunks
        chunk = int(np.searchsorted(starts, i % cells, side="right")) - 1
        offsets, values = parts[name][chunk]
        row = i % cells - int(starts[chunk])
        return values[offsets[row] : offsets[row + 1]]

    @cached_property
    def _flat(self) -> tuple[Tokens, npt.NDArray[np.int64]]:
        offsets = np.concatenate(([0], np.cumsum(self.lengths))).astype(np.int64)
        pieces = [values[o[0] : o[-1]] for o, values in self._chunks[1]["input_ids"]]
        dtype = self.table.schema.field("input_ids").type.value_type.to_pandas_dtype()
        joined = cast("Tokens", np.concatenate(pieces or [np.empty(0, dtype)])) if len(pieces) != 1 else pieces[0]
        if joined.size and not 0 <= int(joined.min()) <= int(joined.max()) < self.vocabulary.size:
            place = int(np.flatnonzero((joined < 0) | (joined >= self.vocabulary.size))[0])
            cell = int(np.searchsorted(offsets, place, side="right")) - 1
            raise ValueError(
                f"cell {cell} has the token {joined[place]}, and the vocabulary {self.vocabulary.name} has those from "
                f"0 to {self.vocabulary.size - 1}: the data set is damaged, or of another vocabulary; tokenize again"
            )
        return joined, offsets


def _parts(chunk: pa.ListArray) -> tuple[npt.NDArray[np.int32], Tokens]:
    """Offsets and values of a list chunk; the offsets of a slice point into the whole values."""
    return chunk.offsets.to_numpy(zero_copy_only=True), chunk.values.to_numpy(zero_copy_only=True)
