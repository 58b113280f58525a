"""Whether there is room: free space and memory, looked at before a long piece of work begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bulkgen.control_groups import CGROUP, memory_left
from bulkgen.errors import ResourcesError

__all__ = [
    "available_memory",
    "free_space",
    "require_memory",
    "require_space",
    "size_text",
    "total_memory",
]


def free_space(path: str | Path) -> int:
    """Return the bytes that can be written to the file system of a path, which need not exist."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def available_memory(*, proc: Path = Path("/proc"), cgroup: Path = CGROUP) -> int | None:
    """Return the bytes of memory that this process can still take without swapping; ``None`` where not known.

    The least of what the system says is available and what the process's control groups (versions 1 and 2: containers,
    batch systems) leave.
    """
    known = [_system_memory(proc), *memory_left(proc, cgroup)]
    return min((n for n in known if n is not None), default=None)


def total_memory() -> int | None:
    """Return the bytes of memory of this machine; ``None`` where not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def require_space(needed: int, path: str | Path, *, what: str, force: bool) -> None:
    """Refuse to begin what needs more space than there is.

    Raises
    ------
    ResourcesError
        If there is not enough, unless `force`.
    """
    free = free_space(path)
    if needed > free and not force:
        raise ResourcesError(
            f"{what} will take about {size_text(needed)}, and the file system of {path} has {size_text(free)} free; "
            f"make room, ask for less, or pass force=True (--force) to begin all the same"
        )


def require_memory(needed: int, *, what: str, remedy: str, force: bool) -> None:
    """Refuse to begin what needs more memory than there is.

    Raises
    ------
    ResourcesError
        If there is not enough, unless `force`.
    """
    available = available_memory()
    if available is not None and needed > available and not force:
        raise ResourcesError(
            f"{what} will take about {size_text(needed)} of memory, and {size_text(available)} are available; "
            f"{remedy}, or pass force=True (--force) to begin all the same"
        )


def size_text(n_bytes: float) -> str:
    """Return a size for people, such as ``1.5 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" or n_bytes >= 100 else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} TB"


def _system_memory(proc: Path) -> int | None:
    try:
        for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    # all that there is, where the system does not say what is free
    return total_memory()
