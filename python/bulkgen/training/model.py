"""The BERT that classifies cells, and the tiny one from a random start."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkgen.tokens import Vocabulary
    from bulkgen.training.config import Attention, TinyConfig, TransformerConfig

__all__ = [
    "POOLING_KEY",
    "MeanPoolingBertForSequenceClassification",
    "SequenceClassifier",
    "activations_computed_again",
    "attention_option",
    "check_attention",
    "check_context",
    "model_class",
    "new_tiny",
    "quiet_transformers",
    "set_labels",
    "without_flash_attention",
]

#: Entry of a saved ``config.json`` that says how the model makes one vector of a cell.
POOLING_KEY = "bulkgen_pooling"


class MeanPoolingBertForSequenceClassification(BertPreTrainedModel):
    """BERT whose classifier reads the mean of the last hidden states over the tokens that are not padding.

    Rank-value tokens have no ``<cls>`` in Geneformer V1, so that BERT's own pooler reads the most expressed gene.
    From a random start the mean over all genes learns faster than the state of that one. The
    encoder is called ``bert`` as in BERT, so that any BERT checkpoint fits.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(
            config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        )
        self.classifier = nn.Linear(config.hidden_size, len(config.id2label or ()))
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Return logits (cells, labels), and the mean cross-entropy where `labels` are given.

        Parameters
        ----------
        input_ids, attention_mask
            Shape (cells, tokens).
        labels
            Classes, shape (cells,).
        """
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


SequenceClassifier = BertForSequenceClassification | MeanPoolingBertForSequenceClassification


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' log and progress bars silent; what matters is raised or recorded by bulkgen."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def check_context(config: TransformerConfig, vocabulary: Vocabulary, *, positions: int) -> int:
    """Return the most tokens that a cell can have, and refuse more than the model has positions.

    Raises
    ------
    ValueError
        If the context does not fit.
    """
    context = vocabulary.context if config.context is None else min(config.context, vocabulary.context)
    if context > positions:
        asked = "the vocabulary's context" if config.context is None else "context"
        raise ValueError(
            f"{asked} is {context} tokens, but the model has {positions} positions; cut the cells with "
            f"context={positions} (--context {positions})"
        )
    return context


@contextmanager
def activations_computed_again(model: SequenceClassifier) -> Iterator[None]:
    """Keep only each layer's input for the backward pass while the body runs."""
    # transformers 4 calls it gradient checkpointing
    kind = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    # the reentrant kind gives no gradients where the first layers are frozen
    getattr(model, f"{kind}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(model, f"{kind}_checkpointing_disable")()


def attention_option(attention: Attention) -> dict[str, str]:
    """Return what transformers is told about attention; nothing leaves the choice to it."""
    return {} if attention == "auto" else {"attn_implementation": attention}


def check_attention(attention: Attention, *, device: str, precision: str) -> None:
    """Refuse FlashAttention where it does not run.

    Raises
    ------
    ValueError
        If the device is not CUDA, the precision not bf16, or FlashAttention not installed.
    """
    if attention != "flash_attention_2":
        return
    instead = "use attention='sdpa' (--attention sdpa)"
    if (device, precision) != ("cuda", "bf16"):
        raise ValueError(
            f"attention is 'flash_attention_2', which computes in bf16 on CUDA, but this training runs in {precision} "
            f"on {device}; {instead}"
        )
    # transformers takes it from either
    if find_spec("flash_attn") is None and find_spec("kernels") is None:
        raise ValueError(
            f"attention is 'flash_attention_2', but the package flash-attn is not installed: "
            f"pip install flash-attn --no-build-isolation, or {instead}"
        )


def without_flash_attention(model: SequenceClassifier) -> str:
    """Return what computed a model's attention; where that was FlashAttention, let torch's own do it from now on.

    A trained model predicts in any precision on any device.
    """
    attention = str(model.config._attn_implementation)
    if "flash" in attention:
        model.set_attn_implementation("sdpa")
    return attention


def new_tiny(config: TinyConfig, vocabulary: Vocabulary, labels: Sequence[str]) -> SequenceClassifier:
    """Make a small BERT of Geneformer's architecture; its weights are a function of the seed.

    Raises
    ------
    ValueError
        If the heads do not divide the hidden size.
    """
    if config.hidden_size % config.heads:
        raise ValueError(f"hidden_size {config.hidden_size} is not a multiple of heads {config.heads}")
    context = vocabulary.context if config.context is None else min(config.context, vocabulary.context)
    bert = BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward_size,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=context,
        pad_token_id=vocabulary.pad,
    )
    if config.attention != "auto":
        bert._attn_implementation = config.attention
    set_labels(bert, labels)
    setattr(bert, POOLING_KEY, config.pooling)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return model_class(config.pooling)(bert)


def model_class(pooling: str) -> type[SequenceClassifier]:
    """Return the class of model for a pooling, ``"first"`` or ``"mean"``."""
    return BertForSequenceClassification if pooling == "first" else MeanPoolingBertForSequenceClassification


def set_labels(bert: BertConfig, labels: Sequence[str]) -> None:
    """Give a model's configuration the names of the classes."""
    bert.id2label = dict(enumerate(labels))
    bert.label2id = {label: i for i, label in enumerate(labels)}
    bert.problem_type = "single_label_classification"
