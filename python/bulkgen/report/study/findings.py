"""What the numbers of a study say, in sentences; nothing here is said that is not computed from the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from bulkgen.report.study.comparisons import comparisons, p_text, paired
from bulkgen.report.study.content import ACCURACY, SCORE, SEEN
from bulkgen.report.tables import Spread, counted, difference_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from bulkgen.report.study.content import StudyContent

__all__ = ["VALIDATED", "Finding", "findings", "levels"]

#: What the validation cells of a pseudo-bulk training set are.
VALIDATED = {"same": "pseudo-bulk", "mixed": "half real", "real": "real"}


@dataclass(frozen=True)
class Finding:
    """A sentence; the leading ones stand at the head of the report too."""

    text: str
    leading: bool = False


def findings(content: StudyContent, part: str) -> list[Finding]:
    """Return the sentences of a part; none for a part that this report knows nothing special about."""
    says = _FINDINGS.get(part)
    return [] if says is None else list(says(content, part))


def levels(content: StudyContent, problem: str) -> list[str]:
    """Say what real cells reach and what guessing gives, for each model; nothing while no run is done."""
    chance, said = content.chance(problem), []
    for model in content.models:
        for proportions in content.proportions(problem):
            ceiling = content.ceiling(problem, model, proportions=proportions)
            floor = content.floor(problem, model, proportions=proportions)
            if not ceiling.known or math.isnan(chance):
                continue
            which = "all real training cells"
            if proportions == "equal":
                which = "as many real training cells of each label as the rarest has"
            between = f"independent Poisson counts {floor}, the floor; " if floor.known else ""
            said.append(
                f"{model}, {problem}: trained on {which} {ceiling} ({counted(ceiling.n, 'seed')}), the ceiling; "
                f"{between}guessing, or always the commonest label, {chance:.3f} (plain accuracy "
                f"{content.majority(problem, ACCURACY):.3f})."
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


def _best(rows: pd.DataFrame) -> tuple[str, Spread]:
    """Return the series with the highest mean score, and that score."""
    scores = _means(rows)
    best = max(scores, key=lambda name: scores[name].mean)
    return best, scores[best]


def _of(generators: Mapping[str, Spread]) -> str:
    return f"of {len(generators)} generators" if len(generators) > 1 else "of the one generator"


def _by_seen(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split synthetic cells by the single cells that they were made with: none is best with more to learn from."""
    return [(words, group) for seen, words in SEEN.items() if len(group := rows[rows["seen"] == seen])]


def _proportions(content: StudyContent, problem: str, part: str) -> str:
    """Say that a problem is of equal numbers of each label, where it is."""
    return " in equal numbers" if content.proportions(problem, part) == ["equal"] else ""


