"""Who goes where: strata, the benchmark split, groups of about k cells."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

import bulkgen
from bulkgen import splits
from bulkgen.errors import LabelError
from bulkgen.kernels import backend_names
from bulkgen.rng import Purpose
from bulkgen.splits import Groups, k_groups, shuffled, split_benchmark, strata_of
from count_cases import labelled_cells, make_cells, matrix_bytes

PARTS = ("train", "validation", "test")
SIZES = st.lists(st.integers(3, 40), min_size=1, max_size=5)


def strata_of_sizes(sizes, seed=0):
    labels = np.repeat([f"L{i}" for i in range(len(sizes))], sizes)
    return strata_of(pd.DataFrame({"label": np.random.default_rng(seed).permutation(labels)}), "label")


# --- strata


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.tuples(st.sampled_from("cab"), st.sampled_from([10.0, 2.0, 0.5])), min_size=1, max_size=30),
    categorical=st.booleans(),
)
def test_strata_are_the_observed_combinations_in_sorted_order(values, categorical):
    obs = pd.DataFrame(values, columns=["label", "dose"], index=[f"c{i}" for i in range(len(values))])
    if categorical:
        # categories without cells make no strata
        obs["label"] = pd.Categorical(obs["label"], categories=list("abcd"))
        obs["dose"] = pd.Categorical(obs["dose"], categories=[0.5, 2.0, 3.0, 10.0])
    strata = strata_of(obs, ["label", "dose"])
    assert [tuple(row) for row in strata.table.itertuples(index=False)] == sorted(set(values))
    assert [tuple(strata.table.iloc[code]) for code in strata.codes] == values
    assert strata.names() == [f"{label} | {dose}" for label, dose in sorted(set(values))]
    assert all(isinstance(dtype, pd.CategoricalDtype) for dtype in strata.table.dtypes)
    rows = strata.rows()
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(len(values)))
    assert all(np.array_equal(np.flatnonzero(strata.codes == code), cells) for code, cells in enumerate(rows))


def test_ordered_categories_keep_their_order():
    dose = pd.Categorical(["high", "low", "high"], categories=["low", "high"], ordered=True)
    assert strata_of(pd.DataFrame({"dose": dose}), "dose").names() == ["low", "high"]


def test_a_column_named_twice_counts_once():
    obs = pd.DataFrame({"label": list("abba")})
    assert strata_of(obs, ["label", "label"]).codes.tolist() == [0, 1, 1, 0]


def test_columns_that_cannot_group_cells_are_refused():
    obs = pd.DataFrame({"label": ["a", None, "b", None], "empty": [np.nan] * 4})
    with pytest.raises(LabelError, match=r"no column 'drug'; columns: 'label', 'empty'"):
        strata_of(obs, "drug")
    with pytest.raises(LabelError, match=r"2 of 4 cells have no value in column 'label'; drop them with .*notna"):
        strata_of(obs, "label")
    with pytest.raises(LabelError, match="4 of 4 cells have no value in column 'empty'"):
        strata_of(obs, "empty")
    with pytest.raises(LabelError, match="at least one column"):
        strata_of(obs, [])
    with pytest.raises(LabelError, match="there are no cells"):
        strata_of(obs.iloc[:0], "label")


# --- the benchmark split


@settings(max_examples=60, deadline=None)
@given(
    sizes=SIZES,
    test_fraction=st.floats(0.01, 0.4),
    validation_fraction=st.floats(0.01, 0.3),
    seed=st.integers(0, 2**40),
)
def test_the_parts_are_a_partition_with_every_label_in_its_share(sizes, test_fraction, validation_fraction, seed):
    adata = labelled_cells(len(sizes), {f"L{i}": n for i, n in enumerate(sizes)}, n_genes=2)
    split = split_benchmark(
        adata, label="label", test_fraction=test_fraction, validation_fraction=validation_fraction, rng=seed
    )
    indices = [split.indices[part] for part in PARTS]
    assert np.array_equal(np.sort(np.concatenate(indices)), np.arange(adata.n_obs))
    for part, rows in zip(PARTS, indices, strict=True):
        cells = getattr(split, part)
        assert np.all(np.diff(rows) > 0)
        assert list(cells.obs_names) == list(adata.obs_names[rows])
        assert np.array_equal(cells.X.toarray(), adata.X[rows].toarray())
    labels = adata.obs["label"].to_numpy()
    for i, n in enumerate(sizes):
        train, validation, test = ((labels[rows] == f"L{i}").sum() for rows in indices)
        assert train >= 1
        assert max(test, 1) == test
        assert abs(test - n * test_fraction) < 1
        assert validation >= 1
        assert abs(validation - n * validation_fraction) < 1


@settings(max_examples=60, deadline=None)
@given(
    doses=st.lists(st.integers(1, 25), min_size=1, max_size=6), fraction=st.floats(0.05, 0.5), seed=st.integers(0, 99)
)
def test_further_strata_give_their_share_of_the_test_cells_to_within_one(doses, fraction, seed):
    assume(sum(doses) >= 3)
    dose = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(doses)), doses))
    adata = make_cells(np.ones((dose.size, 1), np.float32), label=["a"] * dose.size, dose=dose)
    split = split_benchmark(adata, label="label", test_fraction=fraction, stratify_by="dose", rng=seed)
    tests = split.indices["test"].size
    for d, n in enumerate(doses):
        taken = int((dose[split.indices["test"]] == d).sum())
        assert abs(taken - tests * n / dose.size) < 1
    assert split_benchmark(
        adata, label="label", test_fraction=fraction, stratify_by=["label", "dose"], rng=seed
    ).indices["test"].tolist() == (split.indices["test"].tolist())


def test_the_split_of_a_small_example_is_frozen():
    # a change here changes every split that was ever made: bump STREAM_VERSION
    labels = list("ababababababababababab")
    adata = make_cells(np.ones((22, 1), np.float32), label=labels)
    split = split_benchmark(adata, label="label", test_fraction=0.2, validation_fraction=0.1, rng=42)
    assert {part: split.indices[part].tolist() for part in PARTS} == GOLDEN_SPLIT


GOLDEN_SPLIT = {
    "train": [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 16, 18, 19, 20],
    "validation": [8, 17],
    "test": [10, 14, 15, 21],
}


@pytest.mark.parametrize("backend", backend_names())
def test_the_split_depends_on_the_seed_and_the_labels_alone(backend, monkeypatch):
    adata = labelled_cells(5, {"A": 50, "B": 30})
    split = split_benchmark(adata, label="label", rng=1)
    monkeypatch.setenv("BULKGEN_BACKEND", backend)
    other = make_cells(np.zeros((80, 3), np.int64), label=pd.Categorical(adata.obs["label"]))
    other.obs_names = [f"x{i}" for i in range(80)]
    again = split_benchmark(other, label="label", rng=np.random.SeedSequence(1))
    assert all(np.array_equal(split.indices[part], again.indices[part]) for part in PARTS)
    assert not np.array_equal(split_benchmark(adata, label="label", rng=2).indices["test"], split.indices["test"])


def test_every_cell_is_a_test_cell_equally_often():
    # 500 labels of 20 cells, 4 of them tested: binomial counts, no place further off than 5 standard errors
    labels = np.repeat([f"L{i:03d}" for i in range(500)], 20)
    split = split_benchmark(
        make_cells(np.ones((labels.size, 1), np.float32), label=labels), label="label", test_fraction=0.2
    )
    times = np.bincount(split.indices["test"] % 20, minlength=20)
    assert times.sum() == 2000
    assert np.abs(times - 100).max() < 5 * np.sqrt(500 * 0.2 * 0.8)


def test_without_validation_its_part_is_empty():
    adata = labelled_cells(0, {"A": 2, "B": 10})
    split = split_benchmark(adata, label="label", validation_fraction=0)
    assert split.validation.n_obs == 0
    assert split.train.n_obs + split.test.n_obs == 12
    assert split.summary().loc["A"].to_dict() == {"train": 1, "validation": 0, "test": 1}


def test_the_summary_counts_cells_by_label_and_part():
    adata = labelled_cells(0, {"B": 20, "A": 40})
    split = split_benchmark(adata, label="label", test_fraction=0.25, validation_fraction=0.1)
    assert split.label == "label"
    assert split.summary().to_dict("index") == {
        "A": {"train": 26, "validation": 4, "test": 10},
        "B": {"train": 13, "validation": 2, "test": 5},
    }


def test_the_parts_share_nothing_with_the_original_and_leave_it_as_it_was():
    adata = labelled_cells(3, {"A": 30, "B": 30})
    before, obs = matrix_bytes(adata.X), adata.obs.copy()
    split = split_benchmark(adata, label="label")
    for part in PARTS:
        cells = getattr(split, part)
        assert not cells.is_view
        cells.X.data[:] = 0
        cells.obs["label"] = "gone"
    assert matrix_bytes(adata.X) == before
    assert adata.obs.equals(obs)
    assert "bulkgen_split" not in adata.uns


def test_each_part_says_which_part_it_is_and_stays_raw_data():
    adata = labelled_cells(3, {"A": 30, "B": 30})
    split = split_benchmark(adata, label="label", stratify_by="dose", rng=5)
    for part in PARTS:
        record = getattr(split, part).uns["bulkgen_split"]
        assert record["part"] == part
        assert '"stratify_by": ["dose"]' in record["parameters"]
        # a part of real counts is still real: it is checked as such when it is read
        assert "bulkgen" not in getattr(split, part).uns


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_fraction": 0}, "test_fraction must be in"),
        ({"test_fraction": 1.0}, "test_fraction must be in"),
        ({"test_fraction": -0.1}, "test_fraction must be in"),
        ({"validation_fraction": -0.1}, "validation_fraction in"),
        ({"test_fraction": 0.6, "validation_fraction": 0.4}, "sum below 1, got 0.6 and 0.4"),
        ({"test_fraction": float("nan")}, "got nan"),
        ({"label": "drug"}, "no column 'drug'"),
        ({"stratify_by": ["plate"]}, "no column 'plate'"),
        ({"rng": -1}, "non-negative"),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        split_benchmark(labelled_cells(0, {"A": 9, "B": 9}), **{"label": "label", **options})


def test_a_label_with_too_few_cells_is_named():
    for few, validation_fraction, needed in ((1, 0, 2), (1, 0.1, 3), (2, 0.1, 3)):
        adata = labelled_cells(0, {"A": 20, "rare": few})
        with pytest.raises(LabelError, match=rf"label 'rare' of column 'label' has {few} cell.*at least {needed}"):
            split_benchmark(adata, label="label", validation_fraction=validation_fraction)


def test_cells_without_a_label_are_not_silently_lost():
    adata = labelled_cells(0, {"A": 9, "B": 9})
    adata.obs.loc["c3", "label"] = np.nan
    with pytest.raises(LabelError, match=r"1 of 18 cells have no value in column 'label'"):
        split_benchmark(adata, label="label")


def test_nothing_estimated_from_training_cells_depends_on_the_other_cells():
    adata = labelled_cells(7, {"A": 60, "B": 50}, n_genes=15)
    split = split_benchmark(adata, label="label", rng=3)

    def with_other_counts(rows):
        changed = adata.copy()
        dense = changed.X.toarray()
        dense[rows] = dense[rows] * 3 + 17
        changed.X = type(adata.X)(dense)
        return split_benchmark(changed, label="label", rng=3)

    def learned(train):
        profiles = bulkgen.bulk_profiles(train, by="label")
        synthetic = bulkgen.synthesize(train, by="label", n_cells=5, rng=1)
        pseudo = bulkgen.pseudobulk(train, by="label", k=5, rng=1)
        medians = bulkgen.Vocabulary.fit(train).medians
        return (
            *(matrix_bytes(profiles.layers[layer]) for layer in ("mean", "variance", "max", "detection")),
            matrix_bytes(profiles.X),
            matrix_bytes(synthetic.X),
            matrix_bytes(pseudo.X),
            sorted(medians.items()),
        )

    original = learned(split.train)
    altered = with_other_counts(np.concatenate([split.indices["test"], split.indices["validation"]]))
    assert learned(altered.train) == original
    # and the check can fail: one training cell is enough
    leaking = learned(with_other_counts(split.indices["train"][:1]).train)
    assert not any(a == b for a, b in zip(original, leaking, strict=True))


# --- random orders


def test_every_order_of_a_stratum_is_equally_likely():
    orders = Counter(tuple(shuffled(np.arange(4), key=9, purpose=Purpose.SPLIT, stratum=s)) for s in range(4800))
    assert set(orders) == set(permutations(range(4)))
    # chi-square with 23 degrees of freedom
    assert stats.chisquare(list(orders.values())).pvalue > 1e-6


def test_orders_of_other_strata_purposes_and_keys_are_unrelated():
    base = shuffled(np.arange(200), key=9, purpose=Purpose.SPLIT, stratum=0)
    assert sorted(base) == list(range(200))
    for other in (
        shuffled(np.arange(200), key=9, purpose=Purpose.SPLIT, stratum=1),
        shuffled(np.arange(200), key=9, purpose=Purpose.GROUP_SHUFFLE, stratum=0),
        shuffled(np.arange(200), key=10, purpose=Purpose.SPLIT, stratum=0),
    ):
        # the rank correlation of independent orders has standard deviation 1 / sqrt(199)
        assert abs(stats.spearmanr(np.argsort(base), np.argsort(other)).statistic) < 5 / np.sqrt(199)


# --- groups of about k cells


def members(groups: Groups) -> list[tuple[int, ...]]:
    return [tuple(part.tolist()) for part in np.split(groups.rows, groups.offsets[1:-1])]


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=4),
    k=st.floats(1, 20),
    cv=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    remainder=st.sampled_from(["merge", "keep", "drop"]),
    seed=st.integers(0, 10**6),
)
def test_each_cell_is_in_one_group_of_its_own_stratum(sizes, k, cv, remainder, seed):
    strata = strata_of_sizes(sizes)
    try:
        groups = k_groups(strata, k=k, cv=cv, remainder=remainder, rng=seed)
    except LabelError:
        assert remainder != "keep"
        assert min(sizes) < k * (1 + 6 * cv) + 1
        return
    assert groups.offsets[0] == 0
    assert groups.offsets[-1] == groups.rows.size
    assert np.array_equal(groups.sizes(), np.diff(groups.offsets))
    assert groups.sizes().min() >= 1
    assert np.unique(groups.rows).size == groups.rows.size == sum(sizes) - groups.dropped
    assert groups.dropped == 0 or remainder == "drop"
    each = members(groups)
    assert all(list(cells) == sorted(cells) for cells in each)
    assert [cells[0] for cells in each] == sorted(cells[0] for cells in each)
    assert all({int(strata.codes[c]) for c in cells} == {int(s)} for cells, s in zip(each, groups.stratum, strict=True))


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(12, 90), min_size=1, max_size=3), k=st.floats(1, 8), seed=st.integers(0, 10**6))
def test_the_remainder_policies_differ_in_the_last_cells_of_a_stratum_alone(sizes, k, seed):
    strata = strata_of_sizes(sizes)
    keep, merge, drop = (
        k_groups(strata, k=k, cv=0.1, remainder=policy, rng=seed) for policy in ("keep", "merge", "drop")
    )
    kept, merged, complete = set(members(keep)), set(members(merge)), set(members(drop))
    assert complete <= kept
    rest = kept - complete
    assert sum(len(cells) for cells in rest) == drop.dropped
    assert len(rest) <= len(sizes)
    untouched = merged & complete
    assert len(merged) == len(complete)
    # every other group is a complete one together with the remainder of its stratum
    enlarged = {
        tuple(sorted(cells + other))
        for cells in rest
        for other in complete
        if strata.codes[cells[0]] == strata.codes[other[0]]
    }
    assert merged - untouched <= enlarged
    assert len(merged - untouched) == len(rest)


def test_the_incomplete_group_is_smaller_than_a_complete_one_of_the_same_size():
    groups = {
        policy: k_groups(strata_of_sizes([23]), k=10, cv=0, remainder=policy) for policy in ("keep", "merge", "drop")
    }
    assert sorted(groups["keep"].sizes()) == [3, 10, 10]
    assert sorted(groups["merge"].sizes()) == [10, 13]
    assert sorted(groups["drop"].sizes()) == [10, 10]
    assert groups["drop"].dropped == 3
    for policy in groups:
        assert k_groups(strata_of_sizes([30]), k=10, cv=0, remainder=policy).sizes().tolist() == [10, 10, 10]


def rounded_normal(k: float, cv: float) -> tuple[np.ndarray, np.ndarray]:
    """Group sizes within 4 standard deviations, and the probability of each under Normal(k, (cv k)²), rounded."""
    sizes = np.arange(np.ceil(k - 4 * cv * k), np.floor(k + 4 * cv * k) + 1)
    law = stats.norm(k, cv * k)
    return sizes, law.cdf(sizes + 0.5) - law.cdf(sizes - 0.5)


@pytest.mark.parametrize(("k", "cv"), [(20, 0.1), (10, 0.1), (10, 0.3), (7.3, 0.2)])
def test_group_sizes_are_normal_around_k(k, cv):
    groups = k_groups(strata_of_sizes([60_000]), k=k, cv=cv, remainder="drop", rng=1)
    drawn = groups.sizes()

    def p_value(k: float, cv: float) -> float:
        sizes, probability = rounded_normal(k, cv)
        enough = probability * drawn.size > 5
        seen = np.array([(drawn == size).sum() for size in sizes[enough]])
        expected = probability[enough] * drawn.size
        return float(stats.chisquare([*seen, drawn.size - seen.sum()], [*expected, drawn.size - expected.sum()]).pvalue)

    assert p_value(k, cv) > 1e-6
    assert abs(drawn.mean() - k) < 5 * cv * k / np.sqrt(drawn.size) + 5 * 0.3 / np.sqrt(drawn.size)
    # and the test can fail: a mean 3 % off, a spread a fifth off
    assert p_value(k * 1.03, cv) < 1e-6
    assert p_value(k, cv * 1.2) < 1e-6


def test_two_strata_draw_different_group_sizes():
    groups = k_groups(strata_of_sizes([2000, 2000]), k=10, cv=0.2, remainder="drop", rng=1)
    first, second = (Counter(groups.sizes()[groups.stratum == s].tolist()) for s in (0, 1))
    assert first != second


@pytest.mark.parametrize("cv", [0, 0.1])
def test_k_of_one_leaves_every_cell_in_its_place(cv):
    groups = k_groups(strata_of_sizes([30, 20, 1]), k=1, cv=cv, rng=3)
    assert groups.rows.tolist() == list(range(51))
    assert groups.sizes().tolist() == [1] * 51
    assert groups.stratum.tolist() == strata_of_sizes([30, 20, 1]).codes.tolist()


def test_groups_depend_on_the_seed_and_no_stratum_on_another():
    one, again, other = (k_groups(strata_of_sizes([200]), k=10, rng=seed) for seed in (1, 1, 2))
    assert members(one) == members(again)
    assert members(one) != members(other)
    # the second stratum may grow without touching the first
    obs = pd.DataFrame({"label": ["a"] * 100 + ["b"] * 100})
    longer = pd.DataFrame({"label": ["a"] * 100 + ["b"] * 150})
    small, large = (k_groups(strata_of(frame, "label"), k=10, rng=1) for frame in (obs, longer))
    assert [m for m in members(small) if m[0] < 100] == [m for m in members(large) if m[0] < 100]


def test_the_groups_of_a_small_example_are_frozen():
    # a change here changes every pseudo-bulk that was ever made: bump STREAM_VERSION
    assert members(k_groups(strata_of_sizes([9, 8]), k=3, cv=0.3, rng=42)) == GOLDEN_GROUPS


GOLDEN_GROUPS = [(0, 2, 14), (1, 8, 9, 10, 12), (3, 13, 16), (4,), (5, 15), (6, 7, 11)]


def test_a_stratum_with_fewer_cells_than_k_is_named_with_the_remedy():
    for policy in ("merge", "drop"):
        with pytest.raises(LabelError, match=r"stratum 'L1' has 4 cell.*fewer than k = 5; .*--remainder keep"):
            k_groups(strata_of_sizes([20, 4]), k=5, remainder=policy)
    groups = k_groups(strata_of_sizes([20, 4]), k=5, cv=0, remainder="keep")
    assert sorted(groups.sizes()) == [4, 5, 5, 5, 5]


def test_a_first_group_larger_than_its_stratum_is_one_group_or_an_error():
    strata = strata_of_sizes([10] * 30)
    # sizes around 10 with cv 0.5: half of the first groups want more than the 10 cells there are
    merged = k_groups(strata, k=10, cv=0.5, remainder="merge", rng=0)
    assert merged.rows.size == 300
    assert 10 in merged.sizes()
    with pytest.raises(LabelError, match=r"10 cell.*fewer than its first group needs"):
        k_groups(strata, k=10, cv=0.5, remainder="drop", rng=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0.5}, "k must be a number of at least 1 and at most 1e\\+15, got 0.5"),
        ({"k": 0}, "at least 1"),
        ({"k": float("nan")}, "at least 1"),
        ({"k": float("inf")}, "at least 1"),
        # its multiples do not fit into 63 bits
        ({"k": 2**63 - 1, "remainder": "keep"}, "at most"),
        ({"k": 5, "cv": 1.0}, r"cv must be in \[0, 1\), got 1.0"),
        ({"k": 5, "cv": -0.1}, "cv must be in"),
        ({"k": 5, "cv": float("nan")}, "cv must be in"),
        ({"k": 5, "remainder": "throw"}, "'drop', 'keep' or 'merge', got 'throw'"),
    ],
)
def test_wrong_group_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        k_groups(strata_of_sizes([20]), **options)


@pytest.mark.parametrize("remainder", ["drop", "keep", "merge"])
@pytest.mark.parametrize(("strata_at_once", "cells_at_once"), [(1, 1), (3, 50), (7, 1000)])
def test_strata_that_are_drawn_at_once_get_the_groups_of_each_alone(
    monkeypatch, remainder, strata_at_once, cells_at_once
):
    sizes = np.random.default_rng(4).integers(12, 60, 25)
    strata = strata_of(pd.DataFrame({"a": np.repeat([f"s{i:02d}" for i in range(25)], sizes)}), "a")
    together = k_groups(strata, k=5, cv=0.4, remainder=remainder, rng=3)
    monkeypatch.setattr(splits, "_STRATA_AT_ONCE", strata_at_once)
    monkeypatch.setattr(splits, "_CELLS_AT_ONCE", cells_at_once)
    alone = k_groups(strata, k=5, cv=0.4, remainder=remainder, rng=3)
    for part in ("rows", "offsets", "stratum"):
        np.testing.assert_array_equal(getattr(alone, part), getattr(together, part))
    assert alone.dropped == together.dropped


def test_thousands_of_strata_take_a_few_calls(monkeypatch):
    calls = []
    plan = splits.plan_truncated_gaussian
    monkeypatch.setattr(splits, "plan_truncated_gaussian", lambda *args: calls.append(args) or plan(*args))
    strata = strata_of(pd.DataFrame({"a": np.repeat(np.arange(5000), 10)}), "a")
    groups = k_groups(strata, k=10, cv=0)
    assert groups.offsets.size == 5001
    assert len(calls) < 10
