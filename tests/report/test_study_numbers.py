"""Numbers of a report, calculated once more from the records of the runs alone, without the report's own code."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bulkgen.report import figures
from bulkgen.study import run_study
from study_twin import small_twin, study_of

SEEDS = [0, 1, 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("numbers")
    config = study_of(
        small_twin(),
        place,
        seeds=SEEDS,
        generators={"donor_shift": {"reference": "control"}, "negative_binomial": {"reference": "control"}},
        parts={
            "bulkiness": {"k": [1, 5], "strategies": ["mean"], "validation": ["same"]},
            "synthetic": {"pairs": False, "balance": ["natural"]},
            "mixing": {"labels": ["BMS", "Untreated"], "seeds": SEEDS},
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "to_png", lambda _: b"")
        run_study(config, place / "study")
    return place / "study"


@pytest.fixture(scope="module")
def records(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "runs").glob("*.json"))]


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def _text(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def _rows(page, caption):
    """The rows of the table whose caption begins so: heading → text."""
    found = next(table for table in re.findall(r"<table.*?</table>", page, re.S) if caption in _text(table))
    heads = [_text(head) for head in re.findall(r"<th>(.*?)</th>", found.partition("</thead>")[0], re.S)]
    rows = re.findall(r"<tr[^>]*><th>(.*?)</th>(.*?)</tr>", found.partition("</thead>")[2], re.S)
    return {
        _text(name): dict(zip(heads[1:], map(_text, re.findall(r"<td.*?>(.*?)</td>", cells, re.S)), strict=True))
        for name, cells in rows
    }


def _confusions(records, wanted):
    """Seed → confusion matrix, of the runs whose kinds of training cells are these."""
    found = {}
    for record in records:
        cells = record["run"]["training"]
        described = [
            (each["kind"], each.get("k"), each.get("method"), tuple(each.get("labels") or ())) for each in cells
        ]
        if described == wanted:
            found[record["run"]["seed"]] = np.array(record["result"]["test"]["confusion"])
    assert sorted(found) == SEEDS
    return [found[seed] for seed in SEEDS]


def _recalls(confusions):
    return np.array([np.diag(matrix) / matrix.sum(axis=1) for matrix in confusions])


def _balanced(records, wanted):
    return _recalls(_confusions(records, wanted)).mean(axis=1)


REAL = ("real", None, None, ())
MADE = ("synthetic", None, "donor_shift", ())
ADDED = ("synthetic", None, "donor_shift", ("BMS", "Untreated"))


def test_a_point_of_the_curve_over_k(page, records):
    scores = pd.Series(_balanced(records, [("pseudobulk", 5.0, None, ())]))
    shown = _rows(page, "Balanced accuracy in validation during training")["mean, k = 5"]
    assert shown["test, validation pseudo-bulk"] == f"{scores.mean():.3f} ± {scores.std():.3f}"
    assert scores.std() > 0


def test_the_paired_test_of_mixing(page, records):
    alone, added = _balanced(records, [REAL]), _balanced(records, [REAL, ADDED])
    difference = pd.Series(added - alone)
    # the formula, not the function that the report calls
    t = difference.mean() / (difference.std() / np.sqrt(len(difference)))
    p = 2 * stats.t.sf(abs(t), len(difference) - 1)
    shown = _rows(page, "The difference in overall balanced accuracy")["+ donor_shift"]
    assert shown["difference"] == f"{difference.mean():+.3f} ± {difference.std():.3f}".replace("-", "−")
    assert shown["p"] == f"{p:.2g}"


def test_the_share_of_the_way_from_guessing_to_real_cells(page, records):
    score, ceiling = _balanced(records, [MADE]).mean(), _balanced(records, [REAL]).mean()
    share = (score - 0.2) / (ceiling - 0.2)
    assert f"{100 * share:.0f} % of the way from guessing to them" in _text(page)


def test_the_recall_of_a_label(page, records):
    labels = records[0]["result"]["test"]["labels"]
    recall = pd.Series(_recalls(_confusions(records, [REAL, ADDED]))[:, labels.index("BMS")])
    shown = _rows(page, "Recall of each label (share of its real test cells recognised) and scores")["+ donor_shift"]
    assert shown["BMS"] == f"{recall.mean():.3f} ± {recall.std():.3f}"


def test_the_cost(page, records):
    seconds = [
        record["cost"]["seconds"]
        for record in records
        if {each["kind"] for each in record["run"]["training"]} == {"pseudobulk"}
    ]
    shown = _rows(page, "What the runs took")["linear, pseudo-bulk"]
    assert shown["number"] == str(len(seconds)) == "6"
    assert float(shown["seconds each"].split(" ± ")[0]) == pytest.approx(np.mean(seconds), rel=0.05)
    assert shown["all"] == f"{sum(seconds):.0f} s"
