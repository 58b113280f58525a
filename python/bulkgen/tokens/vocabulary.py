"""A vocabulary: which gene has which token and median, and what else the encoder must know."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.arguments import checked
from bulkgen.errors import VocabularyError, VocabularyMismatchError
from bulkgen.json_format import JsonFormat
from bulkgen.tokens.consistency import first_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkgen.io import Cells
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["VOCABULARY_FILE", "Vocabulary"]

#: Name of the file that holds the vocabulary beside tokens and beside a model.
VOCABULARY_FILE = "vocabulary.json"

_FORMAT = JsonFormat(
    "bulkgen-vocabulary", 1, what="a vocabulary of bulkgen", remedy="make it again", error=VocabularyError
)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens, medians, id mapping, special tokens and context length of a model family.

    Attributes
    ----------
    name
        ``"V1"`` (Geneformer 30M), ``"V2"`` (Geneformer 104M), ``"fitted"``, or a name of your own.
    tokens
        Gene id → token (genes only; special tokens have their own fields).
    medians
        Gene id → median over cells of its non-zero counts per 10,000; one for every gene of `tokens`.
    pad, mask
        Tokens of padding and masking.
    cls, eos
        Tokens that open and close a cell, or ``None``, both, for a vocabulary without them.
    context
        Most tokens of a cell, special tokens included.
    mapping
        Other ids, upper-case (symbols, aliases, retired ids) → gene id of `tokens`. ``None``: an id is
        its own gene.

    Raises
    ------
    VocabularyError
        If the parts contradict each other: a token twice, a gene without a positive finite median, and so on.

    References
    ----------
    Theodoris et al., Nature 618:616 (2023).
    """

    name: str
    tokens: dict[str, int]
    medians: dict[str, float]
    pad: int
    mask: int
    cls: int | None
    eos: int | None
    context: int
    mapping: dict[str, str] | None

    def __post_init__(self) -> None:
        problem = first_problem(self)
        if problem is not None:
            raise VocabularyError(f"vocabulary {self.name!r}: {problem}")

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.tokens)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return (
            f"Vocabulary(name={self.name!r}, genes={len(self)}, size={self.size}, context={self.context}, "
            f"fingerprint={self.fingerprint[:12]!r})"
        )

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special tokens that exist, by name: ``"<pad>"``, ``"<mask>"``, ``"<cls>"``, ``"<eos>"``."""
        every = {"<pad>": self.pad, "<mask>": self.mask, "<cls>": self.cls, "<eos>": self.eos}
        return {name: token for name, token in every.items() if token is not None}

    @property
    def size(self) -> int:
        """Number of token ids (largest id + 1): the rows that a model's embedding needs."""
        return 1 + max(max(self.tokens.values()), *self.special_tokens.values())

    @property
    def max_genes(self) -> int:
        """Most genes of a cell: the context less the special tokens that open and close a cell."""
        return self.context - (self.cls is not None) - (self.eos is not None)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of everything that decides the tokens; the name does not count."""
        content = ",".join(f'"{part}":{text}' for part, text in sorted(self._content.items()))
        return hashlib.sha256(f"{{{content}}}".encode("ascii")).hexdigest()

    @checked
    def check_same(self, other: Vocabulary, *, this: str = "the tokens", that: str = "the model") -> None:
        """Refuse a pairing of things that were made with different vocabularies.

        Parameters
        ----------
        other
            The vocabulary to compare with.
        this, that
            What the two belong to, for the message.

        Raises
        ------
        VocabularyMismatchError
            If the fingerprints differ; the message says what differs.
        """
        if self.fingerprint == other.fingerprint:
            return
        differences = [
            f"{part} ({getattr(self, part)} against {getattr(other, part)})"
            for part in ("context", "pad", "mask", "cls", "eos")
            if getattr(self, part) != getattr(other, part)
        ]
        if self.tokens != other.tokens:
            shared = sum(other.tokens.get(gene) == token for gene, token in self.tokens.items())
            differences.append(f"tokens ({len(self)} against {len(other)} genes, {shared} with the same token)")
        differences += [part for part in ("medians", "mapping") if getattr(self, part) != getattr(other, part)]
        raise VocabularyMismatchError(
            f"{this} and {that} use different vocabularies: {self.name!r} ({self.fingerprint[:12]}) against "
            f"{other.name!r} ({other.fingerprint[:12]}); different: {', '.join(differences)}. Tokenize again "
            f"with the vocabulary of {that}: vocabulary=FOLDER of it (--vocabulary FOLDER)"
        )

    @classmethod
    @checked
    def load(
        cls, name_or_path: str | Path, *, path: VocabularyPath | Sequence[VocabularyPath] | None = None
    ) -> Vocabulary:
        """Load Geneformer's vocabulary V1 or V2, or one that bulkgen saved.

        Parameters
        ----------
        name_or_path
            ``"V1"`` or ``"V2"``; or a ``vocabulary.json``, or a folder that holds one (tokens, a run).
        path
            Where V1's or V2's dictionaries are: a folder, or the individual files (pickle, JSON or parquet).
            Without it they are looked for where the environment variable ``BULKGEN_VOCABULARY_PATH`` says, in
            an installed package `geneformer`, in the Hugging Face cache, and last on the Hugging Face hub
            (``ctheodoris/Geneformer``).

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            If nothing is found, or what is found is not a vocabulary; the message says what mends it.
        UnsafePickleError
            If a pickle asks for more than strings and numbers.

        Warns
        -----
        UserWarning
            If a dictionary file is not one of the files that Geneformer published (by SHA-256).
        """
        from bulkgen.tokens.dictionaries import KNOWN, load_geneformer
        from bulkgen.tokens.pickles import read_bytes

        known = str(name_or_path).upper()
        if known in KNOWN:
            return load_geneformer(known, path=path)
        if path is not None:
            raise VocabularyError(
                f"path= says where the dictionaries of {' or '.join(KNOWN)} are, but the vocabulary is "
                f"{str(name_or_path)!r}; pass one of the two"
            )
        place = Path(name_or_path)
        if place.is_dir():
            place = place / VOCABULARY_FILE
        if not place.is_file():
            raise VocabularyError(
                f"vocabulary {str(name_or_path)!r} is neither {' nor '.join(map(repr, KNOWN))} nor a "
                f"{VOCABULARY_FILE} that exists ({place} does not); bulkgen.Vocabulary.fit(cells) makes one of cells"
            )
        try:
            text = read_bytes(place).decode("utf-8")
        except UnicodeDecodeError as error:
            raise VocabularyError(f"{place} is not a {VOCABULARY_FILE} of bulkgen: {error}") from error
        return cls.from_json(text, source=str(place))

    @classmethod
    @checked
    def fit(
        cls,
        adata: Cells,
        *,
        context: int = 2048,
        gene_ids: str | None = None,
        name: str = "fitted",
        allow_fractional: bool = False,
    ) -> Vocabulary:
        """Make a vocabulary from data, for models that are trained from scratch.

        A gene's median is taken over the cells that express it, of the counts per 10,000 of the cell's
        library size (over all columns). Genes that no cell expresses are left out. Tokens follow the order of
        gene ids from 2; ``<pad>`` is 0, ``<mask>`` 1, and there are no ``<cls>`` and ``<eos>``: V1's layout.

        Parameters
        ----------
        adata
            Raw counts, cells × genes, as :func:`bulkgen.tokenize` takes them. Fit on training cells only. Values that
            memory should not hold are in a temporary file meanwhile (eight bytes for each stored entry).
        context
            Most tokens of a cell.
        gene_ids
            Column of `var` that holds the gene ids; by default `var_names`.
        name
            The vocabulary's name.
        allow_fractional
            As in :func:`bulkgen.tokenize`.

        Returns
        -------
        Vocabulary

        Raises
        ------
        CountsError
            If the matrix is not counts.
        VocabularyError
            If no gene is expressed.
        ResourcesError
            If the temporary file has no room in the system's folder for such files (``TMPDIR``).
        """
        from bulkgen.tokens.fit import fit_vocabulary

        return fit_vocabulary(adata, context=context, gene_ids=gene_ids, name=name, allow_fractional=allow_fractional)

    @checked
    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the vocabulary as JSON, whole or not at all.

        Parameters
        ----------
        path
            The file to write; for a folder that exists, ``vocabulary.json`` in it.
        overwrite
            Replace a file that exists.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        OutputExistsError
            If it exists and `overwrite` is false.
        """
        from bulkgen.io.atomic import atomic_file

        path = Path(path)
        if path.is_dir():
            path = path / VOCABULARY_FILE
        with atomic_file(path, overwrite=overwrite) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")
        return path

    def to_json(self) -> str:
        """Return the vocabulary as JSON text.

        Returns
        -------
        str
            :meth:`from_json` gives the vocabulary back exactly.
        """
        head = {**_FORMAT.head, "name": self.name, "fingerprint": self.fingerprint}
        parts = {part: json.dumps(value) for part, value in head.items()} | self._content
        return "{\n" + ",\n".join(f'"{part}": {text}' for part, text in parts.items()) + "\n}\n"

    @classmethod
    @checked
    def from_json(cls, text: str, *, source: str = "the text") -> Vocabulary:
        """Make a vocabulary from what :meth:`to_json` gave.

        Parameters
        ----------
        text
            JSON.
        source
            Where it came from, for messages.

        Returns
        -------
        Vocabulary

        Raises
        ------
        VocabularyError
            If it is not a vocabulary of bulkgen, or was changed since it was written.
        """
        data = _FORMAT.parse(text, source)
        try:
            special = data["special"]
            vocabulary = cls(
                name=data["name"],
                tokens=data["tokens"],
                medians=data["medians"],
                pad=special["pad"],
                mask=special["mask"],
                cls=special["cls"],
                eos=special["eos"],
                context=data["context"],
                mapping=data["mapping"],
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _FORMAT.damaged(source, f"{type(error).__name__} {error}") from error
        if data.get("fingerprint") != vocabulary.fingerprint:
            raise _FORMAT.damaged(source, "it does not match its own fingerprint, so was changed after it was written")
        return vocabulary

    @cached_property
    def _content(self) -> dict[str, str]:
        """Everything that decides the tokens, as JSON that does not depend on the order of genes.

        Kept, because the text of a large mapping takes a tenth of a second to make.
        """
        content = {
            "context": self.context,
            "special": {"pad": self.pad, "mask": self.mask, "cls": self.cls, "eos": self.eos},
            "tokens": self.tokens,
            "medians": self.medians,
            "mapping": self.mapping,
        }
        return {
            part: json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
            for part, value in content.items()
        }
