"""The report of a whole study, written once for all tests that read or open it."""

from __future__ import annotations

import dataclasses

import pytest

from benchmark_results import make_results
from bulkgen.report import figures
from bulkgen.report.study.html import write_html
from study_cases import make_study


@pytest.fixture(scope="session")
def written_study(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        # half of the time goes into the PNG files, which no page shows
        patch.setattr(figures, "to_png", lambda _: b"")
        write_html(dataclasses.replace(make_study(seeds=(0, 1)), benchmark=make_results()), place)
    return place
