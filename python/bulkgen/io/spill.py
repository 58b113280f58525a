"""Arrays set aside by bucket: in memory as long as they are few, then in one file without a name."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

__all__ = ["Spill", "smallest_integers"]

#: Bytes that stay in memory.
_IN_MEMORY = 1 << 27


class Spill:
    """Segments of buckets, written once in any order and read once by bucket.

    The file has no name where the system can (Linux), so that nothing is left behind even by ``kill -9``.

    Parameters
    ----------
    folder
        Where the file is, on a disk with room; default: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        # closed by __exit__
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _IN_MEMORY, dir=None if folder is None else str(folder), prefix=".bulkgen-spill."
        )
        self._segments: dict[int, list[list[tuple[int, int, np.dtype[np.generic]]]]] = {}
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
        places = []
        for array in arrays:
            values = np.ascontiguousarray(array)
            places.append((self._end, values.size, values.dtype))
            self._file.write(values.view(np.uint8).data)
            self._end += values.nbytes
        self._segments.setdefault(bucket, []).append(places)

    def read(self, bucket: int) -> Iterator[list[npt.NDArray[np.generic]]]:
        """Yield the segments of a bucket in the order they were added; nothing may be added after."""
        for places in self._segments.pop(bucket, []):
            arrays = []
            for start, size, dtype in places:
                self._file.seek(start)
                arrays.append(np.frombuffer(self._file.read(size * dtype.itemsize), dtype))
            yield arrays


def smallest_integers(values: npt.NDArray[np.generic], largest: int) -> npt.NDArray[np.generic]:
    """Return whole numbers from 0 to `largest` in the smallest type that holds them."""
    for dtype in (np.uint8, np.uint16, np.int32):
        if largest <= np.iinfo(dtype).max:
            return values.astype(dtype, copy=False)
    return values.astype(np.int64, copy=False)
