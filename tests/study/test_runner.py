"""The runner: what it does again and what not, locks, shards, failures, and kills at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from bulkgen.errors import OutputExistsError, StudyConfigError, StudyInUseError
from bulkgen.fidelity.results import BenchmarkResults
from bulkgen.study import StudyConfig, StudyResults, run_study
from bulkgen.study.folder import StudyFolder
from small_study import SMALL, results_of_runs, run_command, study_command, tables, write_small_study

N_RUNS = 18
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
FAILING = SMALL + '[generators.mixture]\nparameters = { states = "nothing" }\n'


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return write_small_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory) -> StudyResults:
    """The small study, run in one go."""
    return run_study(study, tmp_path_factory.mktemp("whole") / "out", report=False)


def events_of(*arguments, **options) -> list:
    events = []
    run_study(*arguments, report=False, on_event=events.append, **options)
    return [event for event in events if event.key is not None]


def test_a_study_runs_to_its_end(whole):
    assert len(whole.runs) == N_RUNS
    assert not whole.failed
    assert not whole.missing
    assert set(whole.table["status"]) == {"done"}
    assert {"study.toml", "data.json", "split.parquet", "runs", "results.parquet", "results.csv", "cost.csv"} == {
        entry.name for entry in whole.folder.iterdir() if not entry.name.startswith(".")
    }


def test_nothing_is_done_twice(study, whole):
    before = {path: path.stat().st_mtime_ns for path in (whole.folder / "runs").iterdir()}
    old = tables(whole.folder)
    assert events_of(study, whole.folder) == []
    assert {path: path.stat().st_mtime_ns for path in (whole.folder / "runs").iterdir()} == before
    assert tables(whole.folder) == old


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_text("{}")])
def test_a_record_that_is_lost_or_broken_is_made_again(study, whole, damage):
    old = tables(whole.folder)
    key = whole.missing or next(iter(whole.runs))
    damage(whole.folder / "runs" / f"{key}.json")
    assert [event.key for event in events_of(study, whole.folder)] == [key]
    assert tables(whole.folder) == old


def test_a_study_is_removed_unless_a_runner_is_at_work_and_nothing_else_ever_is(study, tmp_path):
    run_study(study, tmp_path / "out", shard=(1, 18), report=False)
    folder = StudyFolder(tmp_path / "out")
    with folder.runner((2, 18)), pytest.raises(StudyInUseError):
        folder.remove()
    assert folder.settings.is_file()
    folder.remove()
    assert not folder.path.exists()
    folder.remove()
    # settings of somebody's own are no study yet
    folder.path.mkdir()
    folder.settings.write_text(study.read_text(encoding="utf-8"), encoding="utf-8")
    folder.remove()
    assert folder.settings.is_file()


def test_processes_give_the_same_table(study, whole, tmp_path):
    run_study(study, tmp_path / "out", jobs=2, report=False)
    assert tables(tmp_path / "out") == tables(whole.folder)


def test_shards_together_give_the_whole_table(study, whole, tmp_path):
    first = events_of(study, tmp_path / "out", shard=(1, 2))
    assert len(StudyResults.load(tmp_path / "out").missing) == N_RUNS - len(first)
    second = events_of(study, tmp_path / "out", shard=(2, 2))
    assert abs(len(first) - len(second)) <= 1
    assert {event.key for event in first}.isdisjoint(event.key for event in second)
    assert tables(tmp_path / "out") == tables(whole.folder)


def test_shards_at_the_same_time_give_the_whole_table(study, whole, tmp_path):
    with ThreadPoolExecutor() as pool:
        done = list(
            pool.map(
                lambda number: run_command("run", study, "--out", tmp_path / "out", "--no-report", "--shard", number),
                ["1/3", "2/3", "3/3"],
            )
        )
    assert [process.returncode for process in done] == [0, 0, 0], [process.stderr for process in done]
    assert tables(tmp_path / "out") == tables(whole.folder)


def test_only_the_runs_of_a_part(study, tmp_path):
    run_study(study, tmp_path / "out", only=["ladder"], report=False)
    status = StudyResults.load(tmp_path / "out").table.groupby("part")["status"].value_counts()
    assert status["ladder"]["done"] == 6
    # the real cells are in both parts
    assert status["bulkiness"].to_dict() == {"missing": 12, "done": 2}
    with pytest.raises(ValueError, match="only: the study has no part 'bias'"):
        run_study(study, tmp_path / "out", only=["bias"], report=False)


def test_a_changed_study_does_only_what_is_new(study, tmp_path):
    config = StudyConfig.from_toml(study, overrides={"parts.bulkiness.k": [1, 2]})
    assert len(events_of(config, tmp_path / "out")) == 14
    assert len(events_of(study, tmp_path / "out")) == 4


def test_a_failed_run_is_recorded_and_stops_nothing(tmp_path, whole):
    study = write_small_study(tmp_path, FAILING)
    results = run_study(study, tmp_path / "out", report=False)
    assert len(results.runs) == N_RUNS + 2
    assert len(results.failed) == 2
    failed = results.table[results.table["status"] == "failed"]
    assert set(failed["series"]) == {"mixture"}
    assert failed["accuracy"].isna().all()
    for record in results.failed.values():
        assert record["result"] is None
        assert "nothing" in record["error"]["message"]
        assert "Traceback" in record["error"]["traceback"]
    kept = results.table[results.table["series"] != "mixture"].reset_index(drop=True)
    assert kept.drop(columns="key").equals(whole.table.drop(columns="key"))


def test_failed_runs_are_tried_again_when_asked(tmp_path):
    study = write_small_study(tmp_path, FAILING)
    failed = {event.key for event in events_of(study, tmp_path / "out") if event.kind == "failed"}
    assert len(failed) == 2
    assert events_of(study, tmp_path / "out") == []
    assert {event.key for event in events_of(study, tmp_path / "out", retry_failed=True)} == failed


def test_the_table_is_the_same_with_a_failed_run(tmp_path):
    study = write_small_study(tmp_path, FAILING)
    run_study(study, tmp_path / "one", report=False)
    run_study(study, tmp_path / "two", jobs=2, report=False)
    assert tables(tmp_path / "one") == tables(tmp_path / "two")


@needs_signals
def test_a_second_runner_stops_and_harms_nothing(study, whole, tmp_path):
    out = tmp_path / "out"
    first = subprocess.Popen(study_command("run", study, "--out", out, "--no-report"), stderr=subprocess.PIPE)
    wait_for(lambda: len(list(out.glob("runs/*.json"))) > 0, first)
    # in the middle of its work for as long as the second takes
    first.send_signal(signal.SIGSTOP)
    second = run_command("run", study, "--out", out, "--no-report")
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=100)
    assert first.returncode == 0
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith(f"bulkgen: error: another runner is at work in {out}")
    assert tables(out) == tables(whole.folder)


@pytest.mark.parametrize(
    ("there", "wanted", "allowed"),
    [
        ((1, 1), (1, 1), False),
        ((1, 1), (1, 2), False),
        ((1, 2), (1, 1), False),
        ((1, 2), (1, 2), False),
        ((1, 2), (2, 3), False),
        ((1, 2), (2, 2), True),
    ],
)
def test_which_shards_may_run_at_the_same_time(study, whole, there, wanted, allowed):
    with FileLock(whole.folder / ".locks" / f"runner-{there[0]}-of-{there[1]}"):
        if allowed:
            assert events_of(study, whole.folder, shard=wanted) == []
        else:
            with pytest.raises(StudyInUseError, match=r"another runner.* is at work in"):
                run_study(study, whole.folder, shard=wanted, report=False)
    # the lock of a runner that ended is no hindrance
    assert events_of(study, whole.folder) == []


def test_shards_with_other_settings_do_not_run_at_the_same_time(study, tmp_path):
    out = tmp_path / "out"
    other = StudyConfig.from_toml(study, overrides={"seeds": [7]})
    asked = []

    def second(settings) -> None:
        try:
            run_study(settings, out, shard=(2, 2), report=False)
        except StudyInUseError as error:
            asked.append(str(error))
        else:
            asked.append("ran")

    def at_first_run(event) -> None:
        if event.key is not None and not asked:
            second(other)
            second(StudyConfig.from_toml(study))

    run_study(study, out, shard=(1, 2), report=False, on_event=at_first_run)
    assert asked[0].startswith(f"the runner of shard 1/2 is at work in {out} with other settings")
    assert asked[1] == "ran"
    assert StudyResults.load(out).config.seeds == (0, 1)
    assert not StudyResults.load(out).missing
    # it ended: what it worked on hinders nobody
    second(other)
    assert asked[2] == "ran"


@needs_signals
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_kill_while_the_first_files_are_written_bricks_no_folder(study, whole, tmp_path, step):
    """The process ends in the place of its n-th write."""
    script = (
        "import os, sys\n"
        "from bulkgen.study import run_study\n"
        "from bulkgen.study.folder import StudyFolder\n"
        "left = [int(sys.argv[3])]\n"
        "def counted(write):\n"
        "    def instead(*arguments):\n"
        "        left[0] -= 1\n"
        "        if left[0] == 0: os._exit(9)\n"
        "        return write(*arguments)\n"
        "    return instead\n"
        "StudyFolder.write_text = counted(StudyFolder.write_text)\n"
        "StudyFolder.write_table = counted(StudyFolder.write_table)\n"
        "run_study(sys.argv[1], sys.argv[2], report=False)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", script, study, out, str(step)], check=False, timeout=100)
    assert done.returncode == 9
    run_study(study, out, report=False)
    assert tables(out) == tables(whole.folder)


DEADLY = """
import os, sys
import bulkgen.study.runner as runner
real = runner.execute
def execute(run, data):
    if run.training[0].kind == "synthetic" and run.seed == 0 and run.training[0].method == "multinomial":
        os._exit(9)
    return real(run, data)
