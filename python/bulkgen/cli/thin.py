"""``bulkgen thin``: counts down to the depth of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import InputCells, Json, Layer, Output, Overwrite, Rng, Threads, print_result

__all__ = ["thin"]


def thin(
    cells: InputCells,
    out: Output,
    library_size: Annotated[
        float | None, typer.Option(min=1, help="Expected total counts of a row after thinning.")
    ] = None,
    fraction: Annotated[float | None, typer.Option(min=0, max=1, help="Probability to keep a molecule.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Real cells: each row is thinned to the library size of one of them.")
    ] = None,
    layer: Layer = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Thin counts to the depth of cells: keep molecules at random.

    Each molecule of a cell, a pseudo-bulk sum or a bulk profile is kept with the same probability.
    """
    import bulkgen
    from bulkgen.io import check_cells_output

    check_cells_output(out, overwrite=overwrite)
    adata = bulkgen.read(cells, layer=layer, counts="integer")
    result = bulkgen.thin(
        adata,
        library_size=library_size,
        fraction=fraction,
        reference=None if reference is None else bulkgen.read(reference, counts="integer"),
        rng=rng,
        threads=threads,
    )
    bulkgen.write(result, out, overwrite=overwrite)
    print_result(
        {
            "rows": result.n_obs,
            "genes": result.n_vars,
            "counts_before": int(adata.X.sum(dtype="float64")),
            "counts_after": int(result.X.sum(dtype="float64")),
            "out": str(out),
        },
        as_json=json_,
    )
