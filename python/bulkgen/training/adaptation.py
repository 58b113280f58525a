"""Which weights a training moves: frozen layers, and low-rank adapters in place of the encoder."""

# transformers and peft are typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.training.config import TransformerConfig
    from bulkgen.training.model import SequenceClassifier

__all__ = ["adapted"]

#: Every linear map of a layer of the encoder; pooler and classifier are outside of it.
_ADAPTED = r"bert\.encoder\.layer\.\d+\..*(query|key|value|dense)"


@contextmanager
def adapted(model: SequenceClassifier, config: TransformerConfig) -> Iterator[None]:
    """Leave weights out of the training, and train adapters in their place, while the body runs.

    Afterwards the adapters are merged into the weights, and the model has the parts that it had before. The first
    values of the adapters are drawn from torch's global state, seeded with the configuration's seed.

    Parameters
    ----------
    model
        The network, changed in place.
    config
        `freeze_layers` and the options of LoRA.

    Raises
    ------
    ValueError
        If more layers are frozen than there are.
    """
    layers = model.config.num_hidden_layers
    if config.freeze_layers is not None and config.freeze_layers > layers:
        raise ValueError(f"freeze_layers is {config.freeze_layers}, but the model has {layers} layers")
    adapters = None
    if config.lora_rank is not None:
        # peft is wanted here alone
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        torch.manual_seed(config.seed)
        settings = LoraConfig(
            r=config.lora_rank,
            lora_alpha=2 * config.lora_rank if config.lora_alpha is None else config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=_ADAPTED,
        )
        adapters = LoraModel(model, settings, "default")
        # peft freezes all but its adapters
        for name, weights in model.named_parameters():
            if name.startswith(("classifier.", "bert.pooler.")):
                weights.requires_grad = True
    if config.freeze_layers is not None:
        bert = model.bert
        for frozen in (bert.embeddings, *bert.encoder.layer[: config.freeze_layers]):
            frozen.requires_grad_(requires_grad=False)
    yield
    if adapters is not None:
        adapters.merge_and_unload()
    model.requires_grad_(requires_grad=True)
