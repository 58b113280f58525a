"""Methods of a benchmark: a generator's name, its parameters, and what it is called in the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bulkgen.fits import fit_generator
from bulkgen.generators import make_generator
from bulkgen.generators.registry import generator_class

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

    from bulkgen.fidelity.tasks import Trial
    from bulkgen.fits import Fit

__all__ = ["BASELINE", "CEILING", "FLOOR", "MAJORITY", "Method", "make_methods"]

#: The generator that the share of the gap closed starts from.
BASELINE = "truncated_gaussian"
#: Names of the rows that are no generator: real training cells, independent Poisson counts, and the commonest label.
CEILING, FLOOR, MAJORITY = "real", "poisson_floor", "majority"


@dataclass(frozen=True)
class Method:
    """A generator to try.

    Attributes
    ----------
    name
        Of the generator, as for ``bulkgen.synthesize(method=...)``.
    parameters
        Its parameters.
    shown
        What it is called in the results.
    reference
        The cells that it learns from: the ``task``'s reference, or all ``training`` cells.
    """

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    shown: str = ""
    reference: Literal["task", "training"] = "task"

    @classmethod
    def of(cls, value: str | Mapping[str, object] | Method) -> Method:
        """Make a method of a name, or of a mapping: ``name`` and, as wanted, ``parameters``, ``as_``, ``reference``.

        Raises
        ------
        ValueError
            If a name or parameter is unknown.
        """
        if isinstance(value, Method):
            return value
        given = {"name": value} if isinstance(value, str) else dict(value)
        name = given.pop("name", None)
        if not isinstance(name, str):
            raise ValueError(f"a method needs a name, got {value!r}")
        parameters = given.pop("parameters", None) or {}
        shown = given.pop("as_", None) or _shown(name, parameters)
        reference = given.pop("reference", None) or ("training" if generator_class(name).from_cells else "task")
        if given:
            raise ValueError(f"method {name!r} has {next(iter(given))!r}; it may have name, parameters, as_, reference")
        if not isinstance(parameters, Mapping):
            raise ValueError(f"parameters of method {name!r} must be a mapping, got {parameters!r}")
        if reference not in ("task", "training"):
            raise ValueError(f"reference of method {name!r} must be 'task' or 'training', got {reference!r}")
        if shown in (CEILING, FLOOR, MAJORITY):
            raise ValueError(f"a method cannot be called {shown!r}, which names a row of the results")
        make_generator(name, parameters)
        return cls(name, dict(parameters), str(shown), reference)

    def complete(self, trial: Trial) -> dict[str, Any]:
        """Return the parameters with what the trial settles, where the generator has it and it was not given.

        ``control`` and ``control_by`` are the trial's; variances are the control's where the reference holds no other
        cells.
        """
        settled: dict[str, Any] = {}
        if trial.control is not None:
            settled = {"control": trial.control, "control_by": trial.by[1:]}
            if trial.reference is not trial.train and self.reference == "task":
                settled["variance_from"] = "control"
        fields = type(make_generator(self.name, self.parameters)).model_fields
        return {name: value for name, value in settled.items() if name in fields} | dict(self.parameters)

    def reference_cells(self, trial: Trial) -> AnnData:
        """Return the cells of a trial that the generator learns from."""
        return trial.train if self.reference == "training" else trial.reference

    def fit(self, trial: Trial, *, threads: int | None) -> Fit:
        """Fit the generator to a trial's bulk profiles and reference."""
        return fit_generator(
            trial.bulk, reference=self.reference_cells(trial), method=self.name, threads=threads, **self.complete(trial)
        )

    def settings(self) -> dict[str, object]:
        """Return all of it as plain data."""
        return {
            "name": self.name,
            "parameters": dict(self.parameters),
            "shown": self.shown,
            "reference": self.reference,
        }


def make_methods(values: Iterable[str | Mapping[str, object] | Method]) -> tuple[Method, ...]:
    """Make the methods of a benchmark; the baseline joins them if it is not among them.

    Raises
    ------
    ValueError
        If two are shown by one name, or one is wrong.
    """
    methods = [Method.of(value) for value in values]
    if not any(method.shown == BASELINE for method in methods):
        methods.insert(0, Method.of(BASELINE))
    seen: set[str] = set()
    for method in methods:
        if method.shown in seen:
            raise ValueError(f"two methods are called {method.shown!r}; tell them apart with as_")
        seen.add(method.shown)
    return tuple(methods)


def _shown(name: str, parameters: object) -> str:
    if not isinstance(parameters, Mapping) or not parameters:
        return name
    values = (value if isinstance(value, str) else json.dumps(value) for value in parameters.values())
    return f"{name} " + " ".join(f"{key}={value}" for key, value in zip(parameters, values, strict=True))
