"""The report of a study: what it says is what the results hold, failures and simulation included."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bulkgen.errors import MissingExtraError, OutputExistsError
from bulkgen.report import figures
from bulkgen.report.study.comparisons import adjusted, paired
from bulkgen.report.study.content import PartWords
from bulkgen.report.study.html import write_html
from bulkgen.report.study.page import study_page
from bulkgen.report.tables import Spread
from study_cases import ALL, EQUAL, LABELS, PARTS, SCORES, make_study

SCORE = "balanced_accuracy"
VOID = {"meta", "img", "br", "input", "hr", "link"}


@pytest.fixture(scope="module")
def content():
    return make_study()


def _part(content, *parts, **changes):
    """A study of these parts alone."""
    return dataclasses.replace(content, table=content.table[content.table["part"].isin(parts)], **changes)


@pytest.fixture(scope="module")
def page(content):
    return study_page(content)


@pytest.fixture(scope="module")
def html(written_study):
    return (written_study / "report.html").read_text(encoding="utf-8")


def _tables(page, part):
    return [
        table for found in page.sections if found.anchor == part for block in found.blocks for table in block.tables
    ]


def _cell(table, row, column):
    found = next(each for each in table.rows if each.name == row)
    return found.cells[table.columns.index(column) - 1]


def _values(content, part, series, model, column=SCORE, problem=ALL, **where):
    table = content.points
    here = (table["part"] == part) & (table["series"] == series) & (table["model"] == model)
    here &= table["problem"] == problem
    for name, value in where.items():
        here &= table[name] == value
    return table.loc[here, column].to_numpy()


def _said(values):
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def _lines(figure):
    """Labels of the levels drawn across a figure's panel, with their places."""
    axes = figure.axes[0]
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in axes.lines}


def test_tables_hold_the_means_and_deviations_of_the_results(content, page):
    linear, tiny = (table for table in _tables(page, "synthetic") if not table.folded)
    for table, model in ((linear, "linear"), (tiny, "tiny")):
        for problem in (ALL, "Untreated or BMS"):
            for name in ("donor_shift", "poisson"):
                assert _cell(table, name, problem).text == _said(
                    _values(content, "synthetic", name, model, problem=problem)
                )
    curve = next(table for table in _tables(page, "bias") if table.caption.startswith("tiny"))
    values = _values(content, "bias", "negative_binomial, ratio means", "tiny", x=0.7)
    assert _cell(curve, "negative_binomial, ratio means", "0.7").text == _said(values)


def test_bulkiness_shows_validation_beside_the_test_of_the_same_runs(content, page):
    table = _tables(page, "bulkiness")[0]
    series = "mean, validated on pseudo-bulk"
    validated = _values(content, "bulkiness", series, "linear", f"validation_{SCORE}", x=100.0)
    tested = _values(content, "bulkiness", series, "linear", x=100.0)
    assert _cell(table, "mean, k = 100", "validation, pseudo-bulk").text == _said(validated)
    assert _cell(table, "mean, k = 100", "test, validation pseudo-bulk").text == _said(tested)


def test_one_figure_shows_validation_high_and_test_low(content, page):
    figure = next(found.figure for found in page.pictures if found.name == f"bulkiness_0_0_mean_{SCORE}")
    axes = figure.axes[0]
    drawn = {bars.get_label(): bars[0].get_ydata() for bars in axes.containers}
    validated, tested = drawn["validation in training (pseudo-bulk)"], drawn["real test cells"]
    assert validated[-1] > tested[-1] + 0.5
    assert tested[-1] == pytest.approx(
        _values(content, "bulkiness", "mean, validated on pseudo-bulk", "linear", x=100.0).mean()
    )


def test_findings_follow_the_numbers(content):
    """The sentence turns where the numbers do."""
    content = _part(content, "bulkiness")
    said = study_page(content).sections[0].findings[0].text
    assert re.search(r"At k = 100 .* says 0\.9\d\d ± 0\.\d+, 0\.[67]\d\d above the test", said)
    table = content.table.copy()
    table[f"validation_{SCORE}"] = 0.1
    turned = study_page(dataclasses.replace(content, table=table))
    said = turned.sections[0].findings[0].text
    assert re.search(r"At k = 100 .* says 0\.100 ± 0\.000, 0\.\d\d\d below the test", said)


