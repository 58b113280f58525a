"""The vocabulary: consistency, JSON, fingerprint, comparison, fitting."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bulkgen.errors import CountsError, OutputExistsError, VocabularyError, VocabularyMismatchError
from bulkgen.tokens import Vocabulary, tokenize

GENES = [f"ENSG{i:011d}" for i in range(1, 13)]


def test_size_is_the_largest_token_and_one_more(plain_vocabulary, mapped_vocabulary):
    assert plain_vocabulary.size == 14
    assert mapped_vocabulary.size == 16
    assert len(plain_vocabulary) == 12


def test_special_tokens_take_their_room_from_the_context(plain_vocabulary, mapped_vocabulary):
    assert plain_vocabulary.max_genes == 5
    assert mapped_vocabulary.max_genes == 6
    assert mapped_vocabulary.special_tokens == {"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3}
    assert plain_vocabulary.special_tokens == {"<pad>": 0, "<mask>": 1}


def test_json_gives_the_vocabulary_back_exactly(plain_vocabulary, mapped_vocabulary, tmp_path):
    for vocabulary in (plain_vocabulary, mapped_vocabulary):
        again = Vocabulary.from_json(vocabulary.to_json())
        assert again == vocabulary
        assert again.fingerprint == vocabulary.fingerprint
        assert hash(again) == hash(vocabulary)
        file = vocabulary.save(tmp_path / f"{vocabulary.name}.json")
        assert Vocabulary.load(file) == vocabulary


@given(st.dictionaries(st.text(min_size=1), st.floats(5e-324, 1.7e308), min_size=1, max_size=8))
def test_any_ids_and_medians_survive_json(medians):
    vocabulary = Vocabulary(
        name="any",
        tokens={gene: i + 2 for i, gene in enumerate(medians)},
        medians=medians,
        pad=0,
        mask=1,
        cls=None,
        eos=None,
        context=8,
        mapping=None,
    )
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_a_folder_stands_for_the_vocabulary_in_it(plain_vocabulary, tmp_path):
    assert plain_vocabulary.save(tmp_path) == tmp_path / "vocabulary.json"
    assert Vocabulary.load(str(tmp_path)) == plain_vocabulary
    with pytest.raises(OutputExistsError):
        plain_vocabulary.save(tmp_path)
    plain_vocabulary.save(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "change",
    [
        {"context": 6},
        {"mask": 100},
        {"tokens": {gene: i + 3 for i, gene in enumerate(GENES)}},
        {"medians": dict.fromkeys(GENES, 1.0)},
        {"mapping": {"ACTB": GENES[0]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_depends_on_whatever_decides_tokens(plain_vocabulary, change):
    other = replace(plain_vocabulary, **change)
    assert other.fingerprint != plain_vocabulary.fingerprint
    with pytest.raises(VocabularyMismatchError, match=f"different: .*{next(iter(change))}"):
        plain_vocabulary.check_same(other)


def test_the_fingerprint_depends_on_neither_name_nor_order(plain_vocabulary):
    backwards = dict(reversed(plain_vocabulary.tokens.items()))
    other = replace(plain_vocabulary, name="other", tokens=backwards)
    assert other.fingerprint == plain_vocabulary.fingerprint
    plain_vocabulary.check_same(other)


def test_a_mismatch_says_what_belongs_to_what(plain_vocabulary, mapped_vocabulary):
    with pytest.raises(VocabularyMismatchError, match=r"the tokens and the run use .*'plain'.*'mapped'.*cls"):
        plain_vocabulary.check_same(mapped_vocabulary, that="the run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": {}}, "no genes"),
        ({"tokens": dict.fromkeys(GENES, 5)}, "token 5 is used twice"),
        ({"pad": 2}, "token 2 is used twice, for <pad>"),
        ({"pad": -1}, "-1 is not a token"),
        ({"pad": 2**31}, "is not a token"),
        ({"tokens": {GENES[0]: 2.0}}, "2.0 is not a token"),
        ({"cls": 90}, "one of <cls> and <eos>"),
        ({"context": 0}, "leaves no room"),
        ({"cls": 90, "eos": 91, "context": 2}, "leaves no room"),
        ({"medians": dict.fromkeys(GENES[1:], 1.0)}, f"{GENES[0]} has median None"),
        ({"medians": dict.fromkeys(GENES, 0.0)}, "median 0.0"),
        ({"medians": dict.fromkeys(GENES, float("nan"))}, "median nan"),
        ({"medians": dict.fromkeys(GENES, float("inf"))}, "median inf"),
        ({"medians": dict.fromkeys(GENES, 1)}, "median 1"),
        ({"medians": dict.fromkeys([*GENES, "extra"], 1.0)}, "no token, first extra"),
        ({"mapping": {"actb": GENES[0]}}, "upper-case"),
        ({"mapping": {"ACTB": "ENSG0"}}, "leads from ACTB to 'ENSG0'"),
    ],
)
def test_contradictions_are_refused(plain_vocabulary, change, message):
    with pytest.raises(VocabularyError, match=message):
        replace(plain_vocabulary, **change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "not a vocabulary of bulkgen"),
        ('{"model_type": "bert"}', "not a vocabulary of bulkgen"),
        ('{"format": "bulkgen-vocabulary", "version": 99}', "pip install --upgrade"),
        ('{"format": "bulkgen-vocabulary", "version": 1}', "is damaged: KeyError"),
        ('{"format": "bulkgen-vocabulary", "version": 1, "special": 3}', "is damaged: KeyError"),
    ],
)
def test_files_that_are_no_vocabulary_are_refused(tmp_path, text, message):
    file = tmp_path / "vocabulary.json"
    file.write_text(text)
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load(file)


def test_an_edited_vocabulary_is_refused(plain_vocabulary, tmp_path):
    data = json.loads(plain_vocabulary.to_json())
    data["medians"][GENES[0]] = 7.0
    with pytest.raises(VocabularyError, match="does not match its own fingerprint"):
        Vocabulary.from_json(json.dumps(data))


def test_an_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(VocabularyError, match=r"'V3' is neither 'V1' nor 'V2' nor a vocabulary.json"):
        Vocabulary.load("V3")
    with pytest.raises(VocabularyError, match=r"path= says where"):
        Vocabulary.load("other.json", path=tmp_path)
    (tmp_path / "vocabulary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VocabularyError, match=r"not a vocabulary\.json of bulkgen"):
        Vocabulary.load(tmp_path)


def test_fitting_takes_the_median_over_expressing_cells_of_counts_per_ten_thousand(make_cells):
    X = np.array([[6, 0, 4, 0], [2, 0, 0, 8], [0, 0, 5, 15]])
    vocabulary = Vocabulary.fit(make_cells(X, ["d", "c", "b", "a"]), context=3)
    assert vocabulary.tokens == {"a": 2, "b": 3, "d": 4}  # sorted ids; c is never expressed
    assert vocabulary.medians == {"a": (8000 + 7500) / 2, "b": (4000 + 2500) / 2, "d": (6000 + 2000) / 2}
    assert (vocabulary.pad, vocabulary.mask, vocabulary.cls, vocabulary.eos) == (0, 1, None, None)
    assert (vocabulary.context, vocabulary.name, vocabulary.mapping) == (3, "fitted", None)


def test_fitting_adds_columns_of_one_gene_and_strips_versions(make_cells):
    X = np.array([[1, 2, 3, 4], [5, 0, 0, 5]])
    cells = make_cells(X, [f"{GENES[0]}.5", GENES[1], f"{GENES[0]}.6", ""])
    vocabulary = Vocabulary.fit(cells)
    assert vocabulary.medians == {GENES[0]: (4000 + 5000) / 2, GENES[1]: 2000.0}


def test_fitting_does_not_depend_on_how_the_matrix_is_held(make_cells, monkeypatch):
    X = np.random.default_rng(0).poisson(0.7, size=(40, 12))
    expected = Vocabulary.fit(make_cells(X))
    for held in (sp.csr_matrix(X), sp.csc_matrix(X), X.astype(np.float32)):
        assert Vocabulary.fit(make_cells(held)) == expected
    monkeypatch.setattr("bulkgen.tokens.fit.CELLS_PER_BLOCK", 7)
    assert Vocabulary.fit(make_cells(sp.csr_matrix(X))) == expected


def test_fitting_reads_ids_from_a_column_of_var(make_cells):
    cells = make_cells(np.array([[1, 3]]), ["a", "b"], var={"ensembl_id": GENES[:2]})
    assert list(Vocabulary.fit(cells, gene_ids="ensembl_id").tokens) == GENES[:2]
    with pytest.raises(ValueError, match="'ensembl' is not a column of var, which has 'ensembl_id'"):
        Vocabulary.fit(cells, gene_ids="ensembl")


def test_fitting_refuses_what_is_not_counts(make_cells):
    with pytest.raises(CountsError, match="log-normalised"):
        Vocabulary.fit(make_cells(np.log1p(np.array([[1.0, 2.0]]))))
    with pytest.raises(VocabularyError, match="no vocabulary can be fitted"):
        Vocabulary.fit(make_cells(np.zeros((2, 3), dtype=np.int64)))


def test_a_fitted_vocabulary_encodes_the_data_it_was_fitted_to(make_cells):
    X = np.random.default_rng(1).poisson(1.0, size=(30, 12))
    cells = make_cells(X)
    tokens = tokenize(cells, vocabulary=Vocabulary.fit(cells, context=12))
    assert tokens.summary.mapped_fraction == 1.0
    np.testing.assert_array_equal(tokens.lengths, (X > 0).sum(axis=1)[(X > 0).any(axis=1)])
