"""Ensembl gene ids and their versions."""

from __future__ import annotations

import re

__all__ = ["has_version", "is_gene", "strip_version"]

# GENCODE marks the copies on the Y chromosome: ENSG00000182378.14_PAR_Y
_VERSIONED = re.compile(r"(ENS[A-Z]*G[0-9]+)\.[0-9]+(?:_PAR_Y)?", re.IGNORECASE)

_GENE = re.compile(r"ENS[A-Z]*G[0-9]+", re.IGNORECASE)


def strip_version(gene: str) -> str:
    """Return an Ensembl gene id without its version; anything else (``RP11-34P13.7``) as it is."""
    # nearly no id has a version, and most have no point either
    match = _VERSIONED.fullmatch(gene) if "." in gene else None
    return match.group(1) if match else gene


def is_gene(name: str) -> bool:
    """Whether a name is an Ensembl gene id of any species, with or without a version."""
    return _GENE.fullmatch(strip_version(name)) is not None


def has_version(gene: str) -> bool:
    """Whether :func:`strip_version` would shorten an id."""
    return "." in gene and strip_version(gene) != gene
