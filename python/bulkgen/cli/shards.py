"""What the commands that make shards have in common, and the scheduler that commands may use."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkgen.cli.options import print_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bulkgen.io.shard_jobs import Shards

__all__ = [
    "DaskAddress",
    "Force",
    "Resume",
    "Shard",
    "ShardSize",
    "for_shards_only",
    "print_shards",
    "read_shard",
    "shard_job",
]

ShardSize = Annotated[
    int | None,
    typer.Option(
        "--shard-size", min=1, help="Write shards of so many cells to the folder --out; a job that may be stopped."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with shards: verify what is there, make what is missing.")
]
Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="Only the I-th of N equal shares of the work.")]
Force = Annotated[bool, typer.Option("--force", help="Begin even if space or memory will not suffice.")]
DaskAddress = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS", help="Work on the workers of this Dask scheduler (tcp://...), which see the files."
    ),
]


def read_shard(text: str) -> tuple[int, int]:
    """Read the share of --shard."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter(f"{text!r} is not of the form I/N, with I from 1 to N", param_hint="--shard")
    return int(number), int(count)


def for_shards_only(options: Mapping[str, object]) -> None:
    """Refuse options that were given although there are no shards."""
    given = [name for name, value in options.items() if value]
    if given:
        raise typer.BadParameter("is for shards: add --shard-size", param_hint=given[0])


def print_shards(made: Shards[Any], out: Path, *, as_json: bool) -> None:
    """Print how far a folder of shards is."""
    result = {"holds": made.kind, "shards": made.total, "done": made.done, "out": str(out)}
    print_result(result, as_json=as_json)


@contextmanager
def shard_job(dask: str | None) -> Iterator[None]:
    """Let SIGTERM wait for the shard in flight, say on an interrupt how to go on, and show what the job will take."""
    from bulkgen.io.executors import dask_scheduler, finish_on_sigterm

    log = logging.getLogger("bulkgen")
    level = log.level
    log.setLevel(logging.INFO)
    try:
        with dask_scheduler(dask), finish_on_sigterm():
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("shards that are done stay, go on with --resume") from None
    finally:
        log.setLevel(level)
