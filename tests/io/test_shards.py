"""The general shape of a folder of shards."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from bulkgen.errors import OutputExistsError, ResumeError
from bulkgen.io import waiting
from bulkgen.io.shards import ShardFolder, ShardPlan

ASKED = {"what": {"seed": 1}, "size": 4}


def begin(path, asked=None, *, join=False, prepare=None):
    def write(folder):
        (folder / "input.txt").write_text("input")
        return {"rows": 10, "shard_size": 4, "suffix": ".txt"}

    return ShardFolder.begin(path, asked or ASKED, prepare or write, join=join)


def test_a_plan_deals_every_row_once():
    for rows, size in [(1, 1), (10, 3), (9, 3), (10**9 + 1, 10**5)]:
        plan = ShardPlan(rows, size, ".txt")
        assert plan.span(0)[0] == 0
        assert plan.span(len(plan) - 1)[1] == rows
        assert all(plan.span(i)[1] == plan.span(i + 1)[0] for i in range(min(len(plan) - 1, 100)))
    plan = ShardPlan(10, 3, ".txt")
    assert [plan.name(i) for i in range(len(plan))] == [f"data-0000{i}-of-00004.txt" for i in range(4)]
    shares = [set(plan.share((i, 3))) for i in (1, 2, 3)]
    assert set().union(*shares) == {0, 1, 2, 3}
    assert sum(map(len, shares)) == 4


def test_a_shard_is_there_with_its_record_or_not_at_all(tmp_path):
    folder = begin(tmp_path / "out")

    def half(path):
        path.write_text("ha")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folder.make(0, half)
    assert folder.records() == [None, None, None]
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "request"]
    made = folder.make(0, lambda path: (path.write_text("whole"), {"seen": [1]}))
    assert made == folder.verified(0)
    assert (made.rows, made.bytes, made.facts) == (5, 5, {"seen": [1]})
    (folder.path / "data-00000-of-00003.txt").write_text("whale")
    assert folder.record(0) == made
    assert folder.verified(0) is None
    assert folder.record(0) is None


def test_what_another_process_makes_meanwhile_is_not_undone(tmp_path, monkeypatch):
    """Between the look at a record and the lock, another process makes the shard and the whole."""
    folder = begin(tmp_path / "out")
    others, read = [], ShardFolder.record

    def looked(self, number):
        found = read(self, number)
        if not others:
            others.append(folder)
            folder.make(number, lambda path: (path.write_text("whole"), {}))
            folder.finish({"bulkgen.json": "{}"})
        return found

    monkeypatch.setattr(ShardFolder, "record", looked)
    assert folder.verified(0) == read(folder, 0)
    assert (folder.path / "bulkgen.json").exists()


def test_a_record_of_another_shard_or_of_nonsense_is_none(tmp_path):
    folder = begin(tmp_path / "out")
    folder.make(0, lambda path: (path.write_text("whole"), {}))
    text = (folder.path / "records" / "data-00000-of-00003.json").read_text()
    for other in (text, "", "[]", "{}", "\0", json.dumps({**json.loads(text), "more": 1})):
        (folder.path / "records" / "data-00001-of-00003.json").write_text(other)
        assert folder.record(1) is None


def test_what_a_living_process_works_on_is_not_cleaned_away(tmp_path):
    folder = begin(tmp_path / "out")
    (folder.path / ".work-dead").mkdir()

    def write(path):
        path.write_text("half")
        assert begin(tmp_path / "out", join=True) == folder
        return path.write_text("whole"), {}

    assert folder.make(1, write).rows == 5
    assert not (folder.path / ".work-dead").exists()


def test_many_who_begin_at_once_prepare_once(tmp_path):
    prepared = []

    def prepare(folder):
        prepared.append(folder)
        return {"rows": 10, "shard_size": 4, "suffix": ".txt"}

    threads = [threading.Thread(target=begin, args=(tmp_path / "out",), kwargs={"join": True, "prepare": prepare})
               for _ in range(6)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prepared) == 1


def test_going_on_needs_the_same_request_and_whole_inputs(tmp_path):
    folder = begin(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="holds shards"):
        begin(tmp_path / "out")
    with pytest.raises(ResumeError, match=r"what\.seed is 1 there, and 2 here"):
        begin(tmp_path / "out", {"what": {"seed": 2}, "size": 4}, join=True)
    with pytest.raises(ResumeError, match="colour is not given there, and 'red' here"):
        begin(tmp_path / "out", ASKED | {"colour": "red"}, join=True)
    with pytest.raises(ValueError, match="0 of 3 shards are done"):
        folder.check_complete()
    folder.file("input.txt").write_text("other")
    with pytest.raises(ResumeError, match=r"input\.txt is damaged"):
        begin(tmp_path / "out", join=True)


def test_who_waits_for_the_lock_of_another_says_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(waiting, "PATIENCE", 0.05)
    folder = begin(tmp_path / "out")
    others = FileLock(folder.path / ".lock")
    # what is said ends the wait
    handler = logging.Handler()
    handler.emit = lambda record: others.release()
    monkeypatch.setattr(logging.getLogger("bulkgen"), "handlers", [handler])
    others.acquire()
    folder.finish({"bulkgen.json": "{}"})
    assert caplog.messages == [f"waiting: another process is at work in {folder.path}"]


def test_what_cannot_be_prepared_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "input.txt").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin(tmp_path / "out", prepare=fail)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("text", "message"), [("{", "damaged"), ("{}", "not a request"), (None, "no shards")])
def test_a_folder_that_is_none_is_refused(tmp_path, text, message):
    folder = begin(tmp_path / "out")
    if text is None:
        folder.file("request.json").unlink()
    else:
        folder.file("request.json").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ShardFolder.open(tmp_path / "out")


def test_a_later_version_is_refused(tmp_path):
    folder = begin(tmp_path / "out")
    place = folder.file("request.json")
    place.write_text(json.dumps({**json.loads(place.read_text()), "version": 2}))
    with pytest.raises(ValueError, match="pip install --upgrade"):
        ShardFolder.open(tmp_path / "out")


def test_an_interrupt_while_a_temporary_folder_is_made_leaves_none(tmp_path, monkeypatch):
    folder = begin(tmp_path / "out")
    mkdir = Path.mkdir

    def interrupted(path, **how):
        mkdir(path, **how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", interrupted)
        with pytest.raises(KeyboardInterrupt), folder.scratch():
            pass
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "request"]
