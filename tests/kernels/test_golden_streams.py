"""Released streams stay what they were: golden values per stream version.

``python tests/golden/make.py`` writes the file of the current version; a change of any value without a new
``STREAM_VERSION`` is a bug.
"""

from __future__ import annotations

import json

import pytest

from bulkgen.kernels import backend_names
from bulkgen.rng import STREAM_VERSION, Purpose
from conftest import ROOT

GOLDEN = ROOT / "tests" / "golden"


@pytest.mark.parametrize("backend", backend_names())
def test_streams_are_golden(backend, monkeypatch):
    from golden.make import golden_values

    monkeypatch.setenv("BULKGEN_BACKEND", backend)
    stored = json.loads((GOLDEN / f"streams_v{STREAM_VERSION}.json").read_text())
    assert golden_values() == stored


def test_a_released_purpose_keeps_its_number():
    # eight bits of an address; a number is never reused
    assert {p.name: p.value for p in Purpose} == {
        "TRUNCATED_GAUSSIAN": 1,
        "TRUNCATED_GAUSSIAN_RETRY": 2,
        "GROUP_SIZE": 3,
        "GROUP_SIZE_RETRY": 4,
        "GROUP_SHUFFLE": 5,
        "SPLIT": 6,
        "ZERO_MASK": 7,
        "LIBRARY_SIZE": 8,
        "THIN": 9,
        "MULTINOMIAL": 10,
        "POISSON_LOG_NORMAL": 11,
        "NEGATIVE_BINOMIAL": 12,
        "ZERO_INFLATION": 13,
        "DONOR": 14,
        "DONOR_RESPONSE": 15,
        "DONOR_KEEP": 16,
        "DONOR_GAIN": 17,
        "COPULA_FACTOR": 18,
        "COPULA_GENE": 19,
        "MIXTURE_STATE": 20,
        "PSEUDOBULK_GROUP": 21,
    }