def test_ceiling_floors_and_chance_are_drawn_where_the_results_have_them(content, page):
    ceiling = content.ceiling(ALL, "linear").mean
    for name in ("bulkiness_0_0_mean_balanced_accuracy", "thinning_0_0_curve", "few_cells_0_0_generator0"):
        lines = _lines(next(found.figure for found in page.pictures if found.name == name))
        assert lines[f"real cells (ceiling): {ceiling:.2f}"][1][0] == ceiling
        assert lines["commonest label = chance: 0.20"][1][0] == 0.2
    ladder = _lines(next(found.figure for found in page.pictures if found.name == "ladder_0_0_ladder"))
    floor = _values(content, "ladder", "Poisson floor", "linear").mean()
    assert ladder[f"independent Poisson (floor): {floor:.2f}"][0][0] == pytest.approx(floor)
    # plain accuracy has a majority above chance, which must be seen
    accuracy = _lines(next(found.figure for found in page.pictures if found.name == "bulkiness_0_0_mean_accuracy"))
    assert {"commonest label: 0.58", "chance: 0.20"} <= set(accuracy)


def test_a_part_that_tests_at_one_dose_has_no_ceiling_of_all_test_cells(page):
    lines = _lines(next(found.figure for found in page.pictures if found.name == "unseen_dose_0_0_curve"))
    assert not any("ceiling" in name for name in lines)


def test_the_ceiling_counts_each_seed_once(content):
    values = _values(content, "ladder", "real cells", "linear")
    assert content.ceiling(ALL, "linear") == Spread.of(values)
    assert content.ceiling(ALL, "linear").n == 3


def test_failed_runs_appear_as_failed(content, page):
    table = [table for table in _tables(page, "ladder") if not table.folded][1]
    assert _cell(table, "copula", "balanced accuracy").text == "failed"
    assert _cell(table, "copula", "balanced accuracy").failed
    ladder = next(found for found in page.sections if found.anchor == "ladder")
    assert ladder.runs == "57 of 60 runs done, 3 failed; 3 seeds"
    assert ladder.troubled
    figure = next(found.figure for found in ladder.pictures if found.name == "ladder_0_1_ladder")
    assert "failed" in [text.get_text() for text in figure.axes[0].texts]
    row = page.failures.rows[0]
    assert (row.name, [cell.text for cell in row.cells]) == (
        "copula, 5 labels",
        ["E", "tiny", "0, 1, 2", "ValueError: no <cells> of BMS"],
    )
    assert "3 failed" in page.runs


def test_runs_that_failed_for_some_seeds_are_counted_in_the_cell(content):
    content = _part(content, "bias")
    key = content.table.loc[content.table["model"] == "linear", "key"].iloc[3]
    record = content.runs[key] | {"status": "failed", "error": {"type": "E", "message": "m"}, "result": None}
    table = content.table.copy()
    table.loc[table["key"] == key, "status"] = "failed"
    table.loc[table["key"] == key, SCORE] = np.nan
    page = study_page(dataclasses.replace(content, table=table, runs={**content.runs, key: record}))
    cell = _cell(_tables(page, "bias")[0], "negative_binomial, ratio means", "0")
    assert cell.text.endswith("(1 of 3 failed)")


def test_runs_that_are_missing_are_said_to_be_and_parts_that_were_not_run_are_left_out(content, page):
    table = next(table for table in _tables(page, "synthetic") if not table.folded)
    assert _cell(table, "copula", "Untreated or Dex").text == "not run yet"
    assert [found.anchor for found in page.sections if found.troubled] == ["synthetic", "ladder"]
    without = study_page(_part(content, "thinning", "bias"))
    assert [found.anchor for found in without.sections] == ["thinning", "bias"]
    # nothing has failed there, and no table says so
    assert without.failures is None


def test_a_study_without_any_run_done_still_has_a_page(content):
    table = content.table.assign(status="missing")
    scores = [column for column in table if column not in ("part", "problem", "series", "name", "x", "model", "seed",
                                                           "key", "status")]  # fmt: skip
    table[scores] = np.nan
    page = study_page(dataclasses.replace(content, table=table, runs={}))
    assert "0 done" in page.runs
    assert not page.levels
    assert not page.pictures
    assert (
        _cell(_tables(page, "ladder")[0], "copula", f"{SCORE.replace('_', ' ')} on real test cells").text
        == "not run yet"
    )


@pytest.mark.parametrize(
    ("part", "series", "row"),
    [
        ("bulkiness", "sum, ", "sum, k = 10"),
        ("mixing", "+ donor_shift", "+ donor_shift"),
        ("few_cells", "+ donor_shift 1:10", "+ donor_shift 1:10"),
        ("bias", "negative_binomial, ratio means", "negative_binomial, ratio means"),
        ("ablations", "donor_shift", "donor_shift"),
    ],
)
def test_a_series_of_which_nothing_was_run_is_still_in_the_tables(content, part, series, row):
    """What it is stands in the specification of its runs, which needs no result."""
    few = _part(content, part)
    table = few.table.copy()
    # series share runs
    mine = table["key"].isin(table.loc[table["series"].str.startswith(series), "key"])
    kept = ["part", "problem", "series", "name", "x", "model", "seed", "key"]
    table.loc[mine, [column for column in table if column not in kept]] = np.nan
    table.loc[mine, "status"] = "missing"
    runs = {key: run for key, run in few.runs.items() if key not in set(table.loc[mine, "key"])}
    page = study_page(dataclasses.replace(few, table=table, runs=runs))
    rows = [found for table in _tables(page, part) for found in table.rows if found.name == row]
    assert rows
    assert all("not run yet" in {cell.text for cell in found.cells} for found in rows)
    assert "not run yet" in page.runs


