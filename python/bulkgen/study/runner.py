"""The runner: does what is missing of a study, and may be killed at any moment."""

from __future__ import annotations

import json
import platform
import shutil
import time
import tomllib
import traceback
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bulkgen.arguments import checked
from bulkgen.errors import OutputExistsError, StudyConfigError
from bulkgen.io.executors import active_executor, map_units
from bulkgen.io.shards import check_share
from bulkgen.report import require_report_extra
from bulkgen.study.config import BenchmarkSettings, StudyConfig, preset_names
from bulkgen.study.data import StudyData
from bulkgen.study.execution import execute
from bulkgen.study.folder import RunError, StudyFolder
from bulkgen.study.results import StudyResults, write_tables
from bulkgen.study.run import Run, digest
from bulkgen.study.workers import WorkerDied, map_in_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from bulkgen.study.parts import Point

__all__ = ["StudyEvent", "run_study"]

_PACKAGES = ("bulkgen", "numpy", "scipy", "scikit-learn", "torch", "transformers")


@dataclass(frozen=True)
class StudyEvent:
    """What happens while a study runs.

    Attributes
    ----------
    kind
        ``"opening"`` the data; ``"warning"``; ``"started"``: the runs to do are known; ``"done"`` or ``"failed"``: a
        run, or without a key the benchmark; and ``"benchmark"`` and ``"report"``, which begin.
    text
        What to tell people.
    finished, total
        Runs of this runner that are behind it, and all of them; those that were done before are not counted.
    key
        The run.
    seconds
        That the run took.
    """

    kind: Literal["opening", "warning", "started", "done", "failed", "benchmark", "report"]
    text: str
    finished: int = 0
    total: int = 0
    key: str | None = None
    seconds: float | None = None


@checked
def run_study(
    config: StudyConfig | str | Path,
    out: str | Path,
    *,
    jobs: int = 1,
    shard: tuple[int, int] = (1, 1),
    client: object | None = None,
    only: Sequence[str] | None = None,
    retry_failed: bool = False,
    report: bool = True,
    command: str | None = None,
    on_event: Callable[[StudyEvent], None] | None = None,
) -> StudyResults:
    """Run what is missing of a study.

    Parameters
    ----------
    config
        The study: its settings, a TOML file, or the name of a preset (``"poster"``, ``"beyond"``, ``"quick"``).
    out
        Folder of the study; it is made, or gone on with. See :class:`bulkgen.StudyResults`.
    jobs
        Processes to run in at the same time, each with the study's number of threads. 1 is this process.
    shard
        ``(i, n)``: only the i-th of n equal shares of the runs, from 1. Shares of the same number may run at the same
        time, on machines that see the same folder; the last one to end completes the tables.
    client
        Run on the workers of this ``distributed.Client``, or of a ``concurrent.futures.Executor``, instead. They need
        to see the same files.
    only
        Run only what these parts need.
    retry_failed
        Run also what failed before.
    report
        Write the report at the end; of several shards, the one that completes the study does.
    command
        The command line that asks for it, for the record.
    on_event
        Told what happens, in this process.

    Returns
    -------
    StudyResults
        A run that failed is in ``failed``, and did not stop the others.

    Raises
    ------
    StudyConfigError
        If the settings are not usable, or the folder holds another study.
    StudyInUseError
        If another runner is at work in the folder.
    OutputExistsError
        If `out` is a file, or a folder with something else in it.
    MissingExtraError
        If a report is wanted without the extra ``report``.
    ValueError
        If `jobs`, `shard` or `only` is not possible, or the data does not fit the settings.
    """
    settings = _settings(config)
    number, count = check_share(shard)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    for part in only or ():
        if part not in settings.parts:
            raise ValueError(f"only: the study has no part {part!r}; it has {', '.join(settings.parts)}")
    if report:
        require_report_extra()
    say = on_event or (lambda _: None)
    folder = StudyFolder(Path(out))
    _check_folder(folder, settings)
    folder.make()
    with folder.runner(shard):
        say(StudyEvent("opening", _opening(settings)))
        data = StudyData.open(settings)
        for label, n in data.facts.rare.items():
            say(StudyEvent("warning", _rare(label, n)))
        points = settings.points(data.facts)
        with folder.writing():
            _begin(folder, settings, data, command, shard)
        runs = _runs(points)
        names = {point.run.key: point.name for point in reversed(points)}
        mine = dict(list(runs.items())[number - 1 :: count])
        if only is not None:
            wanted = _runs([point for point in points if point.part in only])
            mine = {key: run for key, run in mine.items() if key in wanted}
        folder.clean(mine)
        todo = {key: run for key, run in mine.items() if _is_open(folder, key, retry_failed=retry_failed)}
        say(StudyEvent("started", _plan(len(todo), len(mine), len(runs), shard), total=len(todo)))
        try:
            with closing(_outcomes(folder, settings, data, list(todo.values()), jobs=jobs, client=client)) as outcomes:
                for finished, (run, outcome) in enumerate(outcomes, start=1):
                    _keep(folder, run, outcome)
                    say(_event(run, names[run.key], outcome, finished, len(todo)))
            if settings.benchmark is not None and number == 1 and only is None:
                _benchmark(folder, settings, data, command, say, retry_failed=retry_failed)
        finally:
            # also after an interrupt, for what is done
            with folder.writing():
                write_tables(folder, settings, data.facts)
        results = StudyResults.load(folder.path)
        if report and (count == 1 or not results.missing):
            from bulkgen.study.reporting import write_report

            say(StudyEvent("report", "writing the report"))
            with folder.writing():
                write_report(results)
    return results


