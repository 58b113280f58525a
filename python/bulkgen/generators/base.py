"""What a generator is, and the table of generators by name.

A generator is a frozen set of parameters with a name. Fitted to bulk profiles and reference moments it can draw any
cell of any stratum by its number, in any order; so chunks, shards and threads cannot change a bit of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from bulkgen.kernels import get_kernels

if TYPE_CHECKING:
    import pandas as pd

    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding
    from bulkgen.profiles import GeneMoments

__all__ = ["Bulk", "FittedGenerator", "Generator", "Reference", "generator_names", "make_generator"]

#: Cells that exist at once on the way to tokens.
_ROWS = 16
#: Built-in generators: name -> module and class.
_GENERATORS = {
    "truncated_gaussian": ("bulkgen.generators.truncated_gaussian", "TruncatedGaussian"),
}


@dataclass(frozen=True)
class Bulk:
    """Bulk profiles, brought to the common genes.

    Attributes
    ----------
    strata
        One row per stratum: the columns that the profiles were grouped by.
    mean
        Mean counts per cell, shape (n_strata, n_genes).
    """

    strata: pd.DataFrame
    mean: Float64Array


@dataclass(frozen=True)
class Reference:
    """Moments of the reference cells, on the genes of the bulk profiles.

    Attributes
    ----------
    strata
        One row per stratum of the reference; same columns as :attr:`Bulk.strata`.
    moments
        Within each stratum.
    pooled
        Over all reference cells; matrices of shape (1, n_genes).
    """

    strata: pd.DataFrame
    moments: GeneMoments
    pooled: GeneMoments


class FittedGenerator(ABC):
    """Draws cells of the strata it was fitted to."""

    @abstractmethod
    def sample(self, stratum: int, out: Float32Array, *, key: int, first_cell: int, threads: int | None) -> None:
        """Fill `out` (cells x genes) with cells ``first_cell, first_cell + 1, …`` of a stratum."""

    def sample_tokens(
        self,
        stratum: int,
        encoding: RowEncoding,
        out: TokenArray,
        lengths: Int64Array,
        genes: Int64Array,
        *,
        key: int,
        first_cell: int,
    ) -> None:
        """Write the tokens of cells ``first_cell, first_cell + 1, …`` end to end, in one thread.

        The tokens are those of the cells that :meth:`sample` gives. This one draws a few cells at a time and encodes
        them; a generator with a kernel of its own for it is faster.

        Parameters
        ----------
        stratum
            Number of the stratum.
        encoding
            Tokens of the genes.
        out
            Room for the tokens of all cells.
        lengths, genes
            Per cell: tokens, and genes before the cut; shape (cells,).
        key, first_cell
            As in :meth:`sample`.
        """
        n_genes = encoding.token.size
        rows = np.empty((min(_ROWS, lengths.size), n_genes), np.float32)
        columns = np.tile(np.arange(n_genes, dtype=np.int32), len(rows))
        start = 0
        for first in range(0, lengths.size, _ROWS):
            n = min(_ROWS, lengths.size - first)
            self.sample(stratum, rows[:n], key=key, first_cell=first_cell + first, threads=1)
            get_kernels().rank_tokens(
                np.arange(n + 1, dtype=np.int64) * n_genes,
                columns[: n * n_genes],
                rows[:n].reshape(-1),
                encoding.token,
                encoding.median,
                encoding.first_column,
                out[start:],
                np.empty(0, np.float32),
                lengths[first : first + n],
                genes[first : first + n],
                most_genes=encoding.most_genes,
                cls=encoding.cls,
                eos=encoding.eos,
                first_row=0,
                last_row=n,
            )
            start += int(lengths[first : first + n].sum())


class Generator(BaseModel):
    """Base of the generators: parameters as fields, unknown ones refused."""

    # a label may look like a number (clusters 0, 1, ...), above all on the command line
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    def fit(self, bulk: Bulk, reference: Reference) -> FittedGenerator:
        """Learn what is needed to draw cells of the bulk's strata.

        Raises
        ------
        LabelError
            If the reference lacks a stratum that the parameters ask for.
        """
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")


def generator_names() -> tuple[str, ...]:
    """Return the names that ``synthesize(method=...)`` takes."""
    return tuple(_GENERATORS)


def make_generator(name: str, parameters: dict[str, object]) -> Generator:
    """Build a generator from its name and parameters.

    Raises
    ------
    ValueError
        If there is no such generator, or a parameter is unknown or has a wrong value.
    """
    if name not in _GENERATORS:
        raise ValueError(f"method must be one of {', '.join(map(repr, _GENERATORS))}, got {name!r}")
    module, attribute = _GENERATORS[name]
    cls: type[Generator] = getattr(import_module(module), attribute)
    try:
        return cls.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "parameters"
        known = ", ".join(cls.model_fields)
        raise ValueError(f"{where!r} of method {name!r}: {first['msg']} (parameters: {known})") from error
