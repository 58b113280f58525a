"""The benchmark on real cells: what generators of the controls and bulk reach on stimulated cells (Kang et al.)."""

from __future__ import annotations

import numpy as np
import pytest

import bulkgen as bg

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def results(shared_data):
    cells = bg.read(shared_data / "kang_ifnb_2000.h5ad")
    rows = np.sort(np.random.default_rng(0).permutation(cells.n_obs)[:1000])
    return bg.benchmark_generators(
        cells[rows].copy(),
        label="condition",
        control="ctrl",
        methods=["donor_shift", {"name": "pseudobulk", "parameters": {"k": 5, "thin": True}, "as_": "k5 thinned"}],
        metrics=["tokens", "effect"],
        seeds=1,
        vocabulary="V1",
        vocabulary_path=shared_data / "geneformer",
        gene_ids="ensembl_id",
    )


def test_generators_come_near_real_cells(results):
    score = {name: results.value(name, "tstr_balanced_accuracy", model="linear")[0] for name in results.methods}
    assert results.failures == []
    assert score["real"] > 0.95
    # 300 test cells: the standard error of a difference is 0.016 at 0.96
    assert score["donor_shift"] > score["real"] - 0.04
    assert score["k5 thinned"] > score["real"] - 0.04


def test_thinned_cells_have_about_as_many_tokens_as_real_ones_and_truncated_gaussian_ones_many_more(results):
    distance = {name: results.value(name, "token_count_wasserstein")[0] for name in results.methods}
    assert distance["real"] < 60
    assert distance["donor_shift"] < 60
    assert distance["truncated_gaussian"] > 500
