"""Classes of unequal size: weights in the loss, and balanced sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulkgen as bg
from bulkgen.training import LinearConfig, finetune
from bulkgen.training.labels import LabelMap
from bulkgen.training.linear import LinearClassifier, rank_features

COUNTS = {"common": 156, "rare": 12}


def blurred(tokens, counts, *, seed):
    """Cells in whose first genes a label is only more likely, so that labels overlap."""
    generator = np.random.default_rng(seed)
    rows, names = [], []
    for kind, (name, n) in enumerate(counts.items()):
        for _ in range(n):
            chance = np.ones(60)
            chance[kind * 8 : kind * 8 + 8] = 4
            rows.append(2 + generator.choice(60, size=20, replace=False, p=chance / chance.sum()))
            names.append(name)
    return tokens(rows, labels=names)


@pytest.fixture(scope="module")
def unequal(tokens):
    return blurred(tokens, COUNTS, seed=1)


@pytest.fixture(scope="module")
def equal(tokens):
    return blurred(tokens, dict.fromkeys(COUNTS, 100), seed=2)


def test_balanced_weights_make_every_class_weigh_the_same_and_the_cells_1_on_average(unequal):
    labels = LabelMap.from_tokens(unequal)
    weights = labels.class_weights("balanced")
    np.testing.assert_allclose(weights * list(COUNTS.values()), [84, 84])
    # only the ratio of given weights counts
    np.testing.assert_allclose(labels.class_weights({"rare": 26.0, "common": 2.0}), weights)
    assert labels.class_weights("none") is None


@pytest.mark.parametrize("given", [{"common": 1.0}, {"common": 1.0, "rare": 2.0, "other": 1.0}, {}])
def test_every_label_needs_a_weight_and_every_weight_a_label(unequal, given):
    with pytest.raises(ValueError, match="must name the labels of the training cells, 'common', 'rare'; got"):
        finetune(unequal, model="linear", class_weights=given)


def test_linear_weighs_classes_as_scikit_learn_does(unequal):
    from sklearn.linear_model import LogisticRegression

    result = finetune(unequal, model="linear", class_weights="balanced", top_k=20)
    X = rank_features(unequal, top_k=20)
    expected = LogisticRegression(fit_intercept=False, class_weight="balanced", max_iter=1000)
    expected.fit(X, np.unique(unequal.label_values.astype(str), return_inverse=True)[1])
    np.testing.assert_allclose(result.predict(unequal).probabilities, expected.predict_proba(X), atol=1e-6)


def test_no_weights_are_weights_of_1(unequal):
    classes = np.unique(unequal.label_values.astype(str), return_inverse=True)[1]
    plain, _ = LinearClassifier.train(unequal, classes, LinearConfig())
    ones, _ = LinearClassifier.train(unequal, classes, LinearConfig(), class_weights=np.ones(2))
    np.testing.assert_array_equal(plain.weights, ones.weights)


@pytest.mark.parametrize("options", [{"class_weights": "balanced"}, {"class_weights": {"common": 1, "rare": 13}}])
def test_class_weights_raise_the_recall_of_the_rare_class_of_linear(unequal, equal, options):
    plain = finetune(unequal, model="linear", top_k=20).evaluate(equal)
    weighted = finetune(unequal, model="linear", top_k=20, **options).evaluate(equal)
    assert weighted.per_class["rare"]["recall"] > plain.per_class["rare"]["recall"] + 0.3
    assert weighted.balanced_accuracy > plain.balanced_accuracy + 0.1


@pytest.mark.parametrize("options", [{"class_weights": "balanced"}, {"sampling": "balanced"}])
def test_balance_raises_the_recall_of_the_rare_class_of_tiny(unequal, equal, quick, options):
    pytest.importorskip("torch")
    plain = finetune(unequal, model="tiny", **quick).evaluate(equal)
    balanced = finetune(unequal, model="tiny", **quick, **options).evaluate(equal)
    assert balanced.per_class["rare"]["recall"] > plain.per_class["rare"]["recall"] + 0.3
    assert balanced.balanced_accuracy > plain.balanced_accuracy + 0.1


def test_the_loss_is_the_mean_of_weighted_cross_entropies(unequal, quick):
    pytest.importorskip("torch")
    # a learning rate that changes nothing; the last batch is a short one
    options = {**quick, "epochs": 1, "batch_size": 50, "learning_rate": 1e-12}
    result = finetune(unequal, validation=unequal, model="tiny", class_weights={"common": 1, "rare": 5}, **options)
    true = unequal.label_values == "rare"
    weights = np.where(true, 5, 1) * (168 / (156 + 5 * 12))
    losses = -np.log(np.take_along_axis(result.predict(unequal).probabilities, true[:, None].astype(int), axis=1))[:, 0]
    expected = (weights * losses).mean()
    # the Trainer takes the mean over steps, of which the last has 18 cells
    assert result.history[0]["training_loss"] == pytest.approx(expected, rel=0.1)
    assert result.history[0]["validation_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.real_data
@pytest.mark.parametrize("seed", range(3))
def test_balanced_weights_find_more_of_rare_stimulated_cells(shared_data, seed):
    cells = bg.read(shared_data / "kang_ifnb_2000.h5ad")
    vocabulary = bg.Vocabulary.load("V1", path=shared_data / "geneformer")
    generator = np.random.default_rng(seed)
    control, stimulated = (
        generator.permutation(np.flatnonzero(cells.obs["condition"] == name)) for name in ("ctrl", "stim")
    )

    def part(*places):
        chosen = cells[np.concatenate(places)]
        return bg.tokenize(chosen, vocabulary=vocabulary, gene_ids="ensembl_id", label="condition")

    # 13 to 1, as untreated cells and the rarest drug of sci-Plex2
    training, test = part(control[:598], stimulated[:46]), part(control[-300:], stimulated[-300:])
    plain = finetune(training, model="linear").evaluate(test)
    balanced = finetune(training, model="linear", class_weights="balanced").evaluate(test)
    assert balanced.balanced_accuracy > plain.balanced_accuracy + 0.05
    assert balanced.per_class["stim"]["recall"] > plain.per_class["stim"]["recall"] + 0.1


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_balanced_sampling_takes_every_class_equally_often(sizes, seed):
    pytest.importorskip("torch")
    from bulkgen.training.batches import balanced_cells

    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    drawn = balanced_cells(classes, np.random.default_rng(seed))
    assert len(drawn) == len(classes)
    times = np.bincount(drawn, minlength=len(classes))
    per_class = np.bincount(classes, weights=times)
    assert per_class.max() - per_class.min() <= 1
    for kind in range(len(sizes)):
        assert np.ptp(times[classes == kind]) <= 1


def test_balanced_order_is_of_seed_and_epoch_and_reaches_every_cell():
    pytest.importorskip("torch")
    from bulkgen.training.batches import LengthGroupedSampler

    classes = np.repeat([0, 1], [200, 20])
    lengths = np.random.default_rng(0).integers(1, 500, size=220)

    def order(seed, epoch):
        sampler = LengthGroupedSampler(lengths, batch_size=16, seed=seed, balance=classes)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(3, 2) == order(3, 2)
    assert order(3, 2) != order(3, 1)
    assert order(3, 2) != order(4, 2)
    assert len({cell for epoch in range(12) for cell in order(0, epoch)}) == 220


def test_the_odd_cell_of_an_epoch_goes_to_a_class_by_lot():
    pytest.importorskip("torch")
    from bulkgen.training.batches import balanced_cells

    classes = np.repeat([0, 1], [11, 4])
    more = [np.bincount(classes[balanced_cells(classes, np.random.default_rng(seed))])[0] for seed in range(200)]
    assert set(more) == {7, 8}
    # of 200 throws of a coin, five standard deviations
    assert abs(np.mean(more) - 7.5) < 5 * 0.5 / np.sqrt(200)