def _settings(config: StudyConfig | str | Path) -> StudyConfig:
    if isinstance(config, StudyConfig):
        return config
    return StudyConfig.preset(str(config)) if str(config) in preset_names() else StudyConfig.from_toml(config)


def _runs(points: Sequence[Point]) -> dict[str, Run]:
    """Return the runs that points stand on, each once."""
    return {point.run.key: point.run for point in points}


def _is_open(folder: StudyFolder, key: str, *, retry_failed: bool) -> bool:
    record = folder.record(key)
    return record is None or (retry_failed and record["status"] == "failed")


def _check_folder(folder: StudyFolder, settings: StudyConfig) -> None:
    """Refuse a place that is not this study's, before any work."""
    path = folder.path
    if path.exists() and not path.is_dir():
        raise OutputExistsError(f"{path} is a file; name the folder of the study")
    if folder.settings.is_file():
        there = StudyConfig.from_toml(folder.settings).name
        if there != settings.name:
            raise StudyConfigError(
                str(path), [f"holds the study {there!r}, not {settings.name!r}: name another folder"]
            )
    elif path.is_dir() and any(not entry.name.startswith(".") and entry != folder.runs for entry in path.iterdir()):
        raise OutputExistsError(f"{path} exists and holds no study; name another folder, or an empty one")


def _rare(label: str, n: int) -> str:
    return (
        f"warning: label {label!r} has {n} training cell(s): what learns from them may fail, and its "
        "scores say little; [data] min_cells leaves labels with few cells out"
    )


def _begin(
    folder: StudyFolder, settings: StudyConfig, data: StudyData, command: str | None, shard: tuple[int, int]
) -> None:
    """Write what is known before the first run.

    Settings may change between runners: runs that no point needs any more stay, and are not shown. The data may not.
    """
    facts = data.facts.model_copy(update={"command": command})
    if folder.data.is_file():
        there = json.loads(folder.data.read_text(encoding="utf-8"))
        if (there["sha256"], there["split_sha256"]) != (facts.sha256, facts.split_sha256):
            raise StudyConfigError(
                str(folder.path), ["its runs were made on other cells, or another split of them: name another folder"]
            )
    text = settings.to_toml()
    found = json.dumps([facts.models, facts.packages, facts.vocabulary], sort_keys=True)
    folder.agree(shard, f"{text}{found}")
    if _state_of_benchmark(folder).get("key") != _benchmark_key(settings, data):
        shutil.rmtree(folder.benchmark, ignore_errors=True)
        folder.benchmark_state.unlink(missing_ok=True)
    # the settings first: they make the folder this study's, whatever of the others a kill leaves out
    folder.write_text(folder.settings, text)
    folder.write_text(folder.data, json.dumps(facts.model_dump(mode="json"), indent=1))
    folder.write_table(folder.split, data.split)


