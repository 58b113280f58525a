"""The scVI comparator: against a stand-in for scvi-tools with known distributions, and the real one where installed."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

import bulkgen
from bulkgen.errors import LabelError, MissingExtraError
from count_cases import labelled_cells, matrix_bytes

SIZE = 2.5


class StandIn:
    """What the generator uses of scvi.model.SCVI: every cell is decoded to its own counts + 1."""

    made: ClassVar[dict[str, object]] = {}

    @classmethod
    def setup_anndata(cls, adata, *, batch_key):
        cls.made = {"batches": adata.obs[batch_key].nunique(), "seed": sys.modules["scvi"].settings.seed}

    def __init__(self, adata, **options):
        self.counts = adata.X.toarray()
        self.made.update(options)

    def train(self, **options):
        self.made.update(options)

    def get_likelihood_parameters(self, *, indices, n_samples):
        self.made["decoded"] = np.asarray(indices)
        mean = self.counts[indices] + 1
        return {"mean": mean, "dispersions": np.full_like(mean, SIZE)}


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("scvi")
    module.__spec__ = importlib.util.spec_from_loader("scvi", None)
    module.settings = SimpleNamespace(seed=None)
    module.model = SimpleNamespace(SCVI=StandIn)
    monkeypatch.setitem(sys.modules, "scvi", module)
    return StandIn


@pytest.fixture(scope="module")
def cells():
    return labelled_cells(31, {"A": 40, "B": 30}, n_genes=20, mean=2.0)


def test_the_model_is_trained_on_all_cells_with_the_stratum_as_batch(stand_in, cells):
    bulkgen.fit_generator(cells, by="label", method="scvi", epochs=3, latent=4, pool=10, seed=9)
    decoded = stand_in.made.pop("decoded")
    assert stand_in.made == {
        "batches": 2,
        "seed": 9,
        "n_latent": 4,
        "gene_likelihood": "nb",
        "max_epochs": 3,
        "enable_progress_bar": False,
    }
    labels = cells.obs["label"].to_numpy()[decoded]
    assert list(labels) == ["A"] * 10 + ["B"] * 10
    assert len(set(decoded)) == 20


def test_cells_follow_the_decoded_negative_binomials(stand_in, cells):
    n = 3000
    made = bulkgen.synthesize(cells, by="label", method="scvi", n_cells=n, rng=1)
    for name in ("A", "B"):
        real = np.asarray(cells[cells.obs["label"] == name].X.toarray()) + 1
        here = made[made.obs["label"] == name].X.toarray()
        mean = real.mean(axis=0)
        # total variance: of the negative binomials, and between the cells that are chosen
        variance = (real + real**2 / SIZE).mean(axis=0) + real.var(axis=0)
        assert np.all(np.abs(here.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / n))
        np.testing.assert_allclose(here.var(axis=0), variance, rtol=0.35)
        assert np.array_equal(here, np.rint(here))


def test_a_cell_depends_on_its_number_alone_and_fits_are_stored(stand_in, cells, tmp_path):
    fit = bulkgen.fit_generator(cells, by="label", method="scvi")
    fit.save(tmp_path / "fit.h5ad")
    many = bulkgen.synthesize(fitted=fit, n_cells=12, rng=4)
    few = bulkgen.synthesize(fitted=tmp_path / "fit.h5ad", n_cells={"B": 5}, rng=4)
    assert matrix_bytes(few.X) == matrix_bytes(many[12:17].X)


def test_a_stratum_without_reference_cells_is_refused(stand_in, cells):
    profiles = bulkgen.bulk_profiles(cells, by="label")
    only_a = cells[cells.obs["label"] == "A"].copy()
    with pytest.raises(LabelError, match="the reference has no cells of stratum 'B', and scVI makes cells like those"):
        bulkgen.synthesize(profiles, reference=only_a, method="scvi", n_cells=1)


def test_without_scvi_tools_the_error_says_what_to_install(monkeypatch, cells):
    find = importlib.util.find_spec
    monkeypatch.setattr("bulkgen.generators.scvi.find_spec", lambda name: None if name == "scvi" else find(name))
    with pytest.raises(MissingExtraError, match=r"needs the package 'scvi'.*pip install 'bulkgen\[scvi\]'"):
        bulkgen.synthesize(cells, by="label", method="scvi", n_cells=1)


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("latent", 0), ("pool", 0), ("seed", -1)])
def test_parameters_out_of_range_are_refused(cells, name, value):
    with pytest.raises(ValueError, match=f"'{name}' of method 'scvi'"):
        bulkgen.synthesize(cells, by="label", method="scvi", **{name: value})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_real_package_gives_cells_like_the_reference():
    pytest.importorskip("scvi")
    cells = labelled_cells(5, {"A": 300, "B": 300}, n_genes=60, mean=3.0)
    # a stratum that differs
    dense = cells.X.toarray()
    dense[np.ix_(cells.obs["label"] == "B", np.arange(10))] *= 4
    cells.X = dense
    # five steps an epoch: after 40 epochs the decoded means are still 30 % off
    made = bulkgen.synthesize(cells, by="label", method="scvi", n_cells=300, epochs=400, rng=0)
    for name in ("A", "B"):
        real, here = (np.asarray(x[x.obs["label"] == name].to_df()) for x in (cells, made))
        expressed = real.mean(axis=0) > 0.5
        ratio = here.mean(axis=0)[expressed] / real.mean(axis=0)[expressed]
        assert np.median(np.abs(np.log2(ratio))) < 0.3
        assert here.sum(axis=1).mean() == pytest.approx(real.sum(axis=1).mean(), rel=0.15)
