"""Fine-tuning speed on a CUDA device: bulkgen's way beside the plain way, in one run.

    python benchmarks/gpu_finetune.py [--shape NAME ...] [--data FOLDER] [--cells N] [--peak-tflops T] [--out FOLDER]
    python benchmarks/gpu_finetune.py --toy --out FOLDER        # small shapes, any device: does it run?

Models have the shapes of Geneformer-V1-10M and V2-104M and random weights; cells come from the shared real data
(lengths as they are), and saturated ones have every position filled. Three ways train on the same cells:

plain
    What Geneformer's own classifier does: float32, batches of 12, cells of like lengths together, padded to the
    longest through Python lists, eager attention. A batch that does not fit is cut, and its gradients summed.
plain, sdpa
    The same with torch's fused attention, which newer transformers choose for BERT.
bulkgen
    bf16 products, fused attention, collation in NumPy by workers, pinned memory, fused AdamW, the fastest batch size,
    and torch.compile where it is faster. Whatever this installation or device lacks is recorded and left out.

The parts of ``bulkgen.finetune`` are measured, in a loop of their own, and once ``bulkgen.finetune`` as a whole.

Model FLOPs count the matrix products of the encoder on the tokens of cells, padding left out, a product of (a, b) and
(b, c) as 2abc. A cell of n tokens has, in L layers of width h and feed-forward width f,

    forward = L (n (8 h² + 4 h f) + 4 n² h)      (projections and feed-forward; scores and weighted sums)

and the backward pass twice as many; embeddings, pooler and classifier, under 0.1 %, do not count. Utilisation is model
FLOPs per second over the device's dense bf16 peak, for all ways, in whatever precision they compute.

Writes ``benchmarks/results/<date>-gpu-finetune-<device>.json``.
"""

from __future__ import annotations

import argparse
import gc
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertForSequenceClassification

import bulkgen
import machine
import workloads
from bulkgen.tokens import TokenizeSummary
from bulkgen.training.batches import LengthGroupedSampler, collate
from bulkgen.training.model import quiet_transformers
from memory import synthesis_inputs

BUILD = Path(__file__).parents[1] / "build" / "benchmarks" / "results"
#: Dense bf16 TFLOP/s (NVIDIA's data sheets, half of the figure "with sparsity"); the first name that fits counts.
PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.4,
    "GH200": 989.4,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "H800": 989.4,
    "A100": 312.0,
    "A800": 312.0,
    "A40": 149.7,
    "A30": 165.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L40": 181.0,
    "L4": 121.0,
    "RTX 4090": 165.2,
}
CLASSES = 5
PLAIN_BATCH = 12
#: A larger batch, or compilation, must be faster by this much to be chosen.
_GAIN = 1.02
_SEED = 20_240_229


@dataclass(frozen=True)
class Shape:
    """Shape of a model, cells to measure it on, and the targets on an H200.

    Targets: how many times the plain way, and utilisation when saturated.
    """

    vocabulary: str
    layers: int
    hidden: int
    heads: int
    feed_forward: int
    rows: int
    positions: int
    cells: int
    times: float | None = None
    utilisation: float | None = None

    def flops(self, lengths: np.ndarray) -> float:
        """Model FLOPs of a training step on cells of these lengths."""
        n, h = np.asarray(lengths, np.float64), self.hidden
        forward = self.layers * (n * (8 * h**2 + 4 * h * self.feed_forward) + 4 * n**2 * h)
        return float(3 * forward.sum())


#: The configurations of the published checkpoints.
SHAPES = {
    "V1-10M": Shape("V1", 6, 256, 4, 512, 25_426, 2_048, 3_072, times=10.0),
    "V2-104M": Shape("V2", 12, 768, 12, 3_072, 20_275, 4_096, 768, times=8.0, utilisation=0.35),
}
TOY = {
    "V1-toy": Shape("V1", 2, 32, 4, 64, 25_426, 64, 48),
    "V2-toy": Shape("V2", 2, 48, 12, 96, 20_275, 96, 48),
}


