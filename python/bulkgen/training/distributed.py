"""Several processes that train one model together, as torchrun starts them."""

# torch is an extra, and imported where it is there; its distributed package is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import TypeVar

from bulkgen.warning import warn

__all__ = ["Processes", "join_processes", "launched"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, and which of them this one is.

    Attributes
    ----------
    rank
        Number of this process, from 0; the first alone writes.
    count
        How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            from torch import distributed

            distributed.barrier()

    def share(self, value: _T) -> _T:
        """Return the first process's `value` in every process (it is pickled)."""
        if self.count == 1:
            return value
        from torch import distributed

        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


def launched() -> Processes:
    """Return what torchrun or ``accelerate launch`` says of this process, without joining the others."""
    if "LOCAL_RANK" not in os.environ:
        return Processes()
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def join_processes(device: str) -> Processes:
    """Join the processes that were started beside this one; alone, there is but one.

    A process that was started alone uses one CUDA device, and says so where there are more: transformers would
    otherwise spread every batch over all of them, and multiply the batch size without a word.

    Parameters
    ----------
    device
        What the training runs on, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If more processes were started on this machine than it has CUDA devices.
    """
    import torch
    from torch import distributed

    processes = launched()
    if "LOCAL_RANK" in os.environ:
        # accelerate would choose another number of threads, and warn of it
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    devices = torch.cuda.device_count() if device == "cuda" else 0
    if processes.count == 1:
        if devices > 1:
            warn(
                f"{devices} CUDA devices are visible, and the training uses one; for all of them start it with "
                f"torchrun --nproc-per-node {devices} -m bulkgen finetune ..., or hide the others with "
                f"CUDA_VISIBLE_DEVICES=0"
            )
        return processes
    if device == "cuda":
        here = int(os.environ.get("LOCAL_WORLD_SIZE", processes.count))
        if here > devices:
            raise ValueError(
                f"torchrun started {here} processes on this machine, which has CUDA devices for {devices}; use "
                f"torchrun --nproc-per-node {devices}"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        # accelerate takes the group that it finds; it serves every training of this process
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return processes
