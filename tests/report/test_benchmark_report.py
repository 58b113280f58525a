"""The page of a benchmark: everything on it comes from the results, and nothing from outside."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd
import pytest

from benchmark_results import make_results
from bulkgen.errors import OutputExistsError
from bulkgen.report import benchmark_figures as draw
from bulkgen.report.benchmark import findings, ranked_methods, write_benchmark_report
from bulkgen.report.tables import number_text


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    place = tmp_path_factory.mktemp("report")
    write_benchmark_report(results, place)
    return place


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_needs_nothing_from_outside(html):
    assert "<script" not in html
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    # ladder, two mechanisms, few cells, and genes and plane of four methods
    assert len(sources) == 12
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert all("alt=" in tag for tag in re.findall(r"<img[^>]*>", html))


def test_cells_that_were_not_measured_are_said_so_in_large_type_and_in_every_figure(html, results):
    assert "<strong>MIXED CELLS</strong> No such drug was measured." in html
    figures = [
        draw.ladder(results, "linear", ranked_methods(results)),
        draw.mechanism(results, "fold_change_slope", "linear"),
        draw.few_cells(results),
        draw.gene_scatter(results, "good"),
        draw.plane(results, "good"),
    ]
    assert [figure.get_suptitle() for figure in figures] == ["mixed cells"] * 5
    real = make_results(not_measured=None)
    assert draw.plane(real, "good").get_suptitle() == ""


def test_failed_methods_are_shown_with_their_reason(html):
    assert "ValueError: &lt;no&gt;" in html
    assert "<td>0, 1</td>" in html
    assert "failed</td>" in html


def test_methods_stand_between_ceiling_and_floor_by_their_usefulness(results):
    assert ranked_methods(results) == ["real", "good", "truncated_gaussian", "bad", "poisson_floor"]


def test_findings_say_what_the_numbers_say(results):
    sentences = findings(results)
    assert sentences[0].startswith("linear, trained on real cells: balanced accuracy 0.905, the ceiling;")
    assert "good is best with 0.855, 0.050 below real cells; it closes 83% of the gap" in sentences[1]
    assert sentences[-1].startswith("Hardest to tell from real cells: good, AUROC 0.650")


def test_numbers_and_command_are_on_the_page(html):
    assert "0.855 ± 0.007" in html
    assert "83%" in html
    assert "<pre><code>bulkgen benchmark cells.h5ad</code></pre>" in html
    assert "fitted to the training cells of each seed" in html
    assert "a 40, b 30; fewer than generated, because there are no more real training cells" in html
    # the best generator of a row is bold
    assert "<b>0.650 ± 0.000</b>" in html


def test_ladder_draws_ceiling_floor_and_majority(results):
    axes = draw.ladder(results, "linear", ranked_methods(results)).axes[0]
    labels = [line.get_label() for line in axes.lines]
    assert "real training cells (ceiling): 0.90" in labels or "real training cells (ceiling): 0.91" in labels
    assert "always the commonest label: 0.50" in labels
    assert "failed" in [text.get_text() for text in axes.texts]


def test_page_without_few_cells_or_pictures_is_still_written(results, tmp_path):
    empty = dataclasses.replace(
        results, few_cells=results.few_cells.iloc[:0], genes=pd.DataFrame(), projection=pd.DataFrame()
    )
    html = write_benchmark_report(empty, tmp_path).read_text(encoding="utf-8")
    assert "Few real cells" not in html
    with pytest.raises(OutputExistsError):
        write_benchmark_report(empty, tmp_path)


@pytest.mark.parametrize(
    "value, deviation, text",
    [
        (0.8512, 0.0123, "0.851 ± 0.012"),
        (1234.4, 12.2, "1,234 ± 12"),
        (12.34, float("nan"), "12.3"),
        (0.00123, float("nan"), "0.0012"),
        (-0.5, float("nan"), "−0.500"),
        (float("nan"), float("nan"), "–"),
    ],
)
def test_numbers_are_written_to_about_three_digits(value, deviation, text):
    assert number_text(value, deviation) == text
