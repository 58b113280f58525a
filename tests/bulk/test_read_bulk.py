"""read_bulk: formats, orientation, genes, samples, and what comes out."""

from __future__ import annotations

import json
import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bulkgen as bg
from bulkgen.bulk_input import bulk_report
from bulkgen.errors import GeneOverlapError, LabelError, VocabularyError
from bulkgen.io import provenance_of, read_table

GENES = [f"ENSG{i:011d}" for i in range(1, 9)]
SYMBOLS = ["ISG15", "ACTB", "TP53", "GAPDH", "CD3E", "MYC", "EGFR", "KRAS"]


def cause(words: str) -> str:
    return re.escape(words)


def same(samples: ad.AnnData, counts: pd.DataFrame) -> None:
    assert samples.X.dtype == np.int64
    assert list(samples.var_names) == list(counts.index)
    assert list(samples.obs_names) == list(counts.columns)
    np.testing.assert_array_equal(samples.X, counts.to_numpy().T)


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".tsv", ".tsv.bz2", ".txt.xz", ".tab"])
def test_delimited_text_is_read_whatever_its_separator_and_compression(tmp_path, counts, ending):
    path = tmp_path / f"bulk{ending}"
    counts.to_csv(path, sep=";" if "xz" in ending else "," if "csv" in ending else "\t", index_label="gene_id")
    same(bg.read_bulk(path), counts)


def test_a_header_without_a_name_for_the_row_names_is_what_r_writes(tmp_path, counts):
    lines = [" ".join(f'"{name}"' for name in counts.columns)]
    lines += [f'"{gene}" ' + " ".join(map(str, row)) for gene, row in zip(counts.index, counts.to_numpy(), strict=True)]
    (tmp_path / "bulk.txt").write_text("\n".join(lines) + "\n")
    same(bg.read_bulk(tmp_path / "bulk.txt"), counts)


def test_parquet_is_read_with_genes_in_the_index_or_in_a_column(tmp_path, counts):
    counts.to_parquet(tmp_path / "index.parquet")
    same(bg.read_bulk(tmp_path / "index.parquet"), counts)
    counts.rename_axis("gene_id").reset_index().to_parquet(tmp_path / "column.parquet")
    same(bg.read_bulk(tmp_path / "column.parquet"), counts)
    counts.astype("Int32").to_parquet(tmp_path / "nullable.parquet")
    same(bg.read_bulk(tmp_path / "nullable.parquet"), counts)


def test_a_text_that_fills_a_parquet_column_is_in_memory_once(tmp_path):
    text = pa.DictionaryArray.from_arrays(np.zeros(1_000, np.int32), ["x" * 10_000]).cast(pa.string())
    pq.write_table(pa.table({"gene": text, "S1": np.ones(1_000)}), tmp_path / "bulk.parquet")
    column = read_table(tmp_path / "bulk.parquet")["gene"]
    assert column.dtype == object
    assert len({id(value) for value in column}) == 1


def test_featurecounts_tables_have_a_comment_and_five_columns_that_describe_genes(tmp_path, counts):
    table = counts.rename_axis("Geneid").reset_index()
    for place, (name, value) in enumerate({"Chr": "1;1", "Start": 5, "End": 9, "Strand": "+;+", "Length": 800}.items()):
        table.insert(place + 1, name, value)
    text = "# Program:featureCounts v2.0.1; Command:...\n" + table.to_csv(sep="\t", index=False)
    (tmp_path / "counts.txt").write_text(text)
    with pytest.warns(UserWarning, match="columns taken for annotation, not for values: 'Chr', 'Start', 'End'"):
        samples = bg.read_bulk(tmp_path / "counts.txt")
    same(samples, counts)
    assert list(samples.var.columns) == ["Chr", "Start", "End", "Strand", "Length"]
    assert samples.var["Length"].tolist() == [800] * 8
    assert bulk_report(samples).annotation == ("Chr", "Start", "End", "Strand", "Length")


