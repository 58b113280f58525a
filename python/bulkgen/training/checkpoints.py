"""Checkpoints: what to load them from, what must fit, and which weights start at random."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from transformers import BertConfig

from bulkgen.errors import VocabularyMismatchError
from bulkgen.tokens import Vocabulary
from bulkgen.training.model import (
    POOLING_KEY,
    attention_option,
    check_context,
    model_class,
    quiet_transformers,
    set_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bulkgen.training.config import Attention, TransformerConfig
    from bulkgen.training.model import SequenceClassifier

__all__ = ["ModelStart", "load_checkpoint", "load_trained"]

_HEAD = ("classifier.",)
_POOLER = ("bert.pooler.",)
#: What a checkpoint may hold without our using it: the language-model head, and buffers of old versions.
_NOT_NEEDED = ("cls.", "classifier.", "bert.pooler.", "bert.embeddings.position_ids")


@dataclass(frozen=True)
class ModelStart:
    """Where the weights of a model came from.

    Attributes
    ----------
    source
        ``"tiny"``, a folder or a hub id.
    subfolder
        Folder within it.
    random_weights
        Parts that started at random: ``"all"``, or those of ``"pooler"`` and ``"classifier"``.
    """

    source: str
    subfolder: str | None
    random_weights: tuple[str, ...]


def load_checkpoint(
    source: str,
    *,
    subfolder: str | None,
    config: TransformerConfig,
    vocabulary: Vocabulary,
    labels: Sequence[str],
) -> tuple[SequenceClassifier, ModelStart]:
    """Load a checkpoint and give it a classifier for `labels`.

    A classifier that the checkpoint has is kept if it was made for the same labels in the same order, else it
    starts at random, as does the pooler where the checkpoint has none (a masked language model has not).

    Parameters
    ----------
    source
        Folder with ``config.json`` and weights, folder of a run of bulkgen, or id on the Hugging Face hub.
    subfolder
        Folder within `source`.
    config
        Pooling, context, and the seed of random weights.
    vocabulary
        The vocabulary of the tokens.
    labels
        Names of the classes.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such folder, or the hub cannot be reached.
    VocabularyMismatchError
        If the model was made for another vocabulary.
    ValueError
        If the model is no BERT, its positions are too few, or its weights do not match its configuration.
    """
    place, subfolder = _resolve(source, subfolder)
    with quiet_transformers():
        bert = _read_config(place, subfolder)
        same_vocabulary = _check_vocabulary_file(place, subfolder, vocabulary)
        _check_vocabulary_size(bert, vocabulary, exact=not same_vocabulary)
        check_context(config, vocabulary, positions=bert.max_position_embeddings)
        known = list((bert.id2label or {}).values())
        set_labels(bert, labels)
        setattr(bert, POOLING_KEY, config.pooling)
        model, info = _load(
            config.pooling,
            place,
            config=bert,
            ignore_mismatched_sizes=True,
            **attention_option(config.attention),
            **_subfolder(subfolder),
        )
    absent = info["missing"] | info["mismatched"]
    _check_weights(source, absent, unexpected=info["unexpected"])
    random = []
    if any(name.startswith(_POOLER) for name in absent):
        random.append("pooler")
    if known != list(labels) or any(name.startswith(_HEAD) for name in absent):
        random.append("classifier")
    _start_at_random(model, random, seed=config.seed)
    return model, ModelStart(source, subfolder, tuple(random))


def load_trained(folder: Path, *, attention: Attention) -> SequenceClassifier:
    """Load the model of a run of bulkgen.

    Parameters
    ----------
    folder
        The folder of the model.
    attention
        What computed the attention in training; in place of FlashAttention torch's own predicts.

    Raises
    ------
    ValueError
        If weights are missing or do not match.
    """
    with quiet_transformers():
        bert = _read_config(str(folder), None)
        option = attention_option("auto" if attention == "flash_attention_2" else attention)
        model, info = _load(getattr(bert, POOLING_KEY), str(folder), local_files_only=True, **option)
    wrong = info["missing"] | info["mismatched"] | info["unexpected"]
    if wrong:
        raise ValueError(f"{folder} is damaged: its weights do not match its config.json ({_some(wrong)})")
    return model


def _load(pooling: str, place: str, **options: object) -> tuple[SequenceClassifier, dict[str, set[str]]]:
    """Load a model in float32, and the names of weights that are missing, mismatched or unexpected."""
    load = cast(
        "Callable[..., tuple[SequenceClassifier, dict[str, Iterable[object]]]]", model_class(pooling).from_pretrained
    )
    model, info = load(place, output_loading_info=True, **options)
    names = {
        kind: {str(name[0] if isinstance(name, tuple) else name) for name in info[f"{kind}_keys"]}
        for kind in ("missing", "mismatched", "unexpected")
    }
    # transformers 5 would keep the half precision of a checkpoint
    return model.float(), names


def _subfolder(subfolder: str | None) -> dict[str, str]:
    return {} if subfolder is None else {"subfolder": subfolder}


def _resolve(source: str, subfolder: str | None) -> tuple[str, str | None]:
    """Return the folder or hub id, and the subfolder; a run of bulkgen keeps its model in one."""
    folder = Path(source)
    if not folder.exists():
        # a hub id is "name" or "owner/name"; anything else was meant as a path
        if source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source:
            raise FileNotFoundError(f"there is no checkpoint folder {source}")
        return source, subfolder
    if not folder.is_dir():
        raise FileNotFoundError(f"{source} is a file; a checkpoint is a folder with config.json and weights")
    if subfolder is None and (folder / "run.json").is_file():
        subfolder = "model"
    inner = folder / subfolder if subfolder else folder
    if not (inner / "config.json").is_file():
        raise FileNotFoundError(
            f"{inner} holds no config.json, so it is not a checkpoint of transformers; "
            f"name the folder within it with subfolder= (--subfolder)"
        )
    return str(folder), subfolder


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Leave out that the hub was asked again and again: the error says that it could not be reached."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _read_config(place: str, subfolder: str | None) -> BertConfig:
    try:
        with _quiet_hub():
            values, _ = BertConfig.get_config_dict(place, **_subfolder(subfolder))
    except OSError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(
            f"model {place!r} is no folder here, and could not be had from the Hugging Face hub: {first} Name its "
            f"folder, linear or tiny (model=, --model); or fetch it where there is a network: hf download {place}"
        ) from error
    if values.get("model_type") != "bert":
        raise ValueError(
            f"model {place!r} is a {values.get('model_type')!r}; bulkgen fine-tunes BERT models, which Geneformer's are"
        )
    return BertConfig.from_dict(values)


def _check_vocabulary_file(place: str, subfolder: str | None, vocabulary: Vocabulary) -> bool:
    """Compare with the vocabulary stored beside a checkpoint; return whether there is one."""
    folder = Path(place)
    for beside in ([folder / subfolder] if subfolder else []) + [folder]:
        if (beside / "vocabulary.json").is_file():
            vocabulary.check_same(Vocabulary.load(beside), this="the tokens", that=f"the model {place}")
            return True
    return False


def _check_vocabulary_size(bert: BertConfig, vocabulary: Vocabulary, *, exact: bool) -> None:
    """Refuse a model of another vocabulary; one whose vocabulary is known may have spare rows."""
    rows = bert.vocab_size
    if rows < vocabulary.size or (exact and rows != vocabulary.size):
        raise VocabularyMismatchError(
            f"the model has {rows} token ids, but the tokens were made with vocabulary {vocabulary.name!r} of "
            f"{vocabulary.size}; tokenize with the model's vocabulary (Geneformer-V1: 25426, V2: 20275)"
        )
    if bert.pad_token_id is not None and bert.pad_token_id != vocabulary.pad:
        raise VocabularyMismatchError(
            f"<pad> is {bert.pad_token_id} in the model, but {vocabulary.pad} in vocabulary {vocabulary.name!r}; "
            f"tokenize with the model's vocabulary"
        )


def _check_weights(source: str, absent: set[str], *, unexpected: set[str]) -> None:
    """Refuse a checkpoint that leaves part of the encoder at random, or has parts that go nowhere."""
    lost = {name for name in absent if not name.startswith(_HEAD + _POOLER)}
    spare = {name for name in unexpected if not name.startswith(_NOT_NEEDED)}
    for names, problem in ((lost, "lacks weights of the encoder"), (spare, "has weights that fit nowhere")):
        if names:
            raise ValueError(
                f"checkpoint {source!r} {problem} that its config.json describes: {_some(names)}; it is damaged, "
                f"or not a BERT of transformers"
            )


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _start_at_random(model: SequenceClassifier, parts: Sequence[str], *, seed: int) -> None:
    """Draw the weights of the pooler and the classifier, as BERT starts them, from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for part in parts:
        linear = model.get_submodule("bert.pooler.dense" if part == "pooler" else "classifier")
        assert isinstance(linear, nn.Linear)
        nn.init.normal_(linear.weight, std=model.config.initializer_range, generator=generator)
        nn.init.zeros_(linear.bias)
