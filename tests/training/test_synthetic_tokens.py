"""Fresh synthetic cells inside the data loader."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.utils.data import DataLoader  # noqa: E402

import bulkgen  # noqa: E402
from bulkgen.errors import LabelError, ResumeError, VocabularyMismatchError  # noqa: E402
from count_cases import labelled_cells, make_cells  # noqa: E402
from generator_cases import CASES, three_classes  # noqa: E402

SIZES = {"A": 700, "B": 400, "C": 201}


@pytest.fixture(scope="module")
def cells():
    cells = labelled_cells(3, {"A": 60, "B": 50, "C": 40}, n_genes=300, mean=1.0)
    cells.obs["plate"] = pd.Categorical(np.where(np.arange(cells.n_obs) % 2, "p1", "p2"))
    return cells


@pytest.fixture(scope="module")
def vocabulary(cells):
    return bulkgen.Vocabulary.fit(cells, context=60)


@pytest.fixture(scope="module")
def fit(cells):
    return bulkgen.fit_generator(cells, by="label", method="negative_binomial")


@pytest.fixture(scope="module")
def fresh(fit, vocabulary):
    def make(n_cells=SIZES, **options):
        return bulkgen.SyntheticTokens(options.pop("fit", fit), n_cells, vocabulary=vocabulary, rng=7, **options)

    return make


def key_of(cell):
    return bytes(np.asarray(cell["input_ids"])), cell["label"]


def cells_of(items):
    """Cells, or the cells of batches, as hashable values."""
    found = []
    for item in items:
        if "attention_mask" not in item:
            found.append(key_of(item))
            continue
        for ids, mask, label in zip(item["input_ids"], item["attention_mask"], item["labels"], strict=True):
            found.append((ids[mask.bool()].numpy().astype(np.int16).tobytes(), int(label)))
    return found


def expected(synthetic, epoch):
    """The cells that :func:`bulkgen.synthesize` gives the numbers of an epoch."""
    numbers = dict(zip(synthetic.fit.strata.index, synthetic.facts()["cells_per_stratum"].values(), strict=True))
    many = bulkgen.synthesize(
        fitted=synthetic.fit,
        n_cells={name: (epoch + 1) * n for name, n in numbers.items()},
        rng=7,
        to="tokens",
        vocabulary=synthetic.vocabulary,
        label=synthetic.label,
        keep_empty=True,
    )
    found, start = [], 0
    for n in numbers.values():
        found += [
            (many.input_ids(start + i).tobytes(), synthetic.labels.names.index(many.label_values[start + i]))
            for i in range(epoch * n, (epoch + 1) * n)
        ]
        start += (epoch + 1) * n
    return found


@pytest.mark.parametrize("case", CASES)
def test_an_epoch_has_the_cells_that_synthesize_gives_its_numbers(case):
    cells = three_classes()
    method, parameters = CASES[case]
    fit = bulkgen.fit_generator(cells, by="label", method=method, **parameters)
    vocabulary = bulkgen.Vocabulary.fit(cells, context=30)
    synthetic = bulkgen.SyntheticTokens(fit, {"ctrl": 70, "down": 31}, vocabulary=vocabulary, rng=7)
    assert synthetic.labels.names == ("ctrl", "down")
    for epoch in (0, 2):
        synthetic.set_epoch(epoch)
        assert Counter(cells_of(synthetic)) == Counter(expected(synthetic, epoch))


def test_an_epoch_can_be_had_again_and_shares_no_cell_with_another(fresh):
    synthetic = fresh(150, batch_size=16)
    epochs = []
    for epoch in (0, 1, 0):
        synthetic.set_epoch(epoch)
        epochs.append(cells_of(synthetic))
    assert epochs[0] == epochs[2]
    assert not set(epochs[0]) & set(epochs[1])
    assert len(set(epochs[0])) == len(epochs[0]) == 450


@pytest.mark.parametrize("n_cells", [SIZES, 2, {"A": 5}, 97], ids=str)
@pytest.mark.parametrize("ranks", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [None, 3, 32])
def test_ranks_and_workers_share_the_cells_of_an_epoch(fresh, monkeypatch, n_cells, ranks, batch_size):
    synthetic = fresh(n_cells, batch_size=batch_size)
    synthetic.set_epoch(1)
    found, batches = [], set()
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        items = []
        for worker in range(3):
            monkeypatch.setattr(
                "bulkgen.training.synthetic_tokens.get_worker_info",
                lambda worker=worker: SimpleNamespace(id=worker, num_workers=3),
            )
            # what a loader gets from a worker
            items += [pickle.loads(pickle.dumps(item)) for item in synthetic]
        assert len(items) == len(synthetic)
        batches.add(len(items) if batch_size else 0)
        found += cells_of(items)
    assert len(batches) == 1, "ranks with unequal batches wait for each other for ever"
    assert Counter(found) == Counter(expected(synthetic, 1))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_loader_gives_the_same_batches_from_any_number_of_workers(fresh, context):
    synthetic = fresh(batch_size=64)

    def batches(loader):
        return Counter(batch["input_ids"].numpy().tobytes() for batch in loader)

    alone = batches(synthetic.loader())
    with_workers = DataLoader(synthetic, batch_size=None, num_workers=2, multiprocessing_context=context)
    assert batches(with_workers) == alone
    assert len(alone) == len(synthetic) == -(-1301 // 64)


def test_workers_that_persist_hear_of_the_next_epoch(fresh):
    synthetic = fresh({"A": 40, "B": 40}, batch_size=10)
    loader = synthetic.loader(workers=1)
    first = cells_of(loader)
    loader.set_epoch(1)
    second = cells_of(loader)
    assert not set(first) & set(second)
    assert Counter(second) == Counter(expected(synthetic, 1))


def test_a_process_group_of_the_parent_reaches_workers_that_are_spawned(fresh, monkeypatch):
    monkeypatch.setattr("bulkgen.training.synthetic_tokens._rank", lambda: (1, 2))
    synthetic = fresh({"A": 40, "B": 40}, batch_size=10)
    here = cells_of(synthetic)
    loader = DataLoader(synthetic, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert len(here) == 40
    assert Counter(cells_of(loader)) == Counter(here)


def test_a_plain_loader_of_cells_needs_no_more_than_a_collator(fresh):
    from bulkgen.training.batches import collate

    synthetic = fresh()
    loader = DataLoader(
        synthetic, batch_size=50, num_workers=2, collate_fn=lambda cells: collate(cells, pad=0, positions=60)
    )
    assert Counter(cells_of(loader)) == Counter(expected(synthetic, 0))


def test_classes_are_shuffled_over_the_epoch_and_lengths_are_alike_within_a_batch(fresh):
    synthetic = fresh({"A": 2000, "B": 1000, "C": 1000}, batch_size=32)
    batches = list(synthetic)
    assert {len(batch["labels"]) for batch in batches} == {32}
    share = np.array([(batch["labels"] == 0).float().mean() for batch in batches])
    assert abs(share[: len(share) // 2].mean() - 0.5) < 0.05
    # a shuffle is not a deal: the shares of batches vary as those of 32 draws do
    assert 0.05 < share.std() < 0.2
    lengths = [batch["attention_mask"].sum(dim=1).numpy() for batch in batches]
    assert np.mean([np.ptp(one) for one in lengths]) < 0.5 * np.ptp(np.concatenate(lengths))


def test_proportions_deal_all_cells_of_an_epoch(fresh):
    synthetic = fresh(1001, proportions={"A": 3, "C": 1})
    assert synthetic.facts()["cells_per_stratum"] == {"A": 751, "B": 0, "C": 250}
    assert synthetic.labels.names == ("A", "C")
    assert len(synthetic) == 1001


def test_a_context_cuts_cells_as_training_would(fresh):
    whole, cut = fresh(100), fresh(100, context=9)
    assert {len(cell["input_ids"]) for cell in cut} == {9}
    assert Counter(key_of({**cell, "input_ids": cell["input_ids"][:9]}) for cell in whole) == Counter(cells_of(cut))


def test_special_tokens_stay_where_cells_are_cut(cells, fit, vocabulary):
    shifted = {gene: token + 2 for gene, token in vocabulary.tokens.items()}
    special = replace(vocabulary, tokens=shifted, cls=2, eos=3)
    for cell in bulkgen.SyntheticTokens(fit, 20, vocabulary=special, context=9):
        assert (cell["input_ids"][0], cell["input_ids"][-1], len(cell["input_ids"])) == (2, 3, 9)


def test_real_cells_come_once_in_every_epoch_and_in_another_order(cells, vocabulary, fresh):
    real = bulkgen.tokenize(cells, vocabulary=vocabulary, label="label", keep_empty=True)
    synthetic = fresh(200, real=real)
    own = Counter((real.input_ids(i).tobytes(), "ABC".index(real.label_values[i])) for i in range(len(real)))
    orders = []
    for epoch in (0, 1):
        synthetic.set_epoch(epoch)
        found = cells_of(synthetic)
        assert Counter(found) == Counter(expected(synthetic, epoch)) + own
        orders.append([cell for cell in found if cell in own])
    assert orders[0] != orders[1]
    made = synthetic.materialize(1)
    assert Counter(made.label_values) == {"A": 260, "B": 250, "C": 240}
    assert (made.summary.cells_in, made.summary.cells_out, made.summary.tokens_total) == (750, 750, made.lengths.sum())
    assert (made.summary.tokens_median, made.summary.tokens_max) == (np.median(made.lengths), made.lengths.max())
    assert made.provenance["real_cells"] == 150


def test_a_stored_fit_gives_the_same_cells_and_has_the_same_fingerprint(fit, fresh, tmp_path):
    fit.save(tmp_path / "fit.h5ad")
    stored = fresh(fit=tmp_path / "fit.h5ad")
    assert cells_of(stored) == cells_of(fresh())
    assert stored.fit.fingerprint == fit.fingerprint


@pytest.mark.parametrize("case", CASES)
def test_a_fingerprint_tells_fits_apart_and_survives_the_file(case, tmp_path):
    method, parameters = CASES[case]
    fits = [bulkgen.fit_generator(three_classes(seed), by="label", method=method, **parameters) for seed in (3, 3, 4)]
    fits[0].save(tmp_path / "fit.h5ad")
    assert fits[0].fingerprint == fits[1].fingerprint == bulkgen.load_fit(tmp_path / "fit.h5ad").fingerprint
    assert fits[0].fingerprint != fits[2].fingerprint


def test_what_is_out_of_range_is_refused(cells, fresh, fit, vocabulary):
    with pytest.raises(LabelError, match="its columns: 'label', 'plate'"):
        fresh(fit=bulkgen.fit_generator(cells, by=["label", "plate"], method="multinomial"))
    with pytest.raises(LabelError, match="'D'"):
        fresh({"D": 5})
    with pytest.raises(ValueError, match="epoch must be"):
        fresh(2**20).set_epoch(2**20)
    with pytest.raises(ValueError, match="fewer than"):
        fresh(2**30)
    with pytest.raises(ValueError, match="batch_size"):
        fresh(batch_size=0)
    with pytest.raises(ValueError, match="pass batch_size="):
        fresh().loader()
    with pytest.raises(ValueError, match="not all 0"):
        fresh(10, proportions={"A": 0.0})
    other = bulkgen.tokenize(cells, vocabulary=bulkgen.Vocabulary.fit(cells, context=30), label="label")
    with pytest.raises(VocabularyMismatchError):
        fresh(real=other)
    with pytest.raises(LabelError, match="no label"):
        fresh(real=bulkgen.tokenize(cells, vocabulary=vocabulary))


def test_batches_of_one_that_ranks_cannot_share_evenly_are_refused_in_every_rank(fresh, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(ValueError, match="multiple of the ranks"):
            list(fresh({"A": 5}, batch_size=1))


@pytest.fixture(scope="module")
def drugs():
    """Cells of two kinds whose genes differ, and others to score on."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, 4.0, (2, 60))
    names = np.repeat(["ctrl", "drug"], 80)
    X = sparse.csr_matrix(rng.poisson(rates[np.repeat([0, 1], 80)]).astype(np.float32))
    cells = make_cells(X, condition=names)
    return cells[::2].copy(), cells[1::2].copy()