def test_a_gct_file_has_two_lines_above_its_header(tmp_path, tpm):
    table = tpm.rename_axis("Name").reset_index()
    table.insert(1, "Description", SYMBOLS)
    (tmp_path / "bulk.gct").write_text("#1.2\n8\t3\n" + table.to_csv(sep="\t", index=False))
    with pytest.warns(UserWarning, match="'Description'"):
        samples = bg.read_bulk(tmp_path / "bulk.gct", unit="tpm")
    assert list(samples.var["Description"]) == SYMBOLS
    np.testing.assert_allclose(samples.X, tpm.to_numpy().T)


@pytest.mark.parametrize("program", ["htseq", "star"])
def test_rows_that_count_reads_outside_genes_are_left_out(counts, program):
    rows = {"htseq": ["__no_feature", "__ambiguous"], "star": ["N_unmapped", "N_noFeature"]}[program]
    table = pd.concat([counts, pd.DataFrame(7, index=rows, columns=counts.columns)])
    samples = bg.read_bulk(table)
    same(samples, counts)
    assert bulk_report(samples).summary_rows == tuple(rows)


def test_a_byte_order_mark_and_empty_columns_of_a_spreadsheet_do_no_harm(tmp_path, counts):
    lines = counts.to_csv(index_label="gene").splitlines()
    (tmp_path / "bulk.csv").write_text("\ufeff" + "\n".join(f"{line},," for line in lines) + "\n", encoding="utf-8")
    same(bg.read_bulk(tmp_path / "bulk.csv"), counts)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_anndata_is_read_from_files_and_from_memory_dense_or_sparse(tmp_path, counts, suffix):
    adata = ad.AnnData(sp.csr_matrix(counts.to_numpy().T), obs=pd.DataFrame(index=counts.columns))
    adata.var_names = counts.index
    bg.write(adata, tmp_path / f"bulk.{suffix}")
    same(bg.read_bulk(tmp_path / f"bulk.{suffix}"), counts)
    same(bg.read_bulk(adata), counts)
    adata.layers["other"] = adata.X.toarray() * 2
    same(bg.read_bulk(adata, layer="other"), counts * 2)
    assert adata.X.nnz == 32  # not changed


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "bulk.xlsx").write_text("")
    (tmp_path / "one.csv").write_text("gene\nA\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "bad.csv.gz").write_text("no gzip")
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "long.csv").write_text("a,b\n1,2,3,4\n")
    (tmp_path / "ragged.csv").write_text("gene,S1\nA,1\nB,2,3,4\n")
    (tmp_path / "hash.tsv").write_text("# counts\n#gene\tS1\nA\t1\nB\t2\n")
    (tmp_path / "new.gct").write_text("#1.3\n1\t1\t0\t0\nid\tS1\nA\t1\n")
    cases = {
        "gone.csv": (FileNotFoundError, "there is no file"),
        "bulk.xlsx": (ValueError, "must end in .csv, .tsv, .txt, .tab, .gct, .parquet; text may also be compressed"),
        "one.csv": (OSError, "cannot be read as a table (.csv): the header has one column only: 'gene'"),
        "empty.csv": (OSError, "the header has one column only: ''"),
        "bad.csv.gz": (OSError, "cannot be read as a table (.csv): Not a gzipped file"),
        "bad.parquet": (OSError, "cannot be read as a table (.parquet)"),
        "long.csv": (OSError, "the rows have 2 values more than the header has names"),
        "ragged.csv": (OSError, "Expected 2 fields in line"),
        "hash.tsv": (OSError, r"its header '#gene\tS1' begins with '#', as comments do"),
        "new.gct": (OSError, "GCT of version 1.3 is not read"),
    }
    for name, (error, words) in cases.items():
        with pytest.raises(error, match=cause(words)):
            bg.read_bulk(tmp_path / name)


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize("with_table", [False, True])
def test_either_orientation_gives_the_same_samples(counts, meta, with_table):
    samples = meta if with_table else None
    usual = bg.read_bulk(counts, samples=samples)
    turned = bg.read_bulk(counts.T, samples=samples)
    named = bg.read_bulk(counts.T.rename_axis("sample_id").reset_index(), samples=samples)
    for other in (turned, named):
        same(other, counts)
        np.testing.assert_array_equal(usual.X, other.X)
        assert usual.obs.drop(columns="sample").equals(other.obs.drop(columns="sample"))


