"""A full disk, said in one way whatever library met it."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bulkgen.errors import ResourcesError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FULL", "full_disk_named"]

#: Numbers of the errors that say so: no space, no quota, a file larger than is allowed.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: How HDF5, torch and safetensors tell it, who hide the number in their text; and NumPy, who knows none.
_TOLD = re.compile(
    "|".join(
        [
            *(re.escape(os.strerror(number)) for number in FULL),
            r"errno = (28|122|27)\b",
            r"\d+ requested and \d+ written",
        ]
    )
)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Raise an :class:`OSError` that names the output if the disk is full, or a file grows beyond what is allowed.

    Parameters
    ----------
    path
        The output that is being written.
    """
    try:
        yield
    except ResourcesError:
        # says already what is full, and it may be another disk than that of the output
        raise
    except Exception as error:
        found: BaseException | None = error
        while found is not None:
            number = getattr(found, "errno", None)
            told = _TOLD.search(str(found))
            if number in FULL or told:
                number = number if number in FULL else errno.ENOSPC
                reason = os.strerror(number) if told is None else told[0]
                raise OSError(
                    number,
                    f"the disk is full, or its quota used up ({reason}): nothing was written; make room, or name "
                    f"another place",
                    str(path),
                ) from error
            found = found.__cause__ or found.__context__
        raise