@pytest.fixture(scope="module")
def drug_tokens(drugs):
    learned_from, others = drugs
    vocabulary = bulkgen.Vocabulary.fit(learned_from, context=40)
    fit = bulkgen.fit_generator(learned_from, by="condition", method="negative_binomial")
    synthetic = bulkgen.SyntheticTokens(fit, 48, vocabulary=vocabulary, rng=7)
    return synthetic, bulkgen.tokenize(others, vocabulary=vocabulary, label="condition")


def test_training_sees_fresh_cells_in_every_epoch_and_learns(drug_tokens, quick, tmp_path, monkeypatch):
    from bulkgen.training.batches import collate

    synthetic, real = drug_tokens
    seen = []

    def watched(cells, **options):
        seen.append([key_of(cell) for cell in cells])
        return collate(cells, **options)

    monkeypatch.setattr("bulkgen.training.synthetic_tokens.collate", watched)
    result = bulkgen.finetune(synthetic, validation=real, model="tiny", out=tmp_path / "run", rng=3, **quick)
    assert len(seen) == result.facts["steps"] == 6 * 6
    cells = [cell for batch in seen for cell in batch]
    assert len(set(cells)) == len(cells) == 6 * 96
    assert result.validation.balanced_accuracy > 0.9
    record = bulkgen.training.run.read_json(tmp_path / "run" / "run.json")["training"]
    assert record["synthetic"]["fit"] == synthetic.fit.fingerprint
    assert record["synthetic"]["cells_per_epoch"] == record["cells"] == 96
    again = bulkgen.finetune(synthetic, validation=real, model="tiny", rng=3, **quick)
    assert again.history == result.history
    assert synthetic.epoch == 0


