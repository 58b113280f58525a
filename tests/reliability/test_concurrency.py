"""Several at once: two writers of one path, many threads in one function, data-loader workers however started."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

import bulkgen
import shards_made
import stored_things
from bulkgen.errors import OutputExistsError
from bulkgen.io import atomic_directory, atomic_file
from count_cases import matrix_bytes


@pytest.mark.parametrize("whole", [atomic_file, atomic_directory])
def test_of_two_writers_that_both_found_no_output_the_first_wins_and_the_other_says_so(tmp_path, whole):
    def fill(temporary, text):
        (temporary / "part" if whole is atomic_directory else temporary).write_text(text)

    path = tmp_path / "out.txt"

    def race():
        with whole(path) as late:
            fill(late, "late")
            with whole(path) as early:
                fill(early, "early")

    with pytest.raises(OutputExistsError, match=r"out\.txt was made by another process meanwhile"):
        race()
    assert (path / "part" if path.is_dir() else path).read_text() == "early"
    assert [left.name for left in tmp_path.iterdir()] == ["out.txt"]


WRITE = """
import sys, pathlib, time
from bulkgen.io import atomic_file
me, place = sys.argv[1], pathlib.Path("out.txt")
wins = 0
print("ready", flush=True); sys.stdin.readline()
for turn in range(60):
    try:
        with atomic_file(f"out{turn}.txt") as temporary:
            temporary.write_text(me * 20_000)
        wins += 1
    except FileExistsError:
        pass
print(wins)
"""


def test_two_processes_that_write_sixty_files_win_each_once_and_whole(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, me], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for me in "ab"
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    wins = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    assert sum(wins) == 60
    found = [path.read_text() for path in tmp_path.iterdir()]
    assert len(found) == 60
    assert {len(text) for text in found} == {20_000}
    assert all(len(set(text)) == 1 for text in found)


def pseudobulk():
    return matrix_bytes(bulkgen.pseudobulk(stored_things.cells(), by="label", k=3, rng=1).X)


def profiles():
    return bulkgen.bulk_profiles(stored_things.cells(), by="label").layers["mean"].tobytes()


def tokens():
    values, offsets = stored_things.tokens().flat()
    return values.tobytes(), offsets.tobytes()


def synthetic(method):
    return lambda: matrix_bytes(bulkgen.synthesize(fitted=stored_things.fit(method), n_cells=50, rng=1).X)


@pytest.mark.parametrize(
    "call",
    [pseudobulk, profiles, tokens, *(synthetic(method) for method in ("negative_binomial", "copula", "donor_shift"))],
)
def test_eight_threads_in_one_function_give_what_one_gives(call):
    alone = call()
    with ThreadPoolExecutor(8) as pool:
        together = [future.result() for future in [pool.submit(call) for _ in range(16)]]
    assert all(found == alone for found in together)


def cells_of(dataset):
    return [dataset.input_ids(i).tolist() for i in range(len(dataset))]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_forked_or_spawned_see_the_cells_of_a_data_set_on_disk(tmp_path, start):
    stored = bulkgen.TokenDataset.load(stored_things.make("tokens", tmp_path))
    expected = cells_of(stored)
    with ProcessPoolExecutor(2, mp_context=get_context(start)) as pool:
        assert [future.result() for future in [pool.submit(cells_of, stored) for _ in range(2)]] == [expected] * 2


def test_two_processes_that_begin_one_folder_of_shards_make_it_once_and_whole(tmp_path):
    shards_made.make(tmp_path / "alone_tokens")
    script = "import sys, pathlib, shards_made; shards_made.make(pathlib.Path(sys.argv[1]), resume=True)"
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "tokens")],
            env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        )
        for _ in range(2)
    ]
    assert [maker.wait(timeout=120) for maker in makers] == [0, 0]
    assert shards_made.content(tmp_path / "tokens") == shards_made.content(tmp_path / "alone_tokens")
