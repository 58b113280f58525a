"""Generators of counts: fits, cells to CSR and straight to tokens, and the same laws with NumPy; thinning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import bulkgen
import calls
import laws
import workloads
from bulkgen.estimation.profile import profile_of
from peers import numpy_counts
from workloads import CellLaw, Shift

#: Method -> cells drawn; fewer where a cell is much work.
CELLS = {
    "multinomial": 10_000,
    "poisson": 10_000,
    "negative_binomial": 10_000,
    "donor_shift": 10_000,
    "copula": 10_000,
    "thin": 2_000,
    "pseudobulk": 2_000,
}
#: Methods that NumPy can draw from as well, with as many cells.
WITH_PEER = ("multinomial", "poisson", "negative_binomial", "donor_shift")
PEER_CELLS = 2_048
THINNED_CELLS, LIBRARIES = 4_096, 64
KEEP = 0.5
#: Pseudo-bulks of a random order of the treated cells hold each of them once.
ORDERS, K = 20, 10

_LAW = (
    "Same law. In groups of genes, the mean counts and the numbers of expressed genes stay within bounds from theory "
    "around the exact expectations, that a correct sampler breaks once in a million runs."
)


class Experiment:
    """Treated and control cells and their bulk, and each method fitted to them, once."""

    def __init__(self, scale: float) -> None:
        self.vocabulary = workloads.vocabulary("V2")
        self.reference = workloads.treated_and_control(self.vocabulary, scale)
        self.control = self.reference.obs["label"].to_numpy() == "control"
        self.bulk = bulkgen.bulk_profiles(self.reference, by="label")
        self._fits: dict[str, bulkgen.Fit] = {}
        self._expected: dict[tuple[str, int], laws.Expected] = {}

    def fit(self, method: str) -> bulkgen.Fit:
        """Fit a method; all but pseudo-bulk learn from the control cells alone."""
        parameters = {"k": K} if method == "pseudobulk" else {"control": "control"}
        return calls.fit(self.bulk, self.reference, method, **parameters)

    def fitted(self, method: str) -> bulkgen.Fit:
        """Return the fit that cells are drawn from."""
        if method not in self._fits:
            self._fits[method] = self.fit(method)
        return self._fits[method]

    def counts(self, label: str) -> np.ndarray:
        """Return the total counts of each gene."""
        rows = self.control if label == "control" else ~self.control
        return np.asarray(self.reference.X[rows].sum(axis=0, dtype=np.float64)).ravel()

    def law(self) -> CellLaw:
        """Return the law of independent treated cells with the dispersions that were estimated."""
        profile = profile_of(self.counts("treated"))
        plan = self.fitted("negative_binomial").fitted.plans[1]
        return CellLaw(profile, plan.overdispersion / profile, plan.sizes)

    def shift(self) -> Shift:
        """Return how donors are moved."""
        profile = profile_of(self.counts("control"))
        plan = self.fitted("donor_shift").fitted.plans[1]
        return Shift(plan.ratio, profile, plan.overdispersion / profile)

    def donors(self, cells: int) -> sp.csr_matrix:
        """Return the donors of the first cells."""
        drawn = calls.cells_of_fit(self.fitted("donor_shift"), "treated", cells, threads=None)
        return self.reference.X[drawn.obs["donor"].to_numpy()]

    def expected(self, method: str, cells: int) -> laws.Expected:
        """Return what the first treated cells of a method have on average."""
        if (method, cells) not in self._expected:
            self._expected[method, cells] = self._expect(method, cells)
        return self._expected[method, cells]

    def _expect(self, method: str, cells: int) -> laws.Expected:
        if method == "donor_shift":
            return laws.donor_shift(self.shift(), self.donors(cells))
        if method == "thin":
            counts, sizes = self.counts("treated"), self.law().sizes
            return laws.thinned_profile(counts, np.minimum(1.0, sizes / counts.sum()))
        # genes that vary together vary, each, as independent ones do
        return getattr(laws, "negative_binomial" if method == "copula" else method)(self.law())


@pytest.fixture(scope="module")
def experiment(scale) -> Experiment:
    """Make the reference cells and their bulk."""
    return Experiment(scale)


@pytest.mark.parametrize("method", CELLS)
def bench_generators(race, experiment, scale, method):
    """Seconds for treated cells of 20,000 genes and 4,800 molecules, to CSR and straight to tokens (V2)."""
    cells = workloads.scaled(CELLS[method], scale, least=50)
    if method == "pseudobulk":
        # whole orders of the treated cells
        cells = ORDERS * (int((~experiment.control).sum()) // K)
    fit = experiment.fitted(method)
    drawn: list[AnnData] = []

    def check(side: str, result: object) -> None:
        if not drawn:
            _check_law(experiment, method, result.X)
            drawn.append(result)
        elif side.startswith("to CSR"):
            same = drawn[0].X, result.X
            assert all(np.array_equal(*(getattr(x, part) for x in same)) for part in ("indptr", "indices", "data"))
        else:
            expected = calls.tokenize(drawn[0], experiment.vocabulary, None).flat()
            assert all(np.array_equal(a, b) for a, b in zip(result.flat(), expected, strict=True)), side

    sides: dict[str, Callable[[], object]] = {}
    for threads in (2, 1):
        suffix = ", 1 thread" if threads == 1 else ""
        sides[f"to CSR{suffix}"] = lambda threads=threads: calls.cells_of_fit(fit, "treated", cells, threads=threads)
        sides[f"to tokens{suffix}"] = lambda threads=threads: calls.tokens_of_fit(
            fit, "treated", cells, experiment.vocabulary, threads=threads
        )
    race(
        f"generator_{method}",
        sides,
        check=check,
        rounds=3,
        work=cells,
        checked=("Every cell's count of molecules is that of its real cells. " if method == "pseudobulk" else _LAW)
        + " Same cells from one thread and two; the tokens are those of the same cells.",
    )


@pytest.mark.parametrize("method", WITH_PEER)
def bench_peer(race, experiment, scale, method):
    """Seconds for 2,048 cells to CSR: bulkgen, and NumPy's vectorised draws of the same law."""
    cells = workloads.scaled(PEER_CELLS, scale, least=50)
    fit, rng = experiment.fitted(method), np.random.default_rng(1)
    if method == "donor_shift":
        shift, donors = experiment.shift(), experiment.donors(cells)
        peer: Callable[[], object] = lambda: numpy_counts.donor_shift(shift, donors, rng)  # noqa: E731
    else:
        law = experiment.law()
        peer = lambda: getattr(numpy_counts, method)(law, cells, rng)  # noqa: E731
    race(
        f"peer_{method}",
        {
            "bulkgen": lambda: calls.cells_of_fit(fit, "treated", cells, threads=2).X,
            "bulkgen, 1 thread": lambda: calls.cells_of_fit(fit, "treated", cells, threads=1).X,
            "NumPy": peer,
        },
        check=lambda side, drawn: _check_law(experiment, method, drawn, side),
        rounds=3,
        work=cells,
        checked=_LAW,
    )


