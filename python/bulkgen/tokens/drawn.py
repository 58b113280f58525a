"""Token data sets of cells that are made as they are encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bulkgen.progress import progress_bar
from bulkgen.tokens.encode import collect
from bulkgen.tokens.encoder import Encoder
from bulkgen.tokens.genes import map_genes
from bulkgen.tokens.obs import CELL_ID, label_names, obs_table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bulkgen.tokens.dataset import TokenDataset
    from bulkgen.tokens.encoder import Draw
    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["tokenize_drawn"]


def tokenize_drawn(
    draw: Draw,
    numbers: Sequence[int],
    strata: pd.DataFrame,
    *,
    cell_name: Callable[[int], str],
    var: pd.DataFrame,
    provenance: Mapping[str, object],
    vocabulary: Vocabulary,
    label: str | None,
    columns: Sequence[str] | None,
    gene_ids: str | None,
    keep_empty: bool,
    threads: int | None,
    out: str | Path | None,
    overwrite: bool,
) -> TokenDataset:
    """Tokenize cells that `draw` makes, as :func:`bulkgen.tokenize` would if they were all in memory.

    Parameters
    ----------
    draw
        Makes the tokens of a range of cells; called in threads.
    numbers
        Cells of each stratum; cells are numbered through, stratum by stratum.
    strata
        One row per stratum: the `obs` of its cells.
    cell_name
        Name of a cell by its number.
    var
        Annotation of the genes.
    provenance
        How the cells are made.
    vocabulary, label, columns, gene_ids, keep_empty, threads, out, overwrite
        As in :func:`bulkgen.tokenize`.
    """
    genes = map_genes(var, vocabulary, gene_ids=gene_ids)
    table = obs_table(strata, label=label, columns=columns or ())
    ends = np.cumsum(numbers)
    names = label_names(table.filter(pa.array(np.asarray(numbers) > 0)), label) if label is not None else ()

    def obs_of(first: int, last: int) -> pa.Table:
        rows = table.take(pa.array(np.searchsorted(ends, np.arange(first, last), side="right")))
        place = rows.schema.get_field_index(CELL_ID)
        ids = pa.array([cell_name(cell) for cell in range(first, last)], pa.string())
        return rows.set_column(place, rows.schema.field(place), ids)

    encoder = Encoder(vocabulary, genes, keep_empty=keep_empty, counts=False, threads=threads)
    return collect(
        _with_progress(encoder.encode_drawn(draw, int(ends[-1]), obs_of), encoder, total=int(ends[-1])),
        encoder,
        table.schema,
        label=label,
        names=names,
        provenance=provenance,
        out=out,
        overwrite=overwrite,
    )


def _with_progress(batches: Iterator[pa.RecordBatch], encoder: Encoder, *, total: int) -> Generator[pa.RecordBatch]:
    with progress_bar("synthesize", total) as advance:
        before = 0
        for batch in batches:
            yield batch
            advance(encoder.cells_in - before)
            before = encoder.cells_in
