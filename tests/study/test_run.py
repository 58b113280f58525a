from __future__ import annotations

import pytest
from pydantic import ValidationError

from bulkgen.study.run import ModelSettings, PseudobulkCells, RealCells, Run, RunContext, SyntheticCells

CONTEXT = RunContext(data="d", split="s", vocabulary="v", threads=1, stream_version=1)


def run(**changes: object) -> Run:
    settings = {"training": [{"kind": "real"}], "model": ModelSettings(name="linear"), "seed": 0, "context": CONTEXT}
    return Run.model_validate({**settings, **changes})


def test_the_key_is_that_of_the_release():
    # a change of this key makes every stored result void: raise RESULT_VERSION only if results really change
    assert run().key == "5af33b9e54f71f003e47"


CHANGES = [
    {"training": [{"kind": "real", "per_class": 5}]},
    {"training": [{"kind": "real", "labels": ("A",)}]},
    {"training": [{"kind": "real"}, {"kind": "real"}]},
    {"training": [{"kind": "pseudobulk", "k": 2}]},
    {"training": [{"kind": "synthetic", "method": "thin"}]},
    {"training": [{"kind": "synthetic", "method": "thin", "parameters": {"a": 1}}]},
    {"labels": ("A", "B")},
    {"validation": "same"},
    {"validation": "mixed"},
    {"validation": "real"},
    {"ablation": "permuted_genes"},
    {"test_dose": 1.0},
    {"model": ModelSettings(name="linear", options={"top_k": 10})},
    {"seed": 1},
    *({"context": CONTEXT.model_copy(update={name: value})} for name, value in
      {"data": "x", "split": "x", "vocabulary": "x", "threads": 2, "stream_version": 2, "result_version": 9}.items()),
]  # fmt: skip


def test_everything_that_determines_a_result_is_in_its_key():
    assert len({run(**change).key for change in [{}, *CHANGES]}) == len(CHANGES) + 1


def test_a_key_survives_json_and_the_order_of_parameters():
    made = run(training=[{"kind": "synthetic", "method": "thin", "parameters": {"a": 1, "b": 2}}])
    turned = run(training=[{"kind": "synthetic", "method": "thin", "parameters": {"b": 2, "a": 1}}])
    assert made.key == turned.key == Run.model_validate_json(made.model_dump_json()).key


def test_models_and_kinds_of_held_out_cells_share_a_training_set():
    tiny = ModelSettings(name="tiny")
    assert run().training_key == run(model=tiny).training_key
    assert run(validation="same").training_key == run(validation="mixed", model=tiny).training_key
    assert run(validation="real").training_key == run().training_key != run(validation="same").training_key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RealCells(per_class=3, share=0.5), "give one of them"),
        (lambda: PseudobulkCells(k=2, thin=True), "strategy must be 'sum'"),
        (lambda: SyntheticCells(method="thin", per_class=3, ratio=2), "give one of them"),
        (lambda: SyntheticCells(method="thin", bias_sd=0.3), "give bulk_reads"),
        (lambda: run(training=[{"kind": "synthetic", "method": "thin", "ratio": 2}]), "it has none"),
        (lambda: run(training=[{"kind": "synthetic", "method": "thin", "reference": "seen"}]), "it has none"),
        (lambda: run(labels=("B", "A")), "sorted"),
        (lambda: ModelSettings(name="geneformer"), "needs checkpoint"),
        (lambda: RealCells(per_klass=3), "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()
