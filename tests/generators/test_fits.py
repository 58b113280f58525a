"""Fits: stored and read back they draw the same cells, and every cell is addressed by its stratum and number."""

from __future__ import annotations

import json
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.errors import OutputExistsError
from bulkgen.generators import FittedGenerator
from bulkgen.generators.control import control_strata
from bulkgen.generators.state import from_state, to_state
from bulkgen.io import provenance_of
from count_cases import labelled_cells, matrix_bytes


@pytest.fixture(scope="module")
def cells():
    cells = labelled_cells(11, {"A": 60, "B": 50}, n_genes=15, mean=2.0)
    cells.obs["label"] = pd.Categorical(cells.obs["label"], categories=["B", "A"])
    return cells


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("options", [{}, {"sampler": "rejection", "zero_mask": True, "round": True}], ids=str)
def test_a_stored_fit_draws_the_same_cells(tmp_path, cells, options, suffix):
    fit = bulkgen.fit_generator(cells, by=["label", "dose"], **options)
    path = tmp_path / f"fit.{suffix}"
    fit.save(path)
    read = bulkgen.load_fit(path)
    assert read.generator == fit.generator
    direct = bulkgen.synthesize(cells, by=["label", "dose"], n_cells=20, rng=3, **options)
    for fitted in (fit, read, path, str(path)):
        again = bulkgen.synthesize(fitted=fitted, n_cells=20, rng=3)
        assert matrix_bytes(again.X) == matrix_bytes(direct.X)
        assert again.obs.equals(direct.obs)
        assert again.var.equals(direct.var)
        first, second = provenance_of(again), provenance_of(direct)
        assert first == second
    with pytest.raises(OutputExistsError):
        fit.save(path)


def test_a_stored_fit_holds_no_cells_of_the_reference_as_values(tmp_path, cells):
    bulkgen.fit_generator(cells, by="label").save(tmp_path / "fit.h5ad")
    stored = ad.read_h5ad(tmp_path / "fit.h5ad")
    assert stored.X.nnz == 0
    assert stored.obs_names.tolist() == ["B", "A"]
    assert json.loads(stored.uns["bulkgen"]["parameters"])["method"] == "truncated_gaussian"


def test_cells_of_a_stratum_do_not_depend_on_how_many_others_have(cells):
    fit = bulkgen.fit_generator(cells, by="label")
    few = bulkgen.synthesize(fitted=fit, n_cells={"B": 2, "A": 9})
    many = bulkgen.synthesize(fitted=fit, n_cells={"B": 500, "A": 9})
    assert np.array_equal(few.X[2:], many.X[500:])
    assert np.array_equal(few.X[:2], many.X[:2])


def test_a_fit_takes_no_arguments_of_a_fit(tmp_path, cells):
    fit = bulkgen.fit_generator(cells, by="label")
    for given, name in (
        ({"by": "label"}, "by"),
        ({"method": "truncated_gaussian"}, "method"),
        ({"sampler": "inverse"}, "sampler"),
        ({"reference": cells}, "reference"),
    ):
        with pytest.raises(ValueError, match=f"'{name}' is settled in a fitted generator"):
            bulkgen.synthesize(fitted=fit, **given)
    with pytest.raises(ValueError, match="nothing to make cells from: pass bulk, or fitted="):
        bulkgen.synthesize()
    bulkgen.write(cells, tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"cells.h5ad is not a fitted generator; .*bulkgen fit\)"):
        bulkgen.synthesize(fitted=tmp_path / "cells.h5ad")
    with pytest.raises(FileNotFoundError):
        bulkgen.load_fit(tmp_path / "none.h5ad")