def test_an_interrupted_training_goes_on_with_the_cells_that_were_to_come(drug_tokens, quick, tmp_path, monkeypatch):
    from bulkgen.training import trainer

    class Stopping(trainer._Watch):
        def on_step_end(self, args, state, control, **_):
            super().on_step_end(args, state, control)
            if state.global_step == 9:
                raise RuntimeError("stopped")

    synthetic, real = drug_tokens
    options = {"validation": real, "model": "tiny", "rng": 3, **quick, "epochs": 3}
    whole = bulkgen.finetune(synthetic, **options)
    resumed = {**options, "out": tmp_path / "run", "resume": True, "checkpoint_steps": 1}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_Watch", Stopping)
        with pytest.raises(RuntimeError, match="stopped"):
            bulkgen.finetune(synthetic, **resumed)
    again = bulkgen.finetune(synthetic, **resumed)
    # in the middle of the second epoch of six steps
    assert 6 < again.facts["resumed_step"] <= 9
    weights = [result.run.classifier.model.state_dict() for result in (whole, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_interrupted_training_does_not_go_on_beside_other_real_cells(drug_tokens, quick, tmp_path, monkeypatch):
    from bulkgen.training import trainer

    class Stopping(trainer._Watch):
        def on_step_end(self, args, state, control, **_):
            super().on_step_end(args, state, control)
            if state.global_step == 20:
                raise RuntimeError("stopped")

    synthetic, real = drug_tokens
    half = len(real) // 4
    # as many cells of each label, but other ones
    sides = [
        replace(real, table=pa.concat_tables([real.table.slice(start, half) for start in (first, first + 2 * half)]))
        for first in (0, half)
    ]
    first, other = (
        bulkgen.SyntheticTokens(synthetic.fit, 48, vocabulary=synthetic.vocabulary, real=side, rng=7) for side in sides
    )
    assert first.facts() == other.facts()
    options = {"model": "tiny", "rng": 3, **quick, "out": tmp_path / "run", "resume": True}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_Watch", Stopping)
        with pytest.raises(RuntimeError, match="stopped"):
            bulkgen.finetune(first, **options)
    with pytest.raises(ResumeError, match=r"training\.sha256 [0-9a-f]{64} then"):
        bulkgen.finetune(other, **options)
    assert bulkgen.finetune(first, **options).facts["resumed_step"] > 0


@pytest.mark.slow
def test_two_processes_train_on_disjoint_cells(drug_tokens, quick, tmp_path):
    synthetic, real = drug_tokens
    (tmp_path / "data.pickle").write_bytes(pickle.dumps((synthetic, real)))
    script = tmp_path / "train.py"
    script.write_text(TRAIN_IN_EVERY_PROCESS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reports = [pickle.loads((tmp_path / f"seen-{rank}").read_bytes()) for rank in range(2)]
    assert [report["steps"] for report in reports] == [6, 6]
    found = [cell for report in reports for cell in report["seen"]]
    assert Counter(found) == Counter(expected(synthetic, 0)) + Counter(expected(synthetic, 1))
    assert reports[0]["weights"] == reports[1]["weights"]


TRAIN_IN_EVERY_PROCESS = """
import os, pickle
from pathlib import Path
import numpy as np
import bulkgen
from bulkgen.training import synthetic_tokens

collate, seen = synthetic_tokens.collate, []

def watched(cells, **options):
    seen.extend((bytes(np.asarray(cell["input_ids"])), cell["label"]) for cell in cells)
    return collate(cells, **options)

synthetic_tokens.collate = watched
synthetic, real = pickle.loads(Path("data.pickle").read_bytes())
result = bulkgen.finetune(synthetic, validation=real, model="tiny", epochs=2, batch_size=16, threads=1, device="cpu")
weights = {name: tensor.numpy().tobytes() for name, tensor in result.run.classifier.model.state_dict().items()}
report = {"seen": seen, "steps": result.facts["steps"], "weights": weights}
Path(f"seen-{os.environ['RANK']}").write_bytes(pickle.dumps(report))
"""


def test_a_linear_model_trains_on_one_epoch(drug_tokens):
    synthetic, real = drug_tokens
    result = bulkgen.finetune(synthetic, validation=real, model="linear")
    same = bulkgen.finetune(synthetic.materialize(), validation=real, model="linear")
    assert np.array_equal(result.run.classifier.weights, same.run.classifier.weights)
    assert result.validation.balanced_accuracy > 0.9
    assert result.facts["training"]["synthetic"]["cells_per_epoch"] == 96


def test_a_short_last_step_of_accumulated_batches_is_counted(drug_tokens, quick):
    synthetic, _ = drug_tokens
    options = {**quick, "epochs": 2, "batch_size": 10, "accumulation": 3}
    assert bulkgen.finetune(synthetic, model="tiny", **options).facts["steps"] == 2 * 4


def test_what_is_settled_in_the_cells_is_refused(drug_tokens, quick):
    synthetic, real = drug_tokens
    with pytest.raises(ValueError, match="'condition'"):
        bulkgen.finetune(synthetic, model="linear", label="kind")
    with pytest.raises(ValueError, match="as many of every class"):
        bulkgen.finetune(synthetic, validation=real, model="tiny", sampling="balanced", **quick)
    one = bulkgen.SyntheticTokens(synthetic.fit, {"ctrl": 5}, vocabulary=synthetic.vocabulary)
    with pytest.raises(LabelError, match="two labels"):
        bulkgen.finetune(one, model="linear")


@pytest.mark.real_data
def test_it_learns_interferon_from_fresh_cells(shared_data, quick):
    cells = bulkgen.read(shared_data / "kang_ifnb_2000.h5ad")
    split = np.random.default_rng(0).permutation(cells.n_obs)
    learned_from, test = cells[np.sort(split[:1500])].copy(), cells[np.sort(split[1500:])].copy()
    vocabulary = bulkgen.Vocabulary.fit(learned_from, context=128)
    fit = bulkgen.fit_generator(learned_from, by="condition", method="donor_shift", control="ctrl")
    synthetic = bulkgen.SyntheticTokens(fit, 400, vocabulary=vocabulary, rng=2)
    real = bulkgen.tokenize(test, vocabulary=vocabulary, label="condition")
    result = bulkgen.finetune(synthetic, model="tiny", epochs=3, learning_rate=5e-3, threads=1)
    assert result.evaluate(real).balanced_accuracy > 0.8
