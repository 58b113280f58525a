"""Golden values of every random stream; run as a script to write the file of the current version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import compound_cases
from bulkgen.kernels import get_kernels
from bulkgen.kernels.donor_shift import donors_of_cells
from bulkgen.rng import STREAM_VERSION, Purpose, key_from_rng
from bulkgen.splits import k_groups, shuffled, strata_of
from kernel_cases import VARIATES, cell_plans, cells_of, draw, random_csr, thinned, variates

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Kernels


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def golden_words(kernels: Kernels) -> dict[str, object]:
    words = np.empty((3, 130), np.uint32)
    kernels.philox_words(words, key=key_from_rng(0), purpose=int(Purpose.ZERO_MASK), first_cell=2**32 - 1)
    return {"words": words[:, [0, 1, 16, 63, 64, 129]].tolist(), "words_digest": digest(words)}


def golden_values() -> dict[str, object]:
    kernels = get_kernels()
    strata = strata_of(pd.DataFrame({"label": np.repeat(["a", "b"], [40, 25])}), "label")
    groups = k_groups(strata, k=5, cv=0.3, rng=3)
    values: dict[str, object] = {
        "key_of_seed_0": f"{key_from_rng(0):016x}",
        "key_of_seed_2_to_the_100": f"{key_from_rng(2**100):016x}",
        **golden_words(kernels),
        "shuffle": shuffled(np.arange(20), key=9, purpose=Purpose.SPLIT, stratum=4).tolist(),
        "k_groups_rows": groups.rows.tolist(),
        "k_groups_sizes": groups.sizes().tolist(),
    }
    for sampler in ("rejection", "inverse"):
        cells = draw(kernels, sampler, cells=8)
        values[f"truncated_gaussian_{sampler}"] = [x.hex() for x in cells[0, :700:37].tolist()]
        values[f"truncated_gaussian_{sampler}_digest"] = digest(cells)
    values["variates_digest"] = digest(np.stack([variates(kernels, case) for case in VARIATES]))
    for law, plan in cell_plans(kernels).items():
        lengths, columns, counts = cells_of(plan, kernels, cells=8, first_cell=(3 << 40) + 5)
        values[law] = {"lengths": lengths.tolist(), "columns": digest(columns), "values": digest(counts)}
    csr = random_csr(8, cells=20, genes=900)
    _, ends, columns, counts = thinned(kernels, csr, np.linspace(0, 1, 20))
    values["thin_rows"] = {"ends": ends.tolist(), "columns": digest(columns), "values": digest(counts)}
    for name in compound_cases.NAMES:
        lengths, columns, counts = compound_cases.drawn(compound_cases.cells_drawer(name, kernels), 8)
        values[name] = {"lengths": lengths.tolist(), "columns": digest(columns), "values": digest(counts)}
    for shared in (False, True):
        chosen = donors_of_cells(np.arange(100), 30, key=3, first_cell=(5 << 40) + 90, shared=shared)
        values["donors_shared" if shared else "donors"] = chosen.tolist()
    return values


if __name__ == "__main__":
    path = Path(__file__).parent / f"streams_v{STREAM_VERSION}.json"
    path.write_text(json.dumps(golden_values(), indent=1) + "\n")
