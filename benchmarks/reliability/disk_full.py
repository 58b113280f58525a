"""A disk that is full, or a file that may not grow, at every stage that writes: said plainly, earlier output intact.

python benchmarks/reliability/disk_full.py            by a limit on the size of files, and on a small tmpfs (needs root)
python benchmarks/reliability/disk_full.py --try      print the rows, write nothing
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent))

import bulkgen
import shards_made
import stored_things
from bulkgen.io import write
from outcomes import Isolated, row
from record import Row, write_rows

TITLE = "Disk full"
#: Shares of what a stage writes after which the disk is full.
SHARES = (0.0, 0.1, 0.5, 0.9)


@cache
def _cells() -> object:
    """Enough cells for some hundred kilobytes."""
    import anndata as ad

    parts = [stored_things.cells() for _ in range(20)]
    made = ad.concat(parts, merge="same")
    made.obs_names = [f"cell{i}" for i in range(made.n_obs)]
    return made


@cache
def _tokens() -> bulkgen.TokenDataset:
    made = _cells()
    return bulkgen.tokenize(made, vocabulary=bulkgen.Vocabulary.fit(made, context=32), label="label", threads=1)


def h5ad(out: Path) -> None:
    """Cells in .h5ad."""
    write(_cells(), out / "cells.h5ad", overwrite=True)


def zarr(out: Path) -> None:
    """Cells in .zarr."""
    write(_cells(), out / "cells.zarr", overwrite=True)


def tokens(out: Path) -> None:
    """Token data set."""
    _tokens().save(out / "cells.dataset", overwrite=True)


def synthesized_tokens(out: Path) -> None:
    """Synthetic cells, straight to tokens."""
    made = _cells()
    bulkgen.synthesize(
        made,
        by="label",
        n_cells=200,
        method="poisson",
        rng=0,
        to="tokens",
        vocabulary=_tokens().vocabulary,
        label="label",
        out=out / "synthetic.dataset",
        overwrite=True,
        threads=1,
    )


def fit(out: Path) -> None:
    """Fitted generator."""
    stored_things.fit("negative_binomial").save(out / "fit.h5ad", overwrite=True)


def pseudobulk_out_of_core(out: Path) -> None:
    """Pseudo-bulk written as it is made, all that is set aside on the disk."""
    from bulkgen.io import count_rows, spill

    count_rows.BLOCK_ENTRIES, spill._IN_MEMORY = 5_000, 100
    cells = out.parent / "cells.h5ad"
    if not cells.exists():
        write(_cells(), cells)
    bulkgen.pseudobulk(cells, by="label", k=3, rng=0, threads=1, out=out / "means.h5ad", overwrite=True)


def vocabulary(out: Path) -> None:
    """Vocabulary."""
    _tokens().vocabulary.save(out / "vocabulary.json", overwrite=True)


def training(out: Path) -> None:
    """Run folder of a linear classifier."""
    from bulkgen.training import finetune

    finetune(_tokens(), model="linear", out=out / "run", overwrite=True, rng=0)


def transformer(out: Path) -> None:
    """Run folder of a small transformer, with checkpoints."""
    from bulkgen.training import finetune

    finetune(_tokens(), model="tiny", out=out / "run", overwrite=True, rng=0, epochs=1, resume=True, checkpoint_steps=5)


def study_record(out: Path) -> None:
    """Record of a study's run."""
    from bulkgen.study.folder import StudyFolder

    folder = StudyFolder(out)
    folder.make()
    result = {"scores": np.arange(5000.0)}
    folder.write_record("key", {"seed": 0}, result=result, error=None, cost={"seconds": 1.0}, versions={})


def study_table(out: Path) -> None:
    """Table of a study's results."""
    import pandas as pd

    from bulkgen.study.folder import StudyFolder

    StudyFolder(out).write_table(
        out / "results.parquet", pd.DataFrame({"score": np.random.default_rng(0).random(9000)})
    )


def report_page(out: Path) -> None:
    """Figures of a report."""
    from bulkgen.report.page import write_figures

    write_figures(out / "figures", {"a.svg": b"<svg>" + bytes(30_000), "b.png": bytes(30_000)}, overwrite=True)


def cell_shards(out: Path) -> None:
    """Shards of cells, gone on with after two were damaged."""
    _shards(out / "shards_of_cells")


def token_shards(out: Path) -> None:
    """Shards of tokens, gone on with after two were damaged."""
    _shards(out / "shards_of_tokens")


def _shards(path: Path) -> None:
    """Make shards, the first and the last always anew."""
    if path.exists():
        for number in (0, 3):
            shard = shards_made.shard(path, number)
            # which a full disk allows
            os.truncate(shard, shard.stat().st_size - 1)
    # whether there is room is looked at before: here it is lost meanwhile
    shards_made.make(path, resume=True, n_cells=2000, shard_size=1000, force=True)


