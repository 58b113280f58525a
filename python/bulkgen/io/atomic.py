"""Outputs that appear whole or not at all: write beside the target, sync, rename."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.errors import OutputExistsError
from bulkgen.io.full_disk import full_disk_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = [
    "atomic_directory",
    "atomic_file",
    "check_interrupt",
    "check_output",
    "no_lost_interrupt",
    "sync",
    "sync_folder",
]

_MEANWHILE = "{} was made by another process meanwhile and is kept; choose another output"


def check_output(path: str | Path, *, overwrite: bool) -> Path:
    """Refuse an output path that exists (call it before any work starts).

    Raises
    ------
    ValueError
        If `path` ends in no name.
    OutputExistsError
        If `path` exists and `overwrite` is false.
    FileNotFoundError
        If the folder that should hold `path` does not exist.
    PermissionError
        If it cannot be written to.
    """
    path = Path(path)
    # "", "." and ".." are folders at work, which nothing may take the place of
    if path.name in ("", ".."):
        raise ValueError(f"the output {str(path)!r} has no name of its own; name a file or folder in it")
    # a link to nothing, too
    if os.path.lexists(path) and not overwrite:
        raise OutputExistsError(f"{path} exists; choose another output or pass overwrite=True (--overwrite)")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise FileNotFoundError(f"the folder {parent} does not exist; create it with: mkdir -p {parent}")
    if not os.access(parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder cannot be written to; choose another output", str(parent))
    return path


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before anything that comes later."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the disk hold all files of a folder before anything that comes later."""
    for item in folder.rglob("*"):
        if item.is_file():
            sync(item)
    sync(folder)


@contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = False, within: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on any failure it is removed.

    The temporary name keeps the suffix of `path`, because writers choose their format by it. The temporary file is
    made `within` a folder of the same file system, if one is given.
    """
    path = check_output(path, overwrite=overwrite)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; choose another output")
    temporary = _new_name(within or path.absolute().parent, f".{path.stem}.", path.suffix)
    temporary.touch(exist_ok=False)
    try:
        with full_disk_named(path):
            with no_lost_interrupt():
                yield temporary
            sync(temporary)
        _put(temporary, path, overwrite=overwrite)
        sync(path.absolute().parent)
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        # unlike a rename, a link does not take the place of what another process made since the check
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            raise OutputExistsError(_MEANWHILE.format(path)) from error
        except OSError:
            # a file system without links
            pass
        else:
            return
    temporary.replace(path)


@contextmanager
def atomic_directory(path: str | Path, *, overwrite: bool = False, within: Path | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it becomes `path`, on any failure it is removed.

    With `overwrite`, an older `path` stays in place until the new folder is complete. The temporary folder is made
    `within` a folder of the same file system, if one is given.
    """
    path = check_output(path, overwrite=overwrite)
    parent = path.absolute().parent
    temporary = _new_name(within or parent, f".{path.name}.")
    temporary.mkdir()
    old: Path | None = None
    try:
        with full_disk_named(path):
            with no_lost_interrupt():
                yield temporary
            sync_folder(temporary)
        if overwrite and path.exists():
            old = _new_name(within or parent, f".{path.name}.old.")
            old.mkdir()
            path.replace(old / path.name)
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise OutputExistsError(_MEANWHILE.format(path)) from error
            raise
        sync(parent)
    except BaseException:
        if old is not None and not path.exists():
            (old / path.name).replace(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def check_interrupt() -> None:
    """Raise an interrupt (Ctrl-C) that was swallowed since the output was begun; for loops that run long.

    Outside of :func:`atomic_directory` and :func:`atomic_file` nothing is known of it, and nothing happens.
    """
    if any(remember.interrupted for remember in _REMEMBERING):
        raise KeyboardInterrupt


@contextmanager
def no_lost_interrupt() -> Iterator[None]:
    """Raise an interrupt (Ctrl-C) that the body swallowed.

    Python ignores an exception raised in a callback of the garbage collector, and that is where an interrupt during a
    long write of h5py arrives.
    """
    earlier = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(earlier):
        yield
        return
    signal.signal(signal.SIGINT, remember := _Remember(earlier))
    _REMEMBERING.append(remember)
    try:
        yield
    finally:
        _REMEMBERING.remove(remember)
        signal.signal(signal.SIGINT, earlier)
    if remember.interrupted:
        raise KeyboardInterrupt


#: Handlers of the outputs that are being written, the innermost last.
_REMEMBERING: list[_Remember] = []


class _Remember:
    """A signal handler that does what the earlier one did, and remembers whether that was to interrupt."""

    def __init__(self, earlier: Callable[[int, FrameType | None], object]) -> None:
        self.earlier = earlier
        self.interrupted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.earlier(number, frame)
        except KeyboardInterrupt:
            self.interrupted = True
            raise


def _new_name(folder: Path, prefix: str, suffix: str = "") -> Path:
    """Return a name that nothing else has, for a file with ordinary permissions; those of `tempfile` are private."""
    return folder / f"{prefix}{secrets.token_hex(8)}{suffix}"
