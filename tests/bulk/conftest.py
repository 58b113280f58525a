"""A small vocabulary with a mapping, and bulk tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bulkgen.tokens import Vocabulary

GENES = [f"ENSG{i:011d}" for i in range(1, 9)]
SYMBOLS = ["ISG15", "ACTB", "TP53", "GAPDH", "CD3E", "MYC", "EGFR", "KRAS"]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Eight genes; their symbols, an alias (G1P2) and a retired id lead to them."""
    mapping = {**dict(zip(SYMBOLS, GENES, strict=True)), "G1P2": GENES[0], "ENSG00000999999": GENES[2]}
    return Vocabulary(
        name="small",
        tokens={gene: i + 2 for i, gene in enumerate(GENES)},
        medians=dict.fromkeys(GENES, 1.0),
        pad=0,
        mask=1,
        cls=None,
        eos=None,
        context=6,
        mapping=mapping,
    )


@pytest.fixture
def counts() -> pd.DataFrame:
    """Genes x samples: counts of eight genes in four samples."""
    values = np.random.default_rng(5).poisson(300.0, (8, 4))
    return pd.DataFrame(values, index=GENES, columns=["S1", "S2", "S3", "S4"])


@pytest.fixture
def meta() -> pd.DataFrame:
    """Sample table: two samples of each of two drugs, rows in another order than the samples."""
    return pd.DataFrame(
        {"library": ["S3", "S1", "S4", "S2"], "drug": ["Dex", "none", "Dex", "none"], "dose": [10, 0, 10, 0]}
    )


@pytest.fixture
def tpm() -> pd.DataFrame:
    """Genes x samples: TPM of eight genes in three samples."""
    shares = np.random.default_rng(6).gamma(1.0, size=(8, 3))
    return pd.DataFrame(1e6 * shares / shares.sum(axis=0), index=GENES, columns=["S1", "S2", "S3"])
