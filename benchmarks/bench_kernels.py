"""Every hot kernel, through the function that runs it: by threads, by backend, by instruction-set level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import calls
import workloads
from bulkgen import TokenDataset
from bulkgen.kernels import backend_names
from bulkgen.profiles import GeneMoments

CELLS = 10_000
DRAWN_CELLS = 1_024


def _draws(sampler: str) -> Callable[[float], tuple[Callable[[int | None], object], int]]:
    def prepare(scale: float) -> tuple[Callable[[int | None], object], int]:
        plan = calls.plan(workloads.truncated_normals(), sampler=sampler)
        out = np.empty((workloads.scaled(DRAWN_CELLS, scale, least=8), workloads.GENES), np.float32)
        return lambda threads: calls.draw(plan, out, threads=threads), out.size

    return prepare


def _sums(scale: float) -> tuple[Callable[[int | None], object], int]:
    matrix, codes, groups = _grouped(scale, CELLS // workloads.CELLS_PER_GROUP)
    return lambda threads: calls.group_sums(matrix, codes, groups, threads=threads), matrix.nnz


def _moments(scale: float) -> tuple[Callable[[int | None], object], int]:
    matrix, codes, groups = _grouped(scale, workloads.FEW_GROUPS)
    return lambda threads: calls.gene_moments(matrix, codes, groups, threads=threads), matrix.nnz


def _ranks(scale: float) -> tuple[Callable[[int | None], object], int]:
    vocabulary = workloads.vocabulary("V2")
    cells = workloads.cells_of_vocabulary(vocabulary, workloads.scaled(CELLS, scale, least=20), workloads.GENES, 2_369)
    return lambda threads: calls.tokenize(cells, vocabulary, None, threads=threads), cells.X.nnz


def _counts(name: str) -> Callable[[float], tuple[Callable[[int | None], object], int]]:
    def prepare(scale: float) -> tuple[Callable[[int | None], object], int]:
        law, cells = workloads.cell_law(), workloads.scaled(DRAWN_CELLS, scale, least=8)
        if name == "donor_shift":
            generator = calls.donor_shift_of_law(workloads.shift_law(), workloads.control_cells(scale))
        elif name == "copula":
            generator = calls.copula_of_law(law)
        else:
            generator = calls.generators_of_law(law)[name]
        return lambda threads: calls.sample(generator, cells, threads=threads), cells * workloads.GENES

    return prepare


def _thinned(scale: float) -> tuple[Callable[[int | None], object], int]:
    counts = workloads.control_cells(scale)[: workloads.scaled(DRAWN_CELLS, scale, least=8)]
    return lambda threads: calls.thin(counts, 0.5, threads=threads), counts.nnz


def _grouped(scale: float, groups: int):
    cells = workloads.scaled(CELLS, scale, least=100)
    groups = min(groups, cells // 2)
    return workloads.cached_counts(cells), workloads.random_groups(cells, groups), groups


KERNELS = {
    "truncated_gaussian_rejection": _draws("rejection"),
    "truncated_gaussian_inverse": _draws("inverse"),
    "group_sums": _sums,
    "group_moments": _moments,
    "tokens_in_memory": _ranks,
    "multinomial": _counts("multinomial"),
    "poisson_log_normal": _counts("poisson_log_normal"),
    "negative_binomial": _counts("negative_binomial"),
    "donor_shift": _counts("donor_shift"),
    "copula": _counts("copula"),
    "thin_rows": _thinned,
}


@pytest.mark.parametrize("kernel", KERNELS)
def bench_kernels(race, scale, kernel):
    """Seconds of one kernel on 10,000 cells (generators: 1,024 cells)."""
    run, work = KERNELS[kernel](scale)
    expected: list[tuple[bytes, ...]] = []

    def side(name: str, threads: int) -> Callable[[], object]:
        def timed() -> object:
            with calls.backend(name):
                return run(threads)

        return timed

    sides = {"numba, 1 thread": side("numba", 1), "numba, 2 threads": side("numba", 2)}
    if "native" in backend_names():
        sides = {
            "native, 1 thread": side("native", 1),
            "native, 2 threads": side("native", 2),
            **sides,
            **{f"native {level}, 1 thread": side(level, 1) for level in calls.levels()},
        }

    def check(name: str, result: object) -> None:
        expected.append(_bits(result))
        assert expected[0] == expected[-1], f"{name}: other bits than {next(iter(sides))}"

    race(
        f"kernel_{kernel}",
        sides,
        check=check,
        rounds=7,
        work=work,
        checked="Same bits from every backend, instruction-set level and number of threads.",
    )


def _bits(result: object) -> tuple[bytes, ...]:
    if isinstance(result, GeneMoments):
        arrays = [result.nonzeros, result.sum, result.mean, result.variance, result.max]
    elif isinstance(result, TokenDataset):
        arrays = list(result.flat())
    elif isinstance(result, np.ndarray):
        arrays = [result]
    else:
        arrays = [result.indptr, result.indices, result.data]
    return tuple(array.tobytes() for array in arrays)
