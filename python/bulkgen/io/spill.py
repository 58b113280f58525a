"""Arrays set aside by bucket: in memory as long as they are few, then in one file without a name."""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import ResourcesError
from bulkgen.io.full_disk import FULL
from bulkgen.io.resources import free_space, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

__all__ = ["Spill", "place_with_room", "smallest_integers"]

#: Bytes that stay in memory.
_IN_MEMORY = 1 << 27


class Spill:
    """Segments of buckets, written once in any order and read once by bucket.

    The file has no name where the system can (Linux), so that nothing is left behind even by ``kill -9``.

    Parameters
    ----------
    folder
        Where the file is, on a disk with room; default: the system's folder for temporary files.
    least
        Bytes that will be set aside at least.

    Raises
    ------
    ResourcesError
        If there is not so much room.
    """

    def __init__(self, folder: Path | None = None, *, least: int = 0) -> None:
        self._place = place_with_room(folder, least if least > _IN_MEMORY else 0)
        self._remedy = _remedy(folder)
        # closed by __exit__
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _IN_MEMORY, dir=str(self._place), prefix=".bulkgen-spill."
        )
        # the types of the arrays of a segment, by number; of each bucket, where a segment begins, this number, and the
        # sizes of its arrays, end to end: there are as many segments as blocks times buckets
        self._types: dict[tuple[np.dtype[np.generic], ...], int] = {}
        self._segments: dict[int, array[int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def bytes_held(self) -> int:
        """Bytes of all segments."""
        return self._end

    def append(self, bucket: int, arrays: Sequence[npt.NDArray[np.generic]]) -> None:
        """Add a segment to a bucket."""
        types = self._types.setdefault(tuple(part.dtype for part in arrays), len(self._types))
        self._segments.setdefault(bucket, array("q")).extend((self._end, types, *(part.size for part in arrays)))
        try:
            for part in arrays:
                self._file.write(np.ascontiguousarray(part).view(np.uint8).data)
                self._end += part.nbytes
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise ResourcesError(
                error.errno, f"the file system of {self._place} is full; {self._remedy}", str(self._place)
            ) from error

    def read(self, bucket: int) -> Iterator[list[npt.NDArray[np.generic]]]:
        """Yield the segments of a bucket in the order they were added; nothing may be added after."""
        types, facts = list(self._types), iter(self._segments.pop(bucket, ()))
        for start in facts:
            dtypes = types[next(facts)]
            sizes = [next(facts) for _ in dtypes]
            self._file.seek(start)
            segment = self._file.read(sum(size * dtype.itemsize for size, dtype in zip(sizes, dtypes, strict=True)))
            found, place = [], 0
            for size, dtype in zip(sizes, dtypes, strict=True):
                found.append(np.frombuffer(segment, dtype, size, place))
                place += size * dtype.itemsize
            yield found


def place_with_room(folder: Path | None, least: int) -> Path:
    """Return a folder (default: the system's for temporary files), if so many bytes can be set aside there.

    Raises
    ------
    ResourcesError
        If there is not so much room.
    """
    place = Path(tempfile.gettempdir()) if folder is None else folder
    free = free_space(place)
    if least > free:
        raise ResourcesError(
            f"{size_text(least)} are to be set aside, and the file system of {place} has {size_text(free)} free; "
            f"{_remedy(folder)}"
        )
    return place


def _remedy(folder: Path | None) -> str:
    return "make room there" if folder is not None else "name a folder with room in the variable TMPDIR"


def smallest_integers(values: npt.NDArray[np.generic], largest: int) -> npt.NDArray[np.generic]:
    """Return whole numbers from 0 to `largest` in the smallest type that holds them."""
    for dtype in (np.uint8, np.uint16, np.int32):
        if largest <= np.iinfo(dtype).max:
            return values.astype(dtype, copy=False)
    return values.astype(np.int64, copy=False)
