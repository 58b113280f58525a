"""What an earlier version stored still opens, and says the same."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
SCRIPT = GOLDEN / "make_stored.py"


@pytest.fixture(scope="module")
def make_stored():
    specification = importlib.util.spec_from_file_location("make_stored", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("stored_*")), ids=lambda folder: folder.name)
def test_cells_tokens_fits_vocabularies_and_studies_of_every_format_open_and_say_the_same(make_stored, folder):
    expected = json.loads((folder / "expected.json").read_text())
    found = json.loads(json.dumps(make_stored.described(folder)))
    if found.pop("stream_version") != expected.pop("stream_version"):
        # other streams draw other cells, from the same fit
        for described in (found, expected):
            for method in make_stored.METHODS:
                described[method].pop("drawn")
    assert found == expected


def test_stored_things_name_no_place_of_a_machine():
    for file in GOLDEN.glob("stored_*/**/*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(place in content for place in (b"/home/", b"/root/", b"/tmp/", b"/work/")), file


def test_what_an_earlier_version_stored_is_never_written_anew():
    done = subprocess.run([sys.executable, str(SCRIPT), "1"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "is never written anew" in done.stderr
