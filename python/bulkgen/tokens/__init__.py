"""Rank-value tokens: vocabularies, the encoder, and token data sets that Hugging Face `datasets` reads."""

from __future__ import annotations

from bulkgen.tokens.dataset import TokenDataset
from bulkgen.tokens.encode import tokenize
from bulkgen.tokens.summary import TokenizeSummary
from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["TokenDataset", "TokenizeSummary", "Vocabulary", "tokenize"]
