"""Where a transformer runs, and in what precision."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from bulkgen.kernels import available_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.training.config import Device, Precision

__all__ = ["autocast", "cpu_threads", "cuda_devices", "pick_device", "pick_precision"]


@contextmanager
def cpu_threads(threads: int | None) -> Iterator[int]:
    """Let torch use so many threads while the body runs; ``None``: as many as it does already, or the CPUs available.

    Torch counts the CPUs of the affinity mask, and knows of no quota.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, available_threads()) if threads is None else threads)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def pick_device(device: Device) -> str:
    """Return ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If CUDA is asked for where there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch finds no CUDA device; use device='cpu' (--device cpu)")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def cuda_devices() -> tuple[list[str], str]:
    """Return the names of the CUDA devices, and why there is none."""
    if torch.version.cuda is None:
        return [], "torch is built without CUDA"
    if not torch.cuda.is_available():
        return [], "torch finds no CUDA device"
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], ""


def pick_precision(precision: Precision, device: str) -> Literal["float32", "bf16"]:
    """Return the precision of matrix products on a device, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If bf16 is asked for on a CUDA device that does not compute with it.
    """
    able = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        return "bf16" if able else "float32"
    if precision == "bf16" and device == "cuda" and not able:
        raise ValueError(
            f"precision is 'bf16', but {torch.cuda.get_device_name()} does not compute with it; use "
            f"precision='float32' (--precision float32)"
        )
    return precision


def autocast(precision: Literal["float32", "bf16"], device: str) -> torch.autocast:
    """Return what makes torch compute in a precision while the body runs."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
