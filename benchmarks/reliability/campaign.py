"""The record of a campaign: one file of results, which the page of reliability shows."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent.parent
sys.path.insert(0, str(FOLDER))

from machine import RESULTS, machine  # noqa: E402 - machine.py lies a folder above


@dataclass
class Campaign:
    """Cases with how often each was tried and how often it failed."""

    name: str
    title: str
    command: str
    rows: list[dict[str, object]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, case: str, *, tried: int, failures: int, note: str = "") -> None:
        """Record a case, and show it."""
        self.rows.append({"case": case, "tried": tried, "failures": failures, "note": note})
        print(f"{case}: {failures} of {tried} failed. {note}", flush=True)

    def write(self, folder: Path = RESULTS / "reliability") -> bool:
        """Write ``<folder>/<name>.json``; whether nothing failed."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "name": self.name,
            "title": self.title,
            "command": self.command,
            "date": str(datetime.now(UTC).date()),
            "machine": machine(),
            "seconds": round(time.monotonic() - self.began),
            "rows": self.rows,
        }
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        print(f"written to {path}")
        return not any(row["failures"] for row in self.rows)