def _opening(settings: StudyConfig) -> str:
    data = settings.data
    if data.path is not None:
        return f"opening {data.path}"
    size = "cells" if data.n_cells is None else f"{data.n_cells:,} cells"
    return f"simulating {size}: SIMULATED data, a twin of sci-Plex2"


def _plan(todo: int, mine: int, every: int, shard: tuple[int, int]) -> str:
    share = "" if shard[1] == 1 else f" of shard {shard[0]}/{shard[1]} (the study has {every})"
    there = f", {mine - todo} are there already" if todo < mine else ""
    return f"{todo} runs to do{share}{there}"


@dataclass(frozen=True)
class _Outcome:
    """What became of a run: a result or an error, what it cost, and where."""

    result: dict[str, Any] | None
    error: RunError | None
    seconds: float
    peak_memory: float | None
    versions: dict[str, str]


def _keep(folder: StudyFolder, run: Run, outcome: _Outcome) -> None:
    folder.write_record(
        run.key,
        run.model_dump(mode="json"),
        result=outcome.result,
        error=outcome.error,
        cost={"seconds": outcome.seconds, "peak_memory": outcome.peak_memory},
        versions=outcome.versions,
    )


def _event(run: Run, name: str, outcome: _Outcome, finished: int, total: int) -> StudyEvent:
    text = f"{run.model.name} on {name}, seed {run.seed}"
    if outcome.error is None:
        return StudyEvent("done", text, finished, total, run.key, outcome.seconds)
    text = f"{text}: failed: {outcome.error['type']}: {outcome.error['message']}"
    return StudyEvent("failed", text, finished, total, run.key, outcome.seconds)


def _outcomes(
    folder: StudyFolder,
    settings: StudyConfig,
    data: StudyData,
    runs: list[Run],
    *,
    jobs: int,
    client: object | None,
) -> Generator[tuple[Run, _Outcome]]:
    """Execute runs here, in processes, or on a cluster; yield them as they are done."""
    text = settings.to_toml()
    if client is not None:
        yield from _on_cluster(client, text, runs)
    elif jobs > 1 and len(runs) > 1:
        yield from _in_processes(text, runs, jobs=jobs)
    else:
        # a run that a runner did not survive may take a process of its own along, and is recorded then
        deadly = [run for run in runs if folder.was_tried(run.key)]
        yield from _in_processes(text, deadly, jobs=1)
        for run in (run for run in runs if run not in deadly):
            with folder.trying(run.key):
                outcome = _perform(run, data)
            yield run, outcome


def _in_processes(settings: str, runs: list[Run], *, jobs: int) -> Generator[tuple[Run, _Outcome]]:
    tasks = [(settings, run) for run in runs]
    with closing(map_in_processes(_perform_elsewhere, tasks, jobs=jobs)) as outcomes:
        for number, outcome in outcomes:
            yield runs[number], _died(outcome) if isinstance(outcome, WorkerDied) else outcome


def _on_cluster(client: object, settings: str, runs: list[Run]) -> Generator[tuple[Run, _Outcome]]:
    tasks = [(settings, run) for run in runs]
    with closing(map_units(_perform_elsewhere, tasks, executor=active_executor(client))) as outcomes:
        for number, outcome in outcomes:
            if isinstance(outcome, Exception):
                # the cluster's own, such as a worker that was lost for good
                outcome = _Outcome(None, _error(outcome), 0.0, None, _versions())
            yield runs[number], outcome


def _perform_elsewhere(task: tuple[str, Run]) -> _Outcome:
    """Execute a run in a process that opens the data for itself, once."""
    settings, run = task
    return _perform(run, _data(settings))


@lru_cache(maxsize=1)
def _data(settings: str) -> StudyData:
    return StudyData.open(StudyConfig.from_dict(tomllib.loads(settings)))