def test_differences_of_the_mixing_table_are_paired_over_seeds(content, page):
    with_cells = _values(content, "mixing", "+ donor_shift", "tiny")
    alone = _values(content, "mixing", "real cells", "tiny")
    table, tests = [table for table in _tables(page, "mixing") if not table.folded][4:6]
    difference = with_cells - alone
    shown = _cell(table, "+ donor_shift", "overall balanced accuracy").text
    assert shown == f"{difference.mean():+.3f} ± {difference.std(ddof=1):.3f}".replace("-", "−")
    p = stats.ttest_rel(with_cells, alone).pvalue
    assert float(_cell(tests, "+ donor_shift", "p").text) == pytest.approx(p, rel=0.05)


def test_pairs_are_of_the_same_seed_whatever_the_order_and_need_a_spread():
    one = pd.DataFrame({"seed": [0, 1, 2], SCORE: [0.5, 0.6, 0.7]})
    other = pd.DataFrame({"seed": [2, 0, 1, 5], SCORE: [0.6, 0.4, 0.5, 0.0]})
    found = paired(one, other)
    assert found.difference.n == 3
    assert found.difference.mean == pytest.approx(0.1)
    assert found.always_above
    # equal differences leave nothing to test
    assert np.isnan(found.p)
    assert np.isnan(paired(one[:1], other).p)


def test_holms_adjustment():
    assert adjusted([0.01, 0.04, 0.03, np.nan]) == pytest.approx([0.03, 0.06, 0.06, np.nan], nan_ok=True)
    assert adjusted([0.9, 0.8]) == [1.0, 1.0]


def test_one_seed_has_no_deviation_and_no_test():
    page = study_page(_part(make_study(seeds=(4,)), "mixing"))
    table = _tables(page, "mixing")[0]
    assert "±" not in _cell(table, "real cells", "BMS").text
    assert _cell(_tables(page, "mixing")[2], "+ donor_shift", "p").text == "–"


def test_a_part_of_someone_elses_is_shown(content):
    """A series with an axis becomes a curve, others a ladder, of any part."""
    part = PartWords("weather", "Z", "Weather", "Does it rain?", "rain (mm)")
    table = content.table[content.table["part"].isin(["bias", "ladder"])].assign(part="weather")
    page = study_page(dataclasses.replace(content, parts=(*PARTS, part), table=table))
    drawn = [picture.name for picture in page.sections[0].pictures]
    assert drawn[:2] == ["weather_0_0_curve", "weather_0_0_ladder"]
    assert "rain (mm)" in page.sections[0].pictures[0].figure.axes[0].get_xlabel()


def test_two_labels_and_five_are_compared_between_guessing_and_real_cells(content, page):
    figure = next(found.figure for found in page.pictures if found.name == "synthetic_0_0_problems")
    marks = {bars.get_label(): bars[0].get_xdata() for bars in figure.axes[0].containers}
    score = _values(content, "synthetic", "donor_shift", "linear").mean()
    ceiling = content.ceiling(ALL, "linear").mean
    assert set(marks) == {ALL, EQUAL, *(f"Untreated or {label}" for label in LABELS if label != "Untreated")}
    assert marks[ALL][list(SCORES).index("donor_shift")] == pytest.approx((score - 0.2) / (ceiling - 0.2))


def test_every_figure_has_units_and_says_that_data_is_simulated(page):
    for picture in page.pictures:
        axes = picture.figure.axes[0]
        assert axes.get_xlabel(), picture.name
        assert axes.get_ylabel() or axes.get_yticklabels(), picture.name
        assert picture.figure.get_suptitle() == "simulated data", picture.name


def test_real_data_is_said_to_be_real():
    page = study_page(_part(make_study(simulated=False), "bulkiness"))
    assert page.banner == {"title": "REAL DATA: sci-Plex2", "note": "Measured by Srivatsan et al.", "measured": True}
    assert all(picture.figure.get_suptitle() == "" for picture in page.pictures)
    assert "simulat" not in page.summary + page.caution


