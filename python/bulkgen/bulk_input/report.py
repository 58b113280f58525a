"""What became of the genes and samples of a bulk matrix."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from bulkgen.io import provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

__all__ = ["EXAMPLES", "BulkReport", "bulk_report", "shown"]

#: Names that stand for many.
EXAMPLES = 3


def shown(names: Iterable[str]) -> str:
    """Write the first few names for a message."""
    first = list(islice(names, EXAMPLES + 1))
    return ", ".join(map(repr, first[:EXAMPLES])) + (", ..." if len(first) > EXAMPLES else "")


@dataclass(frozen=True)
class BulkReport:
    """What :func:`bulkgen.read_bulk` found and did.

    Attributes
    ----------
    samples, genes
        Of the result.
    ids
        Gene ids of the input.
    versions_stripped
        Ids that carried a version (``ENSG00000000003.15``).
    ids_summed
        Ids that were added to an earlier one of the same gene.
    unmapped
        Ids that lead to no gene of the vocabulary (without one: empty ids); left out.
    unmapped_examples
        The first few of them.
    unmapped_share
        Their share of all counts (or TPM).
    annotation
        Columns of a table that describe genes (or, with genes in columns, samples).
    summary_rows
        Rows of a table that count reads outside genes (``__no_feature``, ``N_unmapped``); left out.
    samples_left_out
        Samples that the sample table does not name.
    """

    samples: int
    genes: int
    ids: int
    versions_stripped: int
    ids_summed: int
    unmapped: int
    unmapped_examples: tuple[str, ...]
    unmapped_share: float
    annotation: tuple[str, ...]
    summary_rows: tuple[str, ...]
    samples_left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain values, for JSON.

        Returns
        -------
        dict
            Name of the attribute → its value.
        """
        return asdict(self)


def bulk_report(adata: AnnData) -> BulkReport:
    """Return the report of bulk samples, or of profiles that were made from them.

    Parameters
    ----------
    adata
        Samples or profiles x genes.

    Returns
    -------
    BulkReport
        What was found and done when the samples were read.

    Raises
    ------
    ValueError
        If `adata` was not read by :func:`bulkgen.read_bulk`.
    """
    record = provenance_of(adata)
    while record is not None:
        report = json.loads(str(record.get("parameters", "{}"))).get("report")
        if report is not None:
            # JSON has no tuples
            values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in report.items()}
            return BulkReport(**values)
        record = json.loads(str(record["history"])) if "history" in record else None
    raise ValueError("there is no report: this was not read by bulkgen.read_bulk")
