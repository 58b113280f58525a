"""Commands that make a folder of shards, killed at random moments: the shape of their campaigns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bulkgen.io.shards import MANIFEST_FILE, ShardFolder, sha256_of
from kills import campaign, run
from record import Row


def campaign_of_shards(case: str, command: Callable[[Path], list[str]], folder: Path, *, kills: int, seed: int) -> Row:
    """Kill a command that makes shards so many times, and compare with the bytes of one that nothing interrupts.

    Parameters
    ----------
    case, command, kills, seed
        As :func:`kills.campaign` takes them.
    folder
        For the outputs; made here.
    """
    folder.mkdir()
    run(command(folder / "whole"))
    whole = sha256_of(folder / "whole")

    def difference(out: Path) -> str | None:
        return None if sha256_of(out) == whole else "other bytes than without interruption"

    found = campaign(case, command, folder, kills=kills, fault=_half_written, difference=difference, seed=seed)
    print(found)
    return found


def _half_written(out: Path) -> str | None:
    """Say which shard has a record and is not what that says, or has a name and cannot be whole."""
    if not (out / "request").is_dir():
        return None
    folder = ShardFolder.open(out)
    for number, record in enumerate(folder.records()):
        shard = out / folder.plan.name(number)
        if record is not None and (not shard.exists() or sha256_of(shard) != record.sha256):
            return "a shard is not what its record says"
    if (out / MANIFEST_FILE).exists() and None in folder.records():
        return "there is a manifest, and not all shards"
    return None
