"""What users have in the place of an .h5ad file, and what they are told."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.errors import CountsError
from bulkgen.io import open_cells


@pytest.mark.parametrize("reader", [bulkgen.read, open_cells])
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("cells.csv", b"a,b", "a table of bulk samples is read by: bulkgen bulk"),
        ("cells.h5ad.gz", b"", "unpack it: gunzip .*cells.h5ad.gz"),
        ("bulk.parquet", b"", r"bulkgen bulk .*bulk.parquet \.\.\.$"),
        ("cells.xlsx", b"", "save its sheet as .*cells.csv"),
        ("cells.rds", b"", "in R: anndataR::write_h5ad"),
        ("cells.h5Seurat", b"", "in R: SeuratDisk::Convert"),
        ("cells.loom", b"", "anndata.io.read_loom"),
        ("matrix.mtx.gz", b"", "scanpy.read_10x_mtx"),
        ("cells.unknown", b"", "read it with scanpy"),
        ("cells.h5ad", b"", "it is empty; make or copy it again"),
        ("cells.h5ad", gzip.compress(b"x", mtime=0), "it is packed by gzip; unpack it: mv"),
        ("cells.h5ad", b",GENE1,GENE2\n", "it is no HDF5 file, whatever its name says; it begins b',GENE1"),
    ],
)
def test_a_file_of_another_kind_is_told_with_what_makes_it_one(tmp_path, reader, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=told):
        reader(tmp_path / name)


@pytest.mark.parametrize(("name", "separator"), [("cells.csv", ","), ("cells.tsv", "\t"), ("cells.txt.gz", "\t")])
def test_what_is_told_of_a_table_of_cells_makes_cells_of_it(tmp_path, name, separator):
    path = tmp_path / name
    pd.DataFrame(np.eye(3), index=["c1", "c2", "c3"], columns=["g1", "g2", "g3"]).to_csv(path, sep=separator)
    with pytest.raises(ValueError, match=f"bulkgen bulk .*{name} ") as told:
        bulkgen.read(path)
    exec(str(told.value).partition("in Python, ")[2], {"anndata": ad})
    np.testing.assert_array_equal(bulkgen.read(tmp_path / "cells.h5ad").X, np.eye(3))


def test_a_folder_of_cell_ranger_is_told_with_how_it_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"scanpy\.read_10x_mtx"):
        open_cells(tmp_path)


def genes_by_cells() -> ad.AnnData:
    genes = pd.DataFrame(index=[f"ENSG0000000000{number}.1" for number in range(3)])
    return ad.AnnData(np.ones((3, 2), np.float32), obs=genes, var=pd.DataFrame(index=["c1", "c2"]))


@pytest.mark.parametrize("reader", [bulkgen.read, open_cells])
def test_genes_in_rows_are_refused_and_cells_in_rows_are_not(tmp_path, reader):
    genes_by_cells().write_h5ad(tmp_path / "turned.h5ad")
    with pytest.raises(ValueError, match=r"the rows are genes \(ENSG00000000000\.1, .*adata = adata\.T"):
        reader(tmp_path / "turned.h5ad")
    genes_by_cells().T.write_h5ad(tmp_path / "cells.h5ad")
    assert reader(tmp_path / "cells.h5ad").shape == (2, 3)


@pytest.mark.parametrize("reader", [bulkgen.read, open_cells])
def test_counts_that_are_in_raw_are_pointed_to(tmp_path, reader):
    cells = genes_by_cells().T
    cells.raw = cells.copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"no layer 'counts'; layers: none; .*adata\.raw\.to_adata\(\)"):
        reader(tmp_path / "cells.h5ad", layer="counts")
    cells.X = cells.X * np.float32(0.5)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(CountsError, match=r"adata\.raw\.to_adata\(\)"):
        bulkgen.read(tmp_path / "cells.h5ad")
