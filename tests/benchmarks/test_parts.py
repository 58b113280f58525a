"""The parts of the benchmarks: races, workloads, checks of laws, the plain tokenizer, the memory probe."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import datasets
import laws
import memory
import workloads
from bulkgen import Vocabulary
from conftest import ROOT
from oracle.rank_tokens import rank_tokens
from peers import numpy_counts, numpy_redraw, plain_tokenizer, scipy_product, scipy_truncnorm
from race import race, ratios


def test_sides_run_in_turn_each_warm_and_neither_always_first():
    calls = []
    sides = {name: lambda name=name: calls.append(name) for name in "ABC"}
    seconds = race(sides, rounds=3, check=lambda side, result: None, once=("C",))
    assert "".join(calls) == "AB" + "AABBC" + "BBAA" + "AABB"
    assert {side: len(times) for side, times in seconds.items()} == {"A": 3, "B": 3, "C": 1}


def test_every_side_is_checked_and_a_wrong_one_stops_the_race():
    checked = []
    race({"A": lambda: 1, "B": lambda: 2}, rounds=2, check=lambda *pair: checked.append(pair), once=("B",))
    assert checked == [("A", 1), ("B", 2)]

    def refuse(side, result):
        assert result == 1, side

    with pytest.raises(AssertionError, match="B"):
        race({"A": lambda: 1, "B": lambda: 2}, rounds=2, check=refuse, once=("B",))


def test_ratios_pair_the_rounds_of_one_side_with_the_same_rounds_of_the_other():
    assert ratios([10.0, 30.0, 8.0], [2.0, 3.0, 4.0]) == [5.0, 10.0, 2.0]
    assert ratios([10.0], [2.0, 3.0]) == [5.0]


@pytest.mark.parametrize("genes, genes_per_cell", [(20_000, 1_500), (300, 290), (50, 50), (40, 1)])
def test_cells_express_the_number_of_genes_asked_for_in_sorted_columns(genes, genes_per_cell):
    matrix = workloads.sparse_counts(30, genes, genes_per_cell)
    columns = matrix.indices.reshape(30, genes_per_cell)
    assert (np.diff(columns, axis=1) > 0).all()
    assert columns.min() >= 0
    assert columns.max() < genes
    assert (matrix.data >= 1).all()
    assert (matrix.data == np.rint(matrix.data)).all()


def test_more_genes_per_cell_than_genes_are_refused():
    with pytest.raises(ValueError, match="cannot express 51 of 50"):
        workloads.sparse_counts(3, 50, 51)


def test_popular_genes_are_expressed_more_often():
    matrix = workloads.sparse_counts(2_000, 1_000, 100)
    share = np.sort(np.bincount(matrix.indices, minlength=1_000) / 2_000)
    assert share[-20:].mean() > 10 * share[:500].mean()


def test_a_cached_matrix_is_the_one_that_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr(workloads, "CACHE", tmp_path)
    made, found = workloads.cached_counts(20, 100, 10), workloads.cached_counts(20, 100, 10)
    fresh = workloads.sparse_counts(20, 100, 10)
    for matrix in (made, found):
        assert (matrix != fresh).nnz == 0
    assert [path.name for path in tmp_path.iterdir()] == ["counts-20-100-10"]


def test_random_groups_are_equal_in_size_and_named_in_order():
    codes = workloads.random_groups(1_003, 10)
    assert set(np.bincount(codes)) == {100, 101}
    names = workloads.group_names(codes)
    assert list(names.categories) == sorted(names.categories)
    assert (names.codes == codes).all()


@pytest.mark.parametrize("name, size, context", [("V1", 25_426, 2_048), ("V2", 20_275, 4_096)])
def test_a_stand_in_has_the_shape_of_geneformers_vocabulary(name, size, context, monkeypatch, tmp_path):
    monkeypatch.setenv("BULKGEN_SHARED_DATA", str(tmp_path))
    vocabulary = workloads.vocabulary(name)
    assert (vocabulary.size, vocabulary.context) == (size, context)
    assert (vocabulary.cls is None) == (name == "V1")


CELLS, GENES = 400, 1_000


@pytest.mark.parametrize("draw", [numpy_redraw.draw, numpy_redraw.draw_tuned, scipy_truncnorm.draw])
def test_peers_draw_truncated_normals(draw):
    law = workloads.truncated_normals(GENES)
    laws.assert_same_law("peer", draw(law, CELLS, np.random.default_rng(3)), law)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda x, law: x * 1.02, "means"),
        (lambda x, law: np.minimum(x, law.mean + 2 * law.deviation), "means"),
        (lambda x, law: np.roll(x, 1, axis=1), "bounds"),
        (lambda x, law: x - 0.001 * law.deviation, "below the bounds"),
        (lambda x, law: np.repeat(x[: CELLS // 4], 4, axis=0), "squared z"),
    ],
)
def test_another_law_is_noticed(wrong, message):
    law = workloads.truncated_normals(GENES)
    draws = scipy_truncnorm.draw(law, CELLS, np.random.default_rng(3))
    with pytest.raises(AssertionError, match=message):
        laws.assert_same_law("wrong", wrong(draws, law), law)


def test_the_same_moments_in_another_shape_are_noticed():
    law = workloads.truncated_normals(GENES)
    mean, variance = laws.exact_moments(law)
    sign = np.random.default_rng(3).choice([-1.0, 1.0], (CELLS, GENES))
    # two points, one standard deviation to either side of the mean
    with pytest.raises(AssertionError, match="Kolmogorov-Smirnov"):
        laws.assert_same_law("two points", mean + sign * np.sqrt(variance), law)


COUNT_GENES, COUNT_CELLS = 2_000, 300


def _cell_law():
    rng = np.random.default_rng(4)
    profile = rng.lognormal(0.0, 1.75, COUNT_GENES)
    sizes = np.rint(rng.lognormal(7.0, 0.3, 50))
    return workloads.CellLaw(profile / profile.sum(), rng.lognormal(-0.7, 0.3, COUNT_GENES), sizes)


def _shift():
    law = _cell_law()
    ratio = np.random.default_rng(5).lognormal(0.0, 0.5, COUNT_GENES)
    ratio[::10] = 1.0
    return workloads.Shift(ratio, law.profile, law.dispersion)


@pytest.mark.parametrize("name", ["multinomial", "poisson", "negative_binomial"])
def test_numpy_draws_cells_of_the_laws(name):
    law = _cell_law()
    cells = getattr(numpy_counts, name)(law, COUNT_CELLS, np.random.default_rng(6))
    laws.assert_same_counts("peer", cells, getattr(laws, name)(law))


def test_numpy_moves_donors_by_the_law_and_to_negative_binomial_cells():
    law, shift, rng = _cell_law(), _shift(), np.random.default_rng(7)
    donors = numpy_counts.negative_binomial(law, COUNT_CELLS, rng)
    moved = numpy_counts.donor_shift(shift, donors, rng)
    laws.assert_same_counts("peer", moved, laws.donor_shift(shift, donors))
    # the library sizes of the law stand for those of the donors: exact but for their own chance
    marginal = workloads.CellLaw(law.profile * shift.ratio, law.dispersion, law.sizes)
    laws.assert_same_counts("marginal", moved, laws.negative_binomial(marginal))


def test_numpy_thins_by_the_law():
    counts = numpy_counts.poisson(_cell_law(), COUNT_CELLS, np.random.default_rng(8))
    kept = numpy_counts.thin(counts, 0.3, np.random.default_rng(9))
    laws.assert_same_counts("peer", kept, laws.thinned(counts, 0.3))
    assert (kept.toarray() <= counts.toarray()).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda law, rng: numpy_counts.poisson(law, COUNT_CELLS, rng), "zeros"),
        (lambda law, rng: numpy_counts.negative_binomial(law, COUNT_CELLS, rng)[:, ::-1], "means"),
        (lambda law, rng: numpy_counts.negative_binomial(law, COUNT_CELLS, rng) * 1.5, "fractional"),
        (
            lambda law, rng: numpy_counts.negative_binomial(
                workloads.CellLaw(law.profile, law.dispersion * 1.5, law.sizes), COUNT_CELLS, rng
            ),
            "zeros",
        ),
    ],
)
def test_counts_of_another_law_are_noticed(wrong, message):
    law = _cell_law()
    cells = sp.csr_matrix(wrong(law, np.random.default_rng(10)))
    with pytest.raises(AssertionError, match=message):
        laws.assert_same_counts("wrong", cells, laws.negative_binomial(law))


def test_simulated_cells_have_the_depth_and_the_genes_that_are_claimed():
    cells = workloads.negative_binomial_counts(workloads.cell_law(), 60)
    assert 4_000 < cells.sum(axis=1).mean() < 5_600
    assert 2_100 < cells.getnnz(axis=1).mean() < 2_600


def test_libraries_have_twenty_million_reads():
    reads = np.asarray(workloads.libraries(2).sum(axis=1, dtype=np.float64)).ravel()
    np.testing.assert_allclose(reads, 20e6, rtol=0.01)


def test_the_plain_tokenizer_gives_rank_value_tokens(tmp_path):
    ids = [f"ENSG{i:011d}" for i in range(30)]
    # no two values tie: medians are square roots of different primes' multiples
    medians = np.sqrt(np.arange(30) * 7 + 3.0)
    vocabulary = Vocabulary(
        name="small",
        tokens={gene: i + 4 for i, gene in enumerate(ids)},
        medians=dict(zip(ids, medians.tolist(), strict=True)),
        pad=0,
        mask=1,
        cls=2,
        eos=3,
        context=12,
        mapping=None,
    )
    cells = workloads.cells_of_vocabulary(vocabulary, 7, 30, 15)
    plain_tokenizer.tokenize(cells, vocabulary, tmp_path / "tokens")
    data = datasets.load_from_disk(str(tmp_path / "tokens"))
    for row, tokens, length in zip(cells.X.toarray(), data["input_ids"], data["length"], strict=True):
        expected, _ = rank_tokens(row, np.arange(30) + 4, medians, most_genes=10, cls=2, eos=3)
        assert tokens == expected
        assert length == 12


def test_the_indicator_product_sums_groups():
    matrix = workloads.sparse_counts(50, 40, 10)
    codes = workloads.random_groups(50, 6)
    sums = scipy_product.group_sums(matrix, codes, 6).toarray()
    for group in range(6):
        assert (sums[group] == matrix.toarray()[codes == group].sum(axis=0)).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no peak that can begin anew")
def test_the_peak_is_of_what_happens_after_it_is_forgotten():
    code = """
import memory, numpy as np
early = np.ones(2**25); del early
memory.forget_peak(); before = memory.resident()
late = np.ones(2**23); del late
print(memory.peak() - before)
"""
    environment = {"PYTHONPATH": ":".join([str(ROOT / "benchmarks"), *sys.path])}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert 0.9 * 2**26 < int(answer.stdout) < 1.3 * 2**26


def test_every_job_with_memory_has_its_probe():
    from run import JOBS

    assert {probe for probes in JOBS.values() for probe in probes} == set(memory.PROBES)
