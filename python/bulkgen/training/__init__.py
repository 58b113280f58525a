"""Training of classifiers on tokens, and their scores; torch and transformers are imported only when needed."""

from __future__ import annotations

from bulkgen.training.config import CheckpointConfig, FinetuneConfig, LinearConfig, TinyConfig
from bulkgen.training.evaluation import Predictions, evaluate, predict
from bulkgen.training.finetuning import FinetuneResult, finetune
from bulkgen.training.metrics import Scores

__all__ = [
    "CheckpointConfig",
    "FinetuneConfig",
    "FinetuneResult",
    "LinearConfig",
    "Predictions",
    "Scores",
    "TinyConfig",
    "evaluate",
    "finetune",
    "predict",
]
