"""HDF5 files and zarr stores for writing, which a full disk leaves in good order."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PACKED", "PACKED_NUMBERS", "new_hdf5", "settled_zarr"]

#: How datasets of an HDF5 file are packed: by what every HDF5 library unpacks, which lzf, of h5py alone, is not.
PACKED = {"compression": "gzip", "compression_opts": 1}
#: Shuffled bytes are packed faster, and smaller.
PACKED_NUMBERS = PACKED | {"shuffle": True}


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Make an HDF5 file with checksums of its own tables, which version 1.10 of the library and later check.

    Raises
    ------
    OSError
        At the end, if writing failed. Were the library told, it would leave the file open for good, and crash the
        interpreter at its end.
    """
    with path.open("w+b", buffering=0) as raw:
        target = _Target(raw)
        try:
            with h5py.File(target, "w", libver=("v110", "v110")) as file:
                yield file
        finally:
            if target.error is not None:
                raise target.error


class _Target:
    """What the library writes to: a file, until that fails."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - an unbuffered file
        self._raw = raw
        self.error: OSError | None = None
        # h5py takes for a file what has these
        self.read, self.seek, self.tell = raw.read, raw.seek, raw.tell

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        if self.error is not None:
            return len(data)
        left = memoryview(data)
        try:
            while left:
                # a raw file may take a part only
                left = left[self._raw.write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        found: int = self._raw.readinto(buffer)
        return found

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                return int(self._raw.truncate(size))
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""


@contextmanager
def settled_zarr() -> Iterator[None]:
    """Write chunks of zeros too, so that a lost one can be told; after a failure, wait for what is still written.

    Zarr writes in threads, which would go on into a folder that is being removed.
    """
    import zarr

    try:
        with zarr.config.set({"array.write_empty_chunks": True}):
            yield
    except BaseException:
        # zarr 2 writes in the caller's thread
        if zarr.__version__.startswith("3"):
            from zarr.core.sync import sync

            sync(_others_done())
        raise


async def _others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
