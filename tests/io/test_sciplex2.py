"""The three shapes of sci-Plex2 become one clean AnnData, and nothing else is taken for sci-Plex2."""

from __future__ import annotations

import gzip
import json
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.datasets import sciplex2_twin
from bulkgen.errors import CountsError, LabelError
from bulkgen.io import qc_table, read_sciplex2
from count_cases import matrix_bytes
from sciplex2_files import SERIES, experiment, simulated_experiment, write_geo, write_preprocessed, write_scperturb

SHAPES = ("preprocessed", "scPerturb", "GEO", "GEO without cell annotations")


def write_shape(cells, shape, folder):
    folder.mkdir(exist_ok=True)
    if shape == "preprocessed":
        return write_preprocessed(cells, folder / "sciPlex2_A549_all4_drugs_and_doses.h5ad")
    if shape == "scPerturb":
        return write_scperturb(cells, folder / "SrivatsanTrapnell2020_sciplex2.h5ad")
    return write_geo(cells, folder / "geo", annotations=shape == "GEO")


@pytest.fixture(scope="module")
def cells():
    return simulated_experiment()


@pytest.fixture(scope="module")
def files(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sciplex2")
    return {shape: write_shape(cells, shape, folder / shape.replace(" ", "_")) for shape in SHAPES}


def check_clean(clean, cells):
    """Compare with dense arithmetic on what the sequencer saw."""
    dense = cells.counts.toarray()
    total, mitochondrial = dense.sum(axis=1), dense[:, [name.startswith("MT-") for name in cells.symbols]].sum(axis=1)
    good = (total > 500) & (total < 12_000) & (mitochondrial < 0.5 * total)
    labelled = np.array([label is not None for label in cells.hashes])
    kept = np.flatnonzero(good & labelled)
    assert not good[:10].any()
    assert list(clean.obs_names) == [cells.cells[i] for i in kept]
    parts = [cells.hashes[i].split("_") for i in kept]
    assert list(clean.obs["drug"]) == [drug for drug, _, _ in parts]
    assert clean.obs["dose"].dtype == np.float64
    assert list(clean.obs["dose"]) == [float(dose) for _, dose, _ in parts]
    assert list(clean.obs["treated_label"]) == ["Untreated" if dose == "0" else drug for drug, dose, _ in parts]
    assert isinstance(clean.obs["treated_label"].dtype, pd.CategoricalDtype)
    if "well" in clean.obs:
        assert list(clean.obs["well"]) == [well for _, _, well in parts]

    added = dense[kept].copy()
    added[:, 20] += added[:, -1]
    added[:, 21] += added[:, -2]
    np.testing.assert_array_equal(clean.X.toarray(), added[:, :-2])
    assert clean.X.format == "csr"
    assert clean.X.dtype == np.int32
    assert clean.X.has_canonical_format
    assert list(clean.var_names) == [gene.split(".")[0] for gene in cells.gene_ids[:-2]]
    left = qc_table(clean).set_index("step")["left"]
    assert left["in the file"].tolist() == [len(total), dense.shape[1]]
    assert left["more than 500 counts"] == (total > 500).sum()
    assert left["fewer than 12,000 counts"] == ((total > 500) & (total < 12_000)).sum()
    assert left["less than 50 % mitochondrial (3 genes)"] == good.sum()
    assert left["drug and dose known"] == len(kept)
    assert left["unique without version (counts added)"] == dense.shape[1] - 2


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_cleaned_as_plain_arithmetic_says(files, cells, shape):
    check_clean(read_sciplex2(files[shape]), cells)


@pytest.mark.real_data
@pytest.mark.parametrize("shape", SHAPES)
def test_real_counts_in_each_shape_are_cleaned_as_plain_arithmetic_says(shared_data, tmp_path, shape):
    real = bulkgen.read(shared_data / "kang_ifnb_2000.h5ad")[:300, :3000]
    cells = experiment(real.X, real.var_names)
    check_clean(read_sciplex2(write_shape(cells, shape, tmp_path / "files")), cells)


def test_all_shapes_of_the_same_cells_agree_to_the_bit(files):
    clean = [read_sciplex2(files[shape]) for shape in SHAPES]
    for other in clean[1:]:
        assert matrix_bytes(other.X) == matrix_bytes(clean[0].X)
        pd.testing.assert_frame_equal(
            other.obs[["treated_label", "drug", "dose"]],
            clean[0].obs[["treated_label", "drug", "dose"]],
            check_names=False,
        )
        assert list(other.var_names) == list(clean[0].var_names)


def test_scperturbs_control_cells_are_not_taken_for_vehicle(files, cells):
    clean = read_sciplex2(files["scPerturb"])
    control = {cells.cells[i] for i, label in enumerate(cells.hashes) if label is None}
    assert control
    assert not control & set(clean.obs_names)
    table = qc_table(clean).set_index("step")
    assert table.loc["drug and dose known", "removed"] == len(control)


def test_doses_are_chosen_and_said(files):
    clean = read_sciplex2(files["GEO"], doses=(0, 10))
    assert set(clean.obs["dose"]) == {0.0, 10.0}
    assert qc_table(clean).query("axis == 'cells'")["step"].iloc[-1] == "dose 0 or 10"
    with pytest.raises(ValueError, match="doses must be some of"):
        read_sciplex2(files["GEO"], doses=(0, 7))


@pytest.mark.parametrize("shape", ["scPerturb", "GEO"])
def test_doubtful_hash_labels_can_be_left_out(files, cells, shape):
    clean = read_sciplex2(files[shape], confident_hashes=True)
    doubtful = set(cells.cells[::7])
    every = set(read_sciplex2(files[shape]).obs_names)
    assert set(clean.obs_names) == every - doubtful
    assert every & doubtful


def test_hash_labels_that_a_file_has_not_cannot_be_asked_for(files):
    with pytest.raises(ValueError, match="confident_hashes needs the columns hash_umis"):
        read_sciplex2(files["preprocessed"], confident_hashes=True)


def test_the_clean_cells_say_where_they_come_from(files, tmp_path):
    clean = read_sciplex2(files["scPerturb"])
    record = clean.uns["bulkgen"]
    assert record["kind"] == "sciplex2"
    parameters = json.loads(record["parameters"])
    assert parameters["shape"] == "scPerturb"
    assert parameters["file"] == "SrivatsanTrapnell2020_sciplex2.h5ad"
    bulkgen.write(clean, tmp_path / "clean.h5ad")
    again = read_sciplex2(tmp_path / "clean.h5ad")
    assert matrix_bytes(again.X) == matrix_bytes(clean.X)
    pd.testing.assert_frame_equal(qc_table(again), qc_table(clean))
    with pytest.raises(ValueError, match="has been cleaned already"):
        read_sciplex2(tmp_path / "clean.h5ad", doses=(0, 10))


def test_the_count_matrix_stands_for_its_folder(files):
    matrix = files["GEO"] / f"{SERIES}_UMI.count.matrix.gz"
    assert read_sciplex2(matrix).n_obs == read_sciplex2(files["GEO"]).n_obs


def test_a_table_of_other_cells_has_no_quality_control():
    with pytest.raises(ValueError, match="no record of quality control"):
        qc_table(sciplex2_twin(20, 500))


def changed(path, out, change):
    """Write a copy of an h5ad after a change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = ad.read_h5ad(path)
        change(adata)
        adata.write_h5ad(out)
    return out


def _rename(adata):
    adata.obs = adata.obs.rename(columns={"perturbation": "treatment"})


def _other_drug(adata):
    adata.obs["perturbation"] = adata.obs["perturbation"].astype(str).replace("Dex", "Vorinostat")


def _other_unit(adata):
    adata.obs["dose_value"] = adata.obs["dose_value"].astype(object).replace("10", "10000")


def _no_vehicle(adata):
    adata.obs["dose_value"] = adata.obs["dose_value"].astype(object).replace("0", "1")


def _vehicle_at_a_dose(adata):
    drug = adata.obs["perturbation"].astype(str)
    adata.obs["perturbation"] = drug.where(adata.obs["dose_value"].astype(str) != "10", "control")


def _normalised(adata):
    adata.X = np.log1p(adata.X)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_rename, ValueError, r"(?s)not sci-Plex2 in a known shape.*'treatment'.*scPerturb .h5ad: obs 'perturbation'"),
        (_other_drug, ValueError, "drugs that sci-Plex2 has not: 'Vorinostat'"),
        (_other_unit, ValueError, "dose '10000', which sci-Plex2 has not"),
        (_no_vehicle, LabelError, "no cell at dose 0"),
        (_vehicle_at_a_dose, ValueError, "vehicle cells at dose 10"),
        (_normalised, CountsError, "log-normalised"),
    ],
)
def test_what_is_not_sciplex2_is_refused(files, tmp_path, change, error, message):
    path = changed(files["scPerturb"], tmp_path / "other.h5ad", change)
    with pytest.raises(error, match=message):
        read_sciplex2(path)


def test_a_missing_path_names_the_command_that_downloads(tmp_path):
    with pytest.raises(FileNotFoundError, match="bulkgen fetch sciplex2"):
        read_sciplex2(tmp_path / "nothing.h5ad")


@pytest.mark.parametrize("kind", ["UMI.count.matrix", "gene.annotations", "pData"])
def test_a_missing_file_of_geos_is_named(cells, tmp_path, kind):
    folder = write_geo(cells, tmp_path / "geo")
    next(folder.glob(f"*{kind}*")).unlink()
    with pytest.raises(FileNotFoundError, match=kind):
        read_sciplex2(folder)


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ("0\t1\t3\n", ValueError, "numbers genes from 0 to 0"),
        ("1\t999\t3\n", ValueError, "numbers cells from 999 to 999, but there are 160 cells"),
        ("1\t1\t-3\n", CountsError, "must not be negative"),
        ("1\t1\n", ValueError, "must have three columns"),
        ("1\t1\t0.5\n", OSError, "cannot be read as lines of gene, cell and count"),
        ("%%MatrixMarket matrix\n", OSError, "cannot be read as lines of gene, cell and count"),
    ],
)
def test_a_wrong_count_matrix_is_refused(cells, tmp_path, lines, error, message):
    folder = write_geo(cells, tmp_path / "geo")
    with gzip.open(next(folder.glob("*UMI.count.matrix*")), "wt") as file:
        file.write(lines)
    with pytest.raises(error, match=message):
        read_sciplex2(folder)


def test_no_cell_that_passes_is_said_with_the_steps(cells, tmp_path):
    few = experiment(sp.csr_matrix(np.eye(*cells.counts.shape, dtype=np.int32)), cells.symbols)
    few.counts, few.hashes = few.counts[16:], few.hashes[16:]
    with pytest.raises(LabelError, match=r"(?s)no cell .* is left.*more than 500 counts"):
        read_sciplex2(write_preprocessed(few, tmp_path / "few.h5ad"))
