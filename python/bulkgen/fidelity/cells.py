"""Labelled cells as the metrics take them: counts, labels, and where each cell came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import GeneOverlapError, LabelError
from bulkgen.io import canonical_counts
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.tokens import TokenDataset

__all__ = ["Cells"]


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """Real or synthetic cells with a label each.

    Attributes
    ----------
    counts
        Cells x genes, canonical CSR, float32; neither negative, NaN nor infinite.
    labels
        Label of each cell as a string, shape (cells,).
    genes
        Gene ids, shape (genes,), each once.
    donor
        Row of the real training cell that each cell was made from, -1 for none; ``None`` where a method has no
        donors. Training cells that stand in for synthetic ones (the ceiling) are their own donors.
    group
        For real cells: cells of one number belong together (the same patient, family of source cells, ...) and are
        never on both sides of a fold. One numbering for training and test cells. ``None``: each cell by itself.
    tokens
        Tokens of the same cells, row for row (``keep_empty=True``), for the metrics of tokens.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """

    counts: sp.csr_matrix
    labels: npt.NDArray[np.object_]
    genes: npt.NDArray[np.object_]
    donor: Int64Array | None = None
    group: Int64Array | None = None
    tokens: TokenDataset | None = None

    def __post_init__(self) -> None:
        n_cells, n_genes = self.counts.shape
        if len(self.genes) != n_genes:
            raise ValueError(f"{len(self.genes)} genes for counts of {n_genes} columns")
        if len(set(self.genes)) != n_genes:
            raise ValueError("a gene id occurs more than once; sum such columns first")
        for name in ("labels", "donor", "group", "tokens"):
            values = getattr(self, name)
            if values is not None and len(values) != n_cells:
                hint = "; tokenize with keep_empty=True" if name == "tokens" else ""
                raise ValueError(f"{name} has {len(values)} entries for {n_cells} cells{hint}")

    @classmethod
    def from_anndata(
        cls,
        adata: AnnData,
        *,
        label: str,
        donor: Int64Array | None = None,
        group: str | None = None,
        tokens: TokenDataset | None = None,
    ) -> Cells:
        """Take cells from an AnnData, checked.

        Parameters
        ----------
        adata
            Cells x genes; `X` holds counts (fractions pass, for generators that make them).
        label
            Column of `obs` with the label.
        donor
            As of :class:`Cells`.
        group
            Column of `obs` whose values say which cells belong together. Numbers are given in sorted order of the
            values: training and test cells that share values are taken from one AnnData, then split by :meth:`take`.
        tokens
            As of :class:`Cells`.

        Raises
        ------
        CountsError, InvalidCsrError
            If `X` does not hold counts.
        LabelError
            If a column is missing or a cell has no value in it.
        """
        counts = canonical_counts(
            adata.X, require_integers=False, cell_names=adata.obs_names, gene_names=adata.var_names
        ).astype(np.float32, copy=False)
        strata_of(adata.obs, label)
        return cls(
            counts,
            adata.obs[label].astype(str).to_numpy(dtype=object),
            adata.var_names.to_numpy(dtype=object),
            donor=donor,
            group=None if group is None else strata_of(adata.obs, group).codes.astype(np.int64),
            tokens=tokens,
        )

    def __len__(self) -> int:
        """Return the number of cells."""
        return int(self.counts.shape[0])

    def __repr__(self) -> str:
        return f"Cells({len(self)} cells, {len(self.genes)} genes, labels={list(self.label_names)})"

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted(set(self.labels)))

    def rows(self, label: str) -> Int64Array:
        """Return the rows of a label in ascending order.

        Raises
        ------
        LabelError
            If no cell has it.
        """
        rows: Int64Array = np.flatnonzero(self.labels == label).astype(np.int64)
        if not len(rows):
            raise LabelError(f"no cell has the label {label!r}; labels: {', '.join(map(repr, self.label_names))}")
        return rows

    def take(self, rows: Int64Array) -> Cells:
        """Return the cells of these rows, in this order."""
        tokens = self.tokens
        return replace(
            self,
            counts=self.counts[rows],
            labels=self.labels[rows],
            donor=None if self.donor is None else self.donor[rows],
            group=None if self.group is None else self.group[rows],
            tokens=None if tokens is None else replace(tokens, table=tokens.table.take(rows)),
        )

    def as_synthetic(self) -> Cells:
        """Return these real training cells as if a generator had made them, each its own donor: the ceiling."""
        return replace(self, donor=np.arange(len(self), dtype=np.int64), group=None)

    def check_genes(self, other: Cells, *, this: str, that: str) -> None:
        """Refuse to compare cells over different genes.

        Raises
        ------
        GeneOverlapError
            If the gene ids differ, or their order does.
        """
        if np.array_equal(self.genes, other.genes):
            return
        shared = len(set(self.genes) & set(other.genes))
        if shared == len(self.genes) == len(other.genes):
            remedy = "they are the same in another order: index one by the genes of the other, adata[:, genes]"
        else:
            remedy = f"{shared} are shared: cut both to the shared genes, adata[:, genes], in one order"
        raise GeneOverlapError(f"{this} have {len(self.genes)} genes, {that} {len(other.genes)}; {remedy}")
