"""What an earlier version stored still opens, and says the same."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulkgen.errors import ResumeError
from bulkgen.rng import STREAM_VERSION

GOLDEN = Path(__file__).parents[1] / "golden"
SCRIPT = GOLDEN / "make_stored.py"


@pytest.fixture(scope="module")
def make_stored():
    specification = importlib.util.spec_from_file_location("make_stored", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def expected_of(folder):
    return json.loads((folder / "expected.json").read_text())


@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("stored_*")), ids=lambda folder: folder.name)
def test_cells_tokens_fits_vocabularies_and_studies_of_every_format_open_and_say_the_same(make_stored, folder):
    expected = expected_of(folder)
    expected.pop("gone_on_with", None)
    found = json.loads(json.dumps(make_stored.described(folder)))
    if found.pop("stream_version") != expected.pop("stream_version"):
        # other streams draw other cells, from the same fit
        for described in (found, expected):
            for method in make_stored.METHODS:
                described[method].pop("drawn")
    assert found == expected


@pytest.mark.parametrize(
    "stored", [half.parent for half in sorted(GOLDEN.glob("stored_*/half_cells"))], ids=lambda folder: folder.name
)
def test_shards_that_are_half_made_are_gone_on_with(make_stored, stored, tmp_path):
    expected = expected_of(stored)
    folder = Path(shutil.copytree(stored, tmp_path / "stored"))
    there = {path: path.read_bytes() for path in folder.glob("half_*/data-*")}
    assert len(there) == 3
    if expected["stream_version"] != STREAM_VERSION:
        with pytest.raises(ResumeError, match="stream_version is 1 there"):
            make_stored.go_on(folder, resume=True)
        return
    found = make_stored.go_on(folder, resume=True)
    assert json.loads(json.dumps(found)) == expected["gone_on_with"]
    # the same as of shards that nobody interrupted
    assert found["half_cells"] == expected["shards_cells"]
    assert found["half_drawn_tokens"] == expected["shards_tokens"]
    assert {path: path.read_bytes() for path in there} == there


def test_stored_things_name_no_place_of_a_machine():
    for file in GOLDEN.glob("stored_*/**/*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(place in content for place in (b"/home/", b"/root/", b"/tmp/", b"/work/")), file


def test_what_an_earlier_version_stored_is_never_written_anew():
    done = subprocess.run([sys.executable, str(SCRIPT), "1"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "is never written anew" in done.stderr
