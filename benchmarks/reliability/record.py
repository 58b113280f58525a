"""What a campaign came to, as ``benchmarks/reliability_page.py`` reads it."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import machine

ROOT = Path(__file__).resolve().parents[2]
RESULTS = machine.RESULTS / "reliability"


@dataclass(frozen=True)
class Row:
    """What one case came to.

    Attributes
    ----------
    case
        What was tried.
    tried, failures
        How often, and how often it went wrong.
    note
        In what circumstances, and what went wrong.
    """

    case: str
    tried: int
    failures: int
    note: str


def write_rows(
    name: str,
    title: str,
    rows: list[Row],
    *,
    started: float,
    command: str | None = None,
    details: object = None,
    folder: Path = RESULTS,
) -> Path:
    """Write ``<folder>/<name>.json``.

    Parameters
    ----------
    name, title
        Of the file, and of the campaign for readers.
    rows
        One for each case.
    started
        When the campaign began, by :func:`time.monotonic`.
    command
        What ran it; this process by default.
    details
        What the page does not show.
    folder
        Where to write.
    """
    record = {
        "name": name,
        "title": title,
        "command": command or this_command(),
        "date": str(datetime.now(UTC).date()),
        "machine": machine.machine(),
        "seconds": round(time.monotonic() - started, 1),
        "rows": [asdict(row) for row in rows],
    } | ({} if details is None else {"details": details})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def this_command() -> str:
    """Return how this process was started, from the root of the repository."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT).as_posix() if script.is_relative_to(ROOT) else script.name
    return shlex.join(["python", name, *sys.argv[1:]])
