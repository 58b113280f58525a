"""``bulkgen sciplex2``: the published files of sci-Plex2 to one clean AnnData."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Output, Overwrite, print_result

__all__ = ["clean_sciplex2", "sciplex2"]


def sciplex2(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Preprocessed or scPerturb .h5ad, or the folder with GEO's GSM4150377."),
    ],
    out: Output,
    dose: Annotated[
        list[float] | None, typer.Option("--dose", help="Dose to keep; may be repeated (default: all).")
    ] = None,
    confident_hashes: Annotated[
        bool, typer.Option("--confident-hashes", help="Keep only cells whose hash label is certain.")
    ] = False,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Read, check and clean sci-Plex2 in any published shape.

    It says what each step left.
    """
    clean_sciplex2(path, out, doses=dose or None, confident_hashes=confident_hashes, overwrite=overwrite, as_json=json_)


def clean_sciplex2(
    path: Path,
    out: Path,
    *,
    doses: list[float] | None = None,
    confident_hashes: bool = False,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the clean cells and print what quality control left, and the cells of each label."""
    from bulkgen.io import check_cells_output, qc_table, read_sciplex2, write

    check_cells_output(out, overwrite=overwrite)
    adata = read_sciplex2(path, doses=doses, confident_hashes=confident_hashes)
    write(adata, out, overwrite=overwrite)
    table = qc_table(adata)
    labels = {str(label): int(n) for label, n in adata.obs["treated_label"].value_counts().items()}
    if as_json:
        print_result({"out": str(out), "labels": labels, "qc": table.to_dict("records")}, as_json=True)
        return
    steps = {
        f"{axis} {step}": f"{left:>9,}" + (f"  ({removed:,} fewer)" if removed else "")
        for axis, step, left, removed in table.to_numpy().tolist()
    }
    listed = ", ".join(f"{label} {n:,}" for label, n in labels.items())
    then = ("split", out, "--label", "treated_label", "--out", out.with_name(f"{out.stem}_split"))
    print_result({**steps, "labels": listed, "out": out}, as_json=False, then=then)