def test_content_that_contradicts_itself_is_refused(content):
    with pytest.raises(ValueError, match="lacks the columns seed"):
        dataclasses.replace(content, table=content.table.drop(columns="seed"))
    with pytest.raises(ValueError, match="does not have: bulkiness"):
        dataclasses.replace(content, parts=PARTS[1:])
    with pytest.raises(ValueError, match="runs of the table are not specified"):
        dataclasses.replace(content, specifications={})
    with pytest.raises(ValueError, match="runs of the table have no result"):
        dataclasses.replace(content, runs={})


def test_page_is_well_formed_and_needs_nothing_from_outside(html):
    class Reader(HTMLParser):
        open_tags, sources = [], []

        def handle_starttag(self, tag, attributes):
            if tag not in VOID:
                self.open_tags.append(tag)
            self.sources += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag

    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open_tags
    assert len(reader.sources) > 30
    assert all(source.startswith(("data:image/svg+xml;base64,", "#")) for source in reader.sources)
    anchors = [source[1:] for source in reader.sources if source.startswith("#")]
    assert all(f'id="{anchor}"' in html for anchor in anchors)
    assert "<script" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_page_says_in_large_type_what_is_simulated_and_what_failed(html):
    assert '<div class="simulated" role="note"><strong>SIMULATED DATA</strong> No cell was measured.' in html
    assert html.index("SIMULATED DATA</strong>") < html.index("<h1>")
    assert "ValueError: no &lt;cells&gt; of BMS" in html
    assert "bulkgen study run poster --out poster" in html
    assert "seeds = [0, 1, 2]" in html


def test_page_has_the_benchmark_of_generators_where_there_is_one(html, written_study):
    assert "The generators, measured" in html
    assert "<h3>The methods</h3>" in html
    assert (written_study / "figures" / "benchmark_ladder_0.svg").is_file()
    # the study's ladder and the benchmark's are different figures
    assert (written_study / "figures" / "ladder_0_0_ladder.png").is_file()


def test_a_report_that_exists_is_kept(tmp_path, content, monkeypatch):
    monkeypatch.setattr(figures, "to_png", lambda _: b"")
    (tmp_path / "report.html").write_text("mine")
    few = _part(content, "mixing")
    with pytest.raises(OutputExistsError, match=r"report\.html exists"):
        write_html(few, tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"
    write_html(few, tmp_path, overwrite=True)
    assert "SIMULATED DATA" in (tmp_path / "report.html").read_text()


def test_figures_that_only_an_earlier_report_had_are_removed_and_no_others(tmp_path, content):
    write_html(_part(content, "bias"), tmp_path)
    place = tmp_path / "figures"
    earlier = {path.name for path in place.iterdir()}
    (place / "mine.svg").write_text("<svg/>")
    (place / "notes.txt").write_text("of a bulkgen report")
    write_html(_part(content, "mixing"), tmp_path, overwrite=True)
    left = {path.name for path in place.iterdir()}
    assert {"bias_0_0_curve.svg", "bias_0_0_curve.png"} <= earlier - left
    assert {"mine.svg", "notes.txt", "mixing_0_0_ladder.svg", "mixing_0_0_ladder.png"} <= left
    assert (place / "mixing_0_0_ladder.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figure_gives_the_same_svg(content):
    first, again = (study_page(_part(content, "mixing")).pictures[0].figure for _ in range(2))
    assert figures.to_svg(first) == figures.to_svg(again)


def test_confusion_matrices_show_numbers_of_cells_added_up_over_seeds(content):
    page = study_page(_part(content, "mixing"))
    axes = page.confusions[0].figure.axes[0]
    rows = content.done("mixing", ALL, "linear")
    confusion = sum(np.array(scores["confusion"]) for scores in content.test_scores(rows[rows["plain"]]))
    assert [text.get_text() for text in axes.texts] == [f"{n:,}" for n in confusion.ravel()]


def test_missing_extra_names_the_command_that_mends_it(tmp_path, content, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"bulkgen\[report\]"):
        write_html(content, tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_generator_is_not_called_the_best_of_one(content):
    table = content.table[
        (content.table["part"] == "synthetic") & content.table["series"].isin(["real cells", "poisson"])
    ]
    page = study_page(dataclasses.replace(content, table=table))
    said = page.sections[0].findings[0].text
    assert said.startswith(f"linear, {ALL}: trained on poisson cells only (made of bulk and control cells): 0.")
    assert "(3 seeds), −0." in said
    assert "highest" not in said
    assert not _cell(_tables(page, "synthetic")[0], "poisson", ALL).strong


def test_figures_do_not_import_pyplot():
    code = "import sys, bulkgen.report.study.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_modules_load_without_matplotlib():
    code = "import sys, bulkgen.report.study.html, bulkgen.report.study.markdown; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