def _perform(run: Run, data: StudyData) -> _Outcome:
    """Execute a run, whatever comes of it."""
    started = time.perf_counter()
    measured = _forget_peak_memory()
    result, failure = None, None
    try:
        # the last bits of sums depend on the number of threads that share them
        with threadpool_limits(limits=run.context.threads):
            result = execute(run, data)
    except (Exception, SystemExit) as error:  # a generator of a third party may raise anything
        failure = _error(error)
    seconds = round(time.perf_counter() - started, 3)
    return _Outcome(result, failure, seconds, _peak_memory() if measured else None, _versions())


def _error(error: BaseException) -> RunError:
    text = "".join(traceback.format_exception(error))
    return RunError(type=type(error).__name__, message=str(error), traceback=text)


def _died(worker: WorkerDied) -> _Outcome:
    return _Outcome(
        None, RunError(type="WorkerDied", message=str(worker), traceback=""), worker.seconds, None, _versions()
    )


def _forget_peak_memory() -> bool:
    """Begin to measure the most memory that this process takes; ``False`` where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak_memory() -> float | None:
    """Return the most memory that this process took since, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 / 1e6 if kilobytes else None


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _state_of_benchmark(folder: StudyFolder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(folder.benchmark_state.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return found


def _benchmark_key(settings: StudyConfig, data: StudyData) -> str | None:
    """Hash all that determines the benchmark; ``None`` where none is wanted."""
    wanted = settings.benchmark
    if wanted is None:
        return None
    facts = data.facts
    table = settings.model_dump(mode="json", include={"benchmark", "generators"})
    # the benchmark stores the cells that it scores, and trains on the same in every epoch
    models = {name: settings.models[name].model_dump(mode="json", exclude={"fresh_cells"}) for name in wanted.models}
    found = {name: facts.models[name] for name in wanted.models if name in facts.models}
    return digest([table, models, found, facts.packages, facts.vocabulary, facts.context.model_dump(mode="json")])


def _benchmark(
    folder: StudyFolder,
    settings: StudyConfig,
    data: StudyData,
    command: str | None,
    say: Callable[[StudyEvent], None],
    *,
    retry_failed: bool,
) -> None:
    """Run the benchmark of generators on the training cells, unless it is there; the study goes on if it fails."""
    wanted, state = settings.benchmark, _state_of_benchmark(folder)
    if wanted is None or folder.benchmark.is_dir() or (state.get("error") and not retry_failed):
        return
    say(StudyEvent("benchmark", "benchmark of the generators, on the training cells"))
    state = {"key": _benchmark_key(settings, data), "error": None}
    # before the results: what they are of is known as soon as they are there
    folder.write_text(folder.benchmark_state, json.dumps(state))
    try:
        _run_benchmark(wanted, folder.benchmark, settings, data, command)
    except Exception as error:  # a generator of a third party may raise anything
        folder.write_text(folder.benchmark_state, json.dumps(state | {"error": _error(error)}))
        say(StudyEvent("failed", f"benchmark of the generators: failed: {type(error).__name__}: {error}"))


def _run_benchmark(
    wanted: BenchmarkSettings, out: Path, settings: StudyConfig, data: StudyData, command: str | None
) -> None:
    from bulkgen.fidelity.runner import benchmark_generators

    benchmark_generators(
        data.train,
        label=settings.data.label,
        control=settings.data.control,
        methods=[
            {
                "name": generator.method,
                "parameters": generator.parameters,
                "as_": name,
                "reference": "training" if generator.reference == "all" else "task",
            }
            for name, generator in settings.generators.items()
        ],
        seeds=wanted.seeds,
        models=[
            {
                "model": settings.models[name].source,
                "subfolder": settings.models[name].subfolder,
                "options": settings.models[name].options,
                "as_": name,
            }
            for name in wanted.models
        ],
        metrics=wanted.metrics,
        n_cells=wanted.n_cells,
        few_cells=wanted.few_cells or None,
        vocabulary=data.vocabulary,
        gene_ids=data.gene_ids,
        out=out,
        threads=settings.threads,
        command=command,
    )