runner.execute = execute
if __name__ == "__main__":
    runner.run_study(sys.argv[1], sys.argv[2], report=False)
"""


def test_a_run_that_takes_the_runner_along_is_recorded_the_next_time(study, tmp_path):
    script = tmp_path / "deadly.py"
    script.write_text(DEADLY, encoding="utf-8")
    out = tmp_path / "out"
    command = [sys.executable, script, study, out]
    assert subprocess.run(command, check=False, timeout=100).returncode == 9
    assert StudyResults.load(out).failed == {}
    assert subprocess.run(command, check=False, timeout=100).returncode == 0
    results = StudyResults.load(out)
    assert not results.missing
    (record,) = results.failed.values()
    assert record["error"]["type"] == "WorkerDied"
    assert "exit code 9" in record["error"]["message"]
    assert list((out / ".locks").glob("at-*")) == []


def test_a_run_that_asks_to_exit_fails_alone(study, tmp_path, monkeypatch):
    def leave(run, data) -> None:
        raise SystemExit("enough")

    monkeypatch.setattr("bulkgen.study.runner.execute", leave)
    results = run_study(study, tmp_path / "out", only=["ladder"], report=False)
    assert {record["error"]["message"] for record in results.failed.values()} == {"enough"}


def wait_for(reached, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 100
    while not reached() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize(("jobs", "enough"), [(1, 10), (2, 3)])
def test_kills_at_random_moments_do_not_change_a_bit(study, whole, tmp_path, jobs, enough):
    out = tmp_path / "out"
    command = study_command("run", study, "--out", out, "--no-report", "--jobs", jobs)
    chance = random.Random(jobs)
    kills, when = 0, []
    while kills < enough:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        records = len(list(out.glob("runs/*.json")))
        # sometimes while it starts, mostly while it is at a run or at a record
        more = chance.choice([0, 1, 1, 2])
        wait_for(lambda: len(list(out.glob("runs/*.json"))) >= records + more, process)  # noqa: B023
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
            when.append(len(list(out.glob("runs/*.json"))))
        elif process.returncode == 0:
            # done before the kill: take some records away, as if they had never been made
            for path in list(out.glob("runs/*.json"))[:6]:
                path.unlink()
    assert len(set(when)) >= min(enough, 4), when
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert tables(out) == tables(whole.folder)
    assert results_of_runs(out) == results_of_runs(whole.folder)
    assert [path.name for path in (out / "runs").iterdir() if path.name.startswith(".")] == []


@needs_signals
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(study, whole, tmp_path, jobs):
    out = tmp_path / "out"
    process = subprocess.Popen(
        study_command("run", study, "--out", out, "--no-report", "--jobs", jobs),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # as in a terminal: whoever started the tests may have told their children to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: len(list(out.glob("runs/*.json"))) >= 3, process)
    # the terminal tells the whole group
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("bulkgen: interrupted; what is done is kept")
    assert "Traceback" not in said
    results = StudyResults.load(out)
    done = (results.table["status"] == "done").sum()
    assert done >= 3
    assert results.missing
    run_study(study, out, report=False)
    assert tables(out) == tables(whole.folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to find the workers")
def test_a_worker_that_is_killed_fails_its_run_alone(study, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        study_command("run", study, "--out", out, "--no-report", "--jobs", 2), stderr=subprocess.PIPE, text=True
    )
    # both are at work by then, as a rule also on a busy machine
    wait_for(lambda: len(list(out.glob("runs/*.json"))) >= 3, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    # the first child is the resource tracker of multiprocessing
    os.kill(int(children[-1]), signal.SIGKILL)
    process.communicate(timeout=100)
    assert process.returncode == 1
    results = StudyResults.load(out)
    assert not results.missing
    (record,) = results.failed.values()
    assert record["error"]["type"] == "WorkerDied"
    assert "SIGKILL" in record["error"]["message"]


def test_dask_runs_a_study(study, whole, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        run_study(study, tmp_path / "out", client=client, report=False)
    assert tables(tmp_path / "out") == tables(whole.folder)


def test_another_study_does_not_take_a_folder(study, whole):
    other = StudyConfig.from_toml(study, overrides={"name": "other"})
    with pytest.raises(StudyConfigError, match="holds the study 'small', not 'other'"):
        run_study(other, whole.folder, report=False)


def test_other_cells_do_not_take_a_folder(study, whole):
    for overrides in ({"data.where": {"label": ["A", "B"]}}, {"split.rng": 1}):
        other = StudyConfig.from_toml(study, overrides=overrides)
        with pytest.raises(StudyConfigError, match="its runs were made on other cells, or another split of them"):
            run_study(other, whole.folder, report=False)


def test_a_folder_with_something_else_is_refused(study, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="exists and holds no study"):
        run_study(study, tmp_path, report=False)
    with pytest.raises(OutputExistsError, match="is a file"):
        run_study(study, tmp_path / "thesis.txt", report=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"shard": (0, 2)}, "shard must be"), ({"shard": (3, 2)}, "shard must be"), ({"jobs": 0}, "jobs must be")],
)
def test_impossible_numbers_are_refused(study, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        run_study(study, tmp_path / "out", report=False, **options)
    assert not (tmp_path / "out").exists()


def test_records_say_what_they_are(whole):
    for path in (whole.folder / "runs").iterdir():
        record = json.loads(path.read_text(encoding="utf-8"))
        assert (record["format"], record["version"]) == ("bulkgen-study-run", 1)
        assert record["key"] == path.stem
        assert record["cost"]["seconds"] > 0
        assert "bulkgen" in record["versions"]


def test_the_benchmark_of_generators_is_made_once(study, tmp_path):
    given = {"benchmark": {"seeds": 1, "metrics": ["tokens"]}, "parts.bulkiness.k": [1], "seeds": [0]}
    config = StudyConfig.from_toml(study, overrides=given)
    kinds = []
    for _ in range(2):
        run_study(config, tmp_path / "out", report=False, on_event=lambda event: kinds.append(event.kind))
    assert kinds.count("benchmark") == 1
    benchmark = BenchmarkResults.load(tmp_path / "out" / "benchmark")
    assert "multinomial" in set(benchmark.results["method"])
    assert not benchmark.failures
    # other generators make another benchmark
    other = StudyConfig.from_toml(
        study, overrides=given | {"generators.multinomial.parameters": {"concentration": 100.0}}
    )
    run_study(other, tmp_path / "out", report=False, on_event=lambda event: kinds.append(event.kind))
    assert kinds.count("benchmark") == 2


def test_a_benchmark_that_fails_stops_nothing(study, tmp_path, monkeypatch):
    config = StudyConfig.from_toml(study, overrides={"benchmark": {"seeds": 1}, "parts.bulkiness.k": [1], "seeds": [0]})
    kinds = []

    def fail(*arguments, **options) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("bulkgen.fidelity.runner.benchmark_generators", fail)
    for retry in (False, False, True):
        results = run_study(
            config, tmp_path / "out", report=False, retry_failed=retry, on_event=lambda event: kinds.append(event.kind)
        )
        assert results.benchmark_error["message"] == "no such luck"
        assert not results.missing
    # like a run, only when asked again
    assert kinds.count("benchmark") == 2
    assert kinds.count("failed") == 2


@pytest.mark.parametrize(
    ("overrides", "again"),
    [
        ({}, 1),
        ({"parts.ladder.seeds": [3]}, 1),
        ({"models.linear.top_k": 21}, 2),
        ({"vocabulary.context": 50}, 2),
        ({"benchmark.n_cells": 10}, 2),
    ],
)
def test_a_benchmark_is_made_again_when_what_it_is_of_changed(study, tmp_path, monkeypatch, overrides, again):
    given = {"benchmark": {"seeds": 1}, "parts": {"ladder": {"seeds": [0]}}}
    made = []
    monkeypatch.setattr(
        "bulkgen.fidelity.runner.benchmark_generators", lambda *_, out, **options: made.append(out.mkdir())
    )
    for changed in (given, given | overrides):
        run_study(StudyConfig.from_toml(study, overrides=changed), tmp_path / "out", report=False)
    assert len(made) == again


def test_labels_with_few_training_cells_are_pointed_out(study, tmp_path):
    said = []
    config = StudyConfig.from_toml(study, overrides={"split.test_fraction": 0.5, "parts": {"ladder": {"seeds": [0]}}})
    run_study(config, tmp_path / "out", report=False, on_event=said.append)
    warnings = [event.text for event in said if event.kind == "warning"]
    assert [text.split(":")[1] for text in warnings] == [
        " label 'B' has 7 training cell(s)",
        " label 'C' has 5 training cell(s)",
    ]
    assert "[data] min_cells" in warnings[0]
