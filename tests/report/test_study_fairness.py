"""What the report of a study must not hide: proportions of classes, what was seen, how few samples, which cells."""

from __future__ import annotations

import copy
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from bulkgen.report.study.comparisons import adjusted, comparisons, p_text
from bulkgen.report.study.findings import findings
from bulkgen.report.study.page import study_page
from bulkgen.report.tables import Spread
from study_cases import ALL, EQUAL, PARTS, RAREST, REAL, WITH_CONTROLS, make_study

SCORE = "balanced_accuracy"


@pytest.fixture(scope="module")
def content():
    return make_study(models=("linear",))


def _part(content, *parts, **changes):
    return dataclasses.replace(content, table=content.table[content.table["part"].isin(parts)], **changes)


def _section(content, part, *others):
    sections = study_page(_part(content, part, *others)).sections
    return next(found for found in sections if found.anchor == part)


def _said(content, part):
    return [finding.text for finding in findings(_part(content, part), part)]


def _row(table, name):
    cells = next(row.cells for row in table.rows if row.name == name)
    return dict(zip(table.columns[1:], cells, strict=True))


def _values(content, part, series, problem=ALL):
    table = content.table
    here = (table["part"] == part) & (table["series"] == series) & (table["problem"] == problem)
    return table.loc[here, SCORE]


def _with_runs(content, change):
    """The study with its runs changed, in place of what they were."""
    runs = copy.deepcopy(dict(content.runs))
    for run in runs.values():
        change(run)
    specifications = {**content.specifications, **{key: run["run"] for key, run in runs.items()}}
    return dataclasses.replace(content, runs=runs, specifications=specifications)


def test_levels_are_those_of_the_same_proportions_of_classes(content):
    natural, equal = _values(content, "ladder", REAL), _values(content, "ladder", REAL, EQUAL)
    assert content.ceiling(ALL, "linear") == Spread.of(natural)
    assert content.ceiling(EQUAL, "linear") == Spread.of(equal)
    assert content.floor(EQUAL, "linear") == Spread.of(_values(content, "ladder", "Poisson floor", EQUAL))
    pictures = {picture.name: picture.figure for picture in _section(content, "ladder").pictures}
    places = {name: {line.get_label() for line in figure.axes[0].lines} for name, figure in pictures.items()}
    assert f"real cells (ceiling), equal numbers: {equal.mean():.2f}" in places["ladder_1_0_ladder"]
    assert f"real cells (ceiling): {natural.mean():.2f}" in places["ladder_0_0_ladder"]
    assert not any("equal" in name for name in places["ladder_0_0_ladder"])
    # few real cells are equally many of each class, all of them are not
    few = _section(content, "few_cells", "ladder").pictures[0].figure.axes[0]
    assert sum("(ceiling)" in line.get_label() for line in few.lines) == 2


def test_a_ladder_has_one_value_for_real_cells_whatever_other_parts_repeat(content):
    more = make_study(seeds=(0, 1, 2, 3, 4), models=("linear",))
    table = pd.concat([_part(more, "mixing").table, _part(content, "ladder").table])
    page = dataclasses.replace(
        content,
        table=table,
        runs={**content.runs, **more.runs},
        specifications={**content.specifications, **more.specifications},
    )
    assert page.ceiling(ALL, "linear").n == 5
    assert page.ceiling(ALL, "linear", part="ladder") == Spread.of(_values(content, "ladder", REAL))
    assert ", 5 seeds. Trained on" in study_page(page).levels[0]


def test_generators_are_ranked_among_those_that_saw_the_same_cells(content):
    section = _section(content, "synthetic")
    table = section.blocks[0].tables[0]
    assert _row(table, "truncated_gaussian")["single cells seen"].text == "all"
    assert _row(table, "donor_shift")["single cells seen"].text == "control"
    strong = {row.name for row in table.rows if row.cells[1].strong}
    # truncated Gaussian cells are the only ones made with single cells of every label
    assert strong == {"donor_shift"}
    said = [finding.text for finding in section.findings]
    assert any(
        "of 5 generators made of bulk and control cells, donor_shift has the highest mean score, 0." in text
        for text in said
    )
    assert any(
        "trained on truncated_gaussian cells only (made with single cells of every label): " in text for text in said
    )
    mixing = _section(content, "mixing").blocks[0].tables[0]
    assert [row.cells[0].text for row in mixing.rows] == ["–", "all", "control", "–"]
    assert "single cells seen" in _section(content, "ladder").blocks[0].tables[0].columns


