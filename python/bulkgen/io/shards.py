"""A folder of shards: made in any order, by any number of processes, killed at any moment, to the same bytes.

``request/`` is there first and says what was asked for. Each shard is written under a temporary name, brought to the
disk and renamed; then its record is written the same way to ``records/``. The manifest comes last, so that a folder
with a manifest is a whole one. Whoever changes names that others may change too holds ``.lock`` meanwhile.

Temporary files lie in folders ``.work-*``, each locked by the process that works in it. The operating system lets such
a lock go when its process ends, however that ends; so what nobody holds can be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from bulkgen.errors import OutputExistsError, ResumeError
from bulkgen.io.atomic import atomic_directory, atomic_file, check_output, no_lost_interrupt, sync, sync_folder
from bulkgen.io.full_disk import full_disk_named
from bulkgen.io.waiting import held
from bulkgen.json_format import JsonFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "MANIFEST_FILE",
    "ShardFolder",
    "ShardPlan",
    "ShardRecord",
    "check_share",
    "is_whole",
    "sha256_of",
    "size_of",
]

MANIFEST_FILE = "bulkgen.json"

_FORMAT = JsonFormat("bulkgen-shards", 1, what="a request for shards", remedy="make the shards in another folder")
_REQUEST_FILE = "request.json"
_WORK = ".work-"


@dataclass(frozen=True)
class ShardPlan:
    """How rows are dealt to shards, whose names are known in advance.

    Attributes
    ----------
    rows
        All of them.
    shard_size
        Rows of a shard; the last one may have fewer.
    suffix
        Of the shards' names, ``.arrow`` for instance.
    """

    rows: int
    shard_size: int
    suffix: str

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise ValueError(f"shard_size must be at least 1, got {self.shard_size}")

    def __len__(self) -> int:
        """Return the number of shards."""
        return -(-self.rows // self.shard_size)

    def span(self, number: int) -> tuple[int, int]:
        """Return the first row of a shard, and the row after its last."""
        first = number * self.shard_size
        return first, min(first + self.shard_size, self.rows)

    def name(self, number: int) -> str:
        """Return the name of a shard."""
        return f"data-{number:05d}-of-{len(self):05d}{self.suffix}"

    def share(self, shard: tuple[int, int]) -> range:
        """Return the shards of the i-th of n equal shares, from ``(1, n)`` to ``(n, n)``.

        Raises
        ------
        ValueError
            If there is no such share.
        """
        number, count = check_share(shard)
        return range(number - 1, len(self), count)


@dataclass(frozen=True)
class ShardRecord:
    """What is written of a shard when it is done.

    Attributes
    ----------
    name
        File or folder of the shard.
    rows, bytes, sha256
        Its rows (which may be fewer than the plan's, where some are dropped), its size, and its content.
    facts
        What else its maker says of it, as JSON can hold it.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, str | int]:
        """Return what the manifest says of the shard."""
        return {"name": self.name, "rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class ShardFolder:
    """A folder of shards that was begun.

    Attributes
    ----------
    path
        The folder.
    request
        What was asked for (``asked``), and what is known of it (``facts``).
    """

    path: Path
    request: Mapping[str, Any]

    @classmethod
    def begin(
        cls,
        path: str | Path,
        asked: Mapping[str, object],
        prepare: Callable[[Path], Mapping[str, object]],
        *,
        join: bool,
    ) -> ShardFolder:
        """Begin a folder, or go on with one in which the same was asked for.

        Parameters
        ----------
        path
            The folder.
        asked
            Everything that determines the shards, as JSON can hold it.
        prepare
            Writes what all shards are made from to a folder, and returns facts, among them ``rows``, ``shard_size``
            and ``suffix`` of the plan. Called once for a folder, whoever begins it.
        join
            Whether to go on with a folder that was begun.

        Raises
        ------
        OutputExistsError
            If the folder holds something else, or was begun and `join` is false.
        ResumeError
            If something else was asked for in it.
        """
        path = check_output(path, overwrite=True).absolute()
        if path.exists() and not path.is_dir():
            raise OutputExistsError(f"{path} is a file; name a folder")
        others = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")] if path.is_dir() else []
        # looked for last: another process may have begun here meanwhile
        if others and not (path / "request").is_dir():
            raise OutputExistsError(f"{path} exists and holds no shards, but {others[0]}; name another folder")
        # JSON has no tuples
        asked = json.loads(json.dumps(asked))
        own = not path.exists()
        path.mkdir(exist_ok=True)
        new = cls(path, {})
        with new._workspace() as work, new._lock():
            if (path / "request").is_dir():
                there = cls.open(path)
                if not join:
                    raise OutputExistsError(
                        f"{path} holds shards; go on with them by resume=True (--resume), or name another folder"
                    )
                there._check_asked(asked)
            else:
                try:
                    with atomic_directory(path / "request", within=work) as folder:
                        facts = dict(prepare(folder))
                        files = {item.name: sha256_of(item) for item in sorted(folder.iterdir())}
                        content = {**_FORMAT.head, "asked": asked, "facts": facts, "files": files}
                        (folder / _REQUEST_FILE).write_text(_json(content), encoding="utf-8")
                except BaseException:
                    shutil.rmtree(work)
                    (path / ".lock").unlink(missing_ok=True)
                    if own:
                        with suppress(OSError):
                            # another process may have begun to wait here, and has its temporary files in it
                            path.rmdir()
                    raise
        found = cls.open(path)
        found._clean()
        return found

    @classmethod
    def open(cls, path: str | Path) -> ShardFolder:
        """Open a folder that was begun.

        Raises
        ------
        FileNotFoundError
            If there is none.
        ValueError
            If it is damaged, or of a later version.
        """
        path = Path(path).absolute()
        place = path / "request" / _REQUEST_FILE
        if not place.is_file():
            raise FileNotFoundError(f"there are no shards of bulkgen at {path}; make some with: bulkgen synthesize")
        request = _FORMAT.read(place)
        found = cls(path, request)
        try:
            asked, files, plan = request["asked"], request["files"], found.plan
            whole = isinstance(asked, dict) and isinstance(files, dict) and type(plan.rows) is int and plan.rows >= 1
            inside = re.fullmatch(r"\.\w+", plan.suffix) and all(Path(name).name == name for name in files)
        except (KeyError, TypeError, ValueError) as error:
            raise _FORMAT.damaged(place, f"{error!r:.80}") from error
        if not whole or not inside:
            raise _FORMAT.damaged(place, "it is no request for shards")
        return found

    def _check_asked(self, asked: Mapping[str, object]) -> None:
        """Refuse to go on with other shards."""
        there, here = _flat(self.request["asked"]), _flat(asked)
        for name in [*there, *here]:
            if there.get(name) != here.get(name):
                raise ResumeError(
                    f"{self.path} holds shards of another request: {name} is {_shown(there.get(name))} there, and "
                    f"{_shown(here.get(name))} here; name another folder, or ask for the same"
                )
        for name, sha256 in self.request["files"].items():
            place = self.path / "request" / name
            if not place.is_file() or sha256_of(place) != sha256:
                raise ResumeError(f"{place} is damaged; make the shards in another folder")

    @cached_property
    def plan(self) -> ShardPlan:
        """How the rows are dealt."""
        facts = self.request["facts"]
        return ShardPlan(facts["rows"], facts["shard_size"], facts["suffix"])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of what was asked for."""
        return hashlib.sha256(json.dumps(self.request["asked"], sort_keys=True).encode()).hexdigest()

    def file(self, name: str) -> Path:
        """Return the path of something that all shards are made from."""
        return self.path / "request" / name

    def record(self, number: int) -> ShardRecord | None:
        """Return the record of a shard; ``None`` if there is none that can be read."""
        try:
            found = json.loads(self._record_path(number).read_text(encoding="utf-8"))
            record = ShardRecord(**found)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        whole = record.name == self.plan.name(number) and type(record.rows) is int and isinstance(record.facts, dict)
        return record if whole else None

    def records(self) -> list[ShardRecord | None]:
        """Return the records of all shards."""
        return [self.record(number) for number in range(len(self.plan))]

    def check_complete(self) -> None:
        """Refuse a folder without a manifest.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not (self.path / MANIFEST_FILE).is_file():
            done = sum(1 for _ in (self.path / "records").glob("*.json"))
            raise ValueError(
                f"{self.path} is not complete: {done:,} of {len(self.plan):,} shards are done; make the others with "
                f"resume=True (--resume)"
            )

    def verified(self, number: int) -> ShardRecord | None:
        """Return the record of a shard whose content is what the record says; a shard that is not is made anew.

        The record and the manifest of such a folder are removed at once.
        """
        path = self.path / self.plan.name(number)
        while True:
            record = self.record(number)
            if record is not None:
                with suppress(OSError):
                    if size_of(path) == record.bytes and sha256_of(path) == record.sha256:
                        return record
            with self._lock():
                # else another process made the shard meanwhile
                if self.record(number) == record:
                    self._record_path(number).unlink(missing_ok=True)
                    (self.path / MANIFEST_FILE).unlink(missing_ok=True)
                    return None

    def make(self, number: int, write: Callable[[Path], tuple[int, Mapping[str, object]]]) -> ShardRecord:
        """Make a shard: `write` gets the path of a file or folder to make, and returns its rows and facts."""
        name = self.plan.name(number)
        final = self.path / name
        with full_disk_named(final), self._workspace() as work:
            temporary = work / name
            with no_lost_interrupt():
                rows, facts = write(temporary)
            if temporary.is_dir():
                sync_folder(temporary)
            else:
                sync(temporary)
            record = ShardRecord(name, rows, size_of(temporary), sha256_of(temporary), facts)
            with self._lock():
                if final.is_dir():
                    # a folder does not replace another
                    final.replace(work / "old")
                temporary.replace(final)
                sync(self.path)
                self._record_path(number).parent.mkdir(exist_ok=True)
                self._write(self._record_path(number), _json(vars(record), indent=None), work)
        return record

    def finish(self, texts: Mapping[str, str]) -> None:
        """Write the files that make the folder whole, in their order; the last is the manifest."""
        with self._workspace() as work, self._lock():
            for name, text in texts.items():
                self._write(self.path / name, text, work)
        self._clean()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder for temporary files, on the file system of the shards."""
        with full_disk_named(self.path), self._workspace() as work:
            yield work

    def _write(self, path: Path, text: str, work: Path) -> None:
        with atomic_file(path, overwrite=True, within=work) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _record_path(self, number: int) -> Path:
        return self.path / "records" / f"{Path(self.plan.name(number)).stem}.json"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Wait for, and hold, the right to change names: for moments, and while a folder is begun. Never twice."""
        with held(self.path / ".lock", by_others=f"another process is at work in {self.path}"):
            yield

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """Yield a folder of this process for temporary files, which is removed at the end."""
        work = self.path / f"{_WORK}{secrets.token_hex(8)}"
        own = FileLock(work / "lock")
        try:
            with self._lock():
                work.mkdir()
                own.acquire(timeout=0)
            yield work
        finally:
            own.release()
            if work.exists():
                with self._lock():
                    shutil.rmtree(work, ignore_errors=True)

    def _clean(self) -> None:
        """Remove the temporary files of processes that are gone."""
        with self._lock():
            for work in self.path.glob(f"{_WORK}*"):
                with suppress(Timeout):
                    FileLock(work / "lock").acquire(timeout=0).lock.release()
                    shutil.rmtree(work, ignore_errors=True)


def is_whole(value: object) -> bool:
    """Tell whether a value is an integer, of NumPy for instance."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_share(shard: tuple[int, int]) -> tuple[int, int]:
    """Refuse a share that there is not.

    Raises
    ------
    ValueError
        If it is not ``(i, n)`` with i from 1 to n.
    """
    parts: tuple[object, ...] = shard
    if len(parts) != 2 or not all(map(is_whole, parts)):
        raise ValueError(f"shard must be (i, n), two whole numbers, got {shard!r}")
    number, count = shard
    if not 1 <= number <= count:
        raise ValueError(f"shard must be (i, n) with i from 1 to n, got {shard}")
    return number, count


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return path.stat().st_size


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file; of a folder, that of the names and hashes of its files."""
    if path.is_dir():
        digest = hashlib.sha256()
        for item in sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file()):
            digest.update(f"{sha256_of(path / item)} {item}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(value: Mapping[str, object], *, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, allow_nan=False) + "\n"


def _flat(value: object, name: str = "") -> dict[str, object]:
    """Return the leaves of nested dictionaries by their paths."""
    if not isinstance(value, dict):
        return {name: value}
    return {
        path: leaf
        for key, below in value.items()
        for path, leaf in _flat(below, f"{name}.{key}" if name else key).items()
    }


def _shown(value: object) -> str:
    text = repr(value) if value is not None else "not given"
    return text if len(text) <= 60 else f"{text[:57]}..."
