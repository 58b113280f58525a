"""``bulkgen score``: how like real cells those of a file are."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.benchmark import Control, Group, Metrics, Models, Seeds, finish, read_groups, read_models
from bulkgen.cli.help import HelpAll
from bulkgen.cli.options import GeneIds, Json, Output, Overwrite, Rng, Threads, VocabularyPaths

__all__ = ["score"]


def score(
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", help="Cells to judge: .h5ad file or .zarr store.")],
    real: Annotated[Path, typer.Option(help="Real cells that nothing was estimated on.")],
    out: Output,
    label: Annotated[str, typer.Option(help="obs column with the class, in all files.")],
    train: Annotated[
        Path | None, typer.Option(help="The real cells that SYNTHETIC was made from (default: halves of --real).")
    ] = None,
    control: Control = None,
    group: Group = None,
    seeds: Seeds = 3,
    models: Models = None,
    metrics: Metrics = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="V1, V2, or a saved one (default: fitted to real cells).")
    ] = None,
    vocabulary_path: VocabularyPaths = None,
    gene_ids: GeneIds = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
    help_all: HelpAll = False,
) -> None:
    """Measure ready-made synthetic cells against real ones.

    Every figure stands between a ceiling, real cells, and a floor, Poisson noise.
    """
    import bulkgen
    from bulkgen.io import check_output
    from bulkgen.report import require_report_extra

    check_output(out, overwrite=overwrite)
    require_report_extra()
    groups = read_groups(metrics)
    started = time.perf_counter()
    results = bulkgen.score_cells(
        # a generator of any kind may have made fractional counts
        bulkgen.read(synthetic, counts="any"),
        bulkgen.read(real),
        label=label,
        train=None if train is None else bulkgen.read(train),
        control=control,
        group=group,
        name=synthetic.stem,
        seeds=seeds,
        models=read_models(models),
        metrics=groups,
        vocabulary=vocabulary,
        vocabulary_path=vocabulary_path or None,
        gene_ids=gene_ids,
        out=out,
        overwrite=overwrite,
        rng=rng,
        threads=threads,
        command=shlex.join(["bulkgen", *sys.argv[1:]]),
        on_step=lambda step: typer.echo(f"[{time.perf_counter() - started:4.0f} s] {step}", err=True),
    )
    finish(results, out, as_json=json_)