def test_validation_scores_stand_beside_the_number_of_their_samples(content):
    def few(run):
        if run["run"]["training"][0].get("k") == 100:
            run["result"]["validation"]["n"] = 6
            run["result"]["validation_samples"] = {"cells": {"fewest": 19, "mean": 80.0, "most": 104}, "small": 1}

    made = _with_runs(_part(content, "bulkiness"), few)
    assert (
        "on n = 6 samples of held-out pseudo-bulk (of 19–104 cells, 1 of fewer than k/2)" in _said(made, "bulkiness")[0]
    )
    table = _section(made, "bulkiness").blocks[0].tables[0]
    assert _row(table, "mean, k = 100")["n, pseudo-bulk"].text == "6 of 19–104 cells, 1 of fewer than k/2"
    # results of old say their number alone
    assert _row(table, "mean, k = 10")["n, pseudo-bulk"].text == "557"


@pytest.mark.parametrize(
    ("validation", "words"),
    [("real", "samples of real validation cells"), ("mixed", "held-out pseudo-bulk and as many real cells")],
)
def test_the_sentence_of_bulkiness_names_the_cells_that_validated(content, validation, words):
    def validated(run):
        run["run"]["validation"] = validation

    table = content.table[~content.table["series"].str.contains("and cells")]
    said = _said(_with_runs(dataclasses.replace(content, table=table), validated), "bulkiness")[0]
    assert words in said
    assert ("pseudo-bulk" in said) == (validation == "mixed")


def test_differences_say_holms_p_and_what_other_test_cells_would_do(content):
    rows = content.done("mixing", ALL, "linear")
    found = comparisons(content, rows)
    assert list(found) == ["+ truncated_gaussian", "+ donor_shift", "+ the same real cells"]
    assert [each.p for each in found.values()] == adjusted(each.paired.p for each in found.values())
    for (series, each), text in zip(found.items(), _said(content, "mixing"), strict=True):
        assert f"p = {p_text(each.p)} by Holm's method for 3 comparisons" in text
        assert f"95 % interval over other test cells {each.interval}" in text
        again = series != "+ the same real cells"
        assert (each.repeated is not None) == again == ("from the same real cells repeated" in text)
        assert each.interval.low < each.paired.difference.mean < each.interval.high
    note = _section(content, "mixing").note
    assert "give the same score in every seed" in note
    assert "interval over test cells" in note


def test_the_interval_over_test_cells_has_the_width_that_their_number_gives(content):
    """About ± 1.96 standard errors of a mean over labels of means over their test cells, each averaged over seeds."""
    rows = content.done("mixing", ALL, "linear")
    interval = comparisons(content, rows)["+ donor_shift"].interval
    truth = content.split.loc[content.split["part"] == "test", "label"].to_numpy()
    gained = np.zeros(truth.size)
    for series, sign in (("+ donor_shift", 1), (REAL, -1)):
        for key in rows.loc[rows["series"] == series, "key"]:
            result = content.runs[key]["result"]
            hit = np.array(result["test"]["labels"])[result["test_predictions"]] == truth
            gained += sign * hit / 3
    by_label = [gained[truth == label] for label in np.unique(truth)]
    error = np.sqrt(sum(cells.var() / cells.size for cells in by_label)) / len(by_label)
    middle = np.mean([cells.mean() for cells in by_label])
    assert [interval.low, interval.high] == pytest.approx([middle - 1.96 * error, middle + 1.96 * error], abs=0.003)


