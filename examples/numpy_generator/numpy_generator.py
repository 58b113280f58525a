"""A generator for bulkgen that is one NumPy function: independent Poisson counts around the bulk's means."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bulkgen.generators import Bulk, DenseGenerator, Generator, Reference


@dataclass(frozen=True)
class FittedNumpyPoisson(DenseGenerator):
    """Means per stratum and gene; the fields of a fitted generator are what is stored of it."""

    mean: np.ndarray

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.mean.shape[1]

    def fill(self, stratum: int, out: np.ndarray, *, key: int, first_cell: int, threads: int | None) -> None:
        """Draw each cell from a seed of its own, so that it does not depend on the cells beside it."""
        for cell, row in enumerate(out, first_cell):
            row[:] = np.random.default_rng((key, stratum, cell)).poisson(self.mean[stratum])


class NumpyPoisson(Generator):
    """Fields are the parameters of the method; `scale` multiplies the means."""

    scale: float = 1.0
    fitted_type: ClassVar = FittedNumpyPoisson

    def fit(self, bulk: Bulk, reference: Reference) -> FittedNumpyPoisson:
        """Keep the means."""
        return FittedNumpyPoisson(self.scale * bulk.mean(reference))
