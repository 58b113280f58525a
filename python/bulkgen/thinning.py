"""Thinning: every molecule is kept independently with a probability, down to the depth that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.arguments import checked
from bulkgen.io import canonical_counts, library_sizes, make_anndata, provenance
from bulkgen.kernels import get_kernels
from bulkgen.kernels.sampling import thin_matrix
from bulkgen.rng import Purpose, key_from_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.kernels.protocol import Float64Array
    from bulkgen.rng import RandomState

__all__ = ["bootstrap_sizes", "keep_probability", "thin"]

#: Larger whole numbers are not exact in float32.
_LARGEST = 2**24


@checked
def thin(
    adata: AnnData,
    *,
    library_size: float | np.ndarray | Sequence[float] | None = None,
    fraction: float | None = None,
    reference: AnnData | None = None,
    rng: RandomState = 0,
    threads: int | None = None,
) -> AnnData:
    """Thin counts binomially: keep each molecule with the same probability, independently.

    A row whose molecules were sampled from a profile is, thinned, a sample of the same profile at a smaller depth; its
    library size then varies around the one asked for as a binomial number does.

    Parameters
    ----------
    adata
        Rows x genes: cells, pseudo-bulk sums or bulk profiles, as whole counts. Not changed.
    library_size
        Expected total counts of a row after thinning; one number, or one per row. A row that has fewer stays as it is.
    fraction
        Probability to keep a molecule, in (0, 1].
    reference
        Real cells: every row is thinned to the library size of one of them, chosen at random.
    rng
        Seed.
    threads
        Default: the CPUs available.

    Returns
    -------
    anndata.AnnData
        Rows x genes, CSR float32 of whole counts; ``obs`` and ``var`` as they were.

    Raises
    ------
    CountsError
        If the matrix holds no whole counts.
    ValueError
        If not exactly one of `library_size`, `fraction` and `reference` is given, or one is out of range.
    """
    given = {"library_size": library_size, "fraction": fraction, "reference": reference}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise ValueError(
            f"pass one of library_size, fraction and reference, got {' and '.join(named) or 'none'} "
            "(--library-size, --fraction, --reference)"
        )
    counts = canonical_counts(adata.X, require_integers=True, cell_names=adata.obs_names, gene_names=adata.var_names)
    if counts.data.size and counts.data.max() > _LARGEST:
        raise ValueError(f"counts above 2^24 cannot be stored in single precision, got {counts.data.max():g}")
    key = key_from_rng(rng)
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {fraction}")
        probability = np.full(counts.shape[0], float(fraction))
    else:
        if reference is not None:
            cells = canonical_counts(
                reference.X, require_integers=True, cell_names=reference.obs_names, gene_names=reference.var_names
            )
            sizes = bootstrap_sizes(library_sizes(cells), counts.shape[0], key=key, first_cell=0)
        else:
            sizes = np.broadcast_to(np.asarray(library_size, np.float64), counts.shape[:1])
            if not (np.all(np.isfinite(sizes)) and np.all(sizes > 0)):
                raise ValueError(f"library_size must be above 0, got {library_size}")
        probability = keep_probability(counts, sizes)
    parameters = {"library_size": library_size, "fraction": fraction, "reference": reference is not None}
    return make_anndata(
        thin_matrix(counts, probability, key=key, threads=threads),
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns={"bulkgen": provenance("thinned", parameters, key=key, source=adata)},
    )


def bootstrap_sizes(sizes: Float64Array, n: int, *, key: int, first_cell: int) -> Float64Array:
    """Choose one of `sizes` for each of n cells: element ``word · len(sizes) / 2³²`` of the cell's first word.

    Raises
    ------
    ValueError
        If there is no size above zero to choose from.
    """
    sizes = sizes[sizes > 0]
    if sizes.size == 0:
        raise ValueError("there is no reference cell with counts to take a library size from")
    words = np.empty((n, 1), np.uint32)
    get_kernels().philox_words(words, key=key, purpose=int(Purpose.LIBRARY_SIZE), first_cell=first_cell)
    chosen: Float64Array = sizes[(words[:, 0].astype(np.uint64) * np.uint64(sizes.size)) >> np.uint64(32)]
    return chosen


def keep_probability(counts: sp.csr_matrix, sizes: Float64Array) -> Float64Array:
    """Return the probability that brings each row to its size on average; 1 for a row that has no more."""
    totals = library_sizes(counts)
    probability: Float64Array = np.divide(sizes, totals, out=np.ones(totals.size), where=totals > sizes)
    return probability
