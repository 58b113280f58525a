"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bulkgen.errors import BulkgenError, OutputExistsError
from bulkgen.io import atomic_directory, atomic_file, check_output
from bulkgen.io.atomic import check_interrupt


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_body_is_done(tmp_path):
    target = tmp_path / "result.h5ad"
    with atomic_file(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5ad"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(tmp_path) == ["result.h5ad"]


def test_a_folder_appears_when_the_body_is_done(tmp_path):
    target = tmp_path / "result.dataset"
    with atomic_directory(target) as temporary:
        assert temporary.parent == tmp_path
        (temporary / "inner").mkdir()
        (temporary / "inner" / "part").write_text("new")
        assert not target.exists()
    assert (target / "inner" / "part").read_text() == "new"
    assert names(tmp_path) == ["result.dataset"]


@pytest.fixture
def default_interrupts():
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def interrupt_and_swallow_it() -> None:
    """What happens to an interrupt in a callback of the garbage collector, where h5py's writes deliver it."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        return
    pytest.fail("the signal did not arrive")


@pytest.mark.usefixtures("default_interrupts")
@pytest.mark.parametrize("make", [atomic_file, atomic_directory])
def test_an_interrupt_that_was_swallowed_still_interrupts(tmp_path, make):
    with pytest.raises(KeyboardInterrupt), make(tmp_path / "outer"), make(tmp_path / "inner"):
        interrupt_and_swallow_it()
    assert names(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("make", [atomic_file, atomic_directory])
def test_a_handler_that_does_not_interrupt_is_left_to_its_work(tmp_path, make):
    seen = []
    earlier = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with make(tmp_path / "out"):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert seen == [signal.SIGINT]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("make", [atomic_file, atomic_directory])
def test_outputs_can_be_written_from_other_threads(tmp_path, make):
    def write(name: str) -> None:
        with make(tmp_path / name):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcdefgh"))
    assert names(tmp_path) == list("abcdefgh")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("old", [False, True])
def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path, error, old):
    target = tmp_path / "result.txt"
    if old:
        target.write_text("old")

    def fail() -> None:
        with atomic_file(target, overwrite=True) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["result.txt"] if old else [])
    assert not old or target.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [False, True])
def test_a_failure_leaves_no_folder_and_keeps_the_old_one(tmp_path, error, old):
    target = tmp_path / "result"
    if old:
        target.mkdir()
        (target / "part").write_text("old")

    def fail() -> None:
        with atomic_directory(target, overwrite=True) as temporary:
            (temporary / "part").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["result"] if old else [])
    assert not old or (target / "part").read_text() == "old"


def test_the_old_output_stays_until_the_new_one_is_complete(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()
    (folder / "old").write_text("old")
    with atomic_file(file, overwrite=True) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    with atomic_directory(folder, overwrite=True) as temporary:
        (temporary / "new").write_text("new")
        assert names(folder) == ["old"]
    assert file.read_text() == "new"
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_that_cannot_take_its_name_gives_the_old_one_back(tmp_path, monkeypatch):
    target = tmp_path / "result"
    target.mkdir()
    (target / "part").write_text("old")
    real = Path.replace
    moved = []

    def replace(path: Path, to: Path) -> Path:
        if to == target and not moved:
            moved.append(path)
            raise OSError("the disk went away")
        return real(path, to)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="went away"), atomic_directory(target, overwrite=True) as temporary:
        (temporary / "part").write_text("new")
    assert moved
    assert (target / "part").read_text() == "old"
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("make", [atomic_file, atomic_directory])
def test_an_existing_output_is_refused_before_the_body_runs(tmp_path, make):
    target = tmp_path / "result"
    target.write_text("old")
    remedy = r"result exists.*overwrite=True \(--overwrite\)"
    with pytest.raises(OutputExistsError, match=remedy) as error, make(target):
        pytest.fail("the body ran")
    assert isinstance(error.value, BulkgenError)
    assert isinstance(error.value, FileExistsError)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result"]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "result").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"), atomic_file(tmp_path / "result", overwrite=True):
        pytest.fail("the body ran")
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("make", [atomic_file, atomic_directory])
def test_a_missing_folder_is_named_with_the_remedy(tmp_path, make):
    remedy = r"nowhere does not exist; create it with: mkdir -p .*nowhere"
    with pytest.raises(FileNotFoundError, match=remedy), make(tmp_path / "nowhere" / "result"):
        pytest.fail("the body ran")


def test_permissions_are_those_of_the_umask(tmp_path, umask):
    with atomic_file(tmp_path / "file") as temporary:
        temporary.write_text("")
    with atomic_directory(tmp_path / "folder"):
        pass
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask
    assert os.umask(umask) == umask  # and it was put back


def test_relative_paths_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_file("file") as temporary:
        temporary.write_text("x")
    with atomic_directory("folder"):
        pass
    assert names(tmp_path) == ["file", "folder"]


def test_check_output_passes_a_free_path_and_an_overwritten_one(tmp_path):
    path = tmp_path / "x"
    assert check_output(str(path), overwrite=False) == path
    path.write_text("old")
    assert check_output(path, overwrite=True) == path
    with pytest.raises(OutputExistsError):
        check_output(path, overwrite=False)


@pytest.mark.usefixtures("default_interrupts")
def test_a_long_loop_finds_an_interrupt_that_was_swallowed(tmp_path):
    steps = []

    def run() -> None:
        with atomic_directory(tmp_path / "run") as folder:
            for step in range(5):
                check_interrupt()
                steps.append(step)
                (folder / "part").write_text("x")
                if step == 2:
                    interrupt_and_swallow_it()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert steps == [0, 1, 2]
    assert names(tmp_path) == []
    check_interrupt()  # the next output knows nothing of it


def test_a_link_to_nothing_is_there_too(tmp_path):
    (tmp_path / "link.h5ad").symlink_to(tmp_path / "gone.h5ad")
    with pytest.raises(OutputExistsError, match=r"link\.h5ad exists"):
        check_output(tmp_path / "link.h5ad", overwrite=False)


def test_a_folder_that_cannot_be_written_to_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: (place, mode) != (tmp_path, os.W_OK))
    with pytest.raises(PermissionError, match=r"the folder cannot be written to.*: '.*'"):
        check_output(tmp_path / "result.h5ad", overwrite=True)