def test_symbols_are_known_as_genes_through_the_vocabulary(counts, vocabulary):
    by_symbol = counts.set_axis(SYMBOLS, axis=0)
    same(bg.read_bulk(by_symbol, vocabulary=vocabulary), counts)
    same(bg.read_bulk(by_symbol.T, vocabulary=vocabulary), counts)


def test_an_axis_that_cannot_be_told_is_asked_for(counts):
    unknown = counts.set_axis([f"G{i}" for i in range(8)], axis=0)
    words = (
        "cannot tell which axis of the table holds the genes: 0% of the names of rows ('G0', 'G1', 'G2', ...) and 0% "
        "of those of columns ('S1', 'S2', 'S3', ...) are known as genes; say genes='rows' or genes='columns' (--genes "
        "rows), or pass a vocabulary that knows such ids (V2 for symbols)"
    )
    with pytest.raises(ValueError, match=cause(words)):
        bg.read_bulk(unknown)
    same(bg.read_bulk(unknown, genes="rows"), unknown)
    same(bg.read_bulk(unknown.T, genes="columns"), unknown)


def test_genes_on_both_axes_are_ambiguous_too(counts):
    both = counts.set_axis([f"ENSG{i:011d}" for i in range(50, 54)], axis=1)
    with pytest.raises(ValueError, match=cause("100% of the names of rows")):
        bg.read_bulk(both)
    same(bg.read_bulk(both, genes="rows"), both)


def test_the_sample_table_decides_where_no_name_is_known(counts, meta):
    unknown = counts.set_axis([f"G{i}" for i in range(8)], axis=0)
    same(bg.read_bulk(unknown, samples=meta), unknown)
    same(bg.read_bulk(unknown.T, samples=meta), unknown)


def test_the_column_that_looks_most_like_gene_ids_holds_them(counts, vocabulary):
    table = counts.reset_index(drop=True)
    table.insert(0, "gene_name", SYMBOLS)
    table.insert(1, "ensembl", GENES)
    with pytest.warns(UserWarning, match="annotation, not for values: 'gene_name'"):
        same(bg.read_bulk(table), counts)
    # both are known now, and one is asked for
    with pytest.warns(UserWarning, match="annotation, not for values: 'gene_name'"):
        same(bg.read_bulk(table, vocabulary=vocabulary, gene_ids="ensembl"), counts)
    with pytest.warns(UserWarning, match="annotation, not for values: 'ensembl'"):
        samples = bg.read_bulk(table, gene_ids="gene_name")
    assert list(samples.var_names) == SYMBOLS


def test_a_sample_may_be_called_like_an_annotation(counts, meta):
    table, samples = counts.rename(columns={"S1": "Length"}), meta.replace("S1", "Length")
    assert "Length" in bg.read_bulk(table, samples=samples).obs_names


def test_tables_that_cannot_be_understood_are_refused(counts, meta):
    text = counts.astype(object)
    text.loc[GENES[2], "S3"] = "n.d."
    unnamed = counts.reset_index(drop=True)
    cases = [
        ({"source": text}, ValueError, f"column 'S3' holds 'n.d.' in row '{GENES[2]}', which is no number"),
        ({"source": counts[[]]}, ValueError, "the table is empty: 8 rows, 0 columns"),
        (
            {"source": counts, "gene_ids": "gone"},
            ValueError,
            "gene_ids='gone' is not a column of the table, which has 'S1'",
        ),
        ({"source": counts, "genes": "genes"}, ValueError, "genes must be 'rows' or 'columns', got 'genes'"),
        ({"source": counts, "genes": "columns", "gene_ids": "S1"}, ValueError, "so genes must be 'rows'"),
        (
            {"source": unnamed, "genes": "rows"},
            ValueError,
            "no column of the table holds gene ids: name it with gene_ids=",
        ),
        ({"source": unnamed, "genes": "columns"}, ValueError, "genes are columns, but no column names the samples"),
        ({"source": counts.set_axis(["A", "B", "A", "C"], axis=1)}, ValueError, "sample 'A' occurs more than once"),
        (
            {"source": pd.DataFrame({"a": SYMBOLS}, index=GENES), "genes": "rows"},
            ValueError,
            "no column of numbers, so no s",
        ),
        ({"source": pd.DataFrame({"a": ["x"]}, index=["S"]), "genes": "columns"}, ValueError, "numbers, so no gene"),
        ({"source": counts, "layer": "raw"}, ValueError, "a table has no layers; leave layer out"),
        ({"source": counts, "unit": "cpm"}, ValueError, "unit must be 'counts' or 'tpm', got 'cpm'"),
        (
            {"source": counts, "unit": "tpm", "round": True},
            ValueError,
            "round=True makes expected counts whole; TPM stay",
        ),
        ({"source": counts, "vocabulary_path": "x"}, ValueError, "pass vocabulary='V1' or 'V2' too"),
        ({"source": counts, "vocabulary": "gone.json"}, VocabularyError, "'gone.json' is neither 'V1' nor 'V2'"),
        ({"source": 5}, TypeError, "source must be a string, a path, an AnnData or a DataFrame, got 5"),
    ]
    for arguments, error, words in cases:
        with pytest.raises(error, match=cause(words)):
            bg.read_bulk(**arguments)


