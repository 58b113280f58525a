"""Several processes train one model: who has which cells, and that it is the same training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from torch.utils.data import BatchSampler  # noqa: E402

from bulkgen.training import finetune  # noqa: E402
from bulkgen.training.batches import LengthGroupedSampler, ProcessBatches, collate  # noqa: E402
from bulkgen.training.distributed import Processes, join_processes, launched  # noqa: E402


def deal(n, *, batch_size, accumulation, count, epoch=0):
    """The batches of every process, and the order they are dealt from."""
    lengths = np.random.default_rng(n).integers(1, 500, size=n)
    per_step = batch_size * accumulation * count
    order = LengthGroupedSampler(lengths, batch_size=per_step, seed=3)
    dealt = []
    for rank in range(count):
        batches = ProcessBatches(
            order, batch_size=batch_size, accumulation=accumulation, processes=Processes(rank, count)
        )
        batches.set_epoch(epoch)
        dealt.append(list(batches))
        assert len(dealt[-1]) == len(batches)
    return dealt, list(order)


@given(
    n=st.integers(1, 300),
    batch_size=st.integers(1, 12),
    accumulation=st.integers(1, 4),
    count=st.integers(1, 5),
    epoch=st.integers(0, 2),
)
def test_processes_have_disjoint_cells_together_all_and_as_many_batches(n, batch_size, accumulation, count, epoch):
    dealt, order = deal(n, batch_size=batch_size, accumulation=accumulation, count=count, epoch=epoch)
    assert sorted(cell for batches in dealt for batch in batches for cell in batch) == list(range(n))
    assert len({len(batches) for batches in dealt}) == 1
    steps = -(-n // (batch_size * accumulation * count))
    assert -(-len(dealt[0]) // accumulation) == steps
    for step in range(steps):
        # a step is the next cells of the order, whoever has them
        batches = slice(step * accumulation, (step + 1) * accumulation)
        here = {cell for mine in dealt for batch in mine[batches] for cell in batch}
        size = batch_size * accumulation * count
        assert here == set(order[step * size : (step + 1) * size])
        shares = [sum(map(len, mine[batches])) for mine in dealt]
        assert max(shares) - min(shares) <= 1


@given(n=st.integers(1, 200), batch_size=st.integers(1, 12), accumulation=st.integers(1, 3))
def test_one_process_has_the_order_as_it_is(n, batch_size, accumulation):
    (batches,), order = deal(n, batch_size=batch_size, accumulation=accumulation, count=1)
    assert batches == list(BatchSampler(order, batch_size, drop_last=False))


def test_a_batch_without_cells_counts_for_nothing():
    batch = collate([], pad=0, positions=64)
    assert batch["input_ids"].shape == (1, 8)
    assert batch["labels"].ne(-100).sum() == 0
    logits = torch.zeros((1, 3), requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum")
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


@pytest.fixture(scope="module")
def options(quick):
    # 129 cells in steps of 32: of the last step, one process has no cell
    return {**quick, "batch_size": 8, "accumulation": 2, "epochs": 8, "rng": 5}


@pytest.fixture(scope="module")
def trained(cells, validation_cells, options, tmp_path_factory):
    """Folder of a training by two processes, and the reports of both."""
    folder = tmp_path_factory.mktemp("torchrun")
    cells(129, seed=1).save(folder / "train")
    validation_cells.save(folder / "val")
    script = Path(__file__).with_name("torchrun_script.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), str(folder), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder, [json.loads((folder / f"report-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_train_on_disjoint_cells_in_equal_steps(trained):
    _, reports = trained
    assert [report["processes"] for report in reports] == [2, 2]
    assert [len(report["steps"]) for report in reports] == [40, 40]
    for epoch in range(8):
        shares = []
        for report in reports:
            ends = [0, *report["steps"]]
            shares.append(report["seen"][ends[5 * epoch] : ends[5 * (epoch + 1)]])
        assert sorted(shares[0] + shares[1]) == list(range(129))
        assert [len(share) for share in shares] == [65, 64]


@pytest.mark.slow
def test_two_processes_have_the_same_weights_and_scores(trained):
    folder, reports = trained
    one, other = (load_file(folder / f"weights-{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(values, other[name]) for name, values in one.items())
    written = load_file(folder / "run" / "model" / "model.safetensors")
    assert all(torch.equal(values, written[name]) for name, values in one.items())
    assert reports[0]["validation"] == reports[1]["validation"]
    assert reports[0]["history"] == reports[1]["history"]
    assert json.loads((folder / "run" / "run.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_two_processes_train_as_one_does_with_a_batch_of_both(trained, options):
    folder, reports = trained
    alone = finetune(folder / "train", validation=folder / "val", **{**options, "accumulation": 4})
    assert alone.facts["steps"] == 40
    together = load_file(folder / "weights-0.safetensors")
    for name, values in alone.run.classifier.model.state_dict().items():
        torch.testing.assert_close(values, together[name], rtol=1e-3, atol=1e-4)
    assert reports[0]["validation"]["accuracy"] > 0.9
    for mine, theirs in zip(alone.history, reports[0]["history"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)


@pytest.mark.slow
def test_an_interrupted_training_of_two_processes_is_resumed_to_the_same_weights(trained):
    folder, reports = trained
    assert [report["stopped"] for report in reports] == [True, True]
    assert [report["resumed_step"] for report in reports] == [5, 5]
    assert [report["resumed_alike"] for report in reports] == [True, True]
    assert not (folder / ".again.partial").exists()


def test_alone_one_cuda_device_of_several_is_used_and_said_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.warns(UserWarning, match=r"4 CUDA devices are visible.*torchrun --nproc-per-node 4 -m bulkgen"):
        assert join_processes("cuda") == Processes(0, 1)
    assert join_processes("cpu") == Processes(0, 1)


def test_torchrun_leaves_the_number_of_threads_alone(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert join_processes("cpu") == Processes(0, 1)
    assert os.environ["OMP_NUM_THREADS"] == str(torch.get_num_threads())


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"LOCAL_RANK": 1, "RANK": 1, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    assert launched() == Processes(1, 4)
    with pytest.raises(ValueError, match="started 4 processes on this machine, which has CUDA devices for 2"):
        join_processes("cuda")


def test_a_linear_model_is_refused_by_several_processes(monkeypatch, training_cells):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="'linear' is trained by one process"):
        finetune(training_cells, model="linear")
