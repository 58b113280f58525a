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
precision           bf16 on CUDA,       bf16 on CUDA,       float32
                    float32 on CPUs     float32 on CPUs
attention           that of torch       that of torch       eager or that of
                    (``"sdpa"``)        (``"sdpa"``)        torch, by version
accumulation        1                   1                   1
frozen              nothing             nothing             first n layers,
                                                            n chosen by hand
class weights       none                none                none
batches             by length           by length           by length
best epoch by       macro-F1            macro-F1            loss
early stopping      no                  no                  no
==================  ==================  ==================  ====================

``linear`` has no epochs: see :class:`LinearConfig`. Reasons and measurements: ``docs/design/training.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bulkgen.parameters import wrong_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PRESETS",
    "Attention",
    "CheckpointConfig",
    "ClassWeights",
    "Device",
    "FinetuneConfig",
    "FinetuneOptions",
    "LinearConfig",
    "ModelKind",
    "Precision",
    "Sampling",
    "TinyConfig",
    "TransformerConfig",
    "config_from_dict",
    "make_config",
    "model_kind",
]

ModelKind: TypeAlias = Literal["linear", "tiny", "checkpoint"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Precision: TypeAlias = Literal["auto", "float32", "bf16"]
Attention: TypeAlias = Literal["auto", "sdpa", "eager", "flash_attention_2"]
Sampling: TypeAlias = Literal["natural", "balanced"]
ClassWeights: TypeAlias = Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class FinetuneConfig(BaseModel):
    """What every kind of model has.

    Attributes
    ----------
    seed
        Seed of everything random, from the public ``rng``: initial weights and order of the cells.
    threads
        Threads of the numerical libraries; ``None``: their own number, and no more than the CPUs available.
    class_weights
        What a cell of each class weighs in the loss: ``"none"`` for 1, ``"balanced"`` for the same sum over every
        class, or a weight for every label. Weights are scaled so that the training cells weigh 1 on average.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int | None = Field(default=None, ge=1)
    class_weights: ClassWeights = "none"


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
        Cells that go through the model together.
    accumulation
        Batches per step of the optimizer: a step takes ``batch_size * accumulation`` cells, and gives the weights
        that one batch of so many would.
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
    sampling
        ``"natural"``: every cell once per epoch. ``"balanced"``: as many cells per epoch, of every class the same
        number; cells of large classes are left to later epochs, those of small ones repeated.
    patience
        Stop after so many epochs in a row without a better macro-F1 on the validation cells; ``None``: never.
    freeze_layers
        Leave the embeddings and so many of the first layers as they are; ``None``: train all.
    lora_rank
        Rank of the low-rank adapters (LoRA) that are trained in place of the encoder, on every linear map of its
        layers, and merged into it in the end; ``None``: train the encoder itself. Pooler and classifier are
        trained whole. Needs the extra ``lora``.
    lora_alpha
        Adapters are scaled by `lora_alpha` / `lora_rank`; ``None`` is twice the rank.
    lora_dropout
        Dropout before the adapters.
    device
        ``"auto"`` is CUDA where there is one, else the CPU.
    precision
        ``"float32"``, or ``"bf16"``: weights in float32, matrix products in bfloat16, in training and prediction.
        ``"auto"`` is bf16 on a CUDA device that computes with it, else float32.
    attention
        How transformers computes attention: ``"sdpa"`` is torch's own, ``"eager"`` plain matrix products,
        ``"flash_attention_2"`` the package flash-attn (bf16 on CUDA, and in training only). ``"auto"`` leaves the
        choice to transformers, which takes ``"sdpa"``.
    gradient_checkpointing
        Keep only the input of each layer for the backward pass and compute the rest again: less memory, about a
        third more time, the same loss.
    tensorboard
        Write the loss curve and the scores to ``tensorboard/`` in the run folder. Needs the extra ``tensorboard``.
    """

    epochs: int = Field(ge=1)
    minimum_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(ge=1)
    accumulation: int = Field(default=1, ge=1)
    evaluation_batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["linear", "cosine", "constant"]
    warmup_fraction: float = Field(ge=0, le=1)
    warmup_steps: int | None = Field(default=None, ge=0)
    weight_decay: float = Field(ge=0, allow_inf_nan=False)
    max_gradient_norm: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    context: int | None = Field(default=None, ge=3)
    pooling: Literal["first", "mean"]
    sampling: Sampling = "natural"
    patience: int | None = Field(default=None, ge=1)
    freeze_layers: int | None = Field(default=None, ge=0)
    lora_rank: int | None = Field(default=None, ge=1)
    lora_alpha: int | None = Field(default=None, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    device: Device = "auto"
    precision: Precision = "auto"
    attention: Attention = "auto"
    gradient_checkpointing: bool = False
    tensorboard: bool = False

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError("sampling='balanced' and class_weights='balanced' balance the classes twice; choose one")
        if self.lora_rank is None and (self.lora_alpha is not None or self.lora_dropout):
            raise ValueError("lora_alpha and lora_dropout belong to lora_rank, which is not given")
        return self

    @property
    def cells_per_step(self) -> int:
        """Cells of a step of the optimizer, in each process."""
        return self.batch_size * self.accumulation

    def passes(self, steps_per_epoch: int) -> int:
        """Return the epochs that are trained.

        Parameters
        ----------
        steps_per_epoch
            Steps of the optimizer in an epoch.

        Returns
        -------
        int
            `epochs`, or as many as `minimum_steps` needs.
        """
        return max(self.epochs, -(-self.minimum_steps // steps_per_epoch))

    def warmup(self, steps: int) -> int:
        """Return the steps of warm-up.

        Parameters
        ----------
        steps
            Steps of the whole training.

        Returns
        -------
        int
            Their share `warmup_fraction`, at most `warmup_steps`.
        """
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
    class_weights: ClassWeights
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
    accumulation: int
    evaluation_batch_size: int
    learning_rate: float
    schedule: Literal["linear", "cosine", "constant"]
    warmup_fraction: float
    warmup_steps: int | None
    weight_decay: float
    max_gradient_norm: float
    context: int | None
    pooling: Literal["first", "mean"]
    sampling: Sampling
    patience: int | None
    freeze_layers: int | None
    lora_rank: int | None
    lora_alpha: int | None
    lora_dropout: float
    device: Device
    precision: Precision
    attention: Attention
    gradient_checkpointing: bool
    tensorboard: bool
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
        # what concerns several options has no name
        raise ValueError("; ".join(f"{option} {what}".strip() for option, what in wrong)) from None
