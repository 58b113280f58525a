"""Library sizes against the C library's quantiles and known laws."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.special import ndtri

from bulkgen.estimation.library_sizes import library_size_sample, normal_quantile


def test_quantiles_are_those_of_scipy_to_a_few_last_bits():
    p = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 10_001), 10.0 ** -np.arange(1.0, 300.0)])
    np.testing.assert_allclose(normal_quantile(p), ndtri(p), rtol=2e-15, atol=3e-16)


def test_bootstrap_keeps_the_sizes_of_cells_with_counts():
    np.testing.assert_array_equal(library_size_sample(np.array([30.0, 0.0, 7.0, 30.0])), [7.0, 30.0, 30.0])


def test_a_log_normal_sample_has_the_moments_of_the_logarithms():
    sizes = np.random.default_rng(1).lognormal(8.0, 0.4, 20_000)
    sample = np.log(library_size_sample(sizes, model="log_normal"))
    assert sample.size == 4096
    assert sample.mean() == pytest.approx(8.0, abs=0.01)
    assert sample.std() == pytest.approx(0.4, abs=0.01)


def test_a_log_normal_sample_stays_near_the_cells():
    # one cell far off makes the law wide
    sizes = np.array([1000.0, 1100.0, 1200.0, 20.0])
    sample = library_size_sample(sizes, model="log_normal")
    assert sample.min() >= 10.0
    assert sample.max() <= 2400.0


def test_one_cell_gives_its_own_size():
    np.testing.assert_array_equal(library_size_sample(np.array([50.0]), model="log_normal", n=3), [50.0] * 3)


def test_a_log_normal_sample_has_the_same_bits_everywhere():
    sample = library_size_sample(np.arange(1.0, 1001.0), model="log_normal")
    assert hashlib.sha256(sample.astype("<f8").tobytes()).hexdigest()[:16] == "2de1bf4d795ab1f4"


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([0.0], {}, "no reference cell has counts"),
        ([-1.0, 2.0], {}, "from 0 to"),
        ([np.nan], {}, "from 0 to"),
        ([2.0**31], {}, "from 0 to"),
        ([1.0], {"model": "gamma"}, "not 'gamma'"),
        ([1.0], {"model": "log_normal", "n": 0}, "at least 1"),
    ],
)
def test_what_is_no_library_size_is_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        library_size_sample(np.array(sizes), **options)
