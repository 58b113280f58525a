"""``bulkgen bulk``: measured bulk RNA-seq to samples or profiles."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Layer, Output, Overwrite, Threads, VocabularyPaths, print_result

__all__ = ["bulk"]


class UnitName(StrEnum):
    """Units of the command line."""

    counts = "counts"
    tpm = "tpm"


class AxisName(StrEnum):
    """Axes of a table."""

    rows = "rows"
    columns = "columns"


def bulk(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Table of bulk values (.csv, .tsv, .gct, .parquet; .gz), .h5ad or .zarr."),
    ],
    out: Output,
    unit: Annotated[UnitName, typer.Option(help="What the values are.")] = UnitName.counts,
    samples: Annotated[Path | None, typer.Option(help="Table with one row per sample (.csv, .tsv, .parquet).")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Column to add replicates by, to profiles; may be repeated (default: keep samples)."),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(help="Lead gene ids to those of V1, V2 (Geneformer; knows symbols) or a saved vocabulary."),
    ] = None,
    vocabulary_path: VocabularyPaths = None,
    gene_ids: Annotated[
        str | None, typer.Option("--gene-ids", help="Column that holds the gene ids (default: found).")
    ] = None,
    genes: Annotated[AxisName | None, typer.Option(help="Axis of the table with the genes (default: found).")] = None,
    round_: Annotated[
        bool, typer.Option("--round", help="Round expected counts (RSEM, Salmon, kallisto) to whole numbers.")
    ] = False,
    layer: Layer = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Read measured bulk RNA-seq, check its unit, match its genes.

    With --by, replicates are added to profiles.
    """
    import bulkgen
    from bulkgen.bulk_input import bulk_report
    from bulkgen.io import check_cells_output

    check_cells_output(out, overwrite=overwrite)
    read = bulkgen.read_bulk(
        file,
        unit=unit.value,
        samples=samples,
        vocabulary=vocabulary,
        vocabulary_path=vocabulary_path or None,
        gene_ids=gene_ids,
        genes=None if genes is None else genes.value,
        round=round_,
        layer=layer,
    )
    result = bulkgen.bulk_profiles(read, by=by, threads=threads) if by else read
    bulkgen.write(result, out, overwrite=overwrite)
    report = bulk_report(read)
    if json_:
        strata = {"strata": result.n_obs} if by else {}
        print_result({"out": str(out), "unit": unit.value, **strata, **report.to_dict()}, as_json=True)
        return
    printed: dict[str, object] = {"samples": report.samples}
    if by:
        printed["strata"] = ", ".join(result.obs_names)
    printed["genes"] = f"{report.genes:,} of {report.ids:,} ids"
    if report.unmapped:
        printed["left_out"] = f"{report.unmapped:,} ids with {report.unmapped_share:.2%} of the {unit.value}"
    if report.versions_stripped:
        printed["versions_stripped"] = f"{report.versions_stripped:,} ids"
    if report.ids_summed:
        printed["ids_added"] = f"{report.ids_summed:,} (several ids of one gene)"
    print_result(
        printed | {"unit": unit.value, "out": str(out)},
        as_json=False,
        then=("synthesize", out, "--reference", "CELLS", "-o", out.with_name(f"{out.stem}_cells.h5ad")),
    )
