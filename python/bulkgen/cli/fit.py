"""``bulkgen fit``: learn a generator once, to draw from it as often as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.generator_options import GroupedBy, Method, ReferenceCells, Set, parameters_of
from bulkgen.cli.options import Json, Layer, Output, Overwrite, Threads, print_result

__all__ = ["fit"]


def fit(
    bulk: Annotated[
        Path,
        typer.Argument(metavar="BULK", help="Real cells to aggregate (.h5ad or .zarr, with --by), or bulk profiles."),
    ],
    out: Output,
    by: GroupedBy = None,
    reference: ReferenceCells = None,
    method: Method = None,
    reference_cells: Annotated[
        int | None, typer.Option(min=1, help="Learn from so many cells of each stratum at most (default: all).")
    ] = None,
    set_: Set = None,
    layer: Layer = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Fit a generator once, to draw from it as often as wanted.

    Then: bulkgen synthesize --fitted FILE.
    """
    import bulkgen
    from bulkgen.generators import DEFAULT_METHOD
    from bulkgen.io import check_cells_output

    check_cells_output(out, overwrite=overwrite)
    parameters = parameters_of(set_)
    fitted = bulkgen.fit_generator(
        bulkgen.open_cells(bulk, layer=layer),
        reference=None if reference is None else bulkgen.open_cells(reference, layer=layer),
        by=by or None,
        method=method or DEFAULT_METHOD,
        reference_cells=reference_cells,
        threads=threads,
        **parameters,
    )
    fitted.save(out, overwrite=overwrite)
    print_result(
        {"method": fitted.method, "strata": len(fitted.strata), "genes": len(fitted.var), "out": str(out)},
        as_json=json_,
        then=("synthesize", "--fitted", out, "-o", out.with_name(f"{out.stem}_cells.h5ad")),
    )
