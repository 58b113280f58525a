"""What generators learn from bulk profiles and reference cells; every estimate is a small NumPy array."""

from __future__ import annotations

from bulkgen.estimation.dispersion import Dispersion, estimate_dispersion
from bulkgen.estimation.factors import CopulaFactors, fit_copula_factors
from bulkgen.estimation.fractions import marker_genes, state_fractions
from bulkgen.estimation.library_sizes import library_size_table
from bulkgen.estimation.ratios import PROFILE_FLOOR, information, profile_of, shrunk_ratios
from bulkgen.estimation.zero_inflation import ZeroInflation, fit_zero_inflation

__all__ = [
    "PROFILE_FLOOR",
    "CopulaFactors",
    "Dispersion",
    "ZeroInflation",
    "estimate_dispersion",
    "fit_copula_factors",
    "fit_zero_inflation",
    "information",
    "library_size_table",
    "marker_genes",
    "profile_of",
    "shrunk_ratios",
    "state_fractions",
]