def test_predictions_that_are_absent_or_of_other_cells_give_no_interval(content):
    rows = content.done("mixing", ALL, "linear")
    absent = _with_runs(content, lambda run: run["result"] and run["result"].pop("test_predictions"))
    assert comparisons(absent, rows)["+ donor_shift"].interval is None
    assert "other test cells" not in _said(absent, "mixing")[0]
    table = _section(absent, "mixing").blocks[0].tables[2]
    assert _row(table, "+ donor_shift")["test cells, 95 %"].text == "–"
    turned = _with_runs(content, lambda run: run["result"] and run["result"]["test_predictions"].reverse())
    assert comparisons(turned, rows)["+ donor_shift"].interval is None


def test_cells_that_were_made_are_not_called_real(content):
    data = {**content.data, "simulated": False, "origin": "computed"}
    page = study_page(_part(content, "mixing", data=data))
    assert page.banner["title"] == "COMPUTED CELLS"
    assert not page.banner["measured"]
    assert "none of its scores is of measured cells" in page.caution
    assert all(picture.figure.get_suptitle() == "computed cells" for picture in page.pictures)
    assert "test (frozen, the data set's own)" in [row.name for row in page.split.rows]


def test_a_part_with_one_place_on_its_axis_is_shown(content):
    few = content.table[(content.table["part"] == "few_cells") & (content.table["x"] == 5.0)]
    section = _section(dataclasses.replace(content, table=few), "few_cells")
    (picture,) = section.pictures
    names = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    assert {REAL, WITH_CONTROLS, "+ donor_shift 1:10"} <= set(names)
    assert picture.figure.axes[0].get_title().endswith("real cells per class: 5")
    assert _row(section.blocks[0].tables[0], REAL)["balanced accuracy"].text.startswith("0.4")


def test_a_series_with_one_place_stands_among_the_curves_of_the_others(content):
    table = content.table[(content.table["part"] == "few_cells") & content.table["x"].isin([0.0, 5.0])]
    section = _section(dataclasses.replace(content, table=table), "few_cells")
    assert all(
        {REAL, WITH_CONTROLS} <= {bars.get_label() for bars in picture.figure.axes[0].containers}
        for picture in section.pictures
    )


def test_few_real_cells_are_compared_with_the_same_cells_without_the_bulk(content):
    (said,) = (text for text in _said(content, "few_cells") if "donor_shift" in text)
    assert re.search(rf"With 5 real cells per class: {REAL} 0\.\d+ ± 0\.\d+, {re.escape(WITH_CONTROLS)} 0\.", said)
    assert f"With all real cells (in natural proportions): {REAL} 0.9" in said
    assert re.search(r"in each seed, with 5\b.* real cells of each class", said)
    # real cells with all controls are of unequal classes: to be above them alone is no help of the bulk's
    few = content.table.copy()
    few.loc[(few["part"] == "few_cells") & (few["series"] == REAL) & (few["x"] < 100), SCORE] = 1.0
    (said,) = (text for text in _said(dataclasses.replace(content, table=few), "few_cells") if "donor_shift" in text)
    assert "in each seed, with 5" not in said


def test_what_a_training_set_is_comes_from_its_run_and_not_from_its_name(content):
    names = {REAL: "donor_shift", "donor_shift": REAL, "Poisson floor": "floor"}
    ladder = content.table[content.table["part"] == "ladder"]
    renamed = dataclasses.replace(content, table=ladder.replace({"series": names}))
    plain = dataclasses.replace(content, table=ladder)
    for problem in (ALL, EQUAL):
        assert renamed.ceiling(problem, "linear") == plain.ceiling(problem, "linear")
        assert renamed.floor(problem, "linear") == plain.floor(problem, "linear")
    assert any("real cells has the highest" in text for text in _said(renamed, "ladder"))
    # real cells of which some are there twice are no ceiling
    assert not content.points.loc[content.points["series"] == "+ the same real cells", "plain"].any()
    equal = content.points[content.points["plain"] & (content.points["proportions"] == "equal")]
    assert {content.runs[key]["run"]["training"][0]["per_class"] for key in equal["key"]} == {RAREST}


def test_notes_of_parts_are_shown(content):
    parts = tuple(dataclasses.replace(part, note="Know this.") for part in PARTS)
    sections = study_page(dataclasses.replace(_part(content, "mixing", "bias"), parts=parts)).sections
    assert [section.note.startswith("Know this.") for section in sections] == [True, True]
    assert "Student's" in sections[0].note
