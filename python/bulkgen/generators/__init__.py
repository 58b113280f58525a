"""Generators of synthetic cells: one file per method, found by name."""

from __future__ import annotations

from bulkgen.generators.base import (
    Bulk,
    FittedGenerator,
    Generator,
    Reference,
    generator_names,
    make_generator,
)
from bulkgen.generators.truncated_gaussian import TruncatedGaussian

__all__ = [
    "Bulk",
    "FittedGenerator",
    "Generator",
    "Reference",
    "TruncatedGaussian",
    "generator_names",
    "make_generator",
]
