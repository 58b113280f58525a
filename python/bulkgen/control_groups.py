"""What the control groups of this process (Linux, versions 1 and 2: containers, batch systems) let it have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CGROUP", "cpu_quota", "memory_left"]

#: Where the groups are mounted.
CGROUP = Path("/sys/fs/cgroup")


def cpu_quota(*, proc: Path = Path("/proc"), cgroup: Path = CGROUP) -> float | None:
    """Return the CPUs' worth of time that the control groups of this process grant; ``None`` without a limit."""
    known = []
    for unified, folder in _groups("cpu", proc, cgroup):
        if unified:
            quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
        else:
            quota, period = (" ".join(_words(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
        # "max" and -1 are no limit
        if quota.isdecimal() and period.isdecimal() and int(period):
            known.append(int(quota) / int(period))
    return min(known, default=None)


def memory_left(proc: Path, cgroup: Path) -> list[int]:
    """Return what each control group of the process, and each above it, leaves."""
    left = []
    for unified, folder in _groups("memory", proc, cgroup):
        limit = _limit(folder / ("memory.max" if unified else "memory.limit_in_bytes"))
        if limit is not None:
            used = _limit(folder / ("memory.current" if unified else "memory.usage_in_bytes")) or 0
            left.append(max(0, limit - used + _reclaimable(folder / "memory.stat")))
    return left


def _groups(controller: str, proc: Path, cgroup: Path) -> Iterator[tuple[bool, Path]]:
    """Yield the folder of each control group of the process and of each above it, and whether it is of version 2."""
    try:
        lines = os.fsdecode((proc / "self" / "cgroup").read_bytes()).splitlines()
    except OSError:
        return
    for line in lines:
        # sandboxes that are no Linux may write anything here
        if line.count(":") < 2:
            continue
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroup / controller if controllers else cgroup
        group = root / place.lstrip("/")
        # in a container the group's path is that of the host, and the files of its root are the group's own
        for folder in (group, *group.parents):
            if folder == root or root in folder.parents:
                yield not controllers, folder


def _words(path: Path) -> list[str]:
    """Return the words of a file; none of one that there is not, or that is no text."""
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _limit(path: Path) -> int | None:
    """Return a number of bytes; ``None`` for ``max`` or a file that there is not."""
    text = " ".join(_words(path))
    return int(text) if text.isdecimal() else None


def _reclaimable(path: Path) -> int:
    """Return the bytes of files that the group keeps in memory and that the system lets go when memory is needed."""
    try:
        pairs = (line.split() for line in path.read_text(encoding="ascii").splitlines())
        facts = {name: int(value) for name, value in pairs}
    except (OSError, ValueError):
        return 0
    return facts.get("total_inactive_file", facts.get("inactive_file", 0))
