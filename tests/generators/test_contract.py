"""What every built-in generator keeps: the same cells from every way of asking for them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.generators import registry
from bulkgen.io import content_hash, provenance_of
from bulkgen.kernels import backend_names
from count_cases import make_cells, matrix_bytes
from generator_cases import CASES, SPARSE, three_classes


@pytest.fixture(scope="module")
def cells():
    return three_classes()


@pytest.fixture(scope="module")
def fits(cells):
    """A fit of every case."""
    return {
        name: bulkgen.fit_generator(cells, by="label", method=method, **parameters)
        for name, (method, parameters) in CASES.items()
    }


@pytest.fixture(scope="module")
def vocabulary(cells):
    return bulkgen.Vocabulary.fit(cells, context=25)


def test_the_cases_are_all_built_in_generators():
    # scvi has tests of its own: it needs another package
    assert {method for method, _ in CASES.values()} == set(registry._BUILT_IN) - {"scvi"}


@pytest.mark.parametrize("name", CASES)
def test_neither_backend_nor_threads_change_a_bit(monkeypatch, cells, name):
    method, parameters = CASES[name]
    expected = None
    for backend in backend_names():
        monkeypatch.setenv("BULKGEN_BACKEND", backend)
        for threads in (1, 3):
            made = bulkgen.synthesize(
                cells, by="label", method=method, n_cells=300, rng=5, threads=threads, **parameters
            )
            found = matrix_bytes(made.X), made.obs.to_csv()
            expected = expected or found
            assert found == expected


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, "h5ad") for name in CASES] + [(name, "zarr") for name in ("copula", "mixture", "thin")]
)
def test_a_stored_fit_draws_the_same_cells(tmp_path, fits, name, suffix):
    path = tmp_path / f"fit.{suffix}"
    fits[name].save(path)
    made, again = (bulkgen.synthesize(fitted=fit, n_cells=30, rng=3) for fit in (fits[name], path))
    assert matrix_bytes(made.X) == matrix_bytes(again.X)
    pd.testing.assert_frame_equal(made.obs, again.obs)
    assert provenance_of(made) == provenance_of(again)


@pytest.mark.parametrize("name", CASES)
def test_a_cell_depends_on_its_number_alone(fits, name):
    fitted = fits[name].fitted
    for stratum in range(3):
        whole = fitted.sample(stratum, 600, key=9, first_cell=0, threads=2)
        columns = fitted.cell_columns(stratum, 600, key=9, first_cell=0)
        for first, last in ((0, 1), (1, 256), (255, 257), (257, 600)):
            part = fitted.sample(stratum, last - first, key=9, first_cell=first, threads=1)
            assert matrix_bytes(part) == matrix_bytes(whole[first:last])
            for column, values in fitted.cell_columns(stratum, last - first, key=9, first_cell=first).items():
                assert np.array_equal(values, columns[column][first:last])
    # far out, where numbers need more than 32 bits
    far = 2**34
    pair = fitted.sample(1, 2, key=9, first_cell=far, threads=1)
    assert matrix_bytes(fitted.sample(1, 1, key=9, first_cell=far + 1, threads=1)) == matrix_bytes(pair[1:])
    if name != "pseudobulk":  # which has no other cells than the sums of the few that there are
        assert matrix_bytes(pair) != matrix_bytes(fitted.sample(1, 2, key=9, first_cell=0, threads=1))


@pytest.mark.parametrize("name", CASES)
def test_tokens_in_one_step_are_those_of_the_cells(tmp_path, fits, vocabulary, name):
    how = {"fitted": fits[name], "n_cells": {"ctrl": 70, "down": 130}, "rng": 2}
    bulkgen.synthesize(**how, to="tokens", vocabulary=vocabulary, label="label", out=tmp_path / "one")
    bulkgen.tokenize(bulkgen.synthesize(**how), vocabulary=vocabulary, label="label", out=tmp_path / "two")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("name", SPARSE)
def test_cells_are_canonical_rows_of_whole_counts(fits, name):
    made = bulkgen.synthesize(fitted=fits[name], n_cells=50, rng=1).X
    assert isinstance(made, sp.csr_matrix)
    assert made.dtype == np.float32
    assert made.shape == (150, 60)
    assert made.data.min() >= 1
    assert np.array_equal(made.data, np.rint(made.data))
    checked = sp.csr_matrix((made.data, made.indices, made.indptr), shape=made.shape)
    assert checked.has_canonical_format


@pytest.mark.parametrize("name", CASES)
def test_cells_are_labelled_and_their_making_is_recorded(cells, fits, name):
    method, parameters = CASES[name]
    made = bulkgen.synthesize(fitted=fits[name], n_cells=4, rng=1)
    known = {"donor_shift": ["donor"], "mixture": ["state", "donor"]}.get(method, [])
    assert list(made.obs) == ["label", "synthetic", *known]
    assert made.obs["label"].astype(str).tolist() == ["ctrl"] * 4 + ["down"] * 4 + ["up"] * 4
    assert isinstance(made.obs["label"].dtype, pd.CategoricalDtype)
    assert made.obs["synthetic"].all()
    assert made.var.equals(cells.var)
    record = provenance_of(made)
    assert (record["kind"], record["synthetic"]) == ("synthetic", 1)
    assert record["input_hash"] == content_hash(cells)
    recorded = json.loads(record["parameters"])
    assert recorded["method"] == method
    assert {name: recorded[name] for name in parameters} == parameters
    if "donor" in made.obs:
        assert made.obs["donor"].between(0, cells.n_obs - 1).all()


@pytest.mark.parametrize("name", ["multinomial", "negative_binomial", "donor_shift", "mixture_options", "copula"])
def test_cells_of_more_genes_than_there_is_room_for_at_first(name):
    # 6,000 genes seen in every cell: a chunk is drawn in several parts
    rng = np.random.default_rng(0)
    counts = rng.poisson(30, (48, 6000)).astype(np.float32)
    cells = make_cells(counts, label=np.repeat(["ctrl", "up"], 24), type=np.tile(["T", "B"], 24))
    method, parameters = CASES[name]
    fitted = bulkgen.fit_generator(cells, by="label", method=method, **parameters).fitted
    whole = fitted.sample(1, 40, key=1, first_cell=0, threads=1)
    assert whole.nnz > 40 * 5500
    parts = [fitted.sample(1, n, key=1, first_cell=first, threads=1) for first, n in ((0, 1), (1, 32), (33, 7))]
    assert matrix_bytes(sp.vstack(parts, format="csr")) == matrix_bytes(whole)


def test_every_method_is_listed():
    from typer.testing import CliRunner

    from bulkgen.cli.app import app

    listed = json.loads(CliRunner().invoke(app, ["generators", "--json"]).stdout)
    assert set(listed) >= set(registry._BUILT_IN)
    for name in registry._BUILT_IN:
        summary, parameters = listed[name]
        assert summary
        assert set(parameters) == set(registry.generator_class(name).model_fields)
    assert listed["mixture"][1]["states"] == "required"
