"""What a model's settings leave open and its results depend on."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkgen.study.run import ModelSettings

__all__ = ["settled_model"]

#: Files of a checkpoint that decide what is fine-tuned: its shape, its weights, its vocabulary.
_FILES = ("config.json", "*.safetensors", "*.bin", "*.index.json", "vocabulary.json")
_BLOCK = 1 << 22


def settled_model(model: ModelSettings) -> dict[str, str]:
    """Return what is found here for what a model's settings leave open.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    dict
        ``weights``: hash of the files of a checkpoint in a folder, none for one on a hub. ``device`` and ``precision``
        where they are ``"auto"``; they stay so without torch, as the runs then fail.
    """
    found = {}
    if model.checkpoint is not None and Path(model.checkpoint).is_dir():
        found["weights"] = _weights(Path(model.checkpoint), model.subfolder)
    device, precision = model.options.get("device"), model.options.get("precision")
    if "auto" in (device, precision) and find_spec("torch") is not None:
        from bulkgen.training.device import pick_device, pick_precision

        here = pick_device("auto")
        place = here if device == "auto" else str(device)
        if device == "auto":
            found["device"] = place
        # what is to run on another machine's device is left to it
        if precision == "auto" and place in ("cpu", here):
            found["precision"] = pick_precision("auto", place)
    return found


def _weights(folder: Path, subfolder: str | None) -> str:
    """Hash names and contents of a checkpoint's files, in whichever folder within it they are."""
    digest = hashlib.sha256()
    inner = [folder / subfolder] if subfolder else [folder, folder / "model"]
    places = sorted({path for place in (folder, *inner) for pattern in _FILES for path in place.glob(pattern)})
    for path in places:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:20]
