"""A simulated twin of the sci-Plex2 data set (Srivatsan et al., Science 367:45, 2020), made without any data file.

The twin has the labels, doses, label counts, depth and published effect sizes of the real A549 cells; its genes,
profile, factors and remaining effects are invented. It is for demonstrations and tests, never for biology, and says
so in its cell names, ``obs["simulated"]`` and ``uns["bulkgen"]``.

The model of cell i, gene g: counts are negative binomial with mean ``L_i p_ig`` and a dispersion that falls with
expression. ``L_i`` is log-normal. ``p_ig`` is a log-normal profile, times latent factors that know nothing of the label
(cell cycle, stress, and anonymous ones), times the fold change of the cell's drug, scaled by the dose (Hill curve) and
by how strongly this cell responds (Beta). In a few cells that were not given a drug its programme runs all the same,
its published markers excepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri

from bulkgen.datasets.sciplex2 import SCIPLEX2_DOSES, SCIPLEX2_LABEL_COUNTS, SCIPLEX2_MARKERS
from bulkgen.io import make_anndata, provenance
from bulkgen.rng import key_from_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bulkgen.rng import RandomState

    Floats = NDArray[np.float64]

__all__ = ["SIMULATED_NOTE", "sciplex2_twin"]

SIMULATED_NOTE = (
    "A simulated, computer-made twin of sci-Plex2 (Srivatsan et al. 2020). No cell was measured; gene ids and "
    "effects are invented, except for four published Nutlin fold changes."
)

_MEDIAN_LIBRARY = 4811.0  # UMI; the real file's median
_LIBRARY_BOUNDS = (500.0, 12000.0)  # UMI; the real file's quality control
_LIBRARY_CENTRE, _LIBRARY_SD = 4873.0, 0.45  # UMI, log: the median within the bounds is then 4,811
_PROFILE_SD = 1.9  # of log expression: about 2,300 genes per cell out of 20,000
_COMMON_SHARE = 0.25  # of a drug's targets are a response to any drug
_PATHWAY_SD = 0.08  # of a drug's targets in cells of any label, in units of the drug's log fold
_SPONTANEOUS = (0.6, 1.2)  # activity of a programme that runs without its drug; treated cells have 1 on average
_REPLICATE_SD = 0.04  # of log expression between replicates
_BLOCK = 128  # cells simulated at a time; part of the definition of the stream


@dataclass(frozen=True)
class _Drug:
    """A drug's effect at dose 10, for 20,000 genes; folds are log2, expression is mean UMI per control cell."""

    n_up: int
    n_down: int
    log2_fold: float  # mean size; sizes are gamma-distributed around it
    expression: tuple[float, float]  # window of control means that its targets come from
    ec50: float
    hill: float
    response: tuple[float, float]  # Beta parameters of the cells' responses
    spontaneous: float  # share of the cells without the drug in which its programme runs anyway


# Sizes are ordered as published: Nutlin large, BMS and SAHA between, Dex small and in low-expressed genes. The notes of
# sciplex2_twin say what was tuned, and on which cells.
_DRUGS = {
    "BMS": _Drug(640, 420, 2.2, (0.03, 0.4), ec50=5.0, hill=1.2, response=(6.0, 0.8), spontaneous=0.03),
    "Dex": _Drug(560, 0, 3.5, (0.01, 0.08), ec50=0.05, hill=1.0, response=(8.0, 0.5), spontaneous=0.02),
    "Nutlin": _Drug(960, 600, 2.3, (0.03, 0.4), ec50=3.0, hill=1.5, response=(1.4, 0.7), spontaneous=0.07),
    "SAHA": _Drug(620, 400, 2.3, (0.03, 0.4), ec50=1.0, hill=1.2, response=(7.0, 0.6), spontaneous=0.02),
}


