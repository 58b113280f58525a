"""What cells refuse, and what they keep."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bulkgen.errors import CountsError, GeneOverlapError, LabelError
from bulkgen.fidelity import Cells
from bulkgen.tokens import Vocabulary, tokenize

GENES = np.array(["a", "b", "c"], dtype=object)


def adata(X=None, **obs):
    X = np.array([[1, 0, 2], [0, 3, 0]]) if X is None else X
    return ad.AnnData(sp.csr_matrix(X), obs=pd.DataFrame(obs, index=["x", "y"]), var=pd.DataFrame(index=GENES))


def cells(n=2, **more):
    return Cells(sp.csr_matrix(np.ones((n, 3), np.float32)), np.array(["u"] * n, dtype=object), GENES, **more)


def test_cells_from_anndata_are_float32_rows_with_labels_as_strings():
    made = Cells.from_anndata(adata(dose=[10, 2], plate=["q", "p"]), label="dose", group="plate")
    assert made.counts.dtype == np.float32
    assert made.counts.toarray().tolist() == [[1, 0, 2], [0, 3, 0]]
    assert made.labels.tolist() == ["10", "2"]
    assert made.group.tolist() == [1, 0]
    assert made.rows("2").tolist() == [1]


def test_negative_values_are_no_counts():
    with pytest.raises(CountsError, match="cell 'y', gene 'b' holds -3"):
        Cells.from_anndata(adata(np.array([[1.0, 0, 2], [0, -3, 0]]), label=["u", "v"]), label="label")


def test_a_cell_without_a_label_is_refused():
    with pytest.raises(LabelError, match="1 of 2 cells have no value"):
        Cells.from_anndata(adata(label=["u", None]), label="label")


@pytest.mark.parametrize("name", ["donor", "group"])
def test_a_number_for_each_cell_is_needed(name):
    with pytest.raises(ValueError, match=f"{name} has 3 entries for 2 cells"):
        cells(**{name: np.zeros(3, np.int64)})


def test_a_gene_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="more than once"):
        Cells(sp.csr_matrix((1, 2)), np.array(["u"], dtype=object), np.array(["a", "a"], dtype=object))


def test_an_unknown_label_has_no_rows():
    with pytest.raises(LabelError, match="no cell has the label 'z'; labels: 'u'"):
        cells().rows("z")


def test_other_genes_are_refused_and_the_remedy_told():
    other = Cells(cells().counts, cells().labels, GENES[::-1])
    with pytest.raises(GeneOverlapError, match="the same in another order"):
        cells().check_genes(other, this="these", that="those")
    other = Cells(cells().counts[:, :2], cells().labels, GENES[:2])
    with pytest.raises(GeneOverlapError, match="these have 3 genes, those 2; 2 are shared"):
        cells().check_genes(other, this="these", that="those")


def test_training_cells_that_stand_in_for_synthetic_ones_are_their_own_donors():
    standing = cells(group=np.array([4, 4])).as_synthetic()
    assert standing.donor.tolist() == [0, 1]
    assert standing.group is None


def test_taking_cells_takes_everything_of_them():
    both = cells(donor=np.array([7, 8]), group=np.array([1, 2]))
    tokens = tokenize(adata(), vocabulary=Vocabulary.fit(adata()), keep_empty=True)
    some = replace(both, tokens=tokens).take(np.array([1]))
    assert len(some) == len(some.tokens) == 1
    np.testing.assert_array_equal(some.tokens.flat()[0], tokens.input_ids(1))
    assert (some.donor.tolist(), some.group.tolist()) == ([8], [2])
