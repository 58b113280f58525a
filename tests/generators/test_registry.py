"""Generators that other packages announce through entry points."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

import bulkgen
from bulkgen.cli import app as cli
from bulkgen.errors import MissingExtraError
from bulkgen.generators import DenseGenerator, Generator, generator_class, generator_names, registry
from count_cases import labelled_cells, matrix_bytes


@dataclass(frozen=True)
class FittedConstant(DenseGenerator):
    """Every cell is the stratum's mean."""

    mean: np.ndarray

    @property
    def n_genes(self):
        return self.mean.shape[1]

    def fill(self, stratum, out, *, key, first_cell, threads):
        out[:] = self.mean[stratum]


class Constant(Generator):
    """The mean, times a factor."""

    fitted_type: ClassVar = FittedConstant

    factor: float = 1.0

    def fit(self, bulk, reference):
        return FittedConstant(self.factor * bulk.mean(reference))


class Unstorable(Generator):
    """Does not say what its fit is."""

    def fit(self, bulk, reference):
        return FittedConstant(bulk.mean(reference))


@pytest.fixture
def plugins(monkeypatch):
    """Entry points of an installed package."""
    module = ModuleType("a_plugin")
    module.Constant, module.Unstorable, module.number = Constant, Unstorable, 3
    monkeypatch.setitem(sys.modules, "a_plugin", module)
    found = [
        EntryPoint(name, value, registry.ENTRY_POINT_GROUP)
        for name, value in {
            "constant": "a_plugin:Constant",
            "unstorable": "a_plugin:Unstorable",
            "wrong": "a_plugin:number",
            "gone": "a_plugin:Gone",
            "lacking": "a_package_that_is_not_installed:Generator",
            "donor_shift": "a_plugin:Constant",
        }.items()
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.ENTRY_POINT_GROUP else [])
    registry._third_party.cache_clear()
    yield
    registry._third_party.cache_clear()


@pytest.fixture(scope="module")
def cells():
    return labelled_cells(3, {"A": 30, "B": 20}, mean=3.0)


def test_a_generator_is_found_after_those_of_bulkgen(plugins, cells):
    assert generator_names()[-5:] == ("constant", "unstorable", "wrong", "gone", "lacking")
    made = bulkgen.synthesize(cells, by="label", method="constant", factor=2.0, n_cells=3)
    mean = bulkgen.bulk_profiles(cells, by="label").layers["mean"]
    np.testing.assert_allclose(made.X, np.repeat(2 * mean, 3, axis=0), rtol=1e-6)


def test_a_built_in_generator_cannot_be_replaced(plugins):
    assert generator_names().count("donor_shift") == 1
    assert generator_class("donor_shift").__module__ == "bulkgen.generators.donor_shift"


def test_its_fits_are_stored_and_read_back(plugins, cells, tmp_path):
    fit = bulkgen.fit_generator(cells, by="label", method="constant", factor=0.5)
    fit.save(tmp_path / "fit.h5ad")
    again = bulkgen.load_fit(tmp_path / "fit.h5ad")
    assert again.generator == Constant(factor=0.5)
    made = [bulkgen.synthesize(fitted=which, n_cells=4).X for which in (fit, again)]
    assert matrix_bytes(made[0]) == matrix_bytes(made[1])


def test_a_stored_fit_of_a_package_that_is_gone(plugins, cells, tmp_path, monkeypatch):
    bulkgen.fit_generator(cells, by="label", method="constant").save(tmp_path / "fit.h5ad")
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    registry._third_party.cache_clear()
    with pytest.raises(ValueError, match=r"method must be one of 'truncated_gaussian'.*got 'constant'"):
        bulkgen.load_fit(tmp_path / "fit.h5ad")


def test_wrong_entry_points_say_what_is_wrong(plugins, cells, tmp_path):
    with pytest.raises(
        TypeError, match=r"'wrong' of group 'bulkgen.generators' \(a_plugin:number\) must be a subclass"
    ):
        bulkgen.synthesize(cells, by="label", method="wrong")
    with pytest.raises(
        ImportError, match=r"'gone' of group 'bulkgen.generators' \(a_plugin:Gone\).*cannot be imported"
    ):
        bulkgen.synthesize(cells, by="label", method="gone")
    with pytest.raises(ImportError, match=r"'lacking'.*a_package_that_is_not_installed"):
        bulkgen.synthesize(cells, by="label", method="lacking")
    fit = bulkgen.fit_generator(cells, by="label", method="unstorable")
    assert bulkgen.synthesize(fitted=fit, n_cells=2).n_obs == 4
    fit.save(tmp_path / "fit.h5ad")
    with pytest.raises(TypeError, match="Unstorable must name its fitted_type for its fits to be read back"):
        bulkgen.load_fit(tmp_path / "fit.h5ad")


def test_packages_that_lack_something_do_not_break_the_list(plugins):
    result = CliRunner().invoke(cli.app, ["generators", "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert listed["constant"] == ["The mean, times a factor.", {"factor": 1.0}]
    for name in ("wrong", "gone", "lacking"):
        summary, parameters = listed[name]
        assert summary.startswith("not available: ")
        assert repr(name) in summary
        assert parameters == {}
    assert listed["scvi"][1]["latent"] == 10


def test_a_missing_extra_is_one_clear_line(plugins, cells, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bulkgen.generators.scvi.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"^this needs the package 'scvi', which is not installed: pip install"):
        bulkgen.synthesize(cells, by="label", method="scvi")
    bulkgen.write(cells, tmp_path / "cells.h5ad")
    out = tmp_path / "out.h5ad"
    command = [
        "bulkgen",
        "synthesize",
        str(tmp_path / "cells.h5ad"),
        "--by",
        "label",
        "--method",
        "scvi",
        "-o",
        str(out),
    ]
    monkeypatch.setattr(sys, "argv", command)
    # main sets them for its process
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(logging.getLogger("bulkgen"), "handlers", [])
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    errors = capsys.readouterr().err
    assert errors.startswith("bulkgen: error: this needs the package 'scvi'")
    assert errors.count("\n") == 1
    assert not out.exists()
