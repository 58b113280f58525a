"""What a part of a study is: a question, as points that stand on runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from bulkgen.study.run import ModelSettings, RealCells, Run, Seeds, SyntheticCells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bulkgen.study.config import GeneratorSettings, StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import Ablation, TrainingCells, Validation

__all__ = ["ALL_REAL", "FLOOR", "Balance", "BalancedPart", "Part", "Point", "Problem"]

#: Series of the real training cells, the ceiling of every part, and of independent Poisson counts of the bulk's means.
ALL_REAL, FLOOR = "real cells", "Poisson floor"

Balance: TypeAlias = Literal["natural", "equal"]

#: Classes are unequal where the largest has more than so many times the training cells of the smallest.
_UNEQUAL = 1.5


@dataclass(frozen=True)
class Problem:
    """Classes to tell apart.

    Attributes
    ----------
    name
        What it is called in tables and figures.
    labels
        The classes, sorted; ``None`` for all.
    per_class
        Training cells of each class; ``None`` for as many as there are, in natural proportions.
    """

    name: str
    labels: tuple[str, ...] | None = None
    per_class: int | None = None

    @property
    def real_cells(self) -> RealCells:
        """All real training cells, or equal numbers of each class: the problem's ceiling."""
        return RealCells(per_class=self.per_class)


@dataclass(frozen=True)
class Point:
    """Where a run stands in a part; one run may stand in several.

    Attributes
    ----------
    part
        Name of the part.
    problem
        Name of the problem.
    series
        Name of the line in a figure, or of the row in a table.
    name
        What the training set is called.
    x
        Where on the horizontal axis, ``None`` where there is no such axis.
    run
        The run.
    """

    part: str
    problem: str
    series: str
    name: str
    x: float | None
    run: Run


class Part(BaseModel, ABC):
    """One question of a study, with its settings as in the TOML.

    Attributes
    ----------
    models, generators
        Names out of the study's; ``None`` for all.
    seeds
        Seeds of this part; ``None`` for the study's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The letter of the part in reports.
    letter: ClassVar[str]
    #: Key in the TOML, ``[parts.<name>]``.
    name: ClassVar[str]
    title: ClassVar[str]
    #: What the part asks, in a sentence.
    question: ClassVar[str]
    #: What `x` is, with its unit; empty where points have none.
    x_name: ClassVar[str] = ""
    #: What a reader has to know to compare its runs, in a few sentences.
    note: ClassVar[str] = ""

    models: tuple[str, ...] | None = None
    generators: tuple[str, ...] | None = None
    seeds: Seeds | None = None

    @abstractmethod
    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Expand the part to its points, in the order of tables.

        Raises
        ------
        ValueError
            If the study or its data lacks what the part needs.
        """

    def expand(
        self,
        study: StudyConfig,
        data: DataFacts,
        *training: TrainingCells,
        series: str,
        name: str,
        x: float | None = None,
        problem: Problem | None = None,
        validation: Validation = "none",
        ablation: Ablation = "none",
        test_dose: float | None = None,
    ) -> list[Point]:
        """Return the points of one training set: one for each model and seed."""
        problem = problem or all_labels(data)
        points = []
        for model in self._chosen(self.models, study.models, what="model"):
            for seed in self.seeds or study.seeds:
                run = Run(
                    training=training,
                    labels=problem.labels,
                    validation=validation,
                    ablation=ablation,
                    test_dose=test_dose,
                    model=_fresh_where_drawn(study.models[model], training, ablation),
                    seed=seed,
                    context=data.context,
                )
                points.append(Point(self.name, problem.name, series, name, x, run))
        return points

    def generators_of(self, study: StudyConfig) -> dict[str, GeneratorSettings]:
        """Return the generators of this part by their names in the study."""
        chosen = self._chosen(self.generators, study.generators, what="generator")
        for name in chosen:
            if name in (ALL_REAL, FLOOR):
                raise ValueError(f"[generators.{name!r}]: {name!r} is a series of every study; call it something else")
        return {name: study.generators[name] for name in chosen}

    def _chosen(self, wanted: Sequence[str] | None, known: Mapping[str, object], *, what: str) -> list[str]:
        if wanted is None:
            return list(known)
        for name in wanted:
            if name not in known:
                raise ValueError(
                    f"[parts.{self.name}] names the {what} {name!r}, but the study has {', '.join(known) or 'none'}; "
                    f"add [{what}s.{name}]"
                )
        return list(wanted)


class BalancedPart(Part):
    """A part that is asked with classes as they are and with as many cells of each.

    Attributes
    ----------
    balance
        ``natural``: as many cells of a class as there are. ``equal``: of each class as many as the rarest has. By
        default both, unless the largest class has at most 1.5 times the cells of the rarest: then ``natural`` alone.
    """

    balance: tuple[Balance, ...] | None = Field(default=None, min_length=1)

    def balanced(self, problem: Problem, data: DataFacts) -> list[Problem]:
        """Return a problem in each balance."""
        sizes = sizes_of(problem, data)
        unequal = max(sizes) > _UNEQUAL * min(sizes)
        wanted = dict.fromkeys(self.balance or (("natural", "equal") if unequal else ("natural",)))
        equal = Problem(f"{problem.name}, equal classes", problem.labels, min(sizes))
        return [problem if balance == "natural" else equal for balance in wanted]


def _fresh_where_drawn(model: ModelSettings, training: Sequence[TrainingCells], ablation: Ablation) -> ModelSettings:
    """Return a model for a training set: there are no fresh cells without a generator, and none of an ablation."""
    drawn = any(isinstance(cells, SyntheticCells) for cells in training)
    return model if drawn and ablation == "none" else model.model_copy(update={"fresh_cells": False})


def sizes_of(problem: Problem, data: DataFacts) -> list[int]:
    """Return the training cells of each class of a problem."""
    train = data.parts["train"]
    return [train[label] for label in problem.labels or data.labels]


def synthetic(generator: GeneratorSettings, **settings: object) -> SyntheticCells:
    """Return the cells of a generator of the study."""
    return SyntheticCells.model_validate(
        {
            "method": generator.method,
            "parameters": generator.parameters,
            "reference": generator.reference,
            **settings,
        }
    )


def all_labels(data: DataFacts) -> Problem:
    """Return the problem of all labels."""
    return Problem(f"{len(data.labels)} labels")


def pairs_with_control(data: DataFacts) -> list[Problem]:
    """Return the problems of the control against each other label; none without a control, or of two labels."""
    if data.control is None or len(data.labels) == 2:
        return []
    others = [label for label in data.labels if label != data.control]
    return [Problem(f"{data.control} or {label}", tuple(sorted((data.control, label)))) for label in others]