@dataclass(frozen=True)
class Way:
    """A way to train."""

    precision: str
    attention: str
    batch_size: int
    accumulation: int = 1
    workers: int = 0
    fused: bool = False
    compiled: bool = False
    plain_batches: bool = False


class CellList(Dataset):
    """Cells as arrays of tokens, with classes by turns."""

    def __init__(self, rows: list[np.ndarray]) -> None:
        self.rows = rows
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, object]:
        return {"input_ids": self.rows[place], "label": place % CLASSES}


def peak_tflops(device: str) -> float | None:
    """Dense bf16 peak of a device by its name, or None if it is not in the table."""
    words = re.sub(r"[-_ ]+", " ", device).lower()
    if " mig " in words:
        # a part of a device, whose share of the peak its name does not tell
        return None
    return next((peak for name, peak in PEAK_TFLOPS.items() if re.search(rf"\b{name.lower()}\b", words)), None)


def real_cells(shape: Shape, vocabulary: bulkgen.Vocabulary, data: Path | None, cells: int) -> CellList | None:
    """Cells of the shared data sets (PBMC, and single cells of cell lines), in equal parts."""
    if data is None or not (data / "kang_ifnb_2000.h5ad").is_file():
        return None
    random, rows = np.random.default_rng(_SEED), []
    for name, gene_ids in (("kang_ifnb_2000", "ensembl_id"), ("scmix_5cl_celseq2", None)):
        found = bulkgen.read(data / f"{name}.h5ad")
        if "clean_singlet" in found.obs:
            found = found[found.obs["clean_singlet"].to_numpy(bool)].copy()
        tokens = bulkgen.tokenize(found, vocabulary=vocabulary, gene_ids=gene_ids)
        chosen = random.choice(len(tokens), cells // 2, replace=cells // 2 > len(tokens))
        rows += [np.array(tokens.input_ids(int(i))[: shape.positions]) for i in chosen]
    return CellList([rows[i] for i in random.permutation(len(rows))])


def saturated_cells(shape: Shape, vocabulary: bulkgen.Vocabulary, cells: int) -> CellList:
    """Cells with a gene in every position."""
    random, genes = np.random.default_rng(_SEED), np.array(list(vocabulary.tokens.values()), np.int16)
    return CellList([random.permutation(genes)[: shape.positions] for _ in range(cells)])


def fresh_cells(shape: Shape, vocabulary: bulkgen.Vocabulary, cells: int) -> bulkgen.SyntheticTokens:
    """Truncated-Gaussian cells of 20,000 genes, made as they are needed."""
    profiles, reference = synthesis_inputs(vocabulary)
    fit = bulkgen.fit_generator(profiles, reference=reference)
    return bulkgen.SyntheticTokens(fit, cells // len(profiles), vocabulary=vocabulary, context=shape.positions)


def new_model(shape: Shape, attention: str, device: torch.device) -> torch.nn.Module:
    """Make a model of random weights, dropout as in the published configurations."""
    config = BertConfig(
        vocab_size=shape.rows,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        hidden_act="relu",
        hidden_dropout_prob=0.02,
        attention_probs_dropout_prob=0.02,
        pad_token_id=0,
        num_labels=CLASSES,
    )
    torch.manual_seed(_SEED)
    with quiet_transformers():
        config._attn_implementation = attention
        return BertForSequenceClassification(config).to(device).train()


def padded_through_lists(cells: list[dict]) -> dict[str, torch.Tensor]:
    """Make a batch as a tokenizer's ``pad`` does: Python lists, to the longest cell."""
    longest = max(len(cell["input_ids"]) for cell in cells)
    ids, mask = [], []
    for cell in cells:
        row = cell["input_ids"].tolist()
        ids.append(row + [0] * (longest - len(row)))
        mask.append([1] * len(row) + [0] * (longest - len(row)))
    labels = [cell["label"] for cell in cells]
    return {
        "input_ids": torch.tensor(ids, dtype=torch.int64),
        "attention_mask": torch.tensor(mask, dtype=torch.int64),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def make_loader(cells: CellList | bulkgen.SyntheticTokens, way: Way, shape: Shape, *, pinned: bool) -> Iterable[dict]:
    """Return the batches of an epoch."""
    if isinstance(cells, bulkgen.SyntheticTokens):
        return cells.batched(way.batch_size, context=shape.positions).loader(workers=way.workers, pin_memory=pinned)
    return DataLoader(
        cells,
        batch_size=way.batch_size,
        sampler=LengthGroupedSampler(cells.lengths, batch_size=way.batch_size * way.accumulation, seed=_SEED),
        collate_fn=padded_through_lists if way.plain_batches else partial(collate, pad=0, positions=shape.positions),
        num_workers=way.workers,
        pin_memory=pinned and not way.plain_batches,
        persistent_workers=way.workers > 0,
        prefetch_factor=4 if way.workers else None,
    )


class Training:
    """A model, its optimizer, and a step."""

    def __init__(self, shape: Shape, way: Way, device: torch.device) -> None:
        self.way, self.device = way, device
        self.model = new_model(shape, way.attention, device)
        self.run = torch.compile(self.model, dynamic=True) if way.compiled else self.model
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=5e-5, weight_decay=0.001, fused=True if way.fused else None
        )
        self._waiting = 0

    def step(self, batch: dict[str, torch.Tensor], *, last: bool = False) -> torch.Tensor:
        """Go forward and backward through a batch; step after each `accumulation` of them, and after the last."""
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        half = self.way.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if half else nullcontext():
            loss = self.run(**batch).loss
        (loss / self.way.accumulation).backward()
        self._waiting += 1
        if last or self._waiting == self.way.accumulation:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._waiting = 0
        return loss.detach()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget(device: torch.device) -> None:
    """Give memory back."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def longest_batch(shape: Shape, size: int) -> dict[str, torch.Tensor]:
    """Return a batch with every position filled: the largest that can come."""
    ids = np.random.default_rng(_SEED).integers(4, shape.rows, (size, shape.positions))
    cells = [{"input_ids": row, "label": i % CLASSES} for i, row in enumerate(ids)]
    return collate(cells, pad=0, positions=shape.positions)


def rate(shape: Shape, way: Way, device: torch.device, *, steps: int) -> float:
    """Cells per second on the longest batch, without a loader."""
    forget(device)
    training, batch = Training(shape, way, device), longest_batch(shape, way.batch_size)
    for _ in range(2):
        training.step(batch)
    synchronize(device)
    start = time.perf_counter()
    for _ in range(steps):
        training.step(batch)
    synchronize(device)
    return way.batch_size * steps / (time.perf_counter() - start)


Result = TypeVar("Result")


def attempt(function: Callable[[], Result]) -> tuple[Result | None, str | None]:
    """Return a result, or why there is none: what is tried may be missing, unsupported or too large."""
    try:
        return function(), None
    except Exception as error:
        # compilers and drivers raise anything, with pages of text
        text = str(error).strip()
        return None, f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"[:300]


def fastest_way(
    shape: Shape, way: Way, device: torch.device, *, largest: int, compile_too: bool, steps: int
) -> tuple[Way, dict[str, object]]:
    """Try attention, batch sizes and compilation one after the other; return the fastest way and what was tried."""
    tried: dict[str, object] = {}
    attentions = [way.attention] + (["flash_attention_2"] if find_spec("flash_attn") else [])
    if device.type == "cuda":
        fused, problem = attempt(lambda: rate(shape, replace(way, fused=True), device, steps=steps))
        tried["fused_adamw"] = {"cells_per_second": fused, "problem": problem}
        way = replace(way, fused=fused is not None)
    best, best_rate = way, 0.0
    sizes: list[dict[str, object]] = []
    for attention in attentions:
        size = way.batch_size
        while size <= largest:
            candidate = replace(way, attention=attention, batch_size=size)
            found, problem = attempt(lambda candidate=candidate: rate(shape, candidate, device, steps=steps))
            sizes.append({"attention": attention, "batch_size": size, "cells_per_second": found, "problem": problem})
            if found is None:
                break
            if found > best_rate * _GAIN:
                best, best_rate = candidate, found
            size *= 2
    tried["batch_sizes"] = sizes
    if compile_too:
        found, problem = attempt(lambda: rate(shape, replace(best, compiled=True), device, steps=steps))
        tried["compile"] = {"cells_per_second": found, "problem": problem}
        if found is not None and found > best_rate * _GAIN:
            best = replace(best, compiled=True)
    forget(device)
    return best, tried


def fitting_plain_way(shape: Shape, way: Way, device: torch.device) -> Way:
    """Cut the plain way's batch until the longest one fits, and sum gradients in its place."""
    for parts in range(1, way.batch_size + 1):
        if way.batch_size % parts:
            continue
        candidate = replace(way, batch_size=way.batch_size // parts, accumulation=parts)
        found, problem = attempt(lambda candidate=candidate: rate(shape, candidate, device, steps=1))
        if found is not None:
            return candidate
    raise RuntimeError(f"not even one cell of {shape.positions} tokens can be trained on this device: {problem}")


def measure(
    shape: Shape, cells: CellList | bulkgen.SyntheticTokens, way: Way, device: torch.device, peak: float | None
) -> dict[str, object]:
    """Train one epoch, after a warm-up on the smallest and the largest batches; rates, memory, utilisation."""
    loader = make_loader(cells, way, shape, pinned=device.type == "cuda")
    forget(device)
    training = Training(shape, way, device)
    warm = sorted(loader, key=lambda batch: batch["input_ids"].numel())
    # a compiled model compiles for what it has not seen
    for batch in warm if way.compiled else (warm[0], warm[len(warm) // 2], warm[-1]):
        training.step(batch, last=True)
    del warm
    # the loader alone: what it gives when nothing waits for the device
    start = time.perf_counter()
    seen = sum(len(batch["labels"]) for batch in loader)
    alone = seen / (time.perf_counter() - start)
    synchronize(device)
    waited, lengths, width, losses = 0.0, [], 0, []
    start = time.perf_counter()
    batches, steps = iter(loader), len(loader)
    for number in range(1, steps + 1):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        lengths.append(batch["attention_mask"].sum(dim=1))
        width += batch["input_ids"].numel()
        losses.append(training.step(batch, last=number == steps))
    synchronize(device)
    seconds = time.perf_counter() - start
    lengths = torch.cat(lengths).numpy()
    flops = shape.flops(lengths)
    loss = torch.stack(losses).float().cpu().numpy()
    if not np.isfinite(loss).all():
        raise RuntimeError(f"the loss of {way} is not finite")
    return {
        "way": asdict(way),
        "attention": training.model.config._attn_implementation,
        "cells": len(lengths),
        "steps": math.ceil(len(losses) / way.accumulation),
        "seconds": seconds,
        "cells_per_second": len(lengths) / seconds,
        "tokens_per_second": float(lengths.sum()) / seconds,
        "padding": 1 - float(lengths.sum()) / width,
        "peak_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
        "model_tflops_per_second": flops / seconds / 1e12,
        "utilisation": None if peak is None else flops / seconds / (peak * 1e12),
        "loader_wait_share": waited / seconds,
        "loader_alone_cells_per_second": alone,
        "mean_loss": float(loss.mean()),
    }


def measure_safely(
    shape: Shape, cells: CellList | bulkgen.SyntheticTokens, way: Way, device: torch.device, peak: float | None
) -> dict[str, object]:
    """Measure, without compilation where that turns out to fail on lengths that were not tried."""
    if not way.compiled:
        return measure(shape, cells, way, device, peak)
    found, problem = attempt(lambda: measure(shape, cells, way, device, peak))
    if found is None:
        found = {**measure(shape, cells, replace(way, compiled=False), device, peak), "compile_problem": problem}
    return found


def measure_finetune(
    shape: Shape, vocabulary: bulkgen.Vocabulary, cells: CellList, way: Way, device: torch.device
) -> dict[str, object]:
    """Time ``bulkgen.finetune`` as a whole, for one epoch on a checkpoint of random weights."""
    labels = [f"class {i % CLASSES}" for i in range(len(cells))]
    tokens = _token_dataset(cells, labels, vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        with quiet_transformers():
            new_model(shape, "sdpa", torch.device("cpu")).save_pretrained(folder)
        start = time.perf_counter()
        result = bulkgen.finetune(
            tokens,
            model=folder,
            epochs=1,
            batch_size=way.batch_size,
            context=shape.positions,
            attention=way.attention,
            precision="bf16" if way.precision == "bf16" else "float32",
            device=device.type,
        )
        seconds = time.perf_counter() - start
    return {
        "cells": len(cells),
        "seconds": seconds,
        "cells_per_second": len(cells) / seconds,
        "precision": result.facts["precision"],
        "attention": result.facts["attention"],
    }


def _token_dataset(cells: CellList, labels: list[str], vocabulary: bulkgen.Vocabulary) -> bulkgen.TokenDataset:
    # these cells were never tokenized
    nothing = dict.fromkeys((field.name for field in fields(TokenizeSummary)), 0)
    summary = TokenizeSummary(**{**nothing, "empty_cells": (), "gene_ids": None})
    columns = {
        "input_ids": pa.array(cells.rows, pa.list_(pa.int16())),
        "length": pa.array(cells.lengths),
        "cell_id": pa.array([f"c{i}" for i in range(len(cells))]),
        "label": pa.array(labels),
    }
    return bulkgen.TokenDataset(pa.table(columns), vocabulary, "label", summary)


def verdicts(shape: Shape, sets: dict[str, dict], device: str) -> list[dict[str, object]]:
    """Compare with the targets, which are of an H200; elsewhere none is judged."""
    judged, found = "H200" in device, []

    def add(what: str, value: float | None, least: float) -> None:
        met = None if value is None or not judged else value >= least
        found.append({"what": what, "value": value, "at_least": least, "met": met})

    for name, ways in sets.items():
        if shape.times is not None and "plain" in ways and "cells_per_second" in ways["plain"]:
            add(f"{name}: bulkgen, times the plain way", ways["times_plain"], shape.times)
        if name == "saturated" and shape.utilisation is not None:
            add(f"{name}: utilisation", ways["bulkgen"]["utilisation"], shape.utilisation)
        spare = ways["bulkgen"]["loader_alone_cells_per_second"] / ways["bulkgen"]["cells_per_second"]
        add(f"{name}: loader alone, times the training", spare, 1.0)
    return found


def run_shape(shape: Shape, device: torch.device, given: argparse.Namespace, peak: float | None) -> dict[str, object]:
    """Measure all ways on all sets of cells."""
    vocabulary = workloads.vocabulary(shape.vocabulary)
    on_cuda = device.type == "cuda"
    half = on_cuda and torch.cuda.is_bf16_supported()
    n_cells = given.cells or shape.cells
    # an epoch has to have batches enough for its time to mean something
    steps, largest = (1, 2 * PLAIN_BATCH) if given.toy else (5, max(PLAIN_BATCH, n_cells // 8))
    plain = Way("float32", "eager", PLAIN_BATCH, plain_batches=True)
    ours = Way(
        "bf16" if half or given.toy else "float32", "sdpa", PLAIN_BATCH, workers=given.workers, plain_batches=False
    )
    best, tried = fastest_way(
        shape, ours, device, largest=largest, compile_too=not (given.no_compile or given.toy), steps=steps
    )
    real = real_cells(shape, vocabulary, given.data, n_cells)
    stored = {"saturated": saturated_cells(shape, vocabulary, n_cells)} | ({} if real is None else {"real": real})
    ways = {
        "plain": fitting_plain_way(shape, plain, device),
        "plain, sdpa": fitting_plain_way(shape, replace(plain, attention="sdpa"), device),
        "bulkgen": best,
    }
    sets: dict[str, dict] = {}
    for name, cells in stored.items():
        print(f"{name}: {len(cells)} cells of {cells.lengths.mean():.0f} tokens", flush=True)
        sets[name] = {way_name: measure_safely(shape, cells, way, device, peak) for way_name, way in ways.items()}
        for way_name in ("plain", "plain, sdpa"):
            slow, fast = sets[name][way_name]["cells_per_second"], sets[name]["bulkgen"]["cells_per_second"]
            sets[name]["times_" + way_name.replace(", ", "_")] = fast / slow
    fresh = fresh_cells(shape, vocabulary, n_cells)
    sets["fresh"] = {"bulkgen": measure_safely(shape, fresh, best, device, peak)}
    whole, problem = attempt(lambda: measure_finetune(shape, vocabulary, stored["saturated"], best, device))
    return {
        "shape": asdict(shape),
        "vocabulary": vocabulary.name,
        "tried": tried,
        "sets": sets,
        "bulkgen.finetune": whole if whole is not None else {"problem": problem},
        "real_cells": "not at hand: lengths of real cells were not measured" if real is None else "measured",
    }


def main(arguments: list[str] | None = None) -> Path:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--toy", action="store_true", help="small shapes, few cells, any device")
    parser.add_argument("--device", default=None, help="default: cuda; with --toy cuda where there is one, else cpu")
    parser.add_argument("--data", type=Path, default=None, help="folder of the shared real data")
    parser.add_argument("--cells", type=int, default=None, help="cells of each set (default 3072 and 768; toy: 48)")
    parser.add_argument("--workers", type=int, default=None, help="processes of the loader (default 4; toy: 1)")
    parser.add_argument("--peak-tflops", type=float, default=None, help="dense bf16 peak of the device")
    parser.add_argument("--no-compile", action="store_true", help="do not try torch.compile (a toy run never does)")
    parser.add_argument("--out", type=Path, default=None, help="folder for the results")
    given = parser.parse_args(arguments)
    shapes = TOY if given.toy else {name: SHAPES[name] for name in given.shape}
    if given.device is None:
        given.device = "cuda" if torch.cuda.is_available() or not given.toy else "cpu"
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --toy runs small shapes on the CPU")
    given.workers = (1 if given.toy else 4) if given.workers is None else given.workers
    default = Path(__file__).parents[2] / "shared" / "data"
    given.data = given.data or (default if default.is_dir() else None)
    device = torch.device(given.device)
    # float32 means float32 in the plain way
    torch.set_float32_matmul_precision("highest")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak = given.peak_tflops or peak_tflops(name)
    results: dict[str, object] = {
        "device": name,
        "toy": given.toy,
        "peak_tflops": peak,
        "cuda": torch.version.cuda,
        "flash_attention": find_spec("flash_attn") is not None,
        "shapes": {},
    }
    out = given.out or (BUILD if given.toy or device.type == "cpu" else machine.RESULTS)
    label = re.sub(r"[^a-z0-9]+", "-", f"gpu-finetune-{name}".lower()).strip("-")
    for shape_name, shape in shapes.items():
        print(f"{shape_name} on {name}", flush=True)
        record = run_shape(shape, device, given, peak)
        record["verdicts"] = verdicts(shape, record["sets"], name)
        results["shapes"][shape_name] = record  # type: ignore[index]
        # after every shape: what was measured is kept, whatever becomes of the next
        path = machine.write_results(label, results, folder=out)
        for name_of_set, ways in record["sets"].items():
            for way, found in ways.items():
                if isinstance(found, dict):
                    print(f"  {name_of_set}, {way}: {found['cells_per_second']:.1f} cells/s", flush=True)
                else:
                    print(f"  {name_of_set}, {way}: {found:.2f}", flush=True)
    print("written to", path)
    return path


if __name__ == "__main__":
    main()