def _bulkiness(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        curves = rows[rows["kind"] == "pseudobulk"]
        for number, strategy in enumerate(dict.fromkeys(curves["strategy"])):
            here = curves[curves["strategy"] == strategy]
            by = {name: here[here["validation"] == name] for name in VALIDATED}
            validation, first = next(((name, found) for name, found in by.items() if len(found)), ("none", here))
            low, high = first["x"].min(), first["x"].max()
            test = {k: Spread.of(first.loc[first["x"] == k, SCORE]) for k in (low, high)}
            text = (
                f"{model}, trained on the {strategy} of k cells: on real test cells {test[low]} at k = {low:g} and "
                f"{test[high]} at k = {high:g}"
            )
            text += _validation(content, first[first["x"] == high], validation, test[high], high)
            mixed = by["mixed"][by["mixed"]["x"] == high]
            found = Spread.of(mixed[f"validation_{SCORE}"])
            if validation == "same" and found.known:
                text += f"; with real cells among the validation cells {found}"
            yield Finding(text + ".", leading=number == 0)


_HELD_OUT = {
    "same": "held-out pseudo-bulk",
    "mixed": "held-out pseudo-bulk and as many real cells",
    "real": "real validation cells",
}


def _validation(content: StudyContent, rows: pd.DataFrame, cells: str, test: Spread, k: float) -> str:
    validation = Spread.of(rows[f"validation_{SCORE}"])
    if not validation.known or cells not in _HELD_OUT:
        return ""
    gap = validation.mean - test.mean
    side = "above" if gap >= 0 else "below"
    numbers, behind = content.validation_numbers(rows), content.validation_cells(rows)
    on = f"n = {numbers} samples of {_HELD_OUT[cells]}" + (f" ({behind})" if behind and cells == "same" else "")
    return f", while the validation during training, on {on}, says {validation} at k = {k:g}, {abs(gap):.3f} {side}"


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
        pairs: dict[str, list[Mapping[str, Spread]]] = {}
        for problem in content.problems(part):
            rows = content.done(part, problem, model)
            rows = rows[rows["kind"] == "synthetic"]
            if not len(rows):
                continue
            if content.n_labels(problem) < whole:
                pairs.setdefault(_proportions(content, problem, part), []).append(_means(rows))
                continue
            for words, group in _by_seen(rows):
                scores = _means(group)
                best, score = _best(group)
                worst = min(scores, key=lambda name: scores[name].mean)
                text = f"trained on cells of {best} alone ({words}): {score}"
                if len(scores) > 1:
                    others = "" if best == worst else f" and worst with {worst}, {scores[worst]}"
                    text = f"{_of(scores)} {words}, best with {best}, {score}{others}"
                yield Finding(f"{model}, {problem}: {text}.", leading=True)
        for proportions, found in pairs.items():
            names = [name for name in found[0] if all(name in scores for scores in found)]
            values = "; ".join(f"{name} {np.mean([scores[name].mean for scores in found]):.3f}" for name in names)
            yield Finding(
                f"{model}, two labels{proportions}, mean over {counted(len(found), 'problem')}: {values} (guessing "
                "gives 0.500)."
            )


def _mixing(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        found = comparisons(content, rows)
        many = f" by Holm's method for {len(found)} comparisons" if len(found) > 1 else ""
        for series, each in found.items():
            difference = each.paired.difference
            text = f"{model}: real cells {series} against real cells alone {difference_text(difference)}"
            text += f" of balanced accuracy, seed by seed (n = {difference.n}"
            if not math.isnan(each.p):
                text += f", paired t-test p = {p_text(each.p)}{many}".replace("= <", "<")
            text += ")"
            if each.interval is not None:
                text += f"; with other test cells between {each.interval} (95 %)"
            if each.repeated is not None:
                text += f"; against the same real cells repeated {difference_text(each.repeated)}"
            yield Finding(text + ".", leading=True)


def _ladder(content: StudyContent, part: str) -> Iterable[Finding]:
    for problem, model, rows in _each(content, part):
        every = rows[(rows["kind"] == "synthetic") & ~rows["floor"]]
        for proportions in content.proportions(problem, part):
            made = every[every["proportions"] == proportions]
            real = rows[rows["plain"] & (rows["proportions"] == proportions)]
            floor = content.floor(problem, model, part=part, proportions=proportions)
            for words, group in _by_seen(made):
                best, score = _best(group)
                text = f"{model}, {problem}: {_of(_means(group))} {words}, {best} is best with {score}"
                against = paired(group[group["series"] == best], real).difference
                text += f", {difference_text(against)} against real cells" if against.known else ""
                yield Finding(text + ".", leading=True)
            under = [name for name, found in _means(made).items() if floor.known and found.mean < floor.mean]
            if under:
                yield Finding(
                    f"{model}, {problem}: below the Poisson floor ({floor}): {', '.join(under)}.", leading=True
                )
            yield from _mechanism(f"{model}, {problem}", made)


def _mechanism(whose: str, made: pd.DataFrame) -> Iterable[Finding]:
    """Rank correlation of scores with how far the cells are off."""
    scores = _means(made)
    for column, perfect, name in (
        ("token_wasserstein", 0.0, "how far tokens per cell are off"),
        ("fold_change_slope", 1.0, "how far the fold-change slope is from 1"),
    ):
        if column not in made or len(scores) < 4:
            continue
        off = {series: abs(found.mean - perfect) for series, found in _means(made, column).items() if found.known}
        if len(off) >= 4:
            rho = spearmanr([off[series] for series in off], [scores[series].mean for series in off]).statistic
            text = f"{whose}: rank correlation of the score with {name}, over {len(off)} generators: {rho:+.2f}."
            yield Finding(text.replace("-0", "−0").replace("-1", "−1"))


def _few_cells(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        alone = rows[rows["kind"] == "real"]
        # real cells beside all controls, where the study has them: then both sides saw the same cells
        baseline = alone[alone["components"] == alone.groupby("x")["components"].transform("max")]
        for words, made in _by_seen(rows[rows["kind"] == "mixed"]):
            said, ahead = [], []
            for size in sorted(set(baseline["x"]) & set(made["x"])):
                base, others = baseline[baseline["x"] == size], made[made["x"] == size]
                best, score = _best(others)
                shown = "all, in natural proportions" if (base["proportions"] == "natural").all() else f"{size:g}"
                if paired(others[others["series"] == best], base).always_above:
                    ahead.append(shown)
                said.append(f"{shown}: {base['series'].iloc[0]} {Spread.of(base[SCORE])}, {score} with {best}")
            if said:
                where = f"at {'; '.join(ahead)} cells per class" if ahead else "at no number of cells"
                yield Finding(
                    f"{model}: with the best of all that was tried, {words}, ahead of real cells without them in every "
                    f"seed {where} ({'; '.join(dict.fromkeys((said[0], said[-1])))}).",
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
                for source, made in _by_seen(group[group["kind"] == kind]):
                    best, score = _best(made)
                    said.append(f"{words} {score} ({best}, {source})")
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
