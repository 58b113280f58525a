"""The generators by name: those of bulkgen, and those that other packages announce.

A package adds generators through the entry-point group ``bulkgen.generators``; the name of an entry point is the name
of the method, and its object a subclass of :class:`~bulkgen.generators.base.Generator`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bulkgen.generators.base import FittedGenerator, Generator
from bulkgen.parameters import wrong_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

__all__ = [
    "DEFAULT_METHOD",
    "ENTRY_POINT_GROUP",
    "fitted_type_of",
    "generator_class",
    "generator_names",
    "generator_package",
    "make_generator",
]

ENTRY_POINT_GROUP = "bulkgen.generators"
DEFAULT_METHOD = "truncated_gaussian"

#: Built-in generators: name -> module and class.
_BUILT_IN = {
    "truncated_gaussian": ("bulkgen.generators.truncated_gaussian", "TruncatedGaussian"),
    "thin": ("bulkgen.generators.thin", "Thin"),
    "multinomial": ("bulkgen.generators.multinomial", "Multinomial"),
    "poisson": ("bulkgen.generators.multinomial", "Poisson"),
    "negative_binomial": ("bulkgen.generators.negative_binomial", "NegativeBinomial"),
    "copula": ("bulkgen.generators.copula", "Copula"),
    "donor_shift": ("bulkgen.generators.donor_shift", "DonorShift"),
    "mixture": ("bulkgen.generators.mixture", "Mixture"),
    "pseudobulk": ("bulkgen.generators.pseudobulk", "Pseudobulk"),
    "scvi": ("bulkgen.generators.scvi", "Scvi"),
}


def generator_names() -> tuple[str, ...]:
    """Return the names that ``synthesize(method=...)`` takes.

    Returns
    -------
    tuple of str
        Those of other packages last.
    """
    return (*_BUILT_IN, *_third_party())


def make_generator(name: str, parameters: Mapping[str, object]) -> Generator:
    """Build a generator from its name and parameters.

    Parameters
    ----------
    name
        One of :func:`generator_names`.
    parameters
        Values of its fields; those left out have their defaults.

    Returns
    -------
    Generator
        The generator, not fitted.

    Raises
    ------
    ValueError
        If there is no such generator, or a parameter is unknown or has a wrong value.
    ImportError
        If the package of a generator, or one that it needs, cannot be imported.
    TypeError
        If an entry point names something that is no generator.
    """
    cls = generator_class(name)
    try:
        return cls.model_validate(dict(parameters))
    except ValidationError as error:
        known = ", ".join(cls.model_fields) or "none"
        wrong = "; ".join(
            f"{parameter!r} of method {name!r} {what}" if parameter else f"method {name!r}: {what}"
            for parameter, what in wrong_parameters(error).items()
        )
        raise ValueError(f"{wrong} (parameters: {known})") from None


def generator_class(name: str) -> type[Generator]:
    """Return the class of a generator.

    Parameters
    ----------
    name
        One of :func:`generator_names`.

    Returns
    -------
    type
        A subclass of :class:`Generator`.

    Raises
    ------
    ValueError
        If there is no such generator.
    ImportError, TypeError
        As :func:`make_generator`.
    """
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        built_in: type[Generator] = getattr(import_module(module), attribute)
        return built_in
    if name not in _third_party():
        raise ValueError(f"method must be one of {', '.join(map(repr, generator_names()))}, got {name!r}")
    entry = _third_party()[name]
    which = f"the entry point {name!r} of group {ENTRY_POINT_GROUP!r} ({entry.value})"
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise ImportError(f"{which} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Generator)):
        raise TypeError(f"{which} must be a subclass of bulkgen.generators.Generator, got {found!r}")
    return found


def generator_package(name: str) -> str | None:
    """Return the package, with its version, that announces a generator; ``None`` for bulkgen's own.

    Raises
    ------
    ValueError
        As :func:`make_generator`.
    """
    if name in _BUILT_IN:
        return None
    generator_class(name)
    found = _third_party()[name].dist
    return "unknown" if found is None else f"{found.name} {found.version}"


def fitted_type_of(generator: Generator) -> type[FittedGenerator]:
    """Return what a generator's ``fit`` returns.

    Raises
    ------
    TypeError
        If its class does not say so.
    """
    found: type[FittedGenerator] | None = getattr(type(generator), "fitted_type", None)
    if found is None:
        raise TypeError(f"{type(generator).__name__} must name its fitted_type for its fits to be read back")
    return found


@cache
def _third_party() -> dict[str, EntryPoint]:
    """Entry points by name; a built-in generator cannot be replaced."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry.name not in _BUILT_IN}
