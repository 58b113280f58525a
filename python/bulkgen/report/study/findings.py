"""What the numbers of a study say, in sentences; nothing here is said that is not computed from the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from bulkgen.report.study.comparisons import comparisons, highest, p_equal, paired
from bulkgen.report.study.content import ACCURACY, SCORE, SEEN
from bulkgen.report.tables import Spread, counted, difference_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
            between = f" Trained on independent Poisson counts of the bulk (the floor): {floor}." if floor.known else ""
            said.append(
                f"{model}, {problem}: trained on {which} (the ceiling): {ceiling}, {counted(ceiling.n, 'seed')}."
                f"{between} Guessing, or always naming the commonest label, gives {chance:.3f}; the latter has a plain "
                f"accuracy of {content.majority(problem, ACCURACY):.3f}."
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


def _best(scores: Mapping[str, Spread]) -> tuple[list[str], Spread]:
    """Return the series of the highest mean score, all of them where several have it, and that score."""
    names = highest(scores)
    return names, scores[names[0]]


def _seeds(rows: pd.DataFrame) -> str:
    return counted(rows["seed"].nunique(), "seed")


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _ranked(rows: pd.DataFrame, words: str, real: pd.DataFrame, chance: float) -> str:
    """Say which generator scores highest, beside real cells and guessing; of one alone, only its score."""
    scores = _means(rows)
    names, score = _best(scores)
    apart = paired(rows[rows["series"] == names[0]], real).difference
    against = f", {difference_text(apart)} against real cells" if apart.known else ""
    ceiling = Spread.of(real[SCORE]).mean
    if ceiling > chance:
        share = f"{(score.mean - chance) / (ceiling - chance):.0%}".replace("-", "−").replace("%", " %")
        against += f", {share} of the way from guessing to them"
    seeds = counted(score.n, "seed")
    if len(scores) == 1:
        return f"trained on {names[0]} cells only ({words}): {score} ({seeds}){against}."
    if len(names) == len(scores):
        return f"{len(scores)} generators {words} have the same mean score, {score} ({seeds}){against}."
    lowest = min(scores, key=lambda name: scores[name].mean)
    return (
        f"of {len(scores)} generators {words}, {_and(names)} {'has' if len(names) == 1 else 'have'} the highest mean "
        f"score, {score} ({seeds}){against}; {lowest} has the lowest, {scores[lowest]}."
    )


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
                f"{model}, trained on the {strategy} of k cells: {test[low]} on real test cells at k = {low:g}, "
                f"{test[high]} at k = {high:g} ({counted(test[high].n, 'seed')})."
            )
            text += _validation(content, first[first["x"] == high], validation, test[high], high)
            mixed = by["mixed"][by["mixed"]["x"] == high]
            found = Spread.of(mixed[f"validation_{SCORE}"])
            if validation == "same" and found.known:
                text += f" With real cells among the validation cells it says {found}."
            yield Finding(text, leading=number == 0)


_HELD_OUT = {
    "same": "held-out pseudo-bulk",
    "mixed": "held-out pseudo-bulk and as many real cells",
    "real": "real validation cells",
}


def _validation(content: StudyContent, rows: pd.DataFrame, cells: str, test: Spread, k: float) -> str:
    validation = Spread.of(rows[f"validation_{SCORE}"])
    if not validation.known or cells not in _HELD_OUT:
        return ""
    apart = validation.mean - test.mean
    gap = f"{abs(apart):.3f} {'above' if apart > 0 else 'below'}" if abs(apart) >= 5e-4 else "the same as"
    numbers, behind = content.validation_numbers(rows), content.validation_cells(rows)
    on = _HELD_OUT[cells] + (f" ({behind})" if behind and cells == "same" else "")
    on = f"n = {numbers} samples of {on}"
    return f" At k = {k:g} validation during training, on {on}, says {validation}, {gap} the test."


def _thinning(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        high = rows["x"].max()
        if math.isnan(high):
            continue
        at_end = rows[rows["x"] == high]
        values = "; ".join(f"{series} {found}" for series, found in _means(at_end).items())
        yield Finding(f"{model}, at k = {high:g} ({_seeds(at_end)}): {values}.", leading=True)


def _synthetic(content: StudyContent, part: str) -> Iterable[Finding]:
    whole = max((content.n_labels(problem) for problem in content.problems(part)), default=0)
    for model in content.models:
        pairs: dict[str, list[Mapping[str, Spread]]] = {}
        for problem in content.problems(part):
            rows = content.done(part, problem, model)
            made = rows[rows["kind"] == "synthetic"]
            if not len(made):
                continue
            if content.n_labels(problem) < whole:
                beside = _means(rows[rows["plain"] | (rows["kind"] == "synthetic")])
                pairs.setdefault(_proportions(content, problem, part), []).append(beside)
                continue
            for words, group in _by_seen(made):
                text = _ranked(group, words, rows[rows["plain"]], content.chance(problem))
                yield Finding(f"{model}, {problem}: {text}", leading=True)
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
            text = f"{model}: real cells {series} differ from real cells alone by {difference_text(difference)} of "
            text += f"balanced accuracy, seed by seed (n = {difference.n}"
            if not math.isnan(each.p):
                text += f", paired t-test p {p_equal(each.p)}{many}"
            text += ")"
            if each.interval is not None:
                none = ", which includes 0" if each.interval.low <= 0 <= each.interval.high else ""
                text += f"; 95 % interval over other test cells {each.interval}{none}"
            if each.repeated is not None:
                text += f"; difference from the same real cells repeated {difference_text(each.repeated)}"
            yield Finding(text + ".", leading=True)


def _ladder(content: StudyContent, part: str) -> Iterable[Finding]:
    for problem, model, rows in _each(content, part):
        every = rows[(rows["kind"] == "synthetic") & ~rows["floor"]]
        for proportions in content.proportions(problem, part):
            made = every[every["proportions"] == proportions]
            real = rows[rows["plain"] & (rows["proportions"] == proportions)]
            floor = content.floor(problem, model, part=part, proportions=proportions)
            for words, group in _by_seen(made):
                yield Finding(
                    f"{model}, {problem}: {_ranked(group, words, real, content.chance(problem))}", leading=True
                )
            under = [name for name, found in _means(made).items() if floor.known and found.mean < floor.mean]
            if under:
                yield Finding(
                    f"{model}, {problem}: mean score below that of the Poisson floor ({floor}): {_and(under)}.",
                    leading=True,
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
            rank = f"{rho:+.2f}".replace("-", "−")
            yield Finding(
                f"{whose}: Spearman's rank correlation of the score with {name}, over {len(off)} generators: {rank}."
            )


def _few_cells(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        alone = rows[rows["kind"] == "real"]
        for words, made in _by_seen(rows[rows["kind"] == "mixed"]):
            said, ahead = [], []
            for size in sorted(set(alone["x"]) & set(made["x"])):
                # alone, and beside all controls: what the generators saw, but in unequal classes
                bases = {str(name): base for name, base in alone[alone["x"] == size].groupby("series", sort=False)}
                others = made[made["x"] == size]
                names, score = _best(_means(others))
                natural = all((base["proportions"] == "natural").all() for base in bases.values())
                number = "all" if natural else f"{size:g}"
                shown = "all real cells (in natural proportions)" if natural else f"{number} real cells per class"
                best = others[others["series"] == names[0]]
                if all(paired(best, base).always_above for base in bases.values()):
                    ahead.append(number)
                against = ", ".join(f"{name} {Spread.of(base[SCORE])}" for name, base in bases.items())
                n = others["series"].nunique()
                tried = f", the highest of {n} tried" if n > 1 else ""
                which = _and(names) if len(names) < n or n == 1 else "all that was tried"
                said.append(f"With {shown}: {against}; {which} {score}{'' if which != _and(names) else tried}.")
            if said:
                where = f"with {_and(ahead)} real cells of each class" if ahead else "at no number of real cells"
                ends = " ".join(dict.fromkeys((said[0], said[-1])))
                yield Finding(
                    f"{model}, synthetic cells {words}, beside real ones ({_seeds(made)}): higher than every score of "
                    f"real cells without them, in each seed, {where}. {ends}",
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
            yield Finding(
                f"{model}, from a bias of {low:g} to one of {high:g} ({_seeds(made)}): {'; '.join(values)}.",
                leading=True,
            )


def _unseen_dose(content: StudyContent, part: str) -> Iterable[Finding]:
    for _, model, rows in _each(content, part):
        for dose, group in rows.groupby("x"):
            real = group[group["kind"] == "real"]
            said = [
                f"trained on real cells of that dose too {Spread.of(real.loc[real['every'], SCORE])}",
                f"on those of the other doses {Spread.of(real.loc[~real['every'], SCORE])}",
            ]
            for kind, words in (("synthetic", "at best on synthetic cells only"), ("mixed", "at best on both")):
                for source, made in _by_seen(group[group["kind"] == kind]):
                    names, score = _best(_means(made))
                    said.append(f"{words} {score} ({_and(names)}, {source})")
            yield Finding(f"{model}, tested at dose {dose:g} ({_seeds(group)}): {'; '.join(said)}.", leading=True)


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
                f"{model}, over {sets}, {_seeds(single)}: {'; '.join(said)} (guessing gives "
                f"{content.chance(problem):.3f}).",
                leading=True,
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
