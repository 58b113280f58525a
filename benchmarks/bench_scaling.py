"""How cost grows: with the number of groups, of genes, of non-zero entries, and of molecules of a cell."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

import numpy as np

import calls
import workloads

ROUNDS = 3
GROUPS = (10, 100, 1_000, 10_000, 100_000)
GENES = (2_000, 5_000, 10_000, 20_000, 40_000, 60_000)
#: Cells of 1,500 entries.
CELLS = (1_000, 3_000, 10_000, 30_000, 100_000)
MOLECULES = (500, 1_500, 5_000, 15_000, 50_000)


def _curve(
    benchmark,
    name: str,
    sizes: Iterable[int],
    prepare: Callable[[int], tuple[int, dict[str, Callable[[], object]]]],
) -> None:
    """Least seconds of a few rounds at each size; `prepare` gives the size in the curve's unit and what to time."""
    curves: dict[str, list[tuple[int, float]]] = {}

    def run() -> None:
        for size in sizes:
            x, functions = prepare(size)
            for label, function in functions.items():
                seconds = []
                for _ in range(ROUNDS):
                    start = time.perf_counter()
                    function()
                    seconds.append(time.perf_counter() - start)
                curves.setdefault(label, []).append((x, min(seconds)))

    benchmark.pedantic(run, rounds=1, iterations=1)
    benchmark.extra_info.update(curve=name, curves=curves)


def bench_scaling_groups(benchmark, counts):
    """Group sums of all cells against the number of groups."""
    cells = counts.shape[0]

    def prepare(groups: int) -> tuple[int, dict[str, Callable[[], object]]]:
        codes = workloads.random_groups(cells, groups)
        return groups, {"group sums": lambda: calls.group_sums(counts, codes, groups)}

    _curve(benchmark, "groups", [g for g in GROUPS if g <= cells], prepare)


def bench_scaling_genes(benchmark, scale):
    """10,000 cells with 1,500 expressed genes (truncated normals: 64 cells) against the number of genes."""
    cells = workloads.scaled(10_000, scale, least=100)

    def prepare(genes: int) -> tuple[int, dict[str, Callable[[], object]]]:
        matrix = workloads.sparse_counts(cells, genes, workloads.GENES_PER_CELL)
        plan = calls.plan(workloads.truncated_normals(genes), sampler="inverse")
        out = np.empty((workloads.scaled(64, scale, least=4), genes), np.float32)
        return genes, {
            **_kernels(matrix),
            "truncated normals": lambda: calls.draw(plan, out, threads=None),
        }

    _curve(benchmark, "genes", GENES, prepare)


def bench_scaling_nonzeros(benchmark, counts):
    """Group sums, moments and ranks against the number of non-zero entries."""
    whole = counts.shape[0]

    def prepare(cells: int) -> tuple[int, dict[str, Callable[[], object]]]:
        matrix = counts[:cells]
        return matrix.nnz, _kernels(matrix)

    _curve(benchmark, "nonzeros", [c * whole // CELLS[-1] for c in CELLS if c * whole // CELLS[-1] >= 10], prepare)


def bench_scaling_molecules(benchmark, scale):
    """1,024 cells of 20,000 genes, one thread, against the number of molecules of a cell."""
    law, cells = workloads.cell_law(), workloads.scaled(1_024, scale, least=8)

    def prepare(molecules: int) -> tuple[int, dict[str, Callable[[], object]]]:
        generators = calls.generators_of_law(dataclasses.replace(law, sizes=np.array([float(molecules)])))
        return molecules, {
            name.replace("_", " "): lambda name=name: calls.sample(generators[name], cells, threads=1)
            for name in ("multinomial", "negative_binomial")
        }

    _curve(benchmark, "molecules", MOLECULES, prepare)


def _kernels(matrix) -> dict[str, Callable[[], object]]:
    cells = matrix.shape[0]
    groups = max(1, cells // workloads.CELLS_PER_GROUP)
    codes = workloads.random_groups(cells, groups)
    one = np.zeros(cells, np.int64)
    return {
        "group sums": lambda: calls.group_sums(matrix, codes, groups),
        "gene moments": lambda: calls.gene_moments(matrix, one, 1),
        "ranked genes, 1 thread": lambda: calls.rank(matrix, most_genes=2_048),
    }
