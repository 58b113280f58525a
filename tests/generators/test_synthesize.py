"""Synthetic cells from bulk profiles: who they are, what they are made from, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.errors import CountsError, GeneOverlapError, LabelError
from bulkgen.generators import FittedGenerator, Generator, TruncatedGaussian, generator_names, make_generator
from bulkgen.io import content_hash, provenance_of, read, write
from bulkgen.kernels import backend_names
from count_cases import labelled_cells, make_cells, matrix_bytes


@pytest.fixture(scope="module")
def cells():
    return labelled_cells(11, {"A": 60, "B": 50}, n_genes=15, mean=2.0)


@pytest.fixture(scope="module")
def profiles(cells):
    return bulkgen.bulk_profiles(cells, by="label")


def test_cells_are_labelled_marked_and_named(cells):
    cells = cells.copy()
    cells.obs["dose"] = pd.Categorical(cells.obs["dose"], categories=["low", "high"], ordered=True)
    cells.var["symbol"] = [f"S{i}" for i in range(cells.n_vars)]
    result = bulkgen.synthesize(cells, by=["label", "dose"], n_cells=7)
    assert result.X.dtype == np.float32
    assert result.shape == (28, 15)
    assert list(result.obs) == ["label", "dose", "synthetic"]
    assert result.obs["synthetic"].dtype == bool
    assert result.obs["synthetic"].all()
    assert isinstance(result.obs["label"].dtype, pd.CategoricalDtype)
    assert list(result.obs["dose"].cat.categories) == ["low", "high"]
    assert result.obs["label"].astype(str).tolist() == ["A"] * 14 + ["B"] * 14
    assert result.obs["dose"].astype(str).tolist() == (["low"] * 7 + ["high"] * 7) * 2
    assert result.obs_names.tolist() == [f"synthetic-{i}" for i in range(28)]
    assert result.var.equals(cells.var)


def test_the_record_says_how_cells_were_made(cells):
    result = bulkgen.synthesize(cells, by="label", n_cells=3, rng=8, sampler="inverse", zero_mask=True)
    record = provenance_of(result)
    assert record["kind"] == "synthetic"
    assert record["synthetic"] == 1
    assert record["stream_version"] == bulkgen.STREAM_VERSION
    assert record["input_hash"] == content_hash(cells)
    assert int(record["key"], 16) == np.random.SeedSequence(8).generate_state(1, np.uint64)[0]
    assert json.loads(record["parameters"]) == {
        "method": "truncated_gaussian",
        "n_cells": {"A": 3, "B": 3},
        "variance_from": "stratum",
        "control": None,
        "sampler": "inverse",
        "round": False,
        "zero_mask": True,
    }


def test_profiles_with_their_cells_give_what_the_cells_alone_give(tmp_path, cells, profiles):
    direct = bulkgen.synthesize(cells, by="label", n_cells=9, rng=4)
    assert matrix_bytes(bulkgen.synthesize(profiles, reference=cells, n_cells=9, rng=4).X) == matrix_bytes(direct.X)
    write(profiles, tmp_path / "bulk.h5ad")
    write(cells, tmp_path / "cells.h5ad")
    from_files = bulkgen.synthesize(
        read(tmp_path / "bulk.h5ad"), reference=read(tmp_path / "cells.h5ad"), n_cells=9, rng=4
    )
    assert matrix_bytes(from_files.X) == matrix_bytes(direct.X)


def test_some_of_the_profiles_make_some_of_the_cells(cells, profiles):
    only = bulkgen.synthesize(profiles[["B"]], reference=cells, n_cells=4)
    assert only.obs["label"].tolist() == ["B"] * 4


def test_columns_added_to_profiles_are_no_grouping_columns(cells, profiles):
    annotated = profiles.copy()
    annotated.obs["sequencing_depth"] = [1.0, 2.0]
    result = bulkgen.synthesize(annotated, reference=cells, n_cells=2)
    assert list(result.obs) == ["label", "synthetic"]


def test_inputs_are_not_changed(cells, profiles):
    cells, profiles = cells.copy(), profiles.copy()
    before = matrix_bytes(cells.X), matrix_bytes(profiles.layers["mean"]), cells.obs.copy(), profiles.obs.copy()
    result = bulkgen.synthesize(profiles, reference=cells, n_cells=5, zero_mask=True, round=True)
    result.var["new"] = 1
    assert (matrix_bytes(cells.X), matrix_bytes(profiles.layers["mean"])) == before[:2]
    assert cells.obs.equals(before[2])
    assert profiles.obs.equals(before[3])
    assert "new" not in profiles.var


@pytest.mark.parametrize("options", [{}, {"sampler": "inverse"}, {"zero_mask": True}, {"round": True}], ids=str)
def test_neither_backend_nor_threads_change_a_bit(monkeypatch, cells, options):
    expected = matrix_bytes(bulkgen.synthesize(cells, by="label", n_cells=301, rng=5, threads=1, **options).X)
    for backend in backend_names():
        monkeypatch.setenv("BULKGEN_BACKEND", backend)
        for threads in (1, 2, 7):
            result = bulkgen.synthesize(cells, by="label", n_cells=301, rng=5, threads=threads, **options)
            assert matrix_bytes(result.X) == expected


@pytest.mark.parametrize("options", [{}, {"sampler": "inverse"}, {"zero_mask": True}], ids=str)
def test_a_cell_does_not_change_when_more_cells_are_asked_for(cells, options):
    few = bulkgen.synthesize(cells, by="label", n_cells={"A": 20, "B": 30}, rng=5, **options)
    many = bulkgen.synthesize(cells, by="label", n_cells={"A": 20, "B": 700}, rng=5, **options)
    assert few.n_obs == 50
    assert many.n_obs == 720
    assert np.array_equal(many.X[:50], few.X)


def test_the_seed_decides(cells):
    draw = [
        bulkgen.synthesize(cells, by="label", n_cells=5, rng=rng).X for rng in (1, np.random.SeedSequence(1), 2, None)
    ]
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    assert not np.array_equal(draw[0], draw[3])


def test_cells_per_stratum_may_be_named(cells, profiles):
    result = bulkgen.synthesize(profiles, reference=cells, n_cells={"B": np.int64(3)})
    assert result.obs["label"].tolist() == ["B"] * 3
    both = bulkgen.synthesize(cells, by=["label", "dose"], n_cells={"A | low": 2, "B | high": 1})
    assert both.obs[["label", "dose"]].astype(str).to_numpy().tolist() == [["A", "low"]] * 2 + [["B", "high"]]
    assert bulkgen.synthesize(cells, by="label", n_cells=np.int32(2)).n_obs == 4


@pytest.mark.parametrize(
    ("n_cells", "error", "words"),
    [
        ({"C": 3}, LabelError, r"names the stratum 'C'; strata: 'A', 'B'"),
        (0, ValueError, "at least 1, got 0"),
        (-4, ValueError, "at least 1, got -4"),
        ({"A": 0}, ValueError, "at least 1"),
        ({"A": 5, "B": -1}, ValueError, "at least 1"),
        (2.0, TypeError, "a whole number or a mapping, got 2.0"),
        ("many", TypeError, "got 'many'"),
    ],
)
def test_wrong_numbers_of_cells_are_refused(cells, n_cells, error, words):
    with pytest.raises(error, match=words):
        bulkgen.synthesize(cells, by="label", n_cells=n_cells)


def test_what_cells_are_made_from_must_be_said(cells, profiles):
    with pytest.raises(ValueError, match=r"aggregate by with by= \(--by\)"):
        bulkgen.synthesize(cells)
    with pytest.raises(ValueError, match=r"pass reference= \(--reference\)"):
        bulkgen.synthesize(profiles)
    with pytest.raises(LabelError, match="no column 'drug'"):
        bulkgen.synthesize(cells, by="drug")
    unlabelled = cells.copy()
    del unlabelled.obs["label"]
    with pytest.raises(LabelError, match="no column 'label'"):
        bulkgen.synthesize(profiles, reference=unlabelled)


def test_references_that_are_no_counts_are_refused(cells, profiles):
    logged = cells.copy()
    logged.X = np.log1p(logged.X)
    with pytest.raises(CountsError, match="log-normalised"):
        bulkgen.synthesize(profiles, reference=logged)
    with pytest.raises(CountsError, match="log-normalised"):
        bulkgen.synthesize(logged, by="label")


def test_unknown_methods_and_parameters_are_named_before_any_work():
    broken = "nothing.h5ad"  # nothing may be read of it
    for options, words in (
        ({"method": "donor_swap"}, "method must be one of 'truncated_gaussian', 'thin', .*, got 'donor_swap'"),
        ({"sigma": 3}, r"'sigma' of method 'truncated_gaussian'.*parameters: variance_from, control, sampler"),
        ({"sampler": "naive"}, "'sampler' of method 'truncated_gaussian'.*'inverse' or 'rejection'"),
        ({"variance_from": "donor"}, "'variance_from' of method"),
        ({"round": "perhaps"}, "'round' of method"),
    ):
        with pytest.raises(ValueError, match=words):
            bulkgen.synthesize(broken, by="label", **options)


def test_generators_are_found_by_name_and_frozen():
    assert generator_names()[0] == "truncated_gaussian"
    assert {"donor_shift", "negative_binomial", "mixture"} < set(generator_names())
    generator = make_generator("truncated_gaussian", {"control": 0})
    assert generator == TruncatedGaussian(control="0")
    with pytest.raises(ValueError, match="frozen"):
        generator.round = True


def test_a_generator_without_a_fit_says_so():
    class Unfinished(Generator):
        pass

    with pytest.raises(TypeError, match="Unfinished does not say how it is fitted"):
        Unfinished().fit(None, None)
    assert callable(FittedGenerator.sample)


# --- genes


def test_genes_are_matched_by_name_whatever_their_order(cells, profiles):
    order = np.random.default_rng(0).permutation(cells.n_vars)
    shuffled = cells[:, list(cells.var_names[order])]
    expected = bulkgen.synthesize(profiles, reference=cells, n_cells=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bulkgen.synthesize(profiles, reference=shuffled, n_cells=6)
    assert list(result.var_names) == list(profiles.var_names)
    assert matrix_bytes(result.X) == matrix_bytes(expected.X)


def test_genes_that_the_reference_lacks_are_left_out_with_a_warning(cells, profiles):
    reference = cells[:, [f"g{i}" for i in range(15) if i not in (2, 9)]]
    with pytest.warns(UserWarning, match=r"13 of the 15 genes of the bulk are among the 13 .*\(87%\); the others") as w:
        result = bulkgen.synthesize(profiles, reference=reference, n_cells=6)
    assert w[0].filename == __file__
    assert list(result.var_names) == [g for g in profiles.var_names if g not in ("g2", "g9")]
    kept = np.isin(profiles.var_names, result.var_names)
    bounds = profiles.layers["max"][:, kept]
    assert (result.X[:6] <= bounds[0]).all()
    assert (result.X[6:] <= bounds[1]).all()


def test_genes_that_the_bulk_lacks_are_ignored(cells, profiles):
    some = profiles[:, ["g3", "g1"]]
    result = bulkgen.synthesize(some, reference=cells, n_cells=6)
    assert list(result.var_names) == ["g3", "g1"]


def test_too_small_an_overlap_is_an_error_that_says_how_small(cells, profiles):
    versioned = cells.copy()
    versioned.var_names = [f"{gene}.1" for gene in cells.var_names]
    with pytest.raises(GeneOverlapError, match=r"0 of the 15 genes.*\(0%\); at least half.*same kind of gene id"):
        bulkgen.synthesize(profiles, reference=versioned)
    seven = cells[:, [f"g{i}" for i in range(7)]]
    with pytest.raises(GeneOverlapError, match=r"7 of the 15 genes"):
        bulkgen.synthesize(profiles, reference=seven)
    with pytest.warns(UserWarning, match="8 of the 15"):
        bulkgen.synthesize(profiles, reference=cells[:, [f"g{i}" for i in range(8)]], n_cells=1)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_repeated_gene_ids_are_refused_by_name(cells, profiles):
    repeated = cells.copy()
    repeated.var_names = ["g0", "g0", *cells.var_names[2:]]
    with pytest.raises(ValueError, match="gene ids of the reference must be unique, but 'g0' occurs more than once"):
        bulkgen.synthesize(profiles, reference=repeated)
    with pytest.raises(ValueError, match="gene ids of the bulk must be unique"):
        bulkgen.synthesize(repeated, by="label")


# --- strata


def test_a_stratum_that_the_reference_lacks_is_named_with_the_remedy(cells, profiles):
    only_a = cells[cells.obs["label"] == "A"]
    with pytest.raises(LabelError, match=r"no cells of stratum 'B'; use variance_from='all', or 'control'"):
        bulkgen.synthesize(profiles, reference=only_a)
    assert bulkgen.synthesize(profiles, reference=only_a, n_cells=1, variance_from="all").n_obs == 2
    assert bulkgen.synthesize(profiles, reference=only_a, n_cells=1, variance_from="control", control="A").n_obs == 2


def test_a_stratum_of_one_cell_has_no_variance():
    cells = labelled_cells(0, {"A": 20, "one": 1})
    with pytest.raises(LabelError, match=r"1 cell\(s\) of stratum 'one'.*at least 2; use variance_from='all'"):
        bulkgen.synthesize(cells, by="label")
    result = bulkgen.synthesize(cells, by="label", variance_from="all", n_cells=4)
    assert result.obs["label"].tolist() == ["A"] * 4 + ["one"] * 4


def test_the_control_must_name_one_stratum(cells):
    with pytest.raises(ValueError, match="variance_from='control' needs control="):
        bulkgen.synthesize(cells, by="label", variance_from="control")
    with pytest.raises(LabelError, match=r"control='C' names 0 strata.*values of 'label': A, B"):
        bulkgen.synthesize(cells, by="label", variance_from="control", control="C")
    with pytest.raises(LabelError, match="control='A' names 2 strata of the reference, it must name one"):
        bulkgen.synthesize(cells, by=["label", "dose"], variance_from="control", control="A")


def test_labels_that_are_numbers_are_strata_like_others(tmp_path):
    rng = np.random.default_rng(0)
    cells = make_cells(rng.poisson(2.0, (40, 5)).astype(np.float32), cluster=np.repeat([0, 1], 20))
    expected = bulkgen.synthesize(cells, by="cluster", n_cells=5, variance_from="control", control="0").X
    assert np.array_equal(
        bulkgen.synthesize(cells, by="cluster", n_cells=5, variance_from="control", control=0).X, expected
    )
    write(bulkgen.bulk_profiles(cells, by="cluster"), tmp_path / "bulk.h5ad")
    bulk = read(tmp_path / "bulk.h5ad")
    again = bulkgen.synthesize(bulk, reference=cells, n_cells=5, variance_from="control", control="0")
    assert np.array_equal(again.X, expected)
    assert again.obs["cluster"].astype(int).tolist() == [0] * 5 + [1] * 5