def test_a_damaged_fit_is_refused(tmp_path, cells):
    path = tmp_path / "fit.h5ad"
    bulkgen.fit_generator(cells, by="label").save(path)
    stored = ad.read_h5ad(path)
    del stored.uns["bulkgen_fit"]["state"]["plans"]["1"]["common"]
    stored.write_h5ad(path)
    with pytest.raises(ValueError, match="not the state of a FittedTruncatedGaussian: 'common'"):
        bulkgen.load_fit(path)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("indptr", [0, 10**8, 4]),  # a row outside of the entries
        ("indices", [0, 1, 0, 10**6]),  # a column outside of the matrix
        ("indices", [0, 1, 2, 2]),  # more entries in a row than genes may be drawn for
    ],
)
def test_a_stored_matrix_that_points_outside_is_refused(array, value):
    state = to_state(Whole((), sp.csr_matrix(np.arange(1.0, 5.0).reshape(2, 2)), "a", deep=True))
    state["donors"]["shape"] = np.array([2, 3])
    state["donors"][array] = np.asarray(value, state["donors"][array].dtype)
    with pytest.raises(ValueError):
        Whole.from_state(state)


@pytest.mark.parametrize("parameters", [None, "{half"])
def test_a_fit_without_readable_parameters_is_refused(tmp_path, cells, parameters):
    path = tmp_path / "fit.h5ad"
    bulkgen.fit_generator(cells, by="label").save(path)
    stored = ad.read_h5ad(path)
    learned = stored.uns["bulkgen_fit"]
    del learned["parameters"]
    if parameters is not None:
        learned["parameters"] = parameters
    stored.write_h5ad(path)
    with pytest.raises(ValueError, match=r"fit.h5ad is a damaged fit: .*; fit the generator anew"):
        bulkgen.load_fit(path)


@dataclass(frozen=True)
class Part:
    weights: np.ndarray
    scale: float


@dataclass(frozen=True)
class Whole(FittedGenerator):
    parts: tuple[Part, ...]
    donors: sp.csr_matrix
    name: str
    deep: bool

    def sample(self, stratum, n_cells, *, key, first_cell, threads):
        return np.zeros((n_cells, self.donors.shape[1]), np.float32)


def test_what_was_learned_is_taken_apart_and_put_together():
    parts = tuple(Part(np.arange(i + 2.0), i / 3) for i in range(12))
    whole = Whole(parts, sp.random(5, 7, 0.3, "csr", rng=np.random.default_rng(0)), "a", deep=True)
    again = Whole.from_state(whole.state())
    assert [part.scale for part in again.parts] == [part.scale for part in parts]
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(again.parts, parts, strict=True))
    assert (again.donors != whole.donors).nnz == 0
    assert again.donors.shape == (5, 7)
    assert (again.name, again.deep) == ("a", True)
    with pytest.raises(ValueError, match="not the state of a Part"):
        from_state(Part, {"weights": np.ones(3)})
    with pytest.raises(TypeError, match="cannot hold a list"):
        to_state(Part([1], 2.0))


def test_controls_are_found_within_further_columns():
    strata = pd.DataFrame(
        {"drug": ["x", "x", "no", "no", "no"], "type": ["T", "B", "T", "B", "B"], "patient": list("11212")}
    )
    every = control_strata(strata, strata, control="no", control_by=(), where="bulk")
    assert [rows.tolist() for rows in every] == [[2, 3, 4]] * 5
    by_type = control_strata(strata, strata, control="no", control_by=("type",), where="bulk")
    assert [rows.tolist() for rows in by_type] == [[2], [3, 4], [2], [3, 4], [3, 4]]
    for options, words in (
        ({"control": "none", "control_by": ()}, "control='none' names no stratum of the bulk; values of 'drug': x, no"),
        ({"control": "no", "control_by": ("drug",)}, "control_by names 'drug'.*name one of those after 'drug'"),
        ({"control": "no", "control_by": ("type", "patient")}, r"the bulk has no control \(drug 'no'\) of type 'T'"),
    ):
        with pytest.raises(bulkgen.errors.LabelError, match=words):
            control_strata(strata, strata, where="bulk", **options)
