"""Input and output: AnnData with checked counts, atomic files, provenance."""

from __future__ import annotations

from bulkgen.io.atomic import atomic_directory, atomic_file, check_output
from bulkgen.io.cell_shards import open_shards
from bulkgen.io.cell_store import Cells, CellStore, open_cells
from bulkgen.io.checks import CountMatrix, Names, canonical_counts, compressed_counts, is_integral, library_sizes
from bulkgen.io.count_rows import CountRows, MatrixRows, reading_ahead
from bulkgen.io.h5ad import check_anndata, check_cells_output, make_anndata, read, write
from bulkgen.io.provenance import content_hash, provenance, provenance_of
from bulkgen.io.row_writer import RowWriter, write_rows
from bulkgen.io.sciplex2 import qc_table, read_sciplex2
from bulkgen.io.spill import Spill, smallest_integers
from bulkgen.io.tables import read_table

__all__ = [
    "CellStore",
    "Cells",
    "CountMatrix",
    "CountRows",
    "MatrixRows",
    "Names",
    "RowWriter",
    "Spill",
    "atomic_directory",
    "atomic_file",
    "canonical_counts",
    "check_anndata",
    "check_cells_output",
    "check_output",
    "compressed_counts",
    "content_hash",
    "is_integral",
    "library_sizes",
    "make_anndata",
    "open_cells",
    "open_shards",
    "provenance",
    "provenance_of",
    "qc_table",
    "read",
    "read_sciplex2",
    "read_table",
    "reading_ahead",
    "smallest_integers",
    "write",
    "write_rows",
]
