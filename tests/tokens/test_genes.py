"""Ids of columns to genes: versions, symbols, duplicates, and how much of the data the vocabulary knows."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from bulkgen.ensembl import strip_version
from bulkgen.errors import GeneOverlapError
from bulkgen.tokens.genes import map_genes, resolve

GENES = [f"ENSG{i:011d}" for i in range(1, 13)]


def var(ids, **columns):
    return pd.DataFrame(columns, index=pd.Index(ids, dtype=object))


@pytest.mark.parametrize(
    ("gene", "expected"),
    [
        ("ENSG00000000003.15", "ENSG00000000003"),
        ("ENSG00000000003", "ENSG00000000003"),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
        ("ENSG00000182378.14_PAR_Y", "ENSG00000182378"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("AC012345.1", "AC012345.1"),
        ("ENST00000000233.10", "ENST00000000233.10"),
        ("", ""),
    ],
)
def test_versions_are_stripped_from_ensembl_gene_ids_alone(gene, expected):
    assert strip_version(gene) == expected


def test_without_a_mapping_an_id_stands_for_itself(plain_vocabulary):
    assert resolve(GENES[0], plain_vocabulary) == GENES[0]
    assert resolve(f"{GENES[0]}.7", plain_vocabulary) == GENES[0]
    assert resolve(GENES[0].lower(), plain_vocabulary) == GENES[0]
    assert resolve("ISG15", plain_vocabulary) is None
    assert resolve("", plain_vocabulary) is None


def test_ids_that_are_not_ensembl_keep_their_case_without_a_mapping(plain_vocabulary):
    from dataclasses import replace

    mouse = replace(plain_vocabulary, tokens={"ACTB": 2}, medians={"ACTB": 1.0})
    assert resolve("ACTB", mouse) == "ACTB"
    assert resolve("Actb", mouse) is None


def test_a_mapping_takes_symbols_aliases_and_retired_ids_in_any_case(mapped_vocabulary):
    assert resolve("isg15", mapped_vocabulary) == GENES[0]
    assert resolve("G1P2", mapped_vocabulary) == GENES[0]
    assert resolve("ENSG00000999999", mapped_vocabulary) == GENES[2]
    assert resolve("ENSG00000999999.3", mapped_vocabulary) == GENES[2]
    assert resolve("ensg00000000004.1", mapped_vocabulary) == GENES[3]
    assert resolve("UNKNOWN", mapped_vocabulary) is None


def test_each_column_gets_the_token_and_median_of_its_gene(plain_vocabulary):
    genes = map_genes(var([GENES[2], "other", GENES[0]]), plain_vocabulary)
    np.testing.assert_array_equal(genes.token, [4, -1, 2])
    np.testing.assert_array_equal(genes.median, [0.5, 1.0, 1.0])
    assert genes.token.dtype == np.int32
    assert genes.first_column.size == 0
    assert (genes.mapped, genes.versioned, genes.collapsed) == (2, 0, 0)
    assert genes.fraction == pytest.approx(2 / 3)


def test_versioned_ids_are_reported(plain_vocabulary):
    genes = map_genes(var([f"{GENES[0]}.5", GENES[1], "ENSG99999999999.2"]), plain_vocabulary)
    assert (genes.mapped, genes.versioned) == (2, 1)


def test_columns_of_one_gene_lead_to_the_first_of_them(mapped_vocabulary):
    genes = map_genes(var(["x", "G1P2", GENES[1], "ISG15", GENES[0], "x"]), mapped_vocabulary)
    np.testing.assert_array_equal(genes.first_column, [0, 1, 2, 1, 1, 5])
    assert genes.first_column.dtype == np.int32
    np.testing.assert_array_equal(genes.token, [-1, 4, 5, 4, 4, -1])
    assert (genes.mapped, genes.collapsed) == (4, 2)


@pytest.mark.parametrize("missing", ["", None, float("nan"), pd.NA])
def test_missing_ids_are_no_gene(plain_vocabulary, missing):
    frame = var(["a", "b", "c"], ensembl_id=pd.Series([GENES[0], missing, GENES[1]], index=["a", "b", "c"]))
    genes = map_genes(frame, plain_vocabulary, gene_ids="ensembl_id")
    np.testing.assert_array_equal(genes.token, [2, -1, 3])
    assert genes.gene_ids == "ensembl_id"


def test_too_few_known_ids_is_an_error_that_names_a_better_column(plain_vocabulary):
    symbols = [f"SYMBOL{i}" for i in range(12)]
    frame = var(symbols, **{"Ensemble Id": GENES, "other": symbols, "number": range(12)})
    with pytest.raises(
        GeneOverlapError,
        match=r"only 0 of 12 ids in var_names \(SYMBOL0, SYMBOL1, SYMBOL2, \.\.\.\) are genes of vocabulary 'plain', "
        r"whose ids look like ENSG00000000001; 'Ensemble Id' maps 100\.0%: pass gene_ids='Ensemble Id'",
    ):
        map_genes(frame, plain_vocabulary)
    with pytest.raises(GeneOverlapError, match=r"ids in var\['other'\] .*gene_ids='Ensemble Id'"):
        map_genes(frame, plain_vocabulary, gene_ids="other")
    assert map_genes(frame, plain_vocabulary, gene_ids="Ensemble Id").fraction == 1.0


def test_var_names_are_suggested_where_they_do_better(plain_vocabulary):
    frame = var(GENES, symbol=pd.Categorical([f"S{i}" for i in range(12)]))
    with pytest.raises(GeneOverlapError, match=r"'var_names' maps 100.0%: leave gene_ids out"):
        map_genes(frame, plain_vocabulary, gene_ids="symbol")


def test_no_better_column_is_said_plainly(plain_vocabulary):
    with pytest.raises(GeneOverlapError, match="no column of var does better"):
        map_genes(var(["Actb", "Gapdh"], note=["x", "y"]), plain_vocabulary)


@pytest.mark.parametrize(
    ("ids", "cause"),
    [
        (["ENSMUSG00000000001", "ENSMUSG00000000028"], "genes of another species; map them to their human orthologs"),
        (["GRCh38_ENSG00000000901", "mm10___ENSMUSG00000000001"], "the name of a genome, as references of two species"),
        (["GAPDH", "ACTB", "ENSG00000999991"], "Geneformer's V2 maps them (vocabulary='V2', --vocabulary V2)"),
        (["ENSG00000999991", "ENSG00000999992"], "are the rows cells and the columns genes"),
        (["ENSG90000000001"], "as those of simulated cells, need one of their own (bulkgen.Vocabulary.fit"),
    ],
)
def test_the_form_of_unknown_ids_says_why_they_are_unknown(plain_vocabulary, ids, cause):
    with pytest.raises(GeneOverlapError, match=re.escape(cause)):
        map_genes(var(ids), plain_vocabulary)


def test_the_limits_are_ten_and_fifty_percent(plain_vocabulary):
    def frame(known, of):
        return var([*GENES[:known], *(f"S{i}" for i in range(of - known))])

    with pytest.raises(GeneOverlapError):
        map_genes(frame(1, 11), plain_vocabulary)
    with pytest.warns(UserWarning, match=r"only 1 of 10 columns \(10.0%\) carry a gene of vocabulary 'plain'"):
        map_genes(frame(1, 10), plain_vocabulary)
    with pytest.warns(UserWarning, match=r"49\.\d%|4 of 9"):
        map_genes(frame(4, 9), plain_vocabulary)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        map_genes(frame(5, 10), plain_vocabulary)


def test_an_unknown_column_says_what_there_is(plain_vocabulary):
    with pytest.raises(ValueError, match=r"gene_ids='id' is not a column of var, which has 'a', 'b'"):
        map_genes(var(GENES, a=1, b=2), plain_vocabulary, gene_ids="id")
