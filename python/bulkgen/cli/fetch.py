"""``bulkgen fetch``: public data sets from the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Overwrite, print_result
from bulkgen.cli.sciplex2 import clean_sciplex2

__all__ = ["fetch"]


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set: sciplex2.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also clean it, as bulkgen sciplex2 does, and write it here.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the download in (default: BULKGEN_CACHE, else the user's cache)."),
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Download a public data set once, and say what to cite."""
    import bulkgen
    from bulkgen.fetching import DOWNLOADS
    from bulkgen.io import check_cells_output

    if out is not None:
        check_cells_output(out, overwrite=overwrite)
    path = bulkgen.fetch(name, cache=cache)
    about = DOWNLOADS[name]
    for line in (f"{about.file}, {about.licence}, {about.page}", *(f"cite: {text}" for text in about.citations)):
        typer.echo(line, err=True)
    if out is None:
        print_result({"file": path}, as_json=json_)
    else:
        clean_sciplex2(path, out, overwrite=overwrite, as_json=json_)
