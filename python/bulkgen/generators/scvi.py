"""Posterior predictive cells of scVI (Lopez et al. 2018): what a deep generative model of the reference alone gives.

A comparator: the bulk is not used, and every stratum must have reference cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import Field

from bulkgen.errors import MissingExtraError
from bulkgen.generators.base import Bulk, FittedGenerator, Generator, Reference
from bulkgen.generators.control import same_stratum
from bulkgen.io import make_anndata

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float32Array, Int64Array

__all__ = ["Scvi"]


@dataclass(frozen=True)
class FittedScvi(FittedGenerator):
    """Negative binomials of some reference cells of each stratum, as the trained model decodes them.

    Attributes
    ----------
    mean
        Of each cell and gene, at the cell's own library size; stratum by stratum, shape (cells, n_genes).
    size
        Inverse dispersion of each gene, shape (n_genes,).
    offsets
        Stratum s has the cells ``offsets[s]`` to ``offsets[s + 1]``, shape (n_strata + 1,).
    """

    mean: Float32Array
    size: Float32Array
    offsets: Int64Array

    def sample(self, stratum: int, n_cells: int, *, key: int, first_cell: int, threads: int | None) -> sp.csr_matrix:
        """Draw cells ``first_cell, first_cell + 1, …`` of a stratum, each around a decoded cell taken at random."""
        first, last = int(self.offsets[stratum]), int(self.offsets[stratum + 1])
        rows = [sp.csr_matrix((0, self.size.size), dtype=np.float32)]
        for cell in range(first_cell, first_cell + n_cells):
            random = np.random.default_rng((key, stratum, cell))
            rate = random.gamma(self.size, self.mean[random.integers(first, last)] / self.size)
            rows.append(sp.csr_matrix(random.poisson(rate).astype(np.float32)))
        return sp.vstack(rows, format="csr")


class Scvi(Generator):
    """Cells from the posterior predictive distribution of scVI; needs the package scvi-tools.

    The model is trained on the reference cells with the stratum as batch. A new cell takes the latent state (a draw
    from its posterior) and library size of a reference cell of its stratum. Training is seeded, which sets the random
    states of Python, NumPy and torch; the same weights come out on the same machine alone, as with any such training.

    Attributes
    ----------
    epochs
        Passes over the reference; by default as many as scvi-tools chooses for the number of cells.
    latent
        Dimensions of the latent state.
    pool
        Reference cells per stratum whose decoded distributions are kept (4 bytes per gene each).
    seed
        Seed of the training.
    """

    epochs: int | None = Field(default=None, ge=1)
    latent: int = Field(default=10, ge=1)
    pool: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)

    fitted_type: ClassVar = FittedScvi

    def fit(self, bulk: Bulk, reference: Reference) -> FittedScvi:
        """Train the model and decode the reference cells."""
        chosen = [self._pool_of(tuple(row), reference) for row in bulk.strata.itertuples(index=False)]
        offsets = np.concatenate([[0], np.cumsum([cells.size for cells in chosen])])
        model = self._train(reference)
        decoded = model.get_likelihood_parameters(indices=np.concatenate(chosen), n_samples=1)
        # one dispersion per gene, repeated for every cell
        size = np.ascontiguousarray(decoded["dispersions"][0], np.float32)
        return FittedScvi(np.ascontiguousarray(decoded["mean"], np.float32), size, offsets.astype(np.int64))

    def _pool_of(self, row: tuple[object, ...], reference: Reference) -> Int64Array:
        """Choose reference cells of a stratum, ascending."""
        why = ", and scVI makes cells like those that it was trained on; take a method that follows the bulk"
        stratum = same_stratum(row, reference.strata, otherwise=why)
        cells = reference.rows([stratum])
        if cells.size > self.pool:
            cells = np.sort(np.random.default_rng((self.seed, stratum)).choice(cells, self.pool, replace=False))
        return cells

    def _train(self, reference: Reference) -> Any:  # noqa: ANN401 - scvi-tools has no types
        if find_spec("scvi") is None:
            raise MissingExtraError("scvi", "scvi")
        import scvi

        counts = reference.counts.astype(np.float32)
        cells = pd.DataFrame(
            {"stratum": pd.Categorical(reference.codes)}, index=[str(i) for i in range(counts.shape[0])]
        )
        genes = pd.DataFrame(index=[str(i) for i in range(counts.shape[1])])
        adata = make_anndata(counts, obs=cells, var=genes)
        scvi.settings.seed = self.seed
        scvi.model.SCVI.setup_anndata(adata, batch_key="stratum")
        model = scvi.model.SCVI(adata, n_latent=self.latent, gene_likelihood="nb")
        model.train(max_epochs=self.epochs, enable_progress_bar=False)
        return model