def sciplex2_twin(
    n_cells: int | None = None,
    n_genes: int = 20_000,
    *,
    doses: Sequence[float] = (0.0, 10.0),
    rng: RandomState = 0,
) -> AnnData:
    """Simulate the five-label sci-Plex2 problem: A549 cells, untreated or under one of four drugs.

    Parameters
    ----------
    n_cells
        Cells in all; the labels keep their published imbalance. ``None``: the published counts, 5,565 cells at the
        default doses.
    n_genes
        Genes, at least 500. With fewer than 20,000, a cell expresses fewer of them.
    doses
        Doses to include, out of 0, 0.1, 0.5, 1, 5, 10, 50 and 100. Dose 0 is the label ``Untreated``. Cell counts
        are published for doses 0 and 10; every other dose is given the counts of dose 10. Effects grow with the dose:
        at dose 1, Dex has nearly all of its effect, SAHA half, Nutlin and BMS a fifth.
    rng
        Seed. The same seed gives the same matrix (with the same version of NumPy).

    Returns
    -------
    AnnData
        Cells × genes, ``X`` CSR int32 counts. ``obs``: ``treated_label`` and ``drug`` (Untreated, BMS, Dex, Nutlin,
        SAHA), ``dose`` (float), ``replicate``, ``simulated`` (always true). ``var``: index ``ENSG9…`` (a range that
        Ensembl does not use), ``symbol`` (four real marker names, the others ``SIM…``), ``log2_fold_<drug>`` (the
        true mean at dose 10 over that of untreated cells). ``uns["bulkgen"]`` says that all of it is simulated.

    Raises
    ------
    ValueError
        For too few cells or genes, or doses that are repeated or not in the data.

    Notes
    -----
    Label counts, depth, genes per cell and the markers' folds are the published ones; scatter is that of A549 cells
    (Tian et al. 2019). How many targets a drug has, how evenly cells respond, and how often a programme runs without
    its drug were tuned on the twins of seeds 101 and 102, a fifth of their 5,565 cells held out: the model ``linear``,
    trained on the other cells, was to reach a balanced accuracy of 0.75 to 0.85 and to recall Dex and SAHA about as
    well as Untreated. On seeds 3, 4 and 5 it then reached 0.78 to 0.81, and recalled Dex 0.90, Untreated 0.90,
    SAHA 0.88, Nutlin 0.76 and BMS 0.55 on average.
    """
    strata = _strata(n_cells, doses)
    if n_genes < 500:
        raise ValueError(f"n_genes must be at least 500, got {n_genes}")
    key = key_from_rng(rng)
    generator = np.random.Generator(np.random.Philox(key=key))
    system = _gene_system(n_genes, generator)

    label = np.repeat([name for name, _, _ in strata], [n for _, _, n in strata])
    dose = np.repeat([at for _, at, _ in strata], [n for _, _, n in strata])
    order = generator.permutation(len(label))
    label, dose = label[order], dose[order]
    replicate = generator.integers(0, 3, len(label))
    X = _counts(label, dose, replicate, system, generator)

    labels = pd.Categorical(label, categories=sorted(set(label)))
    obs = pd.DataFrame(
        {
            "treated_label": labels,
            "drug": labels,
            "dose": dose,
            "replicate": pd.Categorical([f"r{r + 1}" for r in replicate]),
            "simulated": np.ones(len(label), dtype=bool),
        },
        index=[f"simulated_cell_{i:06d}" for i in range(len(label))],
    )
    parameters = {
        "dataset": "sciplex2_twin (simulated)",
        "n_cells": len(label),
        "n_genes": n_genes,
        "doses": [float(at) for at in doses],
    }
    record = provenance("simulated", parameters, key=key, source=None)
    record |= {"simulated": True, "note": SIMULATED_NOTE}
    return make_anndata(X, obs=obs, var=system.var(), uns={"bulkgen": record})


def _strata(n_cells: int | None, doses: Sequence[float]) -> list[tuple[str, float, int]]:
    """Cells per (label, dose), in the published proportions (largest remainders), at least one each."""
    doses = [float(at) for at in doses]
    unknown = [at for at in doses if at not in SCIPLEX2_DOSES]
    if unknown or not doses or len(set(doses)) != len(doses):
        raise ValueError(f"doses must be different values out of {SCIPLEX2_DOSES}, got {tuple(doses)}")
    published = [
        (name, at, count)
        for at in doses
        for name, count in SCIPLEX2_LABEL_COUNTS.items()
        if (name == "Untreated") == (at == 0.0)
    ]
    if n_cells is None:
        return published
    if n_cells < len(published):
        raise ValueError(f"n_cells must be at least {len(published)}, one per label and dose; got {n_cells}")
    counts = np.array([count for _, _, count in published], dtype=float)
    share = counts / counts.sum() * n_cells
    whole = np.maximum(np.floor(share), 1.0).astype(int)
    while whole.sum() < n_cells:
        whole[np.argmax(share - whole)] += 1
    while whole.sum() > n_cells:
        whole[np.argmax(np.where(whole > 1, whole - share, -np.inf))] -= 1
    return [(name, at, int(n)) for (name, at, _), n in zip(published, whole, strict=True)]


