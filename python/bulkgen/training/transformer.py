"""A trained transformer: prediction, saving and loading."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from bulkgen.progress import progress_bar
from bulkgen.training.batches import Cells, collate
from bulkgen.training.checkpoints import load_trained
from bulkgen.training.device import autocast, cpu_threads, pick_device, pick_precision
from bulkgen.training.model import check_context, quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.config import Device, TransformerConfig
    from bulkgen.training.model import SequenceClassifier
    from bulkgen.training.synthetic_tokens import SyntheticTokens

__all__ = ["TransformerClassifier", "make_collator"]


@dataclass(frozen=True, eq=False)
class TransformerClassifier:
    """A trained transformer.

    Attributes
    ----------
    model
        The network.
    config
        How it was trained; decides how cells are cut.
    """

    model: SequenceClassifier
    config: TransformerConfig

    def probabilities(
        self, tokens: TokenDataset, *, batch_size: int | None = None, device: Device | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the probability of each class, shape (cells, classes).

        Raises
        ------
        ValueError
            If the context does not fit into the model's positions, or there is no such device.
        """
        check_context(self.config, tokens.vocabulary, positions=self.model.config.max_position_embeddings)
        place = pick_device(self.config.device if device is None else device)
        precision = pick_precision(self.config.precision, place)
        batch_size = batch_size or self.config.evaluation_batch_size
        cells = Cells(tokens, context=self.config.context, sort_by_length=True)
        make_batch = make_collator(self.model, tokens)
        result = np.empty((len(cells), len(self.model.config.id2label or ())))
        training = self.model.training
        network = cast("torch.nn.Module", self.model).to(place).eval()
        try:
            with (
                torch.inference_mode(),
                autocast(precision, place),
                cpu_threads(self.config.threads),
                progress_bar("predicting", len(cells)) as advance,
            ):
                for start in range(0, len(cells), batch_size):
                    stop = min(start + batch_size, len(cells))
                    batch = make_batch([cells[i] for i in range(start, stop)])
                    logits = network(**{name: tensor.to(place) for name, tensor in batch.items()}).logits
                    result[cells.order[start:stop]] = torch.softmax(logits.double(), dim=-1).cpu().numpy()
                    advance(stop - start)
        finally:
            self.model.train(training)
        return result

    def save(self, folder: Path) -> None:
        """Write the model into a folder, as transformers does (``config.json``, ``model.safetensors``)."""
        with quiet_transformers():
            self.model.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, config: TransformerConfig) -> TransformerClassifier:
        """Read what :meth:`save` wrote."""
        return cls(load_trained(folder, attention=config.attention), config)


def make_collator(
    model: SequenceClassifier, tokens: TokenDataset | SyntheticTokens
) -> Callable[..., dict[str, torch.Tensor]]:
    """Return what makes a padded batch of cells for this model."""
    return partial(collate, pad=tokens.vocabulary.pad, positions=model.config.max_position_embeddings)
