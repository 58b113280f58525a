"""Utility: what a model trained on synthetic cells reaches on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bulkgen.rng import key_from_rng
from bulkgen.training import finetune
from bulkgen.training.config import make_config, model_kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkgen.tokens import TokenDataset
    from bulkgen.training import Scores
    from bulkgen.training.config import FinetuneOptions

__all__ = ["Model", "make_models", "not_empty", "train_and_test"]


@dataclass(frozen=True)
class Model:
    """A model to train.

    Attributes
    ----------
    model
        ``linear``, ``tiny`` or a checkpoint, as in :func:`bulkgen.finetune`.
    subfolder
        Folder within the checkpoint.
    options
        Changes of the preset.
    shown
        What it is called in the results.
    """

    model: str
    subfolder: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    shown: str = ""

    @classmethod
    def of(cls, value: str | Mapping[str, object]) -> Model:
        """Make a model of a name, or of a mapping with ``model`` and, as wanted, ``subfolder``, ``options``, ``as_``.

        Raises
        ------
        ValueError, TypeError
            If an option is wrong or unknown.
        """
        given: dict[str, Any] = {"model": value} if isinstance(value, str) else dict(value)
        model, subfolder = given.pop("model", None), given.pop("subfolder", None)
        options, shown = given.pop("options", None) or {}, given.pop("as_", None)
        if not isinstance(model, str) or given:
            raise ValueError(f"a model has model and, as wanted, subfolder, options and as_, got {value!r}")
        make_config(model_kind(model), seed=0, options=cast("FinetuneOptions", dict(options)))
        return cls(model, subfolder, dict(options), str(shown or subfolder or model))

    def settings(self) -> dict[str, object]:
        """Return all of it as plain data, every option spelled out."""
        config = make_config(model_kind(self.model), seed=0, options=cast("FinetuneOptions", dict(self.options)))
        spelled = config.model_dump(mode="json", exclude={"seed"})
        return {"model": self.model, "subfolder": self.subfolder, "options": spelled, "shown": self.shown}


def make_models(values: Iterable[str | Mapping[str, object]]) -> tuple[Model, ...]:
    """Make the models of a benchmark.

    Raises
    ------
    ValueError
        If two are shown by one name, or one is wrong.
    """
    models = tuple(Model.of(value) for value in values)
    names = [model.shown for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"models must be called differently, got {', '.join(names)}; tell them apart with as_")
    return models


def train_and_test(
    model: Model,
    training: TokenDataset,
    test: TokenDataset,
    *,
    rng: np.random.SeedSequence,
    threads: int | None,
) -> Scores:
    """Train a model on cells and score it on the real test cells.

    There are no validation cells: the last weights are kept, so that nothing is chosen by real cells.

    Parameters
    ----------
    model
        The model.
    training, test
        Labelled cells.
    rng
        Seed of the training.
    threads
        Threads of the training; 1 by default, because scores of a transformer depend on their number.
    """
    options = cast("FinetuneOptions", {"threads": threads or 1, **model.options})
    seed = key_from_rng(rng) & 0xFFFF_FFFF
    trained = finetune(not_empty(training), model=model.model, subfolder=model.subfolder, rng=seed, **options)
    return trained.evaluate(not_empty(test))


def not_empty(tokens: TokenDataset) -> TokenDataset:
    """Leave out the cells without a gene, which a model has nothing to learn from."""
    from dataclasses import replace

    special = sum(token is not None for token in (tokens.vocabulary.cls, tokens.vocabulary.eos))
    kept = tokens.lengths > special
    return tokens if kept.all() else replace(tokens, table=tokens.table.filter(kept))
