"""The figures of a report, in a notebook."""

from __future__ import annotations

import base64
import re
from html import unescape

import matplotlib
import pytest

import bulkgen as bg
from benchmark_results import make_results
from bulkgen.report.benchmark import benchmark_figures
from bulkgen.report.figures import to_svg
from bulkgen.report.gallery import Drawing
from bulkgen.study import reporting
from bulkgen.study.results import StudyResults
from study_cases import make_study


@pytest.fixture(scope="module")
def gallery():
    return bg.figures(make_results())


def test_a_gallery_shows_the_figures_of_the_report_in_its_order(gallery):
    expected = benchmark_figures(make_results())
    assert list(gallery) == list(expected)
    shown = re.findall(r'<img alt="([^"]+)" [^>]*src="data:image/svg\+xml;base64,([^"]+)"', gallery._repr_html_())
    assert [unescape(text) for text, _ in shown] == [text for _, text in expected.values()]
    assert [base64.b64decode(data) for _, data in shown] == [to_svg(figure) for figure, _ in expected.values()]


def test_one_figure_is_shown_alone_and_is_matplotlibs(gallery, tmp_path):
    one = gallery["few_cells"]
    assert isinstance(one, Drawing)
    assert one._repr_html_().count("<img") == 1
    one.figure.savefig(tmp_path / "few_cells.png")
    assert (tmp_path / "few_cells.png").stat().st_size > 0


def test_a_figure_that_there_is_not_is_told_with_those_that_there_are(gallery):
    with pytest.raises(KeyError, match=r"no figure 'few'; there are ladder_0, .*few_cells"):
        gallery["few"]


def test_figures_of_a_study_are_those_of_its_report(tmp_path, monkeypatch, written_study):
    monkeypatch.setattr(reporting, "study_content", lambda _: make_study(seeds=(0, 1)))
    drawn = bg.figures(StudyResults(tmp_path, None, None, (), {}))
    files = {path.stem for path in (written_study / "figures").glob("*.svg")}
    assert set(drawn) <= files
    assert len(drawn) > 10


def test_other_results_are_refused():
    with pytest.raises(TypeError, match="results must be a BenchmarkResults or a StudyResults, got 'study'"):
        bg.figures("study")


def test_figures_do_not_depend_on_what_the_user_or_a_package_has_set(gallery):
    plain = to_svg(gallery["few_cells"].figure)
    with matplotlib.rc_context(
        {"font.size": 20, "legend.frameon": False, "legend.borderpad": 0.0, "svg.fonttype": "none"}
    ):
        assert to_svg(bg.figures(make_results())["few_cells"].figure) == plain
