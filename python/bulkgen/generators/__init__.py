"""Generators of synthetic cells: one file per method, found by name."""

from __future__ import annotations

from bulkgen.generators.base import (
    Bulk,
    DenseGenerator,
    FittedGenerator,
    Generator,
    Reference,
    SparseGenerator,
    cell_address,
)
from bulkgen.generators.registry import DEFAULT_METHOD, generator_class, generator_names, make_generator
from bulkgen.generators.truncated_gaussian import TruncatedGaussian

__all__ = [
    "DEFAULT_METHOD",
    "Bulk",
    "DenseGenerator",
    "FittedGenerator",
    "Generator",
    "Reference",
    "SparseGenerator",
    "TruncatedGaussian",
    "cell_address",
    "generator_class",
    "generator_names",
    "make_generator",
]
