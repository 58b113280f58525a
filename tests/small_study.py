"""A study of a few quick runs, for the tests of what runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from bulkgen.io import write
from json_schemas import check_json

#: Eight points of the real cells and pseudo-bulk, then one that needs a package that is not there.
SMALL = """
name = "small"
seeds = [0, 1]

[data]
source = "file"
path = "cells.h5ad"
label = "label"
control = "A"

[split]
test_fraction = 0.25
validation_fraction = 0.25

[models.linear]
top_k = 20

[generators.multinomial]
reference = "control"

[parts.bulkiness]
k = [1, 2, 3]
strategies = ["mean", "sum"]
validation = ["same"]

[parts.ladder]
balance = ["natural"]
"""


def write_small_study(folder: Path, text: str = SMALL) -> Path:
    """Write the cells of the small study, of three labels, and its settings; return the settings' path."""
    rng = np.random.default_rng(0)
    label = np.repeat(["A", "B", "C"], [40, 30, 20])
    rates = rng.gamma(1.0, 3.0, 60) * np.ones((label.size, 1))
    for place, name in enumerate("BC"):
        rates[label == name, 10 * place : 10 * place + 10] *= 3
    counts = sp.csr_matrix(rng.poisson(rates).astype(np.float32))
    names = pd.Index([f"cell{i}" for i in range(label.size)])
    genes = pd.DataFrame(index=pd.Index([f"ENSG{i:011d}" for i in range(60)]))
    write(AnnData(counts, obs=pd.DataFrame({"label": label}, index=names), var=genes), folder / "cells.h5ad")
    place = folder / "small.toml"
    place.write_text(text, encoding="utf-8")
    return place


def study_command(*arguments: object) -> list[str]:
    """Return the command line of ``bulkgen study``."""
    return [sys.executable, "-m", "bulkgen", "study", *map(str, arguments)]


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``bulkgen study`` to its end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        study_command(*arguments), capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    check_json(("study", *arguments), done.stdout)
    return done


def tables(folder: Path) -> tuple[bytes, bytes]:
    """Every bit of the tables of results."""
    return (folder / "results.parquet").read_bytes(), (folder / "results.csv").read_bytes()


def results_of_runs(folder: Path) -> dict[str, object]:
    """What the records say of the runs, but for times and places."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "runs").glob("*.json")]
    return {record["key"]: (record["status"], record["result"]) for record in records}