def test_anndata_that_cannot_be_used_is_refused(counts):
    adata = ad.AnnData(counts.to_numpy().T.astype(float), obs=pd.DataFrame(index=["S1", "S2", "S3", "S4"]))
    adata.var_names = counts.index
    with pytest.raises(ValueError, match=cause("source has no layer 'raw'; layers: none")):
        bg.read_bulk(adata, layer="raw")
    with pytest.raises(ValueError, match=cause("an AnnData is samples x genes; genes says which axis of a table")):
        bg.read_bulk(adata, genes="rows")
    with pytest.raises(ValueError, match=cause("source has no matrix X; name a layer")):
        bg.read_bulk(ad.AnnData(obs=adata.obs, var=adata.var))
    with pytest.raises(ValueError, match=cause("gene_ids='id' is not a column of var")):
        bg.read_bulk(adata, gene_ids="id")
    adata.obs_names = ["S1", "S1", "S3", "S4"]
    with pytest.raises(ValueError, match=cause("sample names must be unique, but 'S1' occurs more than once")):
        bg.read_bulk(adata)


# ---------------------------------------------------------------- genes


def test_versions_are_stripped_and_ids_of_one_gene_are_added(counts):
    table = counts.set_axis([f"{GENES[0]}.4", f"{GENES[0]}.4_PAR_Y", *GENES[2:]], axis=0)
    samples = bg.read_bulk(table)
    assert list(samples.var_names) == [GENES[0], *GENES[2:]]
    np.testing.assert_array_equal(samples.X[:, 0], counts.iloc[:2].sum())
    report = bulk_report(samples)
    assert (report.ids, report.genes, report.versions_stripped, report.ids_summed) == (8, 7, 2, 1)


def test_symbols_aliases_and_retired_ids_lead_to_the_genes_of_the_vocabulary(counts, vocabulary):
    table = counts.set_axis(
        ["isg15", "G1P2", "ENSG00000999999.3", "ACTB", f"{GENES[2]}.1", "ERCC-1", "", "KRAS"], axis=0
    )
    with pytest.warns(UserWarning, match="2 of 8 gene ids") as caught:
        samples = bg.read_bulk(table, vocabulary=vocabulary)
    assert list(samples.var_names) == [GENES[0], GENES[2], GENES[1], GENES[7]]
    values = counts.to_numpy()
    expected = [values[0] + values[1], values[2] + values[4], values[3], values[7]]
    np.testing.assert_array_equal(samples.X.T, expected)
    report = bulk_report(samples)
    assert (report.ids_summed, report.unmapped, report.unmapped_examples) == (2, 2, ("ERCC-1", ""))
    share = values[5:7].sum() / values.sum()
    assert report.unmapped_share == pytest.approx(share)
    assert str(caught[0].message) == (
        f"2 of 8 gene ids, with {share:.2%} of the counts, are not in vocabulary 'small' and left out: 'ERCC-1', ''"
    )