#: Those that the tests try; the transformer takes seconds.
STAGES: dict[str, Callable[[Path], None]] = {
    stage.__name__: stage
    for stage in (
        h5ad,
        zarr,
        tokens,
        synthesized_tokens,
        pseudobulk_out_of_core,
        cell_shards,
        token_shards,
        fit,
        vocabulary,
        training,
        study_record,
        study_table,
        report_page,
        transformer,
    )
}


def attempt(path: Path) -> tuple[str, str]:
    """Write a stage, named in ``path / "stage"``, into ``path / "out"``, with the limit of ``path / "limit"``."""
    stage, limit = STAGES[(path / "stage").read_text()], int((path / "limit").read_text())
    # as the message of the kernel would end the process before Python could raise its own
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # what is cached is made before
    _tokens()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit if limit >= 0 else hard, hard))
    try:
        stage(path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return "", ""


def limited(name: str, folder: Path, isolated: Isolated, share: float, *, mounted: bool) -> str:
    """Write a stage over its own earlier output with too little room; return what went wrong, or nothing."""
    out = folder / "out"
    out.mkdir()
    (folder / "stage").write_text(name)
    (folder / "limit").write_text("-1")
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(out)], check=True)
    try:
        first = isolated.attempt("disk_full", "attempt", folder, seconds=300)
        if first.kind != "read":
            return f"not written with room enough: {first}"
        before = _state(out)
        sizes = [file.stat().st_size for file in out.rglob("*") if file.is_file()]
        if mounted:
            # in whole pages: what is there, and a part of its largest file, some being replaced one after the other
            room = 4096 * (_used_pages(out) + int(share * (-(-max(sizes) // 4096) - 1)))
            subprocess.run(["mount", "-o", f"remount,size={room}", str(out)], check=True)
        else:
            (folder / "limit").write_text(str(int(share * max(sizes))))
        second = isolated.attempt("disk_full", "attempt", folder, seconds=300)
        # too little room is told before the work, where it is known
        told = "the disk is full" in second.said or "make room there" in second.said
        if second.kind != "refused" or not told or str(out) not in second.said:
            return f"{second.kind}: {second.said[:200]}"
        changed = {path for path, _ in _state(out) ^ before}
        # an unfinished training keeps its checkpoints, to go on from
        changed = {path for path in changed if not path.startswith((".run.checkpoints", "run.checkpoints"))}
        if name.endswith("_shards"):
            # with room again, the same bytes
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
            if any(".work-" in path for path in changed):
                return f"something was left: {sorted(changed)}"
            (folder / "limit").write_text("-1")
            isolated.attempt("disk_full", "attempt", folder, seconds=300)
            changed = {path for path, _ in _state(out) ^ before}
        return f"the output changed: {sorted(changed)[:5]}" if changed else ""
    finally:
        if mounted:
            # a file that HDF5 could not close stays open until the process ends
            isolated.stop()
            subprocess.run(["umount", str(out)], check=True)


def _used_pages(out: Path) -> int:
    found = os.statvfs(out)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 4096


def _state(folder: Path) -> set[tuple[str, str]]:
    return {
        (
            file.relative_to(folder).as_posix(),
            hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "",
        )
        for file in folder.rglob("*")
    }


def campaign(
    names: tuple[str, ...] = tuple(STAGES),
    shares: tuple[float, ...] = SHARES,
    *,
    mounted: bool = False,
    say: Callable[[str], None] = str,
) -> list[Row]:
    """Fill the disk at every stage."""
    rows = []
    how = "small tmpfs" if mounted else "limit on the size of files"
    with Isolated() as isolated:
        for name in names:
            kinds: Counter[str] = Counter()
            for share in shares:
                with tempfile.TemporaryDirectory() as folder:
                    problem = limited(name, Path(folder), isolated, share, mounted=mounted)
                kinds["escaped" if problem else "refused"] += 1
                if problem:
                    say(f"{name}, {share}, {'tmpfs' if mounted else 'limit'}: {problem}")
            note = "earlier output intact" * (not kinds["escaped"])
            rows.append(row(f"{STAGES[name].__doc__.rstrip('.')}: {how}", kinds, note))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--try", dest="trial", action="store_true", help="print the rows, write nothing")
    parser.add_argument("stages", nargs="*", help="default: all")
    options = parser.parse_args()
    started = time.monotonic()
    stages = tuple(options.stages) or tuple(STAGES)
    rows = campaign(stages, say=print)
    if subprocess.run(["sh", "-c", "test $(id -u) = 0"], check=False).returncode == 0:
        rows += campaign(stages, mounted=True, say=print)
    for item in rows:
        print(item)
    if not options.trial:
        print(write_rows("disk_full", TITLE, rows, started=started))