@dataclass(frozen=True)
class _GeneSystem:
    """What is true of the genes: ``profile`` sums to 1; ``loadings`` is factors × genes.

    Folds are natural ratios: the mean cell at dose 10 to a cell in which the drug's programme does not run.
    """

    symbols: list[str]
    profile: Floats
    dispersion: Floats
    loadings: Floats
    replicate_shift: Floats
    folds: dict[str, Floats]

    @property
    def markers(self) -> NDArray[np.bool_]:
        return np.isin(self.symbols, list(SCIPLEX2_MARKERS))

    def var(self) -> pd.DataFrame:
        n_genes = len(self.symbols)
        columns: dict[str, object] = {"symbol": self.symbols}
        usual = float(np.mean(_SPONTANEOUS))
        for drug, fold in self.folds.items():
            # untreated cells in which the programme runs are part of their mean; markers do not run
            untreated = 1.0 + _DRUGS[drug].spontaneous * usual * (fold - 1.0)
            columns[f"log2_fold_{drug}"] = np.log2(fold / np.where(self.markers, 1.0, untreated))
        return pd.DataFrame(columns, index=[f"ENSG9{i:010d}" for i in range(1, n_genes + 1)])


def _gene_system(n_genes: int, generator: np.random.Generator) -> _GeneSystem:
    # quantiles, not draws: every seed has the same distribution of expression, so the same depth and difficulty
    profile = np.exp(_PROFILE_SD * ndtri((np.arange(n_genes) + 0.5) / n_genes))
    profile = generator.permutation(profile / profile.sum())
    expected = _MEDIAN_LIBRARY * profile
    # both parts of the over-dispersion fall with expression, as in A549 cells (Tian et al. 2019): about 1.4 at 0.2 UMI
    # per cell, 0.3 at 2 and 0.1 above 5
    dispersion = np.minimum(0.03 + 0.16 / expected**0.8, 4.0) * generator.lognormal(0.0, 0.2, n_genes)

    symbols = [f"SIM{i:06d}" for i in range(1, n_genes + 1)]
    common = generator.permutation(n_genes)
    folds = {drug: _folds(effect, expected, common, generator) for drug, effect in _DRUGS.items()}
    # the markers are low in control cells, as in the real data: nearest free genes to these expected counts
    for rank, (symbol, log2_fold) in enumerate(SCIPLEX2_MARKERS.items()):
        distance = np.abs(np.log(expected / (0.012 + 0.004 * rank)))
        distance[[i for i, name in enumerate(symbols) if not name.startswith("SIM")]] = np.inf
        gene = int(np.argmin(distance))
        symbols[gene] = symbol
        for drug in folds:
            folds[drug][gene] = 2.0**log2_fold if drug == "Nutlin" else 1.0
    shift = generator.normal(0.0, _REPLICATE_SD, (3, n_genes))
    # what a drug changes also varies between cells on its own: an untreated cell can look a little treated
    pathways = _PATHWAY_SD * np.log(np.vstack(list(folds.values())))
    factors = _loadings(n_genes, generator) / np.sqrt(1.0 + expected)
    loadings = np.vstack([factors, pathways])
    return _GeneSystem(symbols, profile, dispersion, loadings, shift, folds)