def bench_fit(race, experiment):
    """Seconds for learning from 10,000 control cells."""

    def check(method: str, fit: bulkgen.Fit) -> None:
        assert list(fit.strata.index) == ["control", "treated"], method
        assert fit.fitted.n_genes == workloads.GENES if method != "pseudobulk" else fit.fitted.k == K, method

    race(
        "generator_fit",
        {method: lambda method=method: experiment.fit(method) for method in CELLS},
        check=check,
        rounds=2,
        work=experiment.reference.n_obs,
        checked="Every fit knows both strata and all genes; cells drawn from it are checked above.",
    )


@pytest.mark.parametrize("what", ["cells", "libraries"])
def bench_thinning(race, scale, what):
    """Seconds for keeping half of the molecules of 4,096 cells, and of 64 libraries of 20 million reads."""
    if what == "cells":
        counts = workloads.control_cells(scale)[: workloads.scaled(THINNED_CELLS, scale, least=50)]
    else:
        counts = workloads.libraries(workloads.scaled(LIBRARIES, scale, least=16))
    expected, rng = laws.thinned(counts, KEEP), np.random.default_rng(1)
    race(
        f"thin_{what}",
        {
            "bulkgen": lambda: calls.thin(counts, KEEP, threads=2),
            "bulkgen, 1 thread": lambda: calls.thin(counts, KEEP, threads=1),
            "NumPy": lambda: numpy_counts.thin(counts, KEEP, rng),
        },
        check=lambda side, kept: laws.assert_same_counts(side, kept, expected),
        rounds=3,
        work=counts.nnz,
        checked=_LAW,
    )


def _check_law(experiment: Experiment, method: str, cells: sp.csr_matrix, side: str = "bulkgen") -> None:
    if method == "pseudobulk":
        total = np.asarray(cells.sum(axis=0, dtype=np.float64)).ravel()
        # the remainder of an order is left out
        if (~experiment.control).sum() % K == 0:
            assert np.array_equal(total, ORDERS * experiment.counts("treated"))
        return
    laws.assert_same_counts(f"{side}, {method}", cells, experiment.expected(method, cells.shape[0]))
