"""The page on scale is what the stored measurements say, and its plan is arithmetic of them."""

from __future__ import annotations

import pytest

import scale_page
from bulkgen import gathering
from bulkgen.io import cell_ranges

MACHINE = {"processor": "a processor", "cores": 2, "memory_gib": 24.0, "python": "3.12"}
ROW = {"job": "drawn cells", "seconds": 1.0, "resumed_seconds": 0.1, "bytes_per_cell": 2_000.0,
       "verified_bytes_per_second": 3e8}  # fmt: skip
SHARDED = {
    "command": "python benchmarks/sharded_generation.py",
    "machine": MACHINE,
    "results": {
        "cells": 1000,
        "shards": 10,
        "genes": 20_000,
        "unit_bytes": 300,
        "seconds_per_empty_unit": {"one process": 1e-6, scale_page.DASK: 0.002},
        "rows": [
            {**ROW, "way": "one process", "cells_per_second": 1000.0},
            {**ROW, "way": scale_page.DASK, "cells_per_second": 2000.0},
        ],
    },
}
OUT_OF_CORE = {
    "command": "python benchmarks/out_of_core.py",
    "machine": MACHINE,
    "results": {
        "store": {"facts": {"cells": 10}, "entries": 100, "raw_bytes": 800, "groups": 1},
        "probes": {
            "read": {"seconds": 9.0, "entries_per_second": 3e7, "share_of_floor": 1.0, "peak_gib": 0.1},
            "pseudobulk": {"seconds": 10.0, "entries_per_second": 2e6, "share_of_floor": 0.9, "peak_gib": 1.0},
        },
    },
}


def test_the_page_is_what_the_stored_measurements_say():
    assert scale_page.PAGE.read_text() == scale_page.page(*scale_page.stored())


def test_the_plan_follows_from_what_was_measured():
    page = scale_page.page(SHARDED, OUT_OF_CORE)
    # 1,000 cells a second and worker, 2,000 bytes each
    assert "| drawn cells | 100 s | 17 min | 200 MB | 0.20 TB | 200 MB/s |" in page
    assert "1,000 tasks at 2.00 ms, 2.0 s" in page
    assert "559 tasks that read ranges" in page
    assert "at the measured 2 million entries a second of a process with two cores takes 12 min" in page
    assert "drawn cells" not in scale_page.page()


@pytest.mark.parametrize(
    ("here", "there"),
    [("RANGE_ENTRIES", cell_ranges._MOST_ENTRIES), ("BUCKET_ENTRIES", gathering.BUCKET_ENTRIES)],
)
def test_the_plan_has_the_sizes_of_the_code(here, there):
    assert getattr(scale_page, here) == there
