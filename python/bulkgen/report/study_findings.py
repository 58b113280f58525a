"""What the numbers of a study say, in sentences; nothing here is said that is not computed from the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr, ttest_rel

from bulkgen.report.study_content import ACCURACY, FLOOR, SCORE
from bulkgen.report.tables import Spread, difference_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from bulkgen.report.study_content import StudyContent

__all__ = ["Finding", "Paired", "adjusted", "findings", "levels", "p_text", "paired"]


@dataclass(frozen=True)
class Finding:
    """A sentence; the leading ones stand at the head of the report too."""

    text: str
    leading: bool = False


@dataclass(frozen=True)
class Paired:
    """Differences of two training sets, seed by seed.

    Attributes
    ----------
    difference
        Mean, standard deviation and number of the differences.
    p
        Of Student's paired t-test, two-sided; NaN for fewer than two seeds, or where all differences are the same.
    always_above
        Whether the first is above the second in every seed.
    """

    difference: Spread
    p: float
    always_above: bool

    @property
    def p_text(self) -> str:
        """The p value, or a dash."""
        return p_text(self.p)


def findings(content: StudyContent, part: str) -> list[Finding]:
    """Return the sentences of a part; none for a part that this report knows nothing special about."""
    says = _FINDINGS.get(part)
    return [] if says is None else list(says(content, part))


def paired(rows: pd.DataFrame, baseline: pd.DataFrame, column: str = SCORE) -> Paired:
    """Compare two training sets over the seeds that both have."""
    values = [table.drop_duplicates("seed").set_index("seed")[column].dropna() for table in (rows, baseline)]
    both = values[0].index.intersection(values[1].index)
    first, second = (found.loc[both].to_numpy(dtype=float) for found in values)
    difference = first - second
    # without any spread the statistic is 0/0 or infinite
    testable = len(both) > 1 and np.ptp(difference) > 1e-12
    p = float(ttest_rel(first, second).pvalue) if testable else float("nan")
    return Paired(Spread.of(difference), p, bool(len(both) and (difference > 0).all()))


def adjusted(p: Iterable[float]) -> list[float]:
    """Adjust p values for their number by Holm's step-down method; NaN stays and does not count."""
    given = list(p)
    order = sorted((place for place, value in enumerate(given) if not math.isnan(value)), key=lambda i: given[i])
    found, highest = [float("nan")] * len(given), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * given[place]))
        found[place] = highest
    return found


