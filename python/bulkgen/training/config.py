"""How a model is trained: one frozen configuration per kind of model, every default spelled out.

The defaults beside Geneformer's own for cell classification (its ``Classifier``, six-layer model):

==================  ==================  ==================  ====================
option              ``tiny``            checkpoint          Geneformer
==================  ==================  ==================  ====================
epochs              8                   10                  10
steps               at least 60
batch size          32                  12                  12
learning rate       2e-3                5e-5                5e-5
schedule            cosine              linear              linear
warm-up             30 % of the steps   500 steps, at most  500 steps, however
                                        30 % of the steps   short the training
weight decay        0.01                0.001               0.001
gradient norm       at most 1           at most 1           at most 1
precision           float32             float32             float32
batches             by length           by length           by length
best epoch by       macro-F1            macro-F1            loss
==================  ==================  ==================  ====================

``linear`` has no epochs: see :class:`LinearConfig`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bulkgen.parameters import wrong_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PRESETS",
    "CheckpointConfig",
    "Device",
    "FinetuneConfig",
    "FinetuneOptions",
    "LinearConfig",
    "ModelKind",
    "TinyConfig",
    "TransformerConfig",
    "config_from_dict",
    "make_config",
    "model_kind",
]

ModelKind: TypeAlias = Literal["linear", "tiny", "checkpoint"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]


class FinetuneConfig(BaseModel):
    """What every kind of model has.

    Attributes
    ----------
    seed
        Seed of everything random, from the public ``rng``: initial weights and order of the cells.
    threads
        Threads of the numerical libraries; ``None`` leaves them as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int | None = Field(default=None, ge=1)


class LinearConfig(FinetuneConfig):
    """Multinomial logistic regression on the ranks of the tokens.

    Neither centred nor scaled features, and no intercept, because the training cells may be pseudo-bulk or
    synthetic and the test cells real: an intercept, and features divided by their standard deviation, tie the model
    to how many genes a *training* cell expresses, which differs between the two. Both remain as options.

    Attributes
    ----------
    features
        ``"rank"``: (K - rank) / K for the first K genes of a cell, rank from 0; 0 for the others.
        ``"presence"``: 1 for the first K genes.
    top_k
        K.
    scaling
        ``"none"``: features as they are, in [0, 1]. ``"deviation"``: divided by the standard deviation over the
        training cells. Never centred, so that they stay sparse.
    intercept
        Fit an intercept, which is not regularized.
    inverse_regularization
        ``C`` of scikit-learn: the weight of the data against ½‖w‖².
    max_iterations, tolerance
        Where L-BFGS stops: iterations, or the largest component of the gradient of the mean loss.
    """

    features: Literal["rank", "presence"] = "rank"
    top_k: int = Field(default=2048, ge=1)
    scaling: Literal["none", "deviation"] = "none"
    intercept: bool = False
    inverse_regularization: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    max_iterations: int = Field(default=1000, ge=1)
    tolerance: float = Field(default=1e-4, gt=0, allow_inf_nan=False)


