"""Dependence between genes within a class: correlations and their spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import ClassView, View
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["correlations", "dependence_metrics"]

GENES = 500
CELLS = 2_000
EIGENVALUES = 10
#: Correlation of training with test correlations below which there is nothing to be found again.
REPRODUCIBLE = 0.05
_ROUNDING = 1e-9


def dependence_metrics(space: Space, synthetic: View, label: str) -> dict[str, float | Undefined]:
    """Compare the correlations of the 500 most variable genes (log-normalised) within a class.

    Returns
    -------
    dict
        ``correlation_difference``: root mean square difference from those of real test cells; as many cells of both,
        at most 2,000, for a correlation of few cells is noise. ``correlation_slope``: covariance of the synthetic with
        the test correlations over that of the training with the test correlations; noise of the test cells cancels, so
        that genes drawn independently give 0 and training cells exactly 1, however few the cells.
        ``eigen_spectrum_ratio``: geometric mean of the ten largest eigenvalues over those of the test cells, as many
        cells of both.
    """
    real, made = space.pair(synthetic, label)
    training = space.training[label]
    equal = min(len(real), len(made), CELLS)

    def of(cells: ClassView, n_cells: int) -> Float64Array:
        return correlations(cells.variable_values(cells.some(n_cells), genes=GENES))

    matrices = of(real, equal), of(made, equal)
    upper = np.triu_indices(len(matrices[0]), k=1)
    truth, equally_many = (matrix[upper] for matrix in matrices)
    n_values = min(EIGENVALUES, equal - 1)
    spectra = [np.linalg.eigvalsh(matrix)[-n_values:] for matrix in matrices]
    if min(spectrum.min() for spectrum in spectra) < _ROUNDING:
        raise Undefined(f"fewer than {n_values} of the variable genes vary")
    again = of(training, CELLS)[upper]
    attempt = equally_many if equal == len(made) else of(made, CELLS)[upper]
    centred, again = truth - truth.mean(), again - again.mean()
    slope: float | Undefined = Undefined("the correlations of training cells are not found again among test cells")
    if centred @ again > REPRODUCIBLE * np.linalg.norm(centred) * np.linalg.norm(again):
        slope = float(centred @ attempt / (centred @ again))
    return {
        "correlation_difference": float(np.sqrt(np.mean((truth - equally_many) ** 2))),
        "correlation_slope": slope,
        "eigen_spectrum_ratio": float(np.exp(np.mean(np.log(spectra[1] / spectra[0])))),
    }


def correlations(values: npt.NDArray[np.floating]) -> Float64Array:
    """Return the correlations of columns; those of a constant column are 0, with itself too."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    length = np.sqrt(np.sum(centred**2, axis=0))
    # of float32 values a constant column's differences from its mean are rounding, not variation
    varies = values.max(axis=0) > values.min(axis=0)
    centred *= np.divide(1, length, out=np.zeros_like(length), where=varies)
    result: Float64Array = centred.T @ centred
    return result
