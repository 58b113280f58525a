"""A known answer that every backend must give, at every instruction-set level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.sampling import draw_variates
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Kernels

__all__ = ["Answer", "answers"]

#: XXH3-128 of the variates below; another value is another stream, and needs another STREAM_VERSION.
KNOWN = "6d71f144ff59ffc7c233052dbe3332f5"
#: Rejection, inversion, and the logarithms and exponentials of our own.
_VARIATES: dict[str, tuple[float, ...]] = {
    "poisson": (37.5,),
    "binomial": (1000, 0.6),
    "log_series": (0.5, -0.6931471805599453),
    "gamma": (0.7,),
}


@dataclass(frozen=True)
class Answer:
    """What a backend answered.

    Attributes
    ----------
    backend, level
        Which one, and at which instruction-set level (``None``: the backend has one alone).
    problem
        Why the answer is not the known one; ``None`` if it is.
    """

    backend: str
    level: str | None
    problem: str | None


def answers() -> list[Answer]:
    """Ask every backend of this installation, at every level that this processor runs."""
    found = []
    for backend in backend_names():
        try:
            found += _of_backend(get_kernels(backend))
        # whatever keeps a backend from answering is what we want to know
        except Exception as error:
            found.append(Answer(backend, None, f"{type(error).__name__}: {error}"))
    return found


def digest(kernels: Kernels) -> str:
    """Return the answer of a backend at its present level."""
    drawn = xxhash.xxh3_128()
    for number, (law, parameters) in enumerate(_VARIATES.items()):
        values = draw_variates(
            law, *parameters, n_cells=4, n_values=50, key=number, purpose=int(Purpose.THIN), kernels=kernels
        )
        drawn.update(values.tobytes())
    return drawn.hexdigest()


def _of_backend(kernels: Kernels) -> list[Answer]:
    if kernels.name != "native":
        return [Answer(kernels.name, None, _problem(digest(kernels)))]
    from bulkgen.kernels.native import NativeKernels

    assert isinstance(kernels, NativeKernels)
    used, found = kernels.level, []
    try:
        for level in kernels.levels:
            kernels.use_level(level)
            found.append(Answer(kernels.name, level, _problem(digest(kernels))))
    finally:
        kernels.use_level(used)
    return found


def _problem(answer: str) -> str | None:
    return None if answer == KNOWN else f"drew {answer[:12]} where {KNOWN[:12]} is known"