def p_text(p: float) -> str:
    """Write a p value to two significant digits."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def levels(content: StudyContent, problem: str) -> list[str]:
    """Say what real cells reach and what guessing gives, for each model; nothing while no run is done."""
    chance, said = content.chance(problem), []
    for model in content.models:
        ceiling, floor = content.ceiling(problem, model), content.floor(problem, model)
        if not ceiling.known or math.isnan(chance):
            continue
        between = f"independent Poisson counts {floor}, the floor; " if floor.known else ""
        said.append(
            f"{model}, {problem}: trained on all real training cells {ceiling}, the ceiling; {between}guessing, or "
            f"always the commonest label, {chance:.3f} (plain accuracy {content.majority(problem, ACCURACY):.3f})."
        )
    return said


def _each(content: StudyContent, part: str) -> Iterable[tuple[str, str, pd.DataFrame]]:
    """Problems and models of a part, with the points that are done."""
    for problem in content.problems(part):
        for model in content.models:
            rows = content.done(part, problem, model)
            if len(rows):
                yield problem, model, rows


def _means(rows: pd.DataFrame, column: str = SCORE) -> dict[str, Spread]:
    """Spread of each series over its points."""
    return {str(name): Spread.of(group[column]) for name, group in rows.groupby("series", sort=False)}


def _bulkiness(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        curves = rows[rows["kind"] == "pseudobulk"]
        for number, strategy in enumerate(dict.fromkeys(curves["strategy"])):
            here = curves[curves["strategy"] == strategy]
            same = here[here["validation"] == "same"]
            same = same if len(same) else here
            low, high = same["x"].min(), same["x"].max()
            test = {k: Spread.of(same.loc[same["x"] == k, SCORE]) for k in (low, high)}
            text = (
                f"{model}, trained on the {strategy} of k cells: on real test cells {test[low]} at k = {low:g} and "
                f"{test[high]} at k = {high:g}"
            )
            text += _validation(same[same["x"] == high], "held-out pseudo-bulk", test[high], high)
            mixed = here[(here["validation"] == "mixed") & (here["x"] == high)]
            found = Spread.of(mixed[f"validation_{SCORE}"]) if len(mixed) else Spread.of(())
            if found.known:
                text += f"; with real cells among the validation cells {found}"
            yield Finding(text + ".", leading=number == 0)


def _validation(rows: pd.DataFrame, cells: str, test: Spread, k: float) -> str:
    validation = Spread.of(rows[f"validation_{SCORE}"])
    if not validation.known:
        return ""
    gap = validation.mean - test.mean
    side = "above" if gap >= 0 else "below"
    return f", while the validation during training, on {cells}, says {validation} at k = {k:g}, {abs(gap):.3f} {side}"


def _thinning(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        high = rows["x"].max()
        if math.isnan(high):
            continue
        values = "; ".join(f"{series} {found}" for series, found in _means(rows[rows["x"] == high]).items())
        yield Finding(f"{model}, at k = {high:g}: {values}.", leading=True)


def _synthetic(content: StudyContent, part: str) -> Iterable[Finding]:
    whole = max((content.n_labels(problem) for problem in content.problems(part)), default=0)
    for model in content.models:
        pairs: list[Mapping[str, Spread]] = []
        for problem in content.problems(part):
            rows = content.done(part, problem, model)
            rows = rows[rows["kind"] == "synthetic"]
            if not len(rows):
                continue
            scores = _means(rows)
            if content.n_labels(problem) < whole:
                pairs.append(scores)
                continue
            best = max(scores, key=lambda name: scores[name].mean)
            worst = min(scores, key=lambda name: scores[name].mean)
            text = f"{model}, {problem}: trained on cells of {best} alone {scores[best]}"
            if len(scores) > 1:
                text = (
                    f"{model}, {problem}: of {len(scores)} generators best with {best}, {scores[best]}, and worst with "
                    f"{worst}, {scores[worst]}"
                )
            ceiling = content.ceiling(problem, model)
            against = f" (real cells {ceiling})" if ceiling.known else ""
            yield Finding(f"{text}{against}.", leading=True)
        if pairs:
            names = [name for name in pairs[0] if all(name in scores for scores in pairs)]
            values = "; ".join(f"{name} {np.mean([scores[name].mean for scores in pairs]):.3f}" for name in names)
            yield Finding(f"{model}, two labels, mean over {len(pairs)} problems: {values} (guessing gives 0.500).")


def _mixing(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        baseline = rows[rows["plain"]]
        for series, group in rows[rows["kind"] == "mixed"].groupby("series", sort=False):
            found = paired(group, baseline)
            if not found.difference.known:
                continue
            test = "" if math.isnan(found.p) else f", paired t-test p = {found.p_text}".replace("= <", "<")
            text = f"{model}: real cells {series} against real cells alone {difference_text(found.difference)}"
            text += f" of balanced accuracy, seed by seed (n = {found.difference.n}{test})."
            yield Finding(text, leading=True)


def _ladder(content: StudyContent, part: str) -> Iterable[Finding]:
    for problem, model, rows in _each(content, part):
        made = rows[(rows["kind"] == "synthetic") & (rows["series"] != FLOOR)]
        scores = _means(made)
        if not scores:
            continue
        best = max(scores, key=lambda name: scores[name].mean)
        ceiling, floor = content.ceiling(problem, model), content.floor(problem, model)
        against = f", {difference_text(paired(made[made['series'] == best], rows[rows['plain']]).difference)}"
        text = f"{model}: of {len(scores)} generators at equal numbers, {best} is best with {scores[best]}"
        text += f"{against} against real cells" if ceiling.known else ""
        under = [name for name, found in scores.items() if floor.known and found.mean < floor.mean]
        text += f"; below the Poisson floor: {', '.join(under)}" if under else ""
        yield Finding(text + ".", leading=True)
        for column, perfect, name in (
            ("token_wasserstein", 0.0, "how far tokens per cell are off"),
            ("fold_change_slope", 1.0, "how far the fold-change slope is from 1"),
        ):
            if column not in made or len(scores) < 4:
                continue
            off = {series: abs(found.mean - perfect) for series, found in _means(made, column).items() if found.known}
            if len(off) >= 4:
                rho = spearmanr([off[series] for series in off], [scores[series].mean for series in off]).statistic
                text = f"{model}: rank correlation of the score with {name}, over {len(off)} generators: {rho:+.2f}."
                yield Finding(text.replace("-0", "−0").replace("-1", "−1"))


def _few_cells(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        alone, mixed = rows[rows["kind"] == "real"], rows[rows["kind"] == "mixed"]
        said, ahead = [], []
        for size in sorted(set(alone["x"]) & set(mixed["x"])):
            base, others = alone[alone["x"] == size], mixed[mixed["x"] == size]
            scores = _means(others)
            best = max(scores, key=lambda name: scores[name].mean)
            shown = "all" if base["every"].all() else f"{size:g}"
            if paired(others[others["series"] == best], base).always_above:
                ahead.append(shown)
            said.append(f"{shown}: {Spread.of(base[SCORE])} alone, {scores[best]} with {best}")
        if said:
            where = f"at {', '.join(ahead)} cells per class" if ahead else "at no number of cells"
            yield Finding(
                f"{model}: with the best of all that was tried, ahead of real cells alone in every seed {where} "
                f"({'; '.join(dict.fromkeys((said[0], said[-1])))}).",
                leading=True,
            )


def _bias(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        made = rows[rows["x"].notna()]
        if not len(made):
            continue
        low, high = made["x"].min(), made["x"].max()
        values = []
        for series, group in made.groupby("series", sort=False):
            ends = [Spread.of(group.loc[group["x"] == x, SCORE]) for x in (low, high)]
            if all(end.known for end in ends):
                values.append(f"{series} from {ends[0]} to {ends[1]}")
        if values:
            yield Finding(f"{model}, from a bias of {low:g} to one of {high:g}: {'; '.join(values)}.", leading=True)


def _unseen_dose(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        for dose, group in rows.groupby("x"):
            real = group[group["kind"] == "real"]
            said = [
                f"trained on real cells of it too {Spread.of(real.loc[real['every'], SCORE])}",
                f"on those of the other doses {Spread.of(real.loc[~real['every'], SCORE])}",
            ]
            for kind, words in (("synthetic", "at best on synthetic cells alone"), ("mixed", "at best on both")):
                scores = _means(group[group["kind"] == kind])
                if scores:
                    best = max(scores, key=lambda name: scores[name].mean)
                    said.append(f"{words} {scores[best]} ({best})")
            yield Finding(f"{model}, tested at dose {dose:g}: {'; '.join(said)}.", leading=True)


def _ablations(content: StudyContent, part: str) -> Iterable[Finding]:
    for problem, model, rows in _each(content, part):
        single = rows[rows["x"].isna()]
        said = []
        for name, group in single.groupby("name", sort=False):
            means = [found.mean for found in _means(group).values()]
            said.append(f"{name} {_range(means)}")
        if said:
            sets = f"{n} training sets" if (n := single["series"].nunique()) > 1 else "one training set"
            yield Finding(
                f"{model}, over {sets}: {'; '.join(said)} (guessing gives {content.chance(problem):.3f}).", leading=True
            )


def _range(means: list[float]) -> str:
    low, high = min(means), max(means)
    return f"{low:.3f}" if high - low < 5e-4 else f"{low:.3f} to {high:.3f}"


_FINDINGS: dict[str, Callable[[StudyContent, str], Iterable[Finding]]] = {
    "bulkiness": _bulkiness,
    "thinning": _thinning,
    "synthetic": _synthetic,
    "mixing": _mixing,
    "ladder": _ladder,
    "few_cells": _few_cells,
    "bias": _bias,
    "unseen_dose": _unseen_dose,
    "ablations": _ablations,
}
