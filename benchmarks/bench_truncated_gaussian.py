"""Truncated normals: both samplers of bulkgen, NumPy with redraws, SciPy."""

from __future__ import annotations

import numpy as np

import calls
import workloads
from laws import assert_same_law
from peers import numpy_redraw, scipy_truncnorm

CELLS = 1_024


def bench_truncated_gaussian(race, scale):
    """Seconds for 1,024 cells of 20,000 genes: the kernel alone, and with the plan and the memory as peers do it."""
    law, cells = workloads.truncated_normals(), workloads.scaled(CELLS, scale, least=16)
    plans = {sampler: calls.plan(law, sampler=sampler) for sampler in ("rejection", "inverse")}
    out = np.empty((cells, law.mean.size), np.float32)
    rng = np.random.default_rng(1)

    def whole(sampler: str) -> np.ndarray:
        return calls.draw(calls.plan(law, sampler=sampler), np.empty(out.shape, np.float32), threads=1)

    def check(side: str, draws: np.ndarray) -> None:
        if not side.endswith("plan"):
            assert_same_law(side, draws, law)

    race(
        "truncated_gaussian",
        {
            "bulkgen rejection, 1 thread": lambda: calls.draw(plans["rejection"], out, threads=1),
            "bulkgen rejection, 2 threads": lambda: calls.draw(plans["rejection"], out, threads=2),
            "bulkgen rejection, plan": lambda: calls.plan(law, sampler="rejection"),
            "bulkgen inverse, 1 thread": lambda: calls.draw(plans["inverse"], out, threads=1),
            "bulkgen inverse, 2 threads": lambda: calls.draw(plans["inverse"], out, threads=2),
            "bulkgen inverse, plan": lambda: calls.plan(law, sampler="inverse"),
            "bulkgen rejection, 1 thread, whole call": lambda: whole("rejection"),
            "bulkgen inverse, 1 thread, whole call": lambda: whole("inverse"),
            "NumPy, redrawn": lambda: numpy_redraw.draw(law, cells, rng),
            "NumPy, redrawn, tuned": lambda: numpy_redraw.draw_tuned(law, cells, rng),
            "scipy.stats.truncnorm": lambda: scipy_truncnorm.draw(law, cells, rng),
        },
        rounds=3,
        work=out.size,
        check=check,
        checked="Same law. Every side's draws lie inside the bounds; the means of the genes against the exact moments "
        "(sum of z, sum of z²) and the Kolmogorov-Smirnov distances of 50 genes stay within bounds from theory that a "
        "correct sampler breaks once in a million runs.",
    )
