"""scvi-tools trains on what bulkgen returns and writes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bulkgen as bg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scvi = pytest.importorskip("scvi", reason="needs scvi-tools: pip install 'bulkgen[scvi]'")

# of its trainer, about processes and devices
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_scvi_trains_on_counts_in_a_layer_with_batches_and_labels(files):
    cells = bg.read(files["synthetic"])[:40].copy()
    cells.layers["counts"] = cells.X.copy()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scvi.model.SCVI.setup_anndata(cells, layer="counts", batch_key="cell_line", labels_key="drug")
    # its check of the values: "does not contain unnormalized count data"
    assert not [warning for warning in said if "count" in str(warning.message)]
    model = scvi.model.SCVI(cells, n_hidden=8, n_latent=2)
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False, logger=False)
    latent = model.get_latent_representation()
    assert latent.shape == (40, 2)
    assert np.isfinite(latent).all()
    registry = model.adata_manager.get_state_registry("labels")
    assert set(registry.categorical_mapping) == set(cells.obs["drug"].astype(str))


def test_scvi_says_that_fractional_cells_are_no_counts(files):
    """What the how-to page says of truncated Gaussian cells."""
    with pytest.warns(UserWarning, match="unnormalized count data"):
        scvi.model.SCVI.setup_anndata(bg.read(files["gaussian"]))
