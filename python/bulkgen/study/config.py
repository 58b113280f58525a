"""The settings of a study: a TOML file, checked, with every default spelled out."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from bulkgen.arguments import checked
from bulkgen.errors import StudyConfigError
from bulkgen.fidelity.metrics import MetricGroup
from bulkgen.generators.registry import make_generator
from bulkgen.study.parts import PARTS, Part, Point
from bulkgen.study.run import ModelSettings, Seeds, SyntheticCells
from bulkgen.study.toml import to_toml
from bulkgen.training.config import make_config, model_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import Run

__all__ = [
    "BenchmarkSettings",
    "DataSettings",
    "GeneratorSettings",
    "SplitSettings",
    "StudyConfig",
    "VocabularySettings",
    "preset_names",
    "preset_text",
]

_PRESETS = files("bulkgen.study") / "presets"
#: What the sci-Plex2 data set and its twin are, where a study does not say otherwise.
_SCIPLEX2 = {"label": "treated_label", "control": "Untreated", "dose": "dose", "doses": (0.0, 10.0)}
#: What a model's table holds beside the options of :func:`bulkgen.finetune`.
_OF_MODELS = ("checkpoint", "subfolder", "fresh_cells")
#: Tables that are written in one line.
_INLINE = frozenset({"where", "parameters"})

Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


#: A path that means the same wherever the settings are read again.
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
#: A label as its column says it: TOML reads the label 0 as a number.
Label = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]


class DataSettings(_Settings):
    """``[data]``: the real cells (or their simulated twin).

    Attributes
    ----------
    source
        ``"sciplex2_twin"`` (simulated), ``"sciplex2"`` (any of its published files) or ``"file"`` (raw counts, h5ad or
        zarr).
    path
        The file, if there is one to read.
    label
        Column of ``obs`` to predict.
    control
        The label of the control cells, which some generators learn from.
    where
        Keep only cells with these values: column → value or list of values.
    gene_ids
        Column of ``var`` with the gene ids; by default the names of the genes.
    dose
        Column of ``obs`` with the dose, if there is one.
    doses
        Doses to keep.
    min_cells
        Labels with fewer cells are left out.
    n_cells, rng
        Size and seed of the twin; without a size it has as many cells as published.
    """

    source: Literal["sciplex2_twin", "sciplex2", "file"] = "sciplex2_twin"
    path: AbsolutePath | None = None
    label: str
    control: Label | None = None
    where: dict[str, Any] = {}
    gene_ids: str | None = None
    dose: str | None = None
    doses: tuple[float, ...] | None = None
    min_cells: int = Field(default=1, ge=1)
    n_cells: int | None = Field(default=None, ge=1)
    rng: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_source(cls, table: Any) -> Any:  # noqa: ANN401 - pydantic's contract
        if isinstance(table, dict) and table.get("source", "sciplex2_twin") != "file":
            return _SCIPLEX2 | table
        return table

    @model_validator(mode="after")
    def _source_and_path_agree(self) -> Self:
        simulated = self.source == "sciplex2_twin"
        if simulated and self.path is not None:
            raise ValueError('the simulated twin has no path; say what the file is: source = "sciplex2" or "file"')
        if not simulated and self.path is None:
            raise ValueError(f'source {self.source!r} needs the file: path = "..." (--data)')
        if not simulated and self.n_cells is not None:
            raise ValueError("n_cells is the size of the simulated twin; leave it out")
        return self


class SplitSettings(_Settings):
    """``[split]``: the frozen test set; see :func:`bulkgen.split_benchmark`."""

    test_fraction: Fraction = 0.1
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    stratify_by: tuple[str, ...] = ()
    rng: int = Field(default=0, ge=0)


class VocabularySettings(_Settings):
    """``[vocabulary]``: which genes have tokens.

    Attributes
    ----------
    name
        ``"fit"`` (from the training cells), ``"V1"``, ``"V2"``, or a saved vocabulary.
    path
        Where the dictionaries of V1 or V2 are.
    context
        Most tokens of a cell; by default the vocabulary's own.
    """

    name: Annotated[str, AfterValidator(lambda name: _place(name))] = "fit"
    path: AbsolutePath | None = None
    context: int | None = Field(default=None, ge=3)


class GeneratorSettings(_Settings):
    """``[generators.<name>]``: a generator that takes part wherever generators do.

    Attributes
    ----------
    method
        As in :func:`bulkgen.synthesize`; by default the table's name. A third party's works too.
    reference
        The real training cells that it learns from: those of the ``"control"``, or ``"all"``.
    parameters
        Of the method; those not given have its defaults, spelled out.
    """

    method: str
    reference: Literal["control", "all"] = "all"
    parameters: dict[str, Any] = {}


class BenchmarkSettings(_Settings):
    """``[benchmark]``: the generator benchmark on the study's training cells; see :func:`bulkgen.benchmark_generators`.

    Every generator of the study takes part.
    """

    seeds: int = Field(default=3, ge=1)
    models: tuple[str, ...] = ("linear",)
    metrics: tuple[MetricGroup, ...] | None = None
    n_cells: int | None = Field(default=None, ge=1)
    few_cells: tuple[int | Literal["all"], ...] = ()


class StudyConfig(_Settings):
    """A study: data, split, models, generators and the parts that ask the questions.

    Read one with :meth:`from_toml`, :meth:`preset` or :meth:`from_dict`, which check it and spell its defaults out.

    Attributes
    ----------
    name
        Of the study.
    seeds
        Every run is made once for each.
    threads
        Threads of one run. A transformer's scores depend on it, so it is part of the runs.
    data, split, vocabulary
        What is trained and tested on.
    models
        Name → settings, with all options of :func:`bulkgen.finetune`, and ``fresh_cells`` for transformers that train
        on other cells of a generator in every epoch.
    generators
        Name → settings.
    parts
        Name → settings of the part, in the order of the report.
    benchmark
        The generator benchmark, if it is wanted.
    """

    name: str = Field(min_length=1)
    seeds: Seeds = (0, 1, 2)
    threads: int = Field(default=1, ge=1)
    data: DataSettings
    split: SplitSettings
    vocabulary: VocabularySettings
    models: dict[str, ModelSettings] = Field(min_length=1)
    generators: dict[str, GeneratorSettings]
    parts: dict[str, SerializeAsAny[Part]] = Field(min_length=1)
    benchmark: BenchmarkSettings | None = None

    @classmethod
    @checked
    def from_toml(cls, path: str | Path, *, overrides: Mapping[str, object] | None = None) -> StudyConfig:
        """Read a study's file.

        Parameters
        ----------
        path
            The TOML file. Relative paths in it start at its folder.
        overrides
            Dotted key → value that takes the place of the file's: ``{"parts.bulkiness.k": [1, 10]}``.

        Returns
        -------
        StudyConfig

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        StudyConfigError
            If it is no TOML, or something in it is unknown or out of range; all of that is named.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}; the presets are {', '.join(preset_names())}")
        table = _parsed(path.read_bytes(), source=str(path))
        _start_at(path.parent, table)
        return cls.from_dict(table, source=str(path), overrides=overrides)

    @classmethod
    @checked
    def preset(cls, name: str, *, overrides: Mapping[str, object] | None = None) -> StudyConfig:
        """Return one of the studies that come with bulkgen.

        Parameters
        ----------
        name
            ``poster``, ``beyond`` or ``quick``.
        overrides
            As in :meth:`from_toml`.

        Returns
        -------
        StudyConfig

        Raises
        ------
        ValueError
            If there is no preset of this name.
        StudyConfigError
            If an override does not fit.
        """
        source = f"the preset {name!r}"
        return cls.from_dict(_parsed(preset_text(name).encode(), source=source), source=source, overrides=overrides)

    @classmethod
    @checked
    def from_dict(
        cls,
        table: Mapping[str, object],
        *,
        source: str = "the study",
        overrides: Mapping[str, object] | None = None,
    ) -> StudyConfig:
        """Make the settings from nested dictionaries, as a TOML file gives them.

        Parameters
        ----------
        table
            The settings.
        source
            Where they are from, for messages.
        overrides
            As in :meth:`from_toml`.

        Returns
        -------
        StudyConfig

        Raises
        ------
        StudyConfigError
            If something is unknown or out of range; all of that is named.
        """
        table = _overridden(table, overrides or {})
        reader = _Reader()
        known = list(cls.model_fields)
        for name in (name for name in table if name not in known):
            reader.problems.append(f"{name}: no such key or table{_meant(name, known)}")
        settings: dict[str, object] = {name: table[name] for name in ("name", "seeds", "threads") if name in table}
        settings |= {
            "data": reader.read(DataSettings, table.get("data", {}), "data"),
            "split": reader.read(SplitSettings, table.get("split", {}), "split"),
            "vocabulary": reader.read(VocabularySettings, table.get("vocabulary", {}), "vocabulary"),
            "models": reader.each(table, "models", _model),
            "generators": reader.each(table, "generators", lambda name, given: _generator(name, given, reader)),
            "parts": reader.each(table, "parts", lambda name, given: _part(name, given, reader)),
        }
        if table.get("benchmark") is not None:
            settings["benchmark"] = reader.read(BenchmarkSettings, table["benchmark"], "benchmark")
        if not reader.problems:
            reader.problems += _contradictions(settings)
        if not reader.problems:
            study = reader.read(cls, settings, "")
            if study is not None:
                return study
        raise StudyConfigError(source, reader.problems)

    def to_toml(self) -> str:
        """Return the settings as TOML, every default spelled out.

        Returns
        -------
        str
            :meth:`from_toml` gives the settings back.

        Raises
        ------
        StudyConfigError
            If the settings cannot be said in TOML: a ``None`` in the place of a default that is not ``None``.
        """
        table = self.model_dump(mode="json")
        # an option of a model stands in the model's table
        table["models"] = {
            name: {key: model[key] for key in _OF_MODELS if model.get(key) is not None} | model["options"]
            for name, model in table["models"].items()
        }
        for name in table["models"].keys() - {"linear"}:
            table["models"][name].setdefault("fresh_cells", False)
        text = to_toml(table, inline=_INLINE)
        if StudyConfig.from_dict(tomllib.loads(text)) != self:
            problem = "it holds a None where that is not the default, which TOML cannot say"
            raise StudyConfigError("the study", [problem])
        return text

    def points(self, data: DataFacts) -> list[Point]:
        """Return where every run stands in every part, in the order of the settings.

        Runs hold what the settings leave open and the data's facts say: the device, and the versions of what is not
        bulkgen's.

        Parameters
        ----------
        data
            Facts of the data, from its file or its simulation.

        Returns
        -------
        list of Point
        """
        return [
            replace(point, run=_settled(point.run, data))
            for part in self.parts.values()
            for point in part.points(self, data)
        ]