class TransformerConfig(FinetuneConfig):
    """Training of a BERT, from a random start or a checkpoint.

    Attributes
    ----------
    epochs
        Passes over the training cells.
    minimum_steps
        The epochs are as many more as it takes to make so many steps, so that a small training set (pseudo-bulk
        of a large k) is not simply trained less. It is 0 where `epochs` is chosen and this is not.
    batch_size
        Cells per step.
    evaluation_batch_size
        Cells per batch where no gradient is needed.
    learning_rate
        The highest; AdamW (β 0.9 and 0.999, ε 1e-8).
    schedule
        How the learning rate falls after the warm-up: ``"linear"`` or ``"cosine"`` to 0, or ``"constant"``.
    warmup_fraction
        Share of all steps in which the learning rate rises from 0.
    warmup_steps
        The warm-up's length in steps, if that is shorter than `warmup_fraction`; ``None`` for no such limit.
    weight_decay
        Of AdamW; not for biases and layer norms.
    max_gradient_norm
        Longer gradients are cut to this length.
    context
        Cells are cut to this many tokens, special tokens included (``<cls>`` and ``<eos>`` stay). ``None``: as
        long as the vocabulary's context, which has to fit into the model's positions.
    pooling
        How a cell becomes one vector: ``"first"`` token through BERT's pooler, or the ``"mean"`` over tokens.
    device
        ``"auto"`` is CUDA where there is one, else the CPU.
    """

    epochs: int = Field(ge=1)
    minimum_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(ge=1)
    evaluation_batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["linear", "cosine", "constant"]
    warmup_fraction: float = Field(ge=0, le=1)
    warmup_steps: int | None = Field(default=None, ge=0)
    weight_decay: float = Field(ge=0, allow_inf_nan=False)
    max_gradient_norm: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    context: int | None = Field(default=None, ge=3)
    pooling: Literal["first", "mean"]
    device: Device = "auto"

    def passes(self, steps_per_epoch: int) -> int:
        """Return the epochs that are trained where an epoch has so many steps."""
        return max(self.epochs, -(-self.minimum_steps // steps_per_epoch))

    def warmup(self, steps: int) -> int:
        """Return the steps of warm-up in a training of so many `steps`."""
        share = round(self.warmup_fraction * steps)
        return share if self.warmup_steps is None else min(share, self.warmup_steps)


class TinyConfig(TransformerConfig):
    """A small BERT of Geneformer's architecture (ReLU, no dropout), started at random; made for CPUs.

    Attributes
    ----------
    layers, hidden_size, heads, feed_forward_size
        Its shape.
    """

    epochs: int = Field(default=8, ge=1)
    minimum_steps: int = Field(default=60, ge=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0, allow_inf_nan=False)
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    warmup_fraction: float = Field(default=0.3, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    context: int | None = Field(default=512, ge=3)
    pooling: Literal["first", "mean"] = "mean"
    layers: int = Field(default=2, ge=1)
    hidden_size: int = Field(default=64, ge=1)
    heads: int = Field(default=2, ge=1)
    feed_forward_size: int = Field(default=128, ge=1)


class CheckpointConfig(TransformerConfig):
    """Fine-tuning of a checkpoint, as Geneformer does it."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=12, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_fraction: float = Field(default=0.3, ge=0, le=1)
    warmup_steps: int | None = Field(default=500, ge=0)
    weight_decay: float = Field(default=0.001, ge=0, allow_inf_nan=False)
    pooling: Literal["first", "mean"] = "first"


class FinetuneOptions(TypedDict, total=False):
    """The options of :func:`bulkgen.finetune`, of all kinds of model."""

    threads: int | None
    features: Literal["rank", "presence"]
    top_k: int
    scaling: Literal["none", "deviation"]
    intercept: bool
    inverse_regularization: float
    max_iterations: int
    tolerance: float
    epochs: int
    minimum_steps: int
    batch_size: int
    evaluation_batch_size: int
    learning_rate: float
    schedule: Literal["linear", "cosine", "constant"]
    warmup_fraction: float
    warmup_steps: int | None
    weight_decay: float
    max_gradient_norm: float
    context: int | None
    pooling: Literal["first", "mean"]
    device: Device
    layers: int
    hidden_size: int
    heads: int
    feed_forward_size: int


#: The defaults of each kind of model.
PRESETS: dict[ModelKind, FinetuneConfig] = {
    "linear": LinearConfig(),
    "tiny": TinyConfig(),
    "checkpoint": CheckpointConfig(),
}


def model_kind(model: str) -> ModelKind:
    """Return the kind of a model by its name: ``"linear"``, ``"tiny"``, and anything else is a checkpoint."""
    return cast("ModelKind", model) if model in ("linear", "tiny") else "checkpoint"


def make_config(kind: ModelKind, *, seed: int, options: Mapping[str, object]) -> FinetuneConfig:
    """Make the configuration of a kind of model: its preset, changed by `options`.

    Raises
    ------
    TypeError
        If this kind of model has no such option.
    ValueError
        If a value is out of range.
    """
    preset = PRESETS[kind]
    unknown = sorted(set(options) - set(type(preset).model_fields) | (set(options) & {"seed"}))
    if unknown:
        known = ", ".join(name for name in type(preset).model_fields if name != "seed")
        model = "a checkpoint" if kind == "checkpoint" else f"model {kind!r}"
        raise TypeError(f"{model} has no option {', '.join(unknown)}; it has {known}")
    # epochs that were asked for are meant
    fewest = {"minimum_steps": 0} if "epochs" in options else {}
    return config_from_dict(kind, {**fewest, **options, "seed": seed})


def config_from_dict(kind: ModelKind, values: Mapping[str, object]) -> FinetuneConfig:
    """Make a configuration from names and values, as ``model_dump`` gives them.

    Raises
    ------
    ValueError
        If a name is unknown or a value is out of range.
    """
    try:
        return type(PRESETS[kind]).model_validate(dict(values))
    except ValidationError as error:
        wrong = wrong_parameters(error).items()
        raise ValueError("; ".join(f"{option} {what}" for option, what in wrong)) from None