def test_a_column_of_var_may_hold_the_ids(counts, vocabulary):
    adata = ad.AnnData(counts.to_numpy().T, obs=pd.DataFrame(index=counts.columns))
    adata.var_names = [f"feature{i}" for i in range(8)]
    adata.var["symbol"] = SYMBOLS
    with pytest.raises(
        GeneOverlapError, match=cause("'symbol' maps 100.0%: pass gene_ids='symbol' (--gene-ids 'symbol')")
    ):
        bg.read_bulk(adata, vocabulary=vocabulary)
    samples = bg.read_bulk(adata, vocabulary=vocabulary, gene_ids="symbol")
    same(samples, counts)
    assert list(samples.var["symbol"]) == SYMBOLS


def test_genes_as_columns_may_repeat(counts, vocabulary, tmp_path):
    table = counts.T.set_axis([*SYMBOLS[:7], "ISG15"], axis=1)
    table.to_csv(tmp_path / "bulk.csv")
    for source in (table, tmp_path / "bulk.csv"):
        samples = bg.read_bulk(source, vocabulary=vocabulary)
        assert samples.n_vars == 7
        np.testing.assert_array_equal(samples.X[:, 0], counts.iloc[0] + counts.iloc[7])


def test_ids_that_the_vocabulary_does_not_know_are_refused_unless_a_column_does_better(counts, vocabulary):
    foreign = counts.set_axis([f"Gm{i}" for i in range(8)], axis=0)
    with pytest.raises(GeneOverlapError, match=cause("only 0 of 8 ids in var_names (Gm0, Gm1, Gm2, ...) are genes")):
        bg.read_bulk(foreign, vocabulary=vocabulary, genes="rows")
    table = foreign.assign(symbol=SYMBOLS)
    same(bg.read_bulk(table, vocabulary=vocabulary), counts)


@given(
    st.lists(st.sampled_from([*SYMBOLS, *GENES, "G1P2", "isg15", "nothing", f"{GENES[4]}.12"]), min_size=2, max_size=30)
)
def test_no_count_of_a_known_gene_is_lost_or_counted_twice(vocabulary, ids):
    from bulkgen.tokens.genes import resolve

    values = np.random.default_rng(len(ids)).integers(1, 1000, (3, len(ids)))
    table = pd.DataFrame(values.T, index=ids, columns=["a1", "a2", "a3"])
    found = [resolve(name, vocabulary) for name in ids]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if sum(gene is not None for gene in found) < 0.1 * len(ids):
            with pytest.raises(GeneOverlapError):
                bg.read_bulk(table, vocabulary=vocabulary, genes="rows")
            return
        samples = bg.read_bulk(table, vocabulary=vocabulary, genes="rows")
    assert list(samples.var_names) == list(dict.fromkeys(gene for gene in found if gene))
    for gene in samples.var_names:
        columns = [place for place, name in enumerate(found) if name == gene]
        np.testing.assert_array_equal(samples[:, gene].X.ravel(), values[:, columns].sum(axis=1))


# ---------------------------------------------------------------- samples


def test_the_sample_table_becomes_obs_in_the_order_of_the_samples(tmp_path, counts, meta):
    meta.to_csv(tmp_path / "meta.csv", index=False)
    for samples in (meta, tmp_path / "meta.csv", meta.set_index("library")):
        read = bg.read_bulk(counts, samples=samples)
        assert list(read.obs_names) == ["S1", "S2", "S3", "S4"]
        assert list(read.obs["drug"]) == ["none", "none", "Dex", "Dex"]
        assert list(read.obs["dose"]) == [0, 0, 10, 10]
        assert read.obs["dose"].dtype == np.int64
        assert list(read.obs["sample"]) == list(read.obs_names)


def test_names_of_samples_that_are_numbers_keep_their_zeros(tmp_path, counts):
    counts.columns = ["001", "002", "010", "100"]
    counts.to_csv(tmp_path / "bulk.csv")
    (tmp_path / "meta.tsv").write_text("\tbatch\tage\n001\t01\t50\n002\t01\t61\n010\t02\t\n100\t02\t7.5\n")
    read = bg.read_bulk(tmp_path / "bulk.csv", samples=tmp_path / "meta.tsv")
    assert list(read.obs_names) == ["001", "002", "010", "100"]
    assert list(read.obs["batch"]) == ["01", "01", "02", "02"]
    np.testing.assert_array_equal(read.obs["age"], [50, 61, np.nan, 7.5])
    assert list(read.obs["sample"]) == list(read.obs_names)


