"""Things as this version stores them, for later versions to open; run as a script to add those of a new format.

PYTHONPATH=tests python tests/golden/make_stored.py 1    write tests/golden/stored_1, which must not exist
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[1]))

import bulkgen
from bulkgen.io import write
from bulkgen.rng import STREAM_VERSION
from bulkgen.study import StudyResults
from count_cases import labelled_cells, matrix_bytes
from small_study import run_command, write_small_study

if TYPE_CHECKING:
    from anndata import AnnData

HERE = Path(__file__).parent
#: Generators whose stored forms differ in kind: arrays, tables of cells, nested parts.
METHODS = {"truncated_gaussian": {}, "negative_binomial": {}, "donor_shift": {"control": "A"}, "pseudobulk": {"k": 3}}
#: Cells and tokens that are drawn in shards.
DRAWN = {"n_cells": 4, "shard_size": 5, "rng": 0, "threads": 1}
STUDY = """
name = "two runs"
seeds = [0]

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

[parts.bulkiness]
k = [1, 2]
strategies = ["mean"]
validation = ["same"]
"""


def described(folder: Path) -> dict[str, object]:
    """What opens of a folder of stored things, in a form that JSON holds."""
    tokens = bulkgen.TokenDataset.load(folder / "tokens")
    values, offsets = tokens.flat()
    study = StudyResults.load(folder / "study")
    found: dict[str, object] = {
        "stream_version": STREAM_VERSION,
        "cells": digest(matrix_bytes(bulkgen.read(folder / "cells.h5ad").X)),
        "cells_zarr": digest(matrix_bytes(bulkgen.read(folder / "cells.zarr").X)),
        "vocabulary": bulkgen.Vocabulary.load(folder / "vocabulary.json").fingerprint,
        "tokens": [values.tolist(), offsets.tolist(), list(tokens.label_values), tokens.summary.to_dict()],
        "study": json.loads(study.table.to_json(orient="records")),
    }
    for method in METHODS:
        fit = bulkgen.load_fit(folder / f"{method}.h5ad")
        drawn = bulkgen.synthesize(fitted=fit, n_cells=5, rng=0, threads=1)
        found[method] = {"fingerprint": fit.fingerprint, "drawn": digest(matrix_bytes(drawn.X))}
    # from the second format on
    if (folder / "shards_cells").is_dir():
        found["shards_cells"] = described_cells(bulkgen.open_shards(folder / "shards_cells"))
        found["shards_tokens"] = described_tokens(bulkgen.TokenDataset.load(folder / "shards_tokens"))
    return found


def described_cells(shards: AnnData) -> list[object]:
    cells = shards.to_memory()
    return [digest(matrix_bytes(cells.X)), list(cells.obs_names)]


def described_tokens(tokens: bulkgen.TokenDataset) -> list[object]:
    return [part.tolist() for part in tokens.flat()]


def go_on(folder: Path, **how: object) -> dict[str, object]:
    """Make a share of some folders of shards, or go on with them; what those hold that are whole then."""
    fit, vocabulary = folder / "negative_binomial.h5ad", folder / "vocabulary.json"
    cells = bulkgen.synthesize(fitted=fit, out=folder / "half_cells", **DRAWN, **how)
    drawn = bulkgen.synthesize(
        fitted=fit, to="tokens", vocabulary=vocabulary, out=folder / "half_drawn_tokens", **DRAWN, **how
    )
    tokens = bulkgen.tokenize(
        folder / "cells.h5ad", vocabulary=vocabulary, label="label", shard_size=12, out=folder / "half_tokens", **how
    )
    return {
        "half_cells": described_cells(cells.open()) if cells.complete else None,
        "half_drawn_tokens": described_tokens(drawn.open()) if drawn.complete else None,
        "half_tokens": described_tokens(tokens.open()) if tokens.complete else None,
    }


def digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def make(folder: Path) -> None:
    """Store one small thing of every kind."""
    folder.mkdir()
    cells = labelled_cells(1, {"A": 12, "B": 10})
    write(cells, folder / "cells.h5ad")
    write(cells, folder / "cells.zarr")
    vocabulary = bulkgen.Vocabulary.fit(cells, context=8)
    vocabulary.save(folder / "vocabulary.json")
    bulkgen.tokenize(cells, vocabulary=vocabulary, label="label", counts=True).save(folder / "tokens")
    for method, parameters in METHODS.items():
        bulkgen.fit_generator(cells, by="label", method=method, **parameters).save(folder / f"{method}.h5ad")
    fit = bulkgen.load_fit(folder / "negative_binomial.h5ad")
    bulkgen.synthesize(fitted=fit, out=folder / "shards_cells", **DRAWN)
    bulkgen.synthesize(fitted=fit, out=folder / "shards_tokens", to="tokens", vocabulary=vocabulary, **DRAWN)
    assert go_on(folder, shard=(1, 2)) == {"half_cells": None, "half_drawn_tokens": None, "half_tokens": None}
    for lock in folder.glob("*/.lock"):
        lock.unlink()
    with tempfile.TemporaryDirectory() as name:
        place = write_small_study(Path(name), STUDY)
        done = run_command("run", place, "--out", Path(name) / "study")
        assert done.returncode == 0, done.stderr
        kept = folder / "study"
        (kept / "runs").mkdir(parents=True)
        for file in (
            "study.toml",
            "data.json",
            "split.parquet",
            "results.csv",
            *Path(name, "study").glob("runs/*.json"),
        ):
            source = Path(name, "study", file)
            target = kept / source.relative_to(Path(name, "study"))
            shutil.copy(source, target)
            if source.suffix in (".toml", ".json"):
                # where it was made says nothing
                target.write_text(target.read_text().replace(name, "place"))
    with tempfile.TemporaryDirectory() as name:
        gone_on = go_on(Path(shutil.copytree(folder, Path(name) / "stored")), resume=True)
    expected = {**described(folder), "gone_on_with": gone_on}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    target = HERE / f"stored_{int(sys.argv[1])}"
    if target.exists():
        raise SystemExit(f"{target} exists: what an earlier version wrote is never written anew; take the next number")
    make(target)
    subprocess.run(["du", "-sh", "--apparent-size", str(target)], check=True)
