"""A trained classifier and its folder: configuration, vocabulary, labels, metrics, model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from bulkgen.errors import MissingExtraError
from bulkgen.json_format import JsonFormat
from bulkgen.tokens import Vocabulary
from bulkgen.training.config import LinearConfig, TransformerConfig, config_from_dict
from bulkgen.training.labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.config import Device, FinetuneConfig, ModelKind

__all__ = ["Classifier", "Run", "need_extra", "package_versions", "read_json", "write_json"]

RUN_FILE = "run.json"
LABELS_FILE = "labels.json"
METRICS_FILE = "metrics.json"
VOCABULARY_FILE = "vocabulary.json"
MODEL_FOLDER = "model"

_FORMAT = JsonFormat("bulkgen-run", 1, what="a run of bulkgen", remedy="train again")
_EXTRAS = {
    "train": ("torch", "transformers", "accelerate", "safetensors"),
    "lora": ("peft",),
    "tensorboard": ("tensorboard",),
}
_PACKAGES = ("bulkgen", "numpy", "scipy", "scikit-learn", "torch", "transformers", "accelerate", "peft")


class Classifier(Protocol):
    """What a trained model can do."""

    def probabilities(
        self, tokens: TokenDataset, *, batch_size: int | None = None, device: Device | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the probability of each class, shape (cells, classes)."""

    def save(self, folder: Path) -> None:
        """Write the model into a folder that exists."""


@dataclass(frozen=True, eq=False)
class Run:
    """A trained classifier with all that its predictions need.

    Attributes
    ----------
    kind
        ``"linear"``, ``"tiny"`` or ``"checkpoint"``.
    config
        How it was trained.
    labels
        Its classes.
    vocabulary
        The vocabulary of its tokens.
    classifier
        The model.
    """

    kind: ModelKind
    config: FinetuneConfig
    labels: LabelMap
    vocabulary: Vocabulary
    classifier: Classifier

    def save(self, folder: Path, *, facts: dict[str, object], metrics: dict[str, object]) -> None:
        """Write the run into an empty folder.

        Parameters
        ----------
        folder
            The folder; make it with :func:`bulkgen.io.atomic.atomic_directory`.
        facts
            What else ``run.json`` records: data, versions, device.
        metrics
            What ``metrics.json`` holds.
        """
        (folder / MODEL_FOLDER).mkdir()
        self.classifier.save(folder / MODEL_FOLDER)
        (folder / VOCABULARY_FILE).write_text(self.vocabulary.to_json(), encoding="utf-8")
        write_json(folder / LABELS_FILE, self.labels.to_dict())
        write_json(folder / METRICS_FILE, metrics)
        head = {
            **_FORMAT.head,
            "kind": self.kind,
            "config": self.config.model_dump(mode="json"),
        }
        # last, so that a folder with a run.json is a whole one
        write_json(folder / RUN_FILE, head | facts)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read a run folder.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If it is not a complete run of bulkgen.
        MissingExtraError
            If its model needs torch, which is not installed.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no run folder {folder}; make one with: bulkgen finetune")
        if not (folder / RUN_FILE).is_file():
            raise ValueError(
                f"{folder} is not a complete run of bulkgen (no {RUN_FILE} in it); make one with: bulkgen finetune"
            )
        facts = _FORMAT.read(folder / RUN_FILE)
        kind = cast("ModelKind", facts["kind"])
        config = config_from_dict(kind, cast("dict[str, object]", facts["config"]))
        return cls(
            kind=kind,
            config=config,
            labels=LabelMap.from_dict(read_json(folder / LABELS_FILE)),
            vocabulary=Vocabulary.load(folder),
            classifier=_load_classifier(folder / MODEL_FOLDER, config),
        )


def _load_classifier(folder: Path, config: FinetuneConfig) -> Classifier:
    if isinstance(config, LinearConfig):
        from bulkgen.training.linear import LinearClassifier

        return LinearClassifier.load(folder, config)
    assert isinstance(config, TransformerConfig)
    need_extra("train")
    from bulkgen.training.transformer import TransformerClassifier

    return TransformerClassifier.load(folder, config)


def need_extra(extra: Literal["train", "lora", "tensorboard"]) -> None:
    """Refuse to go on without the packages of an extra.

    Raises
    ------
    MissingExtraError
        If one of them is not installed.
    """
    from importlib.util import find_spec

    for package in _EXTRAS[extra]:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a training depends on, where installed."""
    import platform

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def write_json(path: Path, values: dict[str, object]) -> None:
    """Write a dictionary as JSON; NaN, which JSON does not have, is refused."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, object]:
    """Read a dictionary from a JSON file of a run.

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the run folder is damaged: {path}: {error}; train again") from error
    if not isinstance(values, dict):
        raise ValueError(f"the run folder is damaged: {path} holds no JSON object; train again")
    return values
