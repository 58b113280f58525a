"""A run: one training set, one model, one seed, one problem; its key is the hash of all that determines its result."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

__all__ = [
    "RESULT_VERSION",
    "Ablation",
    "ModelSettings",
    "PseudobulkCells",
    "RealCells",
    "Run",
    "RunContext",
    "Seeds",
    "Strategy",
    "SyntheticCells",
    "TrainingCells",
    "Validation",
]

#: Version of how a run is executed. A release in which the same run may give other results bumps it.
RESULT_VERSION = 2

Ablation: TypeAlias = Literal["none", "shuffled_labels", "permuted_genes", "equal_library_sizes"]
Strategy: TypeAlias = Literal["sum", "mean_k", "mean"]
Validation: TypeAlias = Literal["none", "same", "real", "mixed"]


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"at least one, and each once, got {list(seeds)}")
    return seeds


#: Seeds of runs.
Seeds: TypeAlias = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], AfterValidator(_each_once)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RealCells(_Frozen):
    """Real training cells.

    Attributes
    ----------
    per_class
        Cells of each class, all of a class that has fewer; ``None`` for all. For one seed the cells of a smaller number
        are among those of a larger one.
    share
        Share of each class's training cells, at least one cell; nested like `per_class`.
    labels
        Cells of these classes; ``None`` for all of the problem.
    without_dose
        Cells of this dose are left out.
    """

    kind: Literal["real"] = "real"
    per_class: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)
    labels: tuple[str, ...] | None = None
    without_dose: float | None = None

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if self.per_class is not None and self.share != 1:
            raise ValueError("per_class and share both say how many real cells: give one of them")
        return self


class PseudobulkCells(_Frozen):
    """Real training cells of one label and dose aggregated about k at a time, each used once.

    Attributes
    ----------
    k, strategy, cv, thin
        As of :func:`bulkgen.pseudobulk`.
    labels
        Classes to make them of; ``None`` for all of the problem.
    """

    kind: Literal["pseudobulk"] = "pseudobulk"
    k: float = Field(ge=1)
    strategy: Strategy = "mean"
    cv: float = Field(default=0.1, ge=0, lt=1)
    thin: bool = False
    labels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _thins_sums(self) -> Self:
        if self.thin and self.strategy != "sum":
            raise ValueError(f"thin=true keeps molecules of a sum: strategy must be 'sum', got {self.strategy!r}")
        return self


class SyntheticCells(_Frozen):
    """Cells that a generator makes from the bulk of the training cells.

    Attributes
    ----------
    method, parameters
        The generator; ``control`` and what follows from the reference are settled by the study.
    reference
        Single cells that it learns from: the training cells of the ``control``, those and the real cells of the same
        training set (``seen``), or the training cells of ``all`` classes.
    per_class
        Cells of each class; ``None`` for as many as the class has real training cells.
    ratio
        Instead: times the number of different real cells of the class in the same training set.
    labels
        Classes to make; ``None`` for all of the problem.
    bias_sd
        Standard deviation of the logarithm of a gene-wise factor that all bulk profiles share, one per gene and seed:
        what another platform measures differently.
    bulk_reads
        Reads of each bulk profile, drawn from the sum of its cells; ``None`` for the sum itself.
    donors
        At most so many reference cells of each label and dose, nested by seed; ``None`` for all.
    held_dose
        Cells of this dose are made, from its bulk; none of its single cells is among the reference.
    package
        The package, with its version, that the generator is of; ``None`` for bulkgen's own. Filled in by the study.
    """

    kind: Literal["synthetic"] = "synthetic"
    method: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    reference: Literal["control", "seen", "all"] = "control"
    per_class: int | None = Field(default=None, ge=1)
    ratio: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    labels: tuple[str, ...] | None = None
    bias_sd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    bulk_reads: int | None = Field(default=None, ge=1)
    donors: int | None = Field(default=None, ge=1)
    held_dose: float | None = None
    package: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.per_class is not None and self.ratio is not None:
            raise ValueError("per_class and ratio both say how many synthetic cells: give one of them")
        if self.bias_sd > 0 and self.bulk_reads is None:
            raise ValueError("bias_sd is of a sequenced bulk: give bulk_reads too")
        return self


TrainingCells: TypeAlias = Annotated[RealCells | PseudobulkCells | SyntheticCells, Field(discriminator="kind")]


class ModelSettings(_Frozen):
    """A model to train.

    Attributes
    ----------
    name
        ``linear``, ``tiny``, or a name for a checkpoint.
    checkpoint, subfolder
        The checkpoint, as `model` and `subfolder` of :func:`bulkgen.finetune`.
    options
        Further options of :func:`bulkgen.finetune`.
    weights
        Hash of a local checkpoint's files. Filled in by the study.
    fresh_cells
        Draw a generator's cells anew in every epoch, so that no synthetic cell is seen twice.
    """

    name: str
    checkpoint: str | None = None
    subfolder: str | None = None
    weights: str | None = None
    fresh_cells: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.checkpoint is None and self.name not in ("linear", "tiny"):
            raise ValueError(f"model {self.name!r} needs checkpoint=; without one a model is 'linear' or 'tiny'")
        if self.checkpoint is not None and self.name in ("linear", "tiny"):
            raise ValueError(f"{self.name!r} is a model without a checkpoint: call the checkpoint something else")
        return self

    @model_validator(mode="after")
    def _has_epochs_for_fresh_cells(self) -> Self:
        if self.fresh_cells and self.name == "linear":
            raise ValueError(
                "fresh_cells draws other cells in every epoch, and the linear model has no epochs: leave it out"
            )
        if self.fresh_cells and self.options.get("sampling") == "balanced":
            raise ValueError("fresh_cells cannot be sampled: leave out one of fresh_cells and sampling = 'balanced'")
        return self

    @model_serializer(mode="wrap")
    def _without_the_default(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # keys of runs that were made before there were fresh cells stay what they are
        values: dict[str, Any] = serialize(self)
        if not self.fresh_cells:
            values.pop("fresh_cells", None)
        return values

    @property
    def source(self) -> str:
        """What :func:`bulkgen.finetune` calls the model."""
        return self.name if self.checkpoint is None else self.checkpoint


class RunContext(_Frozen):
    """What all runs of a study share and their results depend on.

    Attributes
    ----------
    data
        Hash of the cells, their labels and doses, and the control.
    split
        Hash of which cells train, validate and test.
    vocabulary
        Fingerprint of the vocabulary.
    threads
        Threads of training, on whose number the last bits of a transformer depend.
    stream_version
        Version of bulkgen's random streams.
    result_version
        :data:`RESULT_VERSION`.
    """

    data: str
    split: str
    vocabulary: str
    threads: int
    stream_version: int
    result_version: int = RESULT_VERSION


class Run(_Frozen):
    """One training set, one model, one seed, one problem.

    Attributes
    ----------
    training
        What the training set is made of, end to end. A real cell that two components hold is there twice.
    labels
        The problem: the classes to tell apart, sorted; ``None`` for all.
    validation
        The cells that choose the best epoch: none, so that the last weights are kept (``none``); a tenth of the
        training set as it was made, which is then not trained on (``same``); the real validation cells (``real``); or
        as many real ones of each class beside that tenth (``mixed``).
    ablation
        What is taken away: the labels of the training cells are shuffled; their genes change names; or all cells, also
        those tested, are thinned to one library size.
    test_dose
        Test on the cells of this dose and the control alone; classes without training cells at this dose or at another
        are left out.
    model
        The model.
    seed
        Of the training set and of the model's start; never of the test set.
    context
        What all runs of the study share.
    """

    training: tuple[TrainingCells, ...] = Field(min_length=1)
    labels: tuple[str, ...] | None = None
    validation: Validation = "none"
    ablation: Ablation = "none"
    test_dose: float | None = None
    model: ModelSettings
    seed: int = Field(ge=0)
    context: RunContext

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not any(isinstance(part, RealCells) for part in self.training):
            made = [part for part in self.training if isinstance(part, SyntheticCells)]
            if any(part.ratio is not None for part in made):
                raise ValueError("ratio= is of the real cells of the training set, but it has none")
            if any(part.reference == "seen" for part in made):
                raise ValueError("reference='seen' is of the real cells of the training set, but it has none")
        if self.labels is not None and (len(self.labels) < 2 or list(self.labels) != sorted(set(self.labels))):
            raise ValueError(f"labels must be two or more, sorted, each once, got {self.labels}")
        if self.model.fresh_cells and self.generators != 1:
            raise ValueError(f"fresh cells are those of one generator, but the training set has {self.generators}")
        if self.model.fresh_cells and self.ablation != "none":
            raise ValueError("an ablation changes cells after they are drawn: it cannot be of fresh cells")
        return self

    @property
    def key(self) -> str:
        """Hash of all of it, 20 hexadecimal digits."""
        return digest(self.model_dump(mode="json"))

    @property
    def generators(self) -> int:
        """How many components of the training set a generator makes."""
        return sum(isinstance(part, SyntheticCells) for part in self.training)

    @property
    def holds_out(self) -> bool:
        """Whether a tenth of the training set is held out."""
        return self.validation in ("same", "mixed")

    @property
    def training_key(self) -> str:
        """Hash of what determines the training set, which models share."""
        same = {**self.model_dump(mode="json", exclude={"model", "validation"}), "held_out": self.holds_out}
        return digest({**same, "fresh_cells": True} if self.model.fresh_cells else same)


def digest(values: object) -> str:
    """Return the first 20 hexadecimal digits of the SHA-256 of values as canonical JSON."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