def _loadings(n_genes: int, generator: np.random.Generator) -> Floats:
    """Log effects per unit factor: cell cycle (cosine, sine), stress, and eight anonymous factors."""
    loadings = np.zeros((11, n_genes))
    cycle = generator.choice(n_genes, n_genes // 25, replace=False)
    peak = generator.uniform(0.0, 2.0 * np.pi, len(cycle))
    strength = generator.gamma(4.0, 0.2, len(cycle))
    loadings[0, cycle], loadings[1, cycle] = strength * np.cos(peak), strength * np.sin(peak)
    stress = generator.choice(n_genes, n_genes // 40, replace=False)
    loadings[2, stress] = generator.gamma(3.0, 0.2, len(stress))
    members = generator.random((8, n_genes)) < 0.2
    loadings[3:] = members * generator.normal(0.0, 0.5, (8, n_genes))
    return loadings


def _folds(effect: _Drug, expected: Floats, common: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """Mean fold of every gene at dose 10 against control; 1 where the drug does nothing.

    A share of the targets are the first of `common` that fit: different drugs have these in common.
    """
    n_genes = len(expected)
    low, high = effect.expression
    # windows are stated for 20,000 genes: with fewer, every gene has a larger share of the same counts
    usual = expected * n_genes / 20_000
    fits = (usual >= low) & (usual <= high)
    n_up, n_down = (max(1, round(n * n_genes / 20_000)) if n else 0 for n in (effect.n_up, effect.n_down))
    n_targets = min(n_up + n_down, int(fits.sum()))
    shared = common[fits[common]][: int(_COMMON_SHARE * n_targets)]
    fits[shared] = False
    own = generator.choice(np.flatnonzero(fits), n_targets - len(shared), replace=False)
    # shared targets come first, so they go up, whatever the drug
    chosen = np.concatenate([shared, own])
    log2_fold = np.minimum(generator.gamma(8.0, effect.log2_fold / 8.0, len(chosen)), 4.0)
    log2_fold[n_up:] *= -1.0
    folds = np.ones(n_genes)
    folds[chosen] = 2.0**log2_fold
    return folds


def _counts(
    label: NDArray[np.str_],
    dose: Floats,
    replicate: NDArray[np.int64],
    system: _GeneSystem,
    generator: np.random.Generator,
) -> sparse.csr_matrix:
    n_cells, n_genes = len(label), len(system.profile)
    library = _library_sizes(n_cells, generator)
    phase = generator.uniform(0.0, 2.0 * np.pi, n_cells)
    factors = np.vstack([np.cos(phase), np.sin(phase), generator.normal(size=(len(system.loadings) - 2, n_cells))])
    activity = {drug: _activity(effect, label == drug, dose, generator) for drug, effect in _DRUGS.items()}

    log_profile = np.log(system.profile)
    data, indices, lengths = [], [], []
    for first in range(0, n_cells, _BLOCK):
        cells = slice(first, min(first + _BLOCK, n_cells))
        mean = log_profile + factors[:, cells].T @ system.loadings + system.replicate_shift[replicate[cells]]
        np.exp(mean, out=mean)
        for drug, fold in system.folds.items():
            given = label[cells] == drug
            # what runs without the drug leaves its markers alone: they are as rare in control cells as published
            _apply(mean, activity[drug][cells], given, fold)
            _apply(mean, activity[drug][cells], ~given, np.where(system.markers, 1.0, fold))
        mean *= (library[cells] / mean.sum(axis=1))[:, None]
        value, flat = _negative_binomial(mean, system.dispersion, generator)
        data.append(value)
        indices.append((flat % n_genes).astype(np.int32))
        lengths.append(np.bincount(flat // n_genes, minlength=mean.shape[0]))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    matrix = (np.concatenate(data), np.concatenate(indices), indptr)
    return sparse.csr_matrix(matrix, shape=(n_cells, n_genes))


def _activity(effect: _Drug, given: NDArray[np.bool_], dose: Floats, generator: np.random.Generator) -> Floats:
    """How strongly the drug's programme runs in every cell; 1 is the mean of the treated cells at dose 10."""
    activity = generator.uniform(*_SPONTANEOUS, len(given)) * (generator.random(len(given)) < effect.spontaneous)
    response = generator.beta(*effect.response, int(given.sum())) * sum(effect.response) / effect.response[0]
    activity[given] = response * _hill(dose[given], effect) / _hill(np.array([10.0]), effect)
    return activity


def _apply(mean: Floats, activity: Floats, cells: NDArray[np.bool_], fold: Floats) -> None:
    rows, genes = np.flatnonzero(cells & (activity > 0.0)), np.flatnonzero(fold != 1.0)
    change = 1.0 + activity[rows, None] * (fold[genes] - 1.0)
    mean[np.ix_(rows, genes)] *= np.maximum(change, 0.02)


def _hill(dose: Floats, effect: _Drug) -> Floats:
    power = dose**effect.hill
    return np.asarray(power / (power + effect.ec50**effect.hill))


def _library_sizes(n_cells: int, generator: np.random.Generator) -> Floats:
    """Log-normal within the bounds of quality control, with the published median after the cut."""
    low, high = (np.log(bound / _LIBRARY_CENTRE) / _LIBRARY_SD for bound in _LIBRARY_BOUNDS)
    normal = generator.normal(size=n_cells)
    while (outside := (normal < low) | (normal > high)).any():
        normal[outside] = generator.normal(size=int(outside.sum()))
    return np.asarray(_LIBRARY_CENTRE * np.exp(_LIBRARY_SD * normal))


def _negative_binomial(
    mean: Floats, dispersion: Floats, generator: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Non-zero counts and their flat positions (ascending): NB(mean, dispersion) at the cost of the counts.

    A negative binomial is a Poisson number log1p(φμ)/φ of clusters whose sizes are logarithmic with parameter
    φμ/(1 + φμ) (Quenouille 1949). The clusters of all genes are one Poisson process, drawn along its cumulative rate.
    """
    spread = mean * dispersion
    rate = np.cumsum(np.log1p(spread) / dispersion)
    n_clusters = int(generator.poisson(rate[-1]))
    # uniform order statistics without a sort: normalised cumulative sums of exponentials
    steps = np.cumsum(generator.standard_exponential(n_clusters + 1))
    where = np.searchsorted(rate, steps[:-1] * (rate[-1] / steps[-1]), side="right")
    where = np.minimum(where, rate.size - 1)
    chance = spread.ravel()[where]
    sizes = generator.logseries(chance / (1.0 + chance))
    starts = np.flatnonzero(np.diff(where, prepend=-1))
    return np.add.reduceat(sizes, starts).astype(np.int32), where[starts]
