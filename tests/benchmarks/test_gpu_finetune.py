"""The benchmark of fine-tuning, at toy size."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import gpu_finetune  # noqa: E402
from gpu_finetune import SHAPES, Shape, Training, Way, peak_tflops  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    path = gpu_finetune.main(["--toy", "--device", "cpu", "--peak-tflops", "0.5", "--workers", "0", "--out", str(out)])
    return json.loads(path.read_text())["results"]


@pytest.mark.slow
def test_a_toy_run_measures_every_way_on_the_same_cells(results):
    assert results["toy"] is True
    for record in results["shapes"].values():
        for name, ways in record["sets"].items():
            measured = {way: found for way, found in ways.items() if isinstance(found, dict)}
            assert set(measured) == ({"bulkgen"} if name == "fresh" else {"plain", "plain, sdpa", "bulkgen"})
            for found in measured.values():
                assert found["cells"] == 48
                assert found["attention"] == found["way"]["attention"]
                assert found["cells_per_second"] == pytest.approx(48 / found["seconds"])
                assert found["utilisation"] == pytest.approx(found["model_tflops_per_second"] / 0.5)
                assert 0 <= found["loader_wait_share"] <= 1
                assert found["mean_loss"] == pytest.approx(math.log(gpu_finetune.CLASSES), rel=0.3)
            if "plain" in measured:
                ratio = measured["bulkgen"]["cells_per_second"] / measured["plain"]["cells_per_second"]
                assert ways["times_plain"] == pytest.approx(ratio)
        assert record["sets"]["saturated"]["plain"]["padding"] == 0
        assert record["bulkgen.finetune"]["cells"] == 48
        assert "problem" not in record["bulkgen.finetune"]


@pytest.mark.slow
def test_no_target_is_judged_on_another_device(results):
    assert {verdict["met"] for record in results["shapes"].values() for verdict in record["verdicts"]} == {None}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_have_the_parameters_that_their_names_say(name):
    shape = SHAPES[name]
    with torch.device("meta"):
        model = gpu_finetune.new_model(shape, "eager", torch.device("meta"))
    parameters = sum(weights.numel() for weights in model.parameters())
    assert round(parameters / 1e6) == int(name.split("-")[1][:-1])


def test_flops_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    shape = Shape("V1", 3, 64, 4, 96, 500, 256, 8)
    training = Training(shape, Way("float32", "eager", 2), torch.device("cpu"))
    batch = gpu_finetune.longest_batch(shape, 2)
    with FlopCounterMode(display=False) as counter:
        training.run(**batch).loss.backward()
    assert counter.get_total_flops() == pytest.approx(shape.flops(np.array([256, 256])), rel=0.01)


def test_accumulated_parts_of_a_batch_make_the_same_step():
    shape = Shape("V1", 1, 16, 2, 16, 50, 12, 8)
    batch = gpu_finetune.longest_batch(shape, 4)
    weights = []
    for parts in (1, 2):
        training = Training(shape, Way("float32", "eager", 4 // parts, accumulation=parts), torch.device("cpu"))
        training.model.eval()
        for part in range(parts):
            here = slice(part * 4 // parts, (part + 1) * 4 // parts)
            training.step({name: tensor[here] for name, tensor in batch.items()})
        weights.append(torch.cat([parameter.detach().ravel() for parameter in training.model.parameters()]))
    assert torch.allclose(*weights, atol=1e-6)


@pytest.mark.parametrize(
    "device, peak",
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA GH200 480GB", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA H200 MIG 1g.18gb", None),
        ("CPU", None),
    ],
)
def test_the_peak_of_a_device_is_looked_up_by_its_name(device, peak):
    assert peak_tflops(device) == peak


def test_what_fails_is_recorded_and_left_out(monkeypatch):
    def broken(shape, way, device, *, steps):
        if way.batch_size > 12 or way.compiled:
            raise RuntimeError("CUDA out of memory\nand a page of text")
        return 10.0

    monkeypatch.setattr(gpu_finetune, "rate", broken)
    shape, way = gpu_finetune.TOY["V1-toy"], Way("float32", "sdpa", 12)
    best, tried = gpu_finetune.fastest_way(shape, way, torch.device("cpu"), largest=48, compile_too=True, steps=1)
    assert best == way
    assert [size["batch_size"] for size in tried["batch_sizes"]] == [12, 24]
    assert tried["batch_sizes"][-1]["problem"] == tried["compile"]["problem"] == "RuntimeError: CUDA out of memory"


def test_the_plain_batch_is_cut_where_it_does_not_fit(monkeypatch):
    def small(shape, way, device, *, steps):
        if way.batch_size > 3:
            raise torch.OutOfMemoryError
        return 1.0

    monkeypatch.setattr(gpu_finetune, "rate", small)
    way = Way("float32", "eager", 12)
    cut = gpu_finetune.fitting_plain_way(SHAPES["V2-104M"], way, torch.device("cpu"))
    assert (cut.batch_size, cut.accumulation) == (3, 4)
    monkeypatch.setattr(gpu_finetune, "rate", lambda *_, **__: 1 / 0)
    with pytest.raises(RuntimeError, match="not even one cell"):
        gpu_finetune.fitting_plain_way(SHAPES["V2-104M"], way, torch.device("cpu"))


def test_without_a_device_it_says_what_runs_without_one(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu_finetune.main([])
    assert "--toy" in capsys.readouterr().err
