"""Metrics of tokens against hand-made cells."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from bulkgen.fidelity import Space, measure
from bulkgen.fidelity.token_metrics import token_metrics, top_tokens
from bulkgen.fidelity.view import Undefined
from bulkgen.tokens import Vocabulary, tokenize


def adata(cells):
    return ad.AnnData(
        cells.counts, obs=pd.DataFrame(index=[f"c{i}" for i in range(len(cells))]), var=pd.DataFrame(index=cells.genes)
    )


def with_tokens(cells, vocabulary):
    return replace(cells, tokens=tokenize(adata(cells), vocabulary=vocabulary, keep_empty=True))


@pytest.fixture(scope="module")
def vocabulary(training):
    plain = Vocabulary.fit(adata(training))
    # like V2: cells open and close with special tokens, which are no tokens of a gene
    free = 1 + max(plain.tokens.values())
    return replace(plain, cls=free, eos=free + 1)


@pytest.fixture(scope="module")
def token_space(training, vocabulary, make_cells):
    return Space.fit(with_tokens(training, vocabulary), with_tokens(make_cells(150, 2), vocabulary), key=5)


def test_top_tokens_are_those_of_most_cells_and_none_that_is_nowhere():
    assert top_tokens(np.array([0, 4, 2, 4, 0, 1]), 3).tolist() == [1, 3, 2]
    assert top_tokens(np.array([0, 4, 2, 4, 0, 1]), 9).tolist() == [1, 3, 2, 5]


def test_use_of_tokens_is_that_of_the_cells_read_one_by_one(token_space):
    view = token_space.test["drug a"]
    tokens = token_space.test.cells.tokens
    special = set(tokens.vocabulary.special_tokens.values())
    assert {tokens.vocabulary.cls, tokens.vocabulary.eos} <= set(tokens.input_ids(0).tolist())
    cells = [[t for t in tokens.input_ids(i).tolist() if t not in special] for i in view.rows]
    use = view.token_use
    assert use.per_cell.tolist() == [len(cell) for cell in cells]
    assert use.per_cell.tolist() == view.genes_found.tolist()
    for token in list(tokens.vocabulary.tokens.values())[:40]:
        assert use.cells[token] == sum(token in cell for cell in cells)
        ranks = [cell.index(token) / len(cell) if token in cell else 1.0 for cell in cells]
        assert use.earliness[token] == pytest.approx(1 - np.mean(ranks), abs=1e-12)


def test_the_test_cells_themselves_are_perfect(token_space):
    values = token_metrics(token_space, token_space.test, "drug a")
    assert values == {
        "token_count_ks": 0,
        "token_count_wasserstein": 0,
        "token_top_overlap": 1,
        "token_rank_displacement": 0,
    }


def test_each_token_more_is_a_distance_of_one(token_space, vocabulary):
    cells = token_space.test.cells
    # the gene that fewest cells express is found in every cell
    rare = int(np.argmin(np.bincount(cells.counts.indices, minlength=len(cells.genes))))
    dense = cells.counts.toarray()
    more = int((dense[cells.rows("drug a"), rare] == 0).sum())
    dense[:, rare] = np.maximum(dense[:, rare], 1)
    changed = with_tokens(replace(cells, counts=type(cells.counts)(dense)), vocabulary)
    values = token_metrics(token_space, token_space.view(changed), "drug a")
    assert values["token_count_wasserstein"] == pytest.approx(more / 150)


def test_noise_displaces_ranks(token_space, vocabulary, make_cells):
    values = [
        token_metrics(token_space, token_space.view(with_tokens(make_cells(150, 3, noise=noise), vocabulary)), "drug a")
        for noise in (0.0, 0.7, 1.5)
    ]
    displacement = [value["token_rank_displacement"] for value in values]
    assert displacement[0] < displacement[1] < displacement[2]


def test_cells_without_tokens_have_no_metrics_of_tokens(space, token_space, training):
    with pytest.raises(Undefined, match="without tokens"):
        token_metrics(token_space, token_space.view(training), "drug a")
    table = measure(space, training, groups=["tokens"])
    assert table.value.isna().all()
    assert set(table.note) == {"the cells come without tokens"}


def test_tokens_of_another_vocabulary_are_refused(token_space, training, vocabulary):
    other = replace(vocabulary, eos=vocabulary.eos + 1)
    with pytest.raises(ValueError, match="different vocabularies"):
        token_metrics(token_space, token_space.view(with_tokens(training, other)), "drug a")
