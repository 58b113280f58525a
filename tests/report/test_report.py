"""The report: self-contained, honest about simulation and failures, drawn without global state."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from bulkgen.errors import MissingExtraError, OutputExistsError
from bulkgen.report import CellSet, Report, ResultScores, RunResult, write_report
from bulkgen.report import figures as draw
from bulkgen.report.html import findings, render

LABELS = ("A", "B", "C")


def _scores(confusion):
    confusion = np.asarray(confusion)
    recall = np.diag(confusion) / confusion.sum(axis=1)
    return ResultScores(
        labels=LABELS,
        accuracy=np.trace(confusion) / confusion.sum(),
        balanced_accuracy=float(recall.mean()),
        macro_f1=0.5,
        confusion=confusion,
        majority={"accuracy": 0.6, "balanced_accuracy": 1 / 3, "macro_f1": 0.25},
    )


def _cells(name, kind, k=None, note=""):
    return CellSet(
        name=name,
        kind=kind,
        label_counts={"A": 60, "B": 30, "C": 10},
        token_lengths=np.arange(100, 200),
        expressed_genes=np.arange(200, 300),
        library_sizes=np.linspace(1000.0, 9000.0, 100),
        aggregation=k,
        note=note,
    )


@pytest.fixture(scope="module")
def report():
    good, fair = [[58, 1, 1], [3, 27, 0], [2, 0, 8]], [[40, 20, 0], [10, 20, 0], [5, 0, 5]]
    poor = [[60, 0, 0], [30, 0, 0], [10, 0, 0]]
    return Report(
        title="Title <of> the report",
        summary="One sentence.",
        simulated=True,
        data_note="No cell was measured.",
        facts={"cells": "1,000"},
        training_sets=(
            _cells("real cells", "real"),
            _cells("pseudo-bulk k=1", "pseudobulk", 1.0, note="the note of k = 1"),
            _cells("pseudo-bulk k=10", "pseudobulk", 10.0),
            _cells("made", "synthetic"),
        ),
        test_set=_cells("test cells", "real"),
        runs=(
            RunResult("real cells", "linear", 1.5, _scores(good)),
            RunResult("pseudo-bulk k=1", "linear", 1.0, _scores(good)),
            RunResult("pseudo-bulk k=10", "linear", 0.5, _scores(fair)),
            RunResult("made", "linear", 1.0, _scores(poor)),
            RunResult("made", "tiny", 0.1, error="out of <memory>"),
        ),
        context=2048,
        command="bulkgen demo --rng 0",
        versions={"bulkgen": "0.1.0"},
        citations=("Someone (2020).",),
    )


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory):
    place = tmp_path_factory.mktemp("report")
    write_report(report, place)
    return place


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def _render(report):
    """Render with empty pictures, which is quick."""
    names = ("token_lengths", "expressed_genes", "library_sizes")
    return render(report, dict.fromkeys(names, b""), dict.fromkeys(names, "picture"))


def _confusion(scores):
    return draw.confusion_matrix(scores.confusion, scores.labels, title="", mark="simulated data")


def test_report_needs_nothing_from_outside(html):
    assert "<script" not in html
    assert "<link" not in html
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(sources) >= 8
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "url(" not in html
    assert "@import" not in html


def test_report_is_made_for_phones_and_print(html):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media print" in html
    assert "@media (max-width" in html
    assert all("alt=" in tag for tag in re.findall(r"<img[^>]*>", html))


def test_simulated_data_is_said_in_large_type(html):
    banner = re.search(r'<div class="simulated".*?</div>', html, re.S)
    assert banner is not None
    assert "<strong>SIMULATED DATA</strong>" in banner[0]
    assert "No cell was measured." in banner[0]
    assert re.search(r"\.simulated strong \{[^}]*font-size: clamp\(1\.8rem", html)
    assert html.index("SIMULATED DATA</strong>") < html.index("<h1>")


def test_real_data_is_not_called_simulated(report):
    html = _render(dataclasses.replace(report, simulated=False))
    assert "SIMULATED" not in html
    assert "No cell was measured." in html


def test_every_figure_of_simulated_data_says_so(report):
    made = [
        draw.ladder(report),
        draw.k_curve(report),
        _confusion(report.scored[0][1]),
        draw.distribution(report, "token_lengths"),
    ]
    assert all(figure.get_suptitle() == "simulated data" for figure in made)
    assert draw.ladder(dataclasses.replace(report, simulated=False)).get_suptitle() == ""


def test_failed_runs_are_shown_with_their_error(html):
    assert "1 of 5 runs failed" in html
    assert "out of &lt;memory&gt;" in html


def test_texts_are_escaped(html):
    assert "Title &lt;of&gt; the report" in html
    assert "<of>" not in html


def test_numbers_floors_and_command_are_in_the_tables(html):
    assert "0.889" in html  # balanced accuracy of the best run: mean of 58/60, 27/30 and 8/10
    assert "always the commonest label" in html
    assert "0.600" in html  # the majority's accuracy
    assert "<pre><code>bulkgen demo --rng 0</code></pre>" in html
    assert "the note of k = 1" in html


def test_k_curve_draws_scores_ceiling_and_floors(report):
    axes = draw.k_curve(report, "accuracy").axes[0]
    lines = {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in axes.lines}
    assert lines["linear, real cells"][0] == pytest.approx(0.93)
    assert lines["majority label (0.60)"][0] == pytest.approx(0.6)
    assert lines["chance (0.33)"][0] == pytest.approx(1 / 3)
    points = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xdata(), [1.0, 10.0])
    np.testing.assert_allclose(points.get_ydata(), [0.93, 0.65])


def test_balanced_accuracy_has_one_floor_where_majority_and_chance_agree(report):
    labels = [line.get_label() for line in draw.k_curve(report).axes[0].lines]
    assert "majority label = chance (0.33)" in labels


def test_every_axis_names_its_quantity(report):
    for figure in (draw.k_curve(report), _confusion(report.scored[0][1])):
        assert figure.axes[0].get_xlabel()
        assert figure.axes[0].get_ylabel()
    assert "tokens per cell" in draw.distribution(report, "token_lengths").axes[0].get_xlabel()
    assert "expressed genes per cell" in draw.distribution(report, "expressed_genes").axes[0].get_xlabel()
    assert "UMI" in draw.distribution(report, "library_sizes").axes[0].get_xlabel()
    assert "balanced accuracy" in draw.ladder(report).axes[0].get_xlabel()


def test_confusion_matrix_shows_the_numbers_of_cells(report):
    texts = [text.get_text() for text in _confusion(report.scored[2][1]).axes[0].texts]
    assert texts == ["40", "20", "0", "10", "20", "0", "5", "0", "5"]


def test_figures_are_also_written_as_files(folder):
    svg = sorted(path.stem for path in (folder / "figures").glob("*.svg"))
    assert svg == sorted(path.stem for path in (folder / "figures").glob("*.png"))
    assert {"ladder", "k_curve", "confusion_00", "token_lengths", "library_sizes"} <= set(svg)
    assert (folder / "figures" / "ladder.png").read_bytes().startswith(b"\x89PNG")


def test_same_figure_gives_the_same_svg(report):
    assert draw.to_svg(draw.ladder(report)) == draw.to_svg(draw.ladder(report))


def test_report_of_no_successful_run_is_still_written(report, tmp_path):
    failed = tuple(RunResult(run.training_set, run.model, 1.0, error="no luck") for run in report.runs)
    html = write_report(dataclasses.replace(report, runs=failed), tmp_path).read_text(encoding="utf-8")
    assert "5 of 5 runs failed" in html
    assert html.count("no luck") == 5


def test_findings_say_what_the_numbers_say(report):
    sentences = findings(report)
    assert "balanced accuracy 0.889 (± 0.099)" in sentences[0]
    assert "0.889 at k = 1, 0.611 at k = 10" in sentences[1]
    assert sentences[2].endswith("made: 0.333, −0.556 against real cells.")


def test_margin_is_the_binomial_one():
    scores = _scores([[50, 50, 0], [50, 50, 0], [0, 50, 50]])
    assert scores.balanced_accuracy_margin == pytest.approx(1.96 * 0.05 / np.sqrt(3), rel=1e-9)
    certain = _scores([[10, 0, 0], [0, 10, 0], [0, 0, 10]])
    assert 0.0 < certain.balanced_accuracy_margin < 0.15


def test_recall_of_a_label_without_test_cells_is_nan():
    confusion = np.array([[5, 0, 0], [0, 5, 0], [0, 0, 0]])
    scores = ResultScores(LABELS, 1.0, 1.0, 1.0, confusion, {"balanced_accuracy": 0.5})
    np.testing.assert_array_equal(scores.recall, [1.0, 1.0, np.nan])


def test_scores_survive_json(report):
    scores = report.scored[0][1]
    plain = dataclasses.asdict(scores) | {"labels": list(LABELS), "confusion": scores.confusion.tolist()}
    again = ResultScores.from_dict(plain)
    assert again.labels == scores.labels
    np.testing.assert_array_equal(again.confusion, scores.confusion)
    assert again.balanced_accuracy == scores.balanced_accuracy


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda r: ResultScores(LABELS, 1, 1, 1, np.zeros((2, 2), int), {}), "confusion must be 3 × 3"),
        (lambda r: RunResult("real cells", "linear", 1.0), "either scores or an error"),
        (lambda r: dataclasses.replace(r, training_sets=r.training_sets[:1]), "not in the report: made, pseudo-bulk"),
    ],
)
def test_contradictory_content_is_refused(report, build, message):
    with pytest.raises(ValueError, match=message):
        build(report)


def test_report_that_exists_is_kept(report, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "to_png", lambda _: b"")
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"report\.html exists"):
        write_report(report, tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"
    write_report(report, tmp_path, overwrite=True)
    assert "SIMULATED DATA" in (tmp_path / "report.html").read_text()


def test_missing_extra_names_the_command_that_mends_it(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"bulkgen\[report\]"):
        write_report(report, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_figures_do_not_import_pyplot():
    code = "import sys, bulkgen.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_report_package_loads_without_matplotlib():
    code = "import sys, bulkgen.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
