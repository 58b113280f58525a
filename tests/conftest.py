"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared real data; the test skips where it does not exist."""
    named = os.environ.get("BULKGEN_SHARED_DATA")
    for place in ([Path(named)] if named else []) + [ROOT.parent / "shared" / "data"]:
        if place.is_dir():
            return place
    pytest.skip("the shared real data is not here: set BULKGEN_SHARED_DATA to its folder")