def test_samples_and_rows_without_each_other_are_left_out_and_reported(counts, meta):
    with pytest.warns(UserWarning, match="left out|no sample") as caught:
        read = bg.read_bulk(counts[["S1", "S2", "S3"]], samples=meta[meta["library"] != "S2"])
    assert list(read.obs_names) == ["S1", "S3"]
    np.testing.assert_array_equal(read.X, counts[["S1", "S3"]].to_numpy().T)
    assert [str(warning.message) for warning in caught] == [
        "1 of 3 samples are not in the sample table and are left out: 'S2'",
        "1 of 3 rows of the sample table have no sample: 'S4'",
    ]
    assert {warning.filename for warning in caught} == {__file__}
    assert bulk_report(read).samples_left_out == ("S2",)


def test_sample_tables_that_do_not_fit_are_refused(counts, meta):
    with pytest.raises(
        LabelError, match=cause("no column of the sample table ('library', 'drug', 'dose') names the samp")
    ):
        bg.read_bulk(counts, samples=meta.assign(library=["a", "b", "c", "d"]))
    with pytest.raises(
        LabelError, match=cause("sample 'S1' has more than one row in the sample table (column 'library')")
    ):
        bg.read_bulk(counts, samples=meta.assign(library=["S1", "S1", "S3", "S4"]))
    with pytest.raises(ValueError, match=cause("column 'drug' of the sample table occurs twice")):
        bg.read_bulk(counts, samples=meta.set_axis(["library", "drug", "drug"], axis=1))


# ---------------------------------------------------------------- result


def test_the_record_says_where_samples_came_from_and_survives_a_file(tmp_path, counts, meta, vocabulary):
    counts.to_csv(tmp_path / "bulk.csv")
    read = bg.read_bulk(tmp_path / "bulk.csv", samples=meta, vocabulary=vocabulary)
    record = provenance_of(read)
    parameters = json.loads(record["parameters"])
    assert record["kind"] == "bulk_samples"
    assert len(record["input_hash"]) == 32
    assert (parameters["unit"], parameters["vocabulary"]) == ("counts", "small")
    assert parameters["vocabulary_fingerprint"] == vocabulary.fingerprint
    # where on a disk it was is nobody's business
    assert parameters["source"] == "bulk.csv"
    bg.write(read, tmp_path / "samples.h5ad")
    assert bulk_report(bg.read(tmp_path / "samples.h5ad")) == bulk_report(read)
    profiles = bg.bulk_profiles(read, by="drug")
    bg.write(profiles, tmp_path / "profiles.h5ad")
    assert bulk_report(bg.read(tmp_path / "profiles.h5ad")) == bulk_report(read)
    with pytest.raises(ValueError, match=cause("there is no report: this was not read by bulkgen.read_bulk")):
        bulk_report(ad.AnnData(np.ones((1, 1))))


def test_replicates_are_added_to_profiles(counts, meta):
    read = bg.read_bulk(counts, samples=meta)
    profiles = bg.bulk_profiles(read, by=["drug", "dose"])
    assert list(profiles.obs_names) == ["Dex | 10", "none | 0"]
    values = counts.to_numpy()
    np.testing.assert_array_equal(profiles.X, [values[:, 2] + values[:, 3], values[:, 0] + values[:, 1]])
    assert profiles.X.dtype == np.int64
    assert list(profiles.obs.columns) == ["drug", "dose", "n_samples", "psbulk_counts"]
    assert list(profiles.obs["n_samples"]) == [2, 2]
    np.testing.assert_array_equal(profiles.obs["psbulk_counts"], profiles.X.sum(axis=1))
    assert not profiles.layers  # nothing is known per cell
    record = provenance_of(profiles)
    assert record["kind"] == "bulk_profiles"
    assert json.loads(record["parameters"]) == {"by": ["drug", "dose"], "unit": "counts"}
    assert json.loads(record["history"])["kind"] == "bulk_samples"


