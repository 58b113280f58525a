"""Truncated normals: both samplers of bulkgen, NumPy with redraws, SciPy."""

from __future__ import annotations

import numpy as np

import calls
import workloads
from laws import assert_same_law
from peers import numpy_redraw, scipy_truncnorm

CELLS = 256


def bench_truncated_gaussian(race, scale):
    """Seconds for 256 cells of 20,000 genes."""
    law, cells = workloads.truncated_normals(), workloads.scaled(CELLS, scale, least=16)
    out = np.empty((cells, law.mean.size), np.float32)
    rng = np.random.default_rng(1)
    race(
        "truncated_gaussian",
        {
            "bulkgen rejection, 1 thread": lambda: calls.draw(law, out, sampler="rejection", threads=1),
            "bulkgen rejection, 2 threads": lambda: calls.draw(law, out, sampler="rejection", threads=2),
            "bulkgen inverse, 1 thread": lambda: calls.draw(law, out, sampler="inverse", threads=1),
            "bulkgen inverse, 2 threads": lambda: calls.draw(law, out, sampler="inverse", threads=2),
            "NumPy, redrawn": lambda: numpy_redraw.draw(law, cells, rng),
            "NumPy, redrawn, tuned": lambda: numpy_redraw.draw_tuned(law, cells, rng),
            "scipy.stats.truncnorm": lambda: scipy_truncnorm.draw(law, cells, rng),
        },
        work=out.size,
        check=lambda side, draws: assert_same_law(side, draws, law),
        checked="Same law. Every side's draws lie inside the bounds; the means of the genes against the exact moments "
        "(sum of z, sum of z²) and the Kolmogorov-Smirnov distances of 50 genes stay within bounds from theory that a "
        "correct sampler breaks once in a million runs.",
    )
