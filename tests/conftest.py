"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# derandomised: a red run can be repeated; no deadline: the first call of a Numba kernel compiles it
settings.register_profile("bulkgen", deadline=None, derandomize=True)
settings.load_profile("bulkgen")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared real data; the test skips where it does not exist."""
    named = os.environ.get("BULKGEN_SHARED_DATA")
    for place in ([Path(named)] if named else []) + [ROOT.parent / "shared" / "data"]:
        if place.is_dir():
            return place
    pytest.skip("the shared real data is not here: set BULKGEN_SHARED_DATA to its folder")


@pytest.fixture(autouse=True)
def json_was_checked(request):
    """A test that is marked ``json_of`` checked the JSON of that command."""
    yield
    commands = {mark.args[0] for mark in request.node.iter_markers("json_of")}
    if commands:
        from json_schemas import CHECKED

        assert commands <= CHECKED