def preset_names() -> list[str]:
    """Return the names of the studies that come with bulkgen."""
    return sorted(entry.name.removesuffix(".toml") for entry in _PRESETS.iterdir() if entry.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """Return a preset's TOML, with its comments.

    Raises
    ------
    ValueError
        If there is no preset of this name.
    """
    if name not in preset_names():
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(preset_names())}, or name a .toml file")
    return (_PRESETS / f"{name}.toml").read_text(encoding="utf-8")


def _parsed(text: bytes, *, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise StudyConfigError(source, [f"it is no TOML: {error}"]) from error


def _start_at(folder: Path, table: Mapping[str, Any]) -> None:
    """Let the relative paths of a study's file start at its folder."""
    models = table.get("models")
    named = {section: table.get(section) for section in ("data", "vocabulary")}
    named |= models if isinstance(models, dict) else {}
    for section, settings in named.items():
        if not isinstance(settings, dict):
            continue
        if section in ("data", "vocabulary") and isinstance(settings.get("path"), str):
            settings["path"] = str(folder / settings["path"])
        for key in {"data": (), "vocabulary": ("name",)}.get(section, ("checkpoint",)):
            if isinstance(settings.get(key), str):
                settings[key] = _place(settings[key], folder)


def _place(name: str, folder: Path = Path()) -> str:
    """Return the whole path of a vocabulary or checkpoint if there is one in the folder; else its name, as on a hub."""
    known = name.upper() in ("", "FIT", "V1", "V2")
    return name if known or not (folder / name).exists() else str((folder / name).absolute())


def _settled(run: Run, data: DataFacts) -> Run:
    """Fill in what a run's settings leave open."""
    found = data.models.get(run.model.name)
    model = run.model
    if found is not None:
        options = {name: found.get(name, value) for name, value in model.options.items()}
        model = model.model_copy(update={"options": options, "weights": found.get("weights")})
    training = tuple(
        cells.model_copy(update={"package": data.packages.get(cells.method)})
        if isinstance(cells, SyntheticCells)
        else cells
        for cells in run.training
    )
    return run.model_copy(update={"model": model, "training": training})


def _overridden(table: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of nested dictionaries with some values replaced, by dotted key."""
    copy = {name: _overridden(value, {}) if isinstance(value, dict) else value for name, value in table.items()}
    for dotted, value in overrides.items():
        *tables, key = dotted.split(".")
        place: dict[str, Any] = copy
        for name in tables:
            below = place.setdefault(name, {})
            if not isinstance(below, dict):
                raise StudyConfigError("the override", [f"{dotted}: {name} is no table"])
            place = below
        place[key] = value
    return copy


_AnySettings = TypeVar("_AnySettings", bound=BaseModel)


class _Reader:
    """Reads tables, and keeps all that is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, cls: type[_AnySettings], table: object, where: str) -> _AnySettings | None:
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            self.problems += _explain(error, cls.model_fields, f"[{where}]" if where else "")
            return None

    def each(
        self, table: Mapping[str, object], section: str, make: Callable[[str, dict[str, Any]], object]
    ) -> dict[str, object]:
        """Read the tables of a section, such as ``[models.linear]``."""
        found = table.get(section, {})
        if not isinstance(found, dict):
            self.problems.append(f"[{section}]: must hold a table for each name, got {found!r}")
            return {}
        made = {}
        for name, below in found.items():
            where = f"[{section}.{name}]"
            if not isinstance(below, dict):
                self.problems.append(f"[{section}] {name}: no such key; a table {where} is what can stand here")
                continue
            try:
                made[name] = make(name, below)
            except ValidationError as error:
                self.problems += _explain(error, (), where)
            except (ValueError, TypeError, ImportError) as error:
                self.problems.append(f"{where}: {error}")
        return made


def _model(name: str, table: dict[str, Any]) -> ModelSettings:
    given = {key: table[key] for key in _OF_MODELS if key in table}
    model = ModelSettings(name=name, **given)
    if model.checkpoint is not None:
        given["checkpoint"] = _place(model.checkpoint)
    if "threads" in table:
        raise ValueError("threads: all models of a study train on the same number; set it above all tables")
    kind = model_kind(name) if model.checkpoint is None else "checkpoint"
    options = make_config(kind, seed=0, options={key: value for key, value in table.items() if key not in given})
    return ModelSettings(name=name, **given, options=options.model_dump(mode="json", exclude={"seed", "threads"}))


def _generator(name: str, table: dict[str, Any], reader: _Reader) -> GeneratorSettings | None:
    settings = reader.read(GeneratorSettings, {"method": name, **table}, f"generators.{name}")
    if settings is None:
        return None
    generator = make_generator(settings.method, settings.parameters)
    return settings.model_copy(update={"parameters": generator.model_dump(mode="json")})


def _part(name: str, table: dict[str, Any], reader: _Reader) -> Part | None:
    if name not in PARTS:
        raise ValueError(f"there is no part {name!r}{_meant(name, PARTS)}")
    return reader.read(PARTS[name], table, f"parts.{name}")


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Say what is wrong between tables: a part without its model or generator, a reference without control."""
    problems = []
    for part, part_settings in settings["parts"].items():
        for section in ("models", "generators"):
            for name in getattr(part_settings, section, None) or ():
                if name not in settings[section]:
                    there = ", ".join(settings[section]) or "none"
                    problems.append(
                        f"[parts.{part}] {section}: {name!r} has no table [{section}.{name}] (there are: {there})"
                    )
    benchmark = settings.get("benchmark")
    absent = [name for name in (benchmark.models if benchmark else ()) if name not in settings["models"]]
    problems += [f"[benchmark] models: {name!r} has no table [models.{name}]" for name in absent]
    if settings["data"].control is None:
        problems += [
            f'[generators.{name}] reference: "control" needs [data] control = "...", or make it reference = "all"'
            for name, generator in settings["generators"].items()
            if generator.reference == "control"
        ]
    return problems


def _explain(error: ValidationError, known: Iterable[str], where: str) -> list[str]:
    problems = []
    for problem in error.errors():
        key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"]).lstrip(".")
        if problem["type"] == "extra_forbidden":
            text = f"no such key{_meant(key, known)}"
        elif problem["type"] == "missing":
            text = "is needed, and missing"
        elif problem["type"] == "value_error":
            text = problem["msg"].removeprefix("Value error, ")
        else:
            text = f"{problem['msg']}, got {problem['input']!r}"
        problems.append(": ".join(part for part in (f"{where} {key}".strip(), text) if part))
    return problems


def _meant(name: str, known: Iterable[str]) -> str:
    """Say what may have been meant, and what there is."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} There are: {', '.join(known)}" if known else ""
