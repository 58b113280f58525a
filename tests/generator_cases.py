"""Simulated experiments with known truth, and every built-in generator with the options that change its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

import bulkgen
from count_cases import make_cells

if TYPE_CHECKING:
    import anndata as ad

#: Methods and parameters for cells with the labels ctrl, up and down and the column ``type``.
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "truncated_gaussian": ("truncated_gaussian", {"zero_mask": True}),
    "thin": ("thin", {}),
    "multinomial": ("multinomial", {}),
    "dirichlet_multinomial": ("multinomial", {"concentration": "estimate", "library_sizes": "log_normal"}),
    "poisson": ("poisson", {}),
    "poisson_log_normal": ("poisson", {"log_normal": True}),
    "negative_binomial": ("negative_binomial", {"zero_inflation": True}),
    "negative_binomial_ratio": ("negative_binomial", {"mean": "ratio", "control": "ctrl"}),
    "copula": ("copula", {"factors": 3}),
    "donor_shift": ("donor_shift", {"control": "ctrl"}),
    "donor_shift_options": (
        "donor_shift",
        {"control": "ctrl", "pairing": "disjoint", "renoise": 0.3, "heterogeneity": 0.5, "dose": 0.7},
    ),
    "mixture": ("mixture", {"states": "type"}),
    "mixture_options": ("mixture", {"states": "type", "renoise": 0.2, "heterogeneity": 0.4, "fractions": "poisson"}),
    "pseudobulk": ("pseudobulk", {"k": 3}),
    "pseudobulk_thin": ("pseudobulk", {"k": 3, "thin": True}),
}
#: Those whose cells have mostly zeros.
SPARSE = [name for name in CASES if name != "truncated_gaussian"]


@dataclass(frozen=True)
class Experiment:
    """Control cells, the bulk of every class at 20 M reads, and what both were drawn from.

    Attributes
    ----------
    cells
        Cells of the control, with the columns ``label`` and ``type``.
    bulk
        Profiles of the classes ctrl and treated, of measured samples.
    control, treated
        True profiles.
    dispersion
        Of every gene.
    """

    cells: ad.AnnData
    bulk: ad.AnnData
    control: np.ndarray
    treated: np.ndarray
    dispersion: float


def experiment(seed: int, *, n_cells: int = 2000, n_genes: int = 200, dispersion: float = 0.4) -> Experiment:
    """Negative binomial control cells of about 2,000 UMI; a third of the genes changes, by 2^N(0, 1)."""
    rng = np.random.default_rng(seed)
    control = rng.dirichlet(np.full(n_genes, 0.7))
    changed = np.exp2(rng.normal(size=n_genes) * (rng.random(n_genes) < 1 / 3))
    treated = control * changed / (control * changed).sum()
    cells = make_cells(
        negative_binomial(rng, control, rng.lognormal(7.5, 0.4, n_cells), dispersion),
        label=np.full(n_cells, "ctrl", object),
        type=rng.choice(["T", "B"], n_cells).astype(object),
    )
    reads = np.stack([rng.multinomial(20_000_000, profile) for profile in (control, treated)])
    return Experiment(cells, measured(reads, label=["ctrl", "treated"]), control, treated, dispersion)


def negative_binomial(rng: np.random.Generator, profile, sizes, dispersion: float) -> sp.csr_matrix:
    """Cells x genes of mean ``sizes × profile``."""
    rate = rng.gamma(1 / dispersion, dispersion, (len(sizes), len(profile)))
    return sp.csr_matrix(rng.poisson(rate * np.asarray(sizes)[:, None] * profile).astype(np.float32))


def measured(values: np.ndarray, *, unit: str = "counts", **columns: list[str]) -> ad.AnnData:
    """Profiles of measured samples, one for each row of values."""
    return bulkgen.bulk_profiles(samples(values, unit=unit, **columns), by=list(columns))


def samples(values: np.ndarray, *, unit: str = "counts", **columns: list[str]) -> ad.AnnData:
    """Measured samples of genes g0, g1, ..."""
    named = make_cells(np.asarray(values), **columns)
    named.obs_names = [f"sample{i}" for i in range(len(values))]
    return bulkgen.read_bulk(named, unit=unit)


def deviations(made, mean: np.ndarray) -> np.ndarray:
    """Difference of each gene's mean from what it should be, in standard errors; genes of few cells left out."""
    dense = made.toarray() if sp.issparse(made) else np.asarray(made)
    seen = (dense > 0).sum(axis=0) >= 100
    error = dense.std(axis=0, ddof=1)[seen] / np.sqrt(len(dense))
    return (dense.mean(axis=0)[seen] - mean[seen]) / error


def three_classes(seed: int = 3, n_genes: int = 60) -> ad.AnnData:
    """Cells of the labels ctrl, up and down and of two types, each with a profile of its own."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["ctrl", "up", "down"], [80, 60, 40])
    types = rng.choice(["T", "B"], labels.size)
    profile = {kind: rng.dirichlet(np.full(n_genes, 0.6)) for kind in ("T", "B")}
    change = {"ctrl": np.ones(n_genes), "up": np.exp2(rng.normal(size=n_genes)), "down": np.ones(n_genes)}
    change["down"][: n_genes // 3] = 0.3
    rates = np.stack([profile[kind] * change[label] for label, kind in zip(labels, types, strict=True)])
    sizes = rng.lognormal(5.5, 0.4, labels.size)
    counts = rng.poisson(rng.gamma(3.0, 1 / 3, rates.shape) * sizes[:, None] * rates).astype(np.float32)
    cells = make_cells(sp.csr_matrix(counts), label=pd.Categorical(labels), type=types.astype(object))
    cells.var["symbol"] = [f"S{i}" for i in range(n_genes)]
    return cells
