"""Run attempts in processes of their own, so that a crash, a hang or a memory bomb is an outcome like any other.

An attempt is a function of a path that returns what it read, as two texts: its structure and its content.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Self

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from record import Row  # noqa: E402

#: Seconds after which an attempt counts as hanging, and bytes beyond which it counts as a memory bomb.
HANGS, BOMB = 60.0, 1 << 30
#: What may become of an attempt without being a failure.
SOUND = ("read", "refused", "changed")


class Outcome(NamedTuple):
    """What became of an attempt: one of `SOUND`, or ``wrong``, ``escaped``, ``memory``, ``hang``, ``crash``."""

    kind: str
    said: str = ""
    structure: str = ""
    content: str = ""


class Isolated:
    """A process that attempts one thing after the other; one that dies is replaced."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def attempt(self, module: str, function: str, path: Path, *, seconds: float = HANGS) -> Outcome:
        """Call ``module.function(path)``."""
        process = self._started()
        process.stdin.write(json.dumps([module, function, str(path)]).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], seconds)[0]:
            self.stop()
            return Outcome("hang", f"after {seconds:.0f} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.stop()
            return Outcome("crash", f"exit code {code}")
        return Outcome(*json.loads(line))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "outcomes.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._process

    def stop(self) -> None:
        """End the process; the next attempt has another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def judged(outcome: Outcome, intact: Outcome) -> str:
    """Compare with what the intact file gives: ``changed`` has the same structure, ``wrong`` another."""
    if outcome.kind != "read" or outcome.content == intact.content:
        return outcome.kind
    return "changed" if outcome.structure == intact.structure else "wrong"


def row(case: str, kinds: Counter[str], note: str = "") -> Row:
    """Sum up what became of the attempts of a case."""
    failures = sum(count for kind, count in kinds.items() if kind not in SOUND)
    words = {"read": "read in full", "changed": "read with other values"}
    told = ", ".join(f"{count} {words.get(kind, kind)}" for kind, count in sorted(kinds.items()))
    return Row(case, sum(kinds.values()), failures, "; ".join(filter(None, (told, note))))


def _serve() -> None:
    """Attempt what the standard input asks for."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        module, function, path = json.loads(line)
        call = getattr(importlib.import_module(module), function)
        before = _peak(reset=True)
        outcome = _attempted(call, Path(path))
        if _peak() - before > BOMB:
            outcome = Outcome("memory", f"{(_peak() - before) >> 20} MiB; {outcome.said}")
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()


def _attempted(call, path: Path) -> Outcome:
    from bulkgen.errors import BulkgenError

    try:
        return Outcome("read", "", *call(path))
    except (OSError, ValueError, TypeError, BulkgenError) as error:
        said = str(error)
        # bare messages of other libraries say neither what nor where
        return Outcome(
            "refused" if len(said) > 20 and "\n" not in said else "escaped", f"{type(error).__name__}: {said}"
        )
    except BaseException as error:
        return Outcome("escaped", f"{type(error).__name__}: {error}")


def _peak(*, reset: bool = False) -> int:
    """Most memory that the process held since the last reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    _serve()
