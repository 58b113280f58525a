"""A job that is killed with SIGKILL at random moments and gone on with: the shape of such a campaign.

The same command is started again and again, killed after a random time, and at last let run to its end. Then its output
must be what it is when nothing interrupts, byte by byte; and nothing half-written may have a final name at any time.
"""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from record import Row


def campaign(
    case: str,
    command: Callable[[Path], list[str]],
    folder: Path,
    *,
    kills: int,
    fault: Callable[[Path], str | None],
    difference: Callable[[Path], str | None],
    seed: int,
) -> Row:
    """Kill a job so many times, over as many outputs as that takes.

    Parameters
    ----------
    case
        Its name.
    command
        Gives the command that begins the output at a path, or goes on with it.
    folder
        For the outputs.
    kills
        Processes to kill; those that end before do not count.
    fault
        Says what is wrong with an output whose process was killed, if anything.
    difference
        Says how an output that is done differs from one that nothing interrupted, if it does.
    seed
        Of the moments.
    """
    moments = random.Random(seed)
    start = time.monotonic()
    run(command(folder / "timed"))
    seconds = time.monotonic() - start
    done = outputs = 0
    failures: list[str] = []
    while done < kills:
        out = folder / f"output-{outputs}"
        outputs += 1
        # so that an output is gone on with more than once before it is let be
        for _ in range(min(4, kills - done)):
            process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.communicate(timeout=moments.uniform(0, seconds))
                if process.returncode:
                    failures.append("it failed when it was gone on with")
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            done += 1
            if found := fault(out):
                failures.append(found)
        run(command(out))
        if found := difference(out):
            failures.append(found)
    note = f"{outputs} outputs gone on with until they were done; a run takes {seconds:.1f} s"
    return Row(case, done, len(failures), "; ".join([note, *sorted(set(failures))]))


def run(command: list[str]) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr}")
