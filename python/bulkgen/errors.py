"""The errors a caller may want to catch.

A wrong argument is a :class:`ValueError` or :class:`TypeError`. A state of the data or of the machine that a
caller can meet with correct code is a child of :class:`BulkgenError`; where it is also a wrong value, it inherits
from :class:`ValueError` too, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "BulkgenError",
    "CountsError",
    "GeneOverlapError",
    "InvalidCsrError",
    "LabelError",
    "MissingExtraError",
    "OutputExistsError",
    "ResumeError",
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


class ResumeError(BulkgenError, ValueError):
    """An interrupted training cannot go on: it was another one, or it is running already."""


class MissingExtraError(BulkgenError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"this needs the package {module!r}, which is not installed: pip install 'bulkgen[{extra}]'")
