"""Simulated cells whose law is known: classes with effects, genes that vary together, library sizes that differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from bulkgen.fidelity import Cells, Space

LABELS = ("control", "drug a", "drug b")
N_GENES = 600


def simulate(n_per_class: int, seed: int, *, noise: float = 0.0, shift: float = 0.0, dependent: bool = True) -> Cells:
    """Draw cells of three classes; 30 genes rise or fall in each drug, and two programs vary from cell to cell.

    Parameters
    ----------
    noise
        Standard deviation of a log-normal factor on each count's mean.
    shift
        Added to the logarithm of the mean of the first 100 genes.
    dependent
        Without: the programs are drawn anew for every gene, which keeps each gene's law.
    """
    law = np.random.default_rng(0)
    base = law.normal(-0.7, 1.3, N_GENES)
    effects = np.zeros((3, N_GENES))
    for number in (1, 2):
        effects[number, law.permutation(N_GENES)[:30]] = law.choice([-2, 2], 30)
    loadings = np.zeros((2, N_GENES))
    loadings[0, :150], loadings[1, 150:300] = 0.6, -0.6

    rng = np.random.default_rng([seed, 1])
    numbers = np.repeat(np.arange(3), n_per_class)
    n = len(numbers)
    programs = rng.standard_normal((n, 2) if dependent else (n, 2, N_GENES))
    log_mean = (
        base + effects[numbers] + np.einsum("nk...,k...->n..." if not dependent else "nk,kg->ng", programs, loadings)
    )
    log_mean += rng.normal(0, 0.3, (n, 1)) + noise * rng.standard_normal((n, N_GENES))
    log_mean[:, :100] += shift
    counts = sp.csr_matrix(rng.poisson(np.exp(log_mean)).astype(np.float32))
    labels = np.array(LABELS, dtype=object)[numbers]
    return Cells(counts, labels, np.array([f"g{i}" for i in range(N_GENES)], dtype=object))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """As :func:`bulkgen.fidelity.measure` does; the tests also call its parts."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def make_cells() -> Callable[..., Cells]:
    """Draw cells, :func:`simulate`."""
    return simulate


@pytest.fixture(scope="session")
def training() -> Cells:
    """150 real training cells per class."""
    return simulate(150, 1)


@pytest.fixture(scope="session")
def space(training) -> Space:
    """The space of 150 training and 150 test cells per class, with a control."""
    return Space.fit(training, simulate(150, 2), control="control", key=5)
