"""The errors a caller may want to catch.

A wrong argument is a :class:`ValueError` or :class:`TypeError`. A state of the data or of the machine that a
caller can meet with correct code is a child of :class:`BulkgenError`; where it is also a wrong value, it inherits
from :class:`ValueError` too, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = [
    "BulkgenError",
    "CountsError",
    "DownloadError",
    "GeneOverlapError",
    "InvalidCsrError",
    "LabelError",
    "MissingExtraError",
    "OutputExistsError",
    "ResourcesError",
    "ResumeError",
    "ShardError",
    "StoppedError",
    "StudyConfigError",
    "StudyInUseError",
    "UnsafePickleError",
    "VocabularyError",
    "VocabularyMismatchError",
]


class BulkgenError(Exception):
    """Base of every error that bulkgen raises on purpose about data or environment."""


class CountsError(BulkgenError, ValueError):
    """The matrix is not raw counts: negative, NaN, infinite or fractional values."""


class InvalidCsrError(BulkgenError, ValueError):
    """The sparse matrix is malformed: row pointers or column indices are out of range or not in order."""


class LabelError(BulkgenError, ValueError):
    """A label column is missing, empty, or has a class with too few cells."""


class GeneOverlapError(BulkgenError, ValueError):
    """Two gene sets that have to match overlap too little."""


class VocabularyError(BulkgenError, ValueError):
    """A vocabulary cannot be found, read or used."""


class VocabularyMismatchError(BulkgenError, ValueError):
    """Tokens and model (or two token data sets) were made with different vocabularies."""


class UnsafePickleError(BulkgenError, ValueError):
    """A pickle asks for more than plain dictionaries of strings and numbers."""


class OutputExistsError(BulkgenError, FileExistsError):
    """An output path exists and overwriting was not asked for."""


class StudyConfigError(BulkgenError, ValueError):
    """The settings of a study are not usable."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source, self.problems = source, tuple(problems)
        text = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{source}:{text}")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self.source, self.problems)


class StudyInUseError(BulkgenError, RuntimeError):
    """Another runner is at work in a study's folder."""


class DownloadError(BulkgenError, OSError):
    """A file could not be downloaded, or is not what it must be."""


class ResumeError(BulkgenError, ValueError):
    """What was interrupted, a training or a folder of shards, cannot go on: it was another one, or is at work."""


class ResourcesError(BulkgenError, OSError):
    """There is not enough free space or memory for what was asked for."""


class ShardError(BulkgenError, OSError):
    """A shard could not be made; the others that were done stay."""


class StoppedError(BulkgenError, RuntimeError):
    """A long piece of work was asked to stop, and did so after what was in flight.

    Attributes
    ----------
    done, total
        Pieces that are done, and all of them.
    """

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        super().__init__(f"stopped after {done:,} of {total:,} shards")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self.done, self.total)


class MissingExtraError(BulkgenError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        self._asked = module, extra
        super().__init__(f"this needs the package {module!r}, which is not installed: pip install 'bulkgen[{extra}]'")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), self._asked
