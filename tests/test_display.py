"""What is returned says in a line what it is, and in a notebook shows its table."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import bulkgen as bg
from bulkgen.datasets import sciplex2_twin
from bulkgen.study.results import StudyResults


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of everything, by the name of its class."""
    label = "treated_label"
    folder = tmp_path_factory.mktemp("display")
    split = bg.split_benchmark(sciplex2_twin(200, 500, rng=0), label=label, test_fraction=0.4, rng=0)
    fit = bg.fit_generator(split.train, by=label, method="negative_binomial")
    vocabulary = bg.Vocabulary.fit(split.train, context=32)
    tokens, test = (bg.tokenize(part, vocabulary=vocabulary, label=label) for part in (split.train, split.test))
    run = bg.finetune(tokens, validation=test, model="linear")
    cells = bg.synthesize(fitted=fit, n_cells=10, rng=0)
    bg.write(split.train, folder / "train.h5ad")
    things = [
        *(split, fit, vocabulary, tokens, run, run.validation),
        bg.synthesize(fitted=fit, n_cells=10, to="tokens", vocabulary=vocabulary, out=folder / "shards", shard_size=20),
        bg.open_cells(folder / "train.h5ad"),
        bg.score_cells(cells, split.test, train=split.train, label=label, seeds=1, metrics=("cells",), threads=1),
        StudyResults(folder, SimpleNamespace(parts={}), SimpleNamespace(), (), {}),
    ]
    return {type(thing).__name__: thing for thing in things}


def test_each_says_in_a_line_what_it_is(made):
    for name, thing in made.items():
        shown = repr(thing)
        assert shown.startswith(name)
        assert "\n" not in shown, name
        assert len(shown) < 400, name


def test_fresh_cells_say_what_they_are(made):
    pytest.importorskip("torch")
    fresh = bg.SyntheticTokens(made["Fit"], 5, vocabulary=made["Vocabulary"])
    assert repr(fresh).startswith("SyntheticTokens(Fit(NegativeBinomial(")
    assert "25 cells an epoch" in repr(fresh)


@pytest.mark.parametrize(
    ("name", "cell"),
    [("BenchmarkSplit", "Nutlin"), ("Fit", "Nutlin"), ("Scores", "recall"), ("BenchmarkResults", "poisson_floor")],
)
def test_a_notebook_shows_a_table(made, name, cell):
    shown = made[name]._repr_html_()
    assert "<table" in shown
    assert cell in shown


def test_scores_stand_beside_the_baseline(made):
    scores = made["Scores"]
    assert f"balanced accuracy {scores.balanced_accuracy:.3f} (0.200)" in repr(scores)
