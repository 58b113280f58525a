"""The folder of a study: where everything lies, and who may write there."""

from __future__ import annotations

import json
import math
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import numpy as np
from filelock import FileLock, Timeout

from bulkgen.errors import StudyInUseError
from bulkgen.io import atomic_file
from bulkgen.json_format import JsonFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

__all__ = ["RunError", "RunRecord", "StudyFolder"]

_FORMAT = JsonFormat("bulkgen-study-run", 1, what="the record of a run", remedy="run it again")


class RunError(TypedDict):
    """Why a run failed."""

    type: str
    message: str
    traceback: str


class RunRecord(TypedDict):
    """What ``runs/<key>.json`` holds.

    Attributes
    ----------
    format, version
        Of the file.
    key, run
        Which run it is, and all that determines it.
    status
        ``"done"`` has a result, ``"failed"`` an error.
    error, result
        The one or the other.
    cost
        ``seconds``, 0 where not known, and ``peak_memory`` of the process in MB, ``None`` where not known.
    versions
        Packages that it was made with.
    """

    format: str
    version: int
    key: str
    run: dict[str, Any]
    status: Literal["done", "failed"]
    error: RunError | None
    result: dict[str, Any] | None
    cost: dict[str, float | None]
    versions: dict[str, str]


@dataclass(frozen=True)
class StudyFolder:
    """Paths of a study's files, its records, and its locks.

    Every file appears whole or not at all, so that a runner may be killed at any moment.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """The settings, every default spelled out."""
        return self.path / "study.toml"

    @property
    def data(self) -> Path:
        """Facts of the data."""
        return self.path / "data.json"

    @property
    def split(self) -> Path:
        """Which cell is in which part."""
        return self.path / "split.parquet"

    @property
    def runs(self) -> Path:
        """One record for each run."""
        return self.path / "runs"

    @property
    def benchmark(self) -> Path:
        """Results of the generator benchmark."""
        return self.path / "benchmark"

    @property
    def benchmark_state(self) -> Path:
        """What the benchmark's results are of, and its error if it failed."""
        return self.path / "benchmark.json"

    def make(self) -> None:
        """Make the folders."""
        self.runs.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(exist_ok=True)

    def remove(self) -> None:
        """Remove the folder if a study is in it; anything else stays.

        Raises
        ------
        StudyInUseError
            If a runner is at work in it.
        """
        # a runner writes both; settings alone may be somebody's own
        if self.settings.is_file() and self.data.is_file():
            self.make()
            with self.runner((1, 1)):
                shutil.rmtree(self.path)

    @property
    def _locks(self) -> Path:
        return self.path / ".locks"

    @contextmanager
    def runner(self, shard: tuple[int, int]) -> Iterator[None]:
        """Hold the folder for the runner of a shard, ``(1, 1)`` for that of all runs.

        Runners of different shards out of the same number may be at work at once, no others. The operating system
        lets a lock go when its process ends, however that ends.

        Raises
        ------
        StudyInUseError
            If a runner is at work that may not be at the same time.
        """
        own = FileLock(self._locks / _named("runner", shard))
        with self.writing():
            for other in self._at_work():
                if other[1] != shard[1] or other == shard:
                    raise StudyInUseError(_in_use(self.path, other))
            # what an earlier runner of this shard stated
            (self._locks / _named("states", shard)).unlink(missing_ok=True)
            own.acquire(timeout=0)
        try:
            yield
        finally:
            own.release()

    def agree(self, shard: tuple[int, int], stated: str) -> None:
        """State what a runner works on; call it while :meth:`writing`.

        Raises
        ------
        StudyInUseError
            If a runner of another shard is at work on something else.
        """
        for other in self._at_work():
            theirs = self._locks / _named("states", other)
            if other != shard and theirs.is_file() and theirs.read_text(encoding="utf-8").rstrip("\n") != stated:
                raise StudyInUseError(
                    f"the runner of shard {other[0]}/{other[1]} is at work in {self.path} with other settings, or on "
                    f"another device: give all shards the same, or wait until it ends"
                )
        self.write_text(self._locks / _named("states", shard), stated)

    def _at_work(self) -> list[tuple[int, int]]:
        """Return the shards whose runners are at work."""
        found = []
        for path in sorted(self._locks.glob("runner-*-of-*")):
            try:
                FileLock(path, timeout=0).acquire().lock.release()
            except Timeout:
                _, number, _, count = path.name.split("-")
                found.append((int(number), int(count)))
        return found

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Wait for, and hold, the right to write what shards share; for moments only."""
        with FileLock(self._locks / "writing"):
            yield

    @contextmanager
    def trying(self, key: str) -> Iterator[None]:
        """Leave a mark while a run is executed in the runner's own process, for the case that neither survives."""
        self._mark(key).touch()
        try:
            yield
        finally:
            self._mark(key).unlink(missing_ok=True)

    def was_tried(self, key: str) -> bool:
        """Tell whether a runner ended in the middle of a run."""
        return self._mark(key).is_file()

    def _mark(self, key: str) -> Path:
        return self._locks / f"at-{key}"

    def clean(self, keys: Iterable[str]) -> None:
        """Remove what a killed runner left half written of some runs."""
        ours = set(keys)
        for path in self.runs.glob(".*.json"):
            if path.name.split(".")[1] in ours:
                path.unlink(missing_ok=True)

    def record(self, key: str) -> RunRecord | None:
        """Return the record of a run; ``None`` if there is none that can be read."""
        try:
            found = _FORMAT.read(self.runs / f"{key}.json")
        except (FileNotFoundError, ValueError):
            return None
        whole = found.get("key") == key and set(RunRecord.__annotations__) <= set(found)
        return cast("RunRecord", found) if whole else None

    def write_record(
        self,
        key: str,
        run: Mapping[str, Any],
        *,
        result: Mapping[str, Any] | None,
        error: RunError | None,
        cost: Mapping[str, float | None],
        versions: Mapping[str, str],
    ) -> None:
        """Write what became of a run."""
        record = {
            **_FORMAT.head,
            "key": key,
            "run": run,
            "status": "failed" if result is None else "done",
            "error": error,
            "result": result,
            "cost": cost,
            "versions": versions,
        }
        self.write_text(self.runs / f"{key}.json", json.dumps(_plain(record), allow_nan=False))
        self._mark(key).unlink(missing_ok=True)

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file, in the place of an older one."""
        with atomic_file(path, overwrite=True) as temporary:
            temporary.write_text(text + ("" if text.endswith("\n") else "\n"), encoding="utf-8")

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        """Write a table as parquet or CSV, by the name, in the place of an older one."""
        with atomic_file(path, overwrite=True) as temporary:
            if path.suffix == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                table.to_csv(temporary, index=False, lineterminator="\n")


def _named(what: str, shard: tuple[int, int]) -> str:
    return f"{what}-{shard[0]}-of-{shard[1]}"


def _in_use(path: Path, shard: tuple[int, int]) -> str:
    number, count = shard
    which = "" if count == 1 else f" (shard {number}/{count})"
    return (
        f"another runner{which} is at work in {path}: wait until it ends, or stop it; several can share a study as "
        "--shard 1/N to N/N"
    )


def _plain(value: object) -> object:
    """Turn NumPy's values into Python's, and numbers that JSON does not have into null."""
    if isinstance(value, dict):
        return {str(name): _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
