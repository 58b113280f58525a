"""The page of array support is what the functions do."""

from __future__ import annotations

import pytest

import array_support

pytest.importorskip("dask")
pytest.importorskip("xarray")


def test_the_page_is_what_the_functions_do():
    found = array_support.support()
    assert array_support.PAGE.read_text(encoding="utf-8") == array_support.page(found)
    verdicts = {verdict for row in found.values() for verdict in row.values()}
    assert "**another result**" not in verdicts
