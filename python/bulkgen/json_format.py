"""What a JSON file of bulkgen says of itself, and how one of another kind or version is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JsonFormat"]


@dataclass(frozen=True)
class JsonFormat:
    """A kind of JSON file.

    Attributes
    ----------
    name, version
        What its files say under ``format`` and ``version``.
    what
        What a file holds, and what to do with one that does not, for messages.
    remedy
        What mends a damaged one, for messages.
    error
        What is raised.
    """

    name: str
    version: int
    what: str
    remedy: str
    error: type[ValueError] = ValueError

    @property
    def head(self) -> dict[str, object]:
        """What a file begins with."""
        return {"format": self.name, "version": self.version}

    def read(self, path: Path) -> dict[str, Any]:
        """Return what a file holds.

        Raises
        ------
        FileNotFoundError
            If there is none.
        ValueError
            If it is damaged, of another kind, or of another version: an `error`.
        """
        return self.parse(path.read_bytes(), path)

    def parse(self, text: str | bytes, source: object) -> dict[str, Any]:
        """Return what a text holds that comes from `source`.

        Raises
        ------
        ValueError
            As :meth:`read`.
        """
        try:
            found = json.loads(text)
        # no JSON, no UTF-8, numbers of thousands of digits; what is nested without end
        except (ValueError, RecursionError) as error:
            raise self.damaged(source, f"it is not JSON ({error})") from error
        if not isinstance(found, dict) or found.get("format") != self.name:
            raise self.error(f'{source} is not {self.what} (no "format": "{self.name}")')
        if found.get("version") != self.version:
            raise self.error(
                f"{source} has version {found.get('version')!r:.40} of its format; this bulkgen reads {self.version}: "
                f"pip install --upgrade bulkgen"
            )
        return found

    def damaged(self, source: object, why: object) -> ValueError:
        """Return the error that says why a file is damaged."""
        return self.error(f"{source} is damaged: {why}; {self.remedy}")
