"""The results page of the generators is what the stored runs say, and the README agrees with it."""

from __future__ import annotations

import re
from pathlib import Path

import generator_page
import pandas as pd
import pytest

README = Path(__file__).parents[2] / "README.md"
#: Column of the README's table -> stored run; row -> method.
RUNS = ("drugs_linear", "drugs_bias_linear", "kang_linear")
METHODS = {
    "real cells (ceiling)": "real",
    "**donor shift**": "donor_shift",
    "pseudo-bulk, k = 5": "pseudobulk_5",
    "pseudo-bulk, k = 5, thinned": "pseudobulk_5_thinned",
    "copula": "copula",
    "negative binomial, ratios": "nb_ratio",
    "negative binomial": "negative_binomial",
    "truncated Gaussian (the poster's)": "truncated_gaussian",
    "independent Poisson counts (floor)": "poisson_floor",
}


def test_the_page_is_what_the_stored_runs_say():
    assert generator_page.PAGE.read_text() == generator_page.page()


def test_stored_runs_name_no_place_of_a_machine():
    for settings in generator_page.RUNS.glob("*/settings.json"):
        assert not re.search(r'"?/(tmp|home|root|work)/', settings.read_text()), settings


@pytest.mark.parametrize(("row", "method"), METHODS.items())
def test_the_readme_says_what_the_stored_runs_say(row, method):
    line = next(line for line in README.read_text().splitlines() if line.startswith(f"| {row} |"))
    cells = [cell.strip(" *") for cell in line.split("|")[2:-1]]
    for run, cell in zip(RUNS, cells, strict=True):
        summary = pd.read_csv(generator_page.RUNS / run / "summary.csv", keep_default_na=False, na_values=[""])
        found = summary[
            (summary["method"] == method) & (summary["metric"] == "tstr_balanced_accuracy") & summary["label"].isna()
        ]
        assert cell == f"{found['mean'].iloc[0]:.3f} ± {found['sd'].iloc[0]:.3f}"