def test_tpm_of_replicates_are_averaged_and_stay_tpm(tpm):
    read = bg.read_bulk(tpm, unit="tpm", samples=pd.DataFrame({"id": ["S1", "S2", "S3"], "drug": ["a", "b", "a"]}))
    assert read.X.dtype == np.float64
    profiles = bg.bulk_profiles(read, by="drug")
    np.testing.assert_allclose(profiles.X, [(tpm["S1"] + tpm["S3"]) / 2, tpm["S2"]], rtol=1e-14)
    np.testing.assert_allclose(profiles.X.sum(axis=1), 1e6)
    assert json.loads(provenance_of(profiles)["parameters"])["unit"] == "tpm"
    assert "psbulk_counts" not in profiles.obs
    with pytest.raises(ValueError, match=cause("the samples are in TPM, but pseudo-bulk adds counts")):
        bg.pseudobulk(read, by="drug", k=1)


# ---------------------------------------------------------------- real data


@pytest.mark.real_data
def test_real_wells_of_90_cells_are_read_alike_from_every_format(shared_data, tmp_path):
    wells = bg.read(shared_data / "scmix_bulk90.h5ad")
    v2 = bg.Vocabulary.load("V2", path=shared_data / "geneformer")
    with pytest.warns(UserWarning, match="of 29652 gene ids, with 10.13% of the counts, are not in vocabulary 'V2'"):
        read = bg.read_bulk(shared_data / "scmix_bulk90.h5ad", vocabulary=v2)
    assert read.shape == (21, 15422)
    report = bulk_report(read)
    assert report.ids_summed == 92
    assert report.unmapped == 14138
    assert read.X.sum() == round((1 - report.unmapped_share) * wells.X.sum())

    table = pd.DataFrame(wells.X.toarray().T, index=wells.var_names + ".3", columns=wells.obs_names)
    table.insert(0, "gene_name", wells.var["gene_symbol"].astype(object))
    table.to_csv(tmp_path / "wells.tsv.gz", sep="\t", index_label="gene_id")
    wells.obs[["H1975", "H2228", "combo"]].to_csv(tmp_path / "meta.csv")
    with pytest.warns(UserWarning, match="annotation|left out"):
        text = bg.read_bulk(tmp_path / "wells.tsv.gz", samples=tmp_path / "meta.csv", vocabulary=v2)
    np.testing.assert_array_equal(text.X, read.X)
    assert list(text.var_names) == list(read.var_names)
    assert bulk_report(text).versions_stripped == 15422 + 92
    assert list(text.obs["H1975"]) == list(wells.obs["H1975"])

    profiles = bg.bulk_profiles(text, by="combo")
    assert profiles.n_obs == 8
    assert profiles.X.sum() == read.X.sum()
    assert profiles.obs["n_samples"].sum() == 21


@pytest.mark.real_data
def test_real_symbols_are_found_with_v2_and_explained_with_v1(shared_data):
    wells = bg.read(shared_data / "scmix_bulk90.h5ad")
    table = pd.DataFrame(wells.X.toarray().T, index=wells.var["gene_symbol"].astype(str), columns=wells.obs_names)
    v1, v2 = (bg.Vocabulary.load(name, path=shared_data / "geneformer") for name in ("V1", "V2"))
    with pytest.warns(UserWarning, match="14245 of 29652 gene ids"):
        assert bg.read_bulk(table, vocabulary=v2).n_vars == 15407
    with pytest.raises(
        GeneOverlapError,
        match=cause("if they are human symbols, Geneformer's V2 maps them (vocabulary='V2', --vocabulary V2)"),
    ):
        bg.read_bulk(table, vocabulary=v1, genes="rows")


def test_samples_are_never_taken_for_the_cells_to_learn_from(counts, meta):
    samples = bg.read_bulk(counts, samples=meta)
    with pytest.raises(ValueError, match=r"bulk samples hold no single cells: pass reference="):
        bg.fit_generator(samples, by="drug", method="multinomial")
    with pytest.raises(ValueError, match=r"bulk samples hold no single cells: pass reference="):
        bg.fit_generator(samples, by="drug", reference=samples, method="multinomial")
