"""Every public name stands in the reference, and its docstring says what goes in, what comes out and what is raised."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from importlib import import_module

import pytest

import bulkgen
from bulkgen.generators import generator_class, generator_names
from conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
#: Functions that only put their arguments somewhere, or refuse nothing of their own.
RAISE_NOTHING = {
    "bulk_input.BulkReport.to_dict",
    "generators.Bulk.mean",
    "generators.DenseGenerator.fill",
    "generators.FittedGenerator.cell_columns",
    "generators.FittedGenerator.sample",
    "generators.FittedGenerator.sample_segments",
    "generators.FittedGenerator.sample_tokens",
    "generators.FittedGenerator.state",
    "generators.Generator.reference_columns",
    "generators.Reference.numbers",
    "generators.Reference.rows",
    "generators.SparseGenerator.draw_rows",
    "generators.cell_address",
    "generators.generator_names",
    "training.config.TransformerConfig.passes",
    "training.config.TransformerConfig.warmup",
    "BenchmarkResults.summary",
    "BenchmarkResults.value",
    "BenchmarkSplit.summary",
    "CellStore.set_hash",
    "CellStore.stored_hash",
    "CellStore.to_memory",
    "CellStore.select_genes",
    "Scores.to_dict",
    "StudyConfig.points",
    "StudyResults.progress",
    "SyntheticTokens.batched",
    "SyntheticTokens.facts",
    "Vocabulary.to_json",
}


def listed(page: str) -> set[str]:
    """Names that the summaries of a page of the reference list."""
    return set(re.findall(r"^   ([\w.]+)$", (REFERENCE / page).read_text(encoding="utf-8"), re.MULTILINE))


def found(name: str) -> object:
    """Return a name of the package, modules included."""
    module, _, last = f"bulkgen.{name}".rpartition(".")
    return getattr(import_module(module), last)


def methods_of(name: str, thing: type) -> dict[str, object]:
    """Public methods that a class documents: those of a base whose sense they keep stand there."""
    return {
        f"{name}.{method}": getattr(value, "__func__", value)
        for method, value in vars(thing).items()
        if not method.startswith("_")
        and inspect.isfunction(getattr(value, "__func__", value))
        and not any(hasattr(base, method) for base in thing.__bases__)
    }


def sections(thing: object) -> dict[str, str]:
    """Text of the sections of a docstring by their headings."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def described(text: str) -> set[str]:
    """Names that a section describes: ``a, b`` and ``**c`` stand for themselves."""
    heads = re.findall(r"^(\*{0,2}\w[\w, *]*)$", text, re.MULTILINE)
    return {name.strip(" *") for head in heads for name in head.split(",")}


def test_every_public_name_is_on_the_page():
    page = (REFERENCE / "index.md").read_text(encoding="utf-8")
    constants = {"STREAM_VERSION", "__version__"}
    assert set(bulkgen.__all__) - constants <= listed("index.md")
    for name in constants:
        assert f"data:: {name}" in page


def test_every_generator_is_on_its_page():
    classes = {
        generator_class(name).__name__
        for name in generator_names()
        if generator_class(name).__module__.startswith("bulkgen.")
    }
    assert classes <= {name.rpartition(".")[2] for name in listed("generators.md")}


@pytest.mark.parametrize("name", [name for name in sorted(listed("index.md")) if "." in name])
def test_what_the_page_lists_beside_them_exists(name):
    module, _, last = f"bulkgen.{name}".rpartition(".")
    assert last in import_module(module).__all__


PUBLIC = {name: found(name) for name in listed("index.md")}
PUBLIC |= {f"generators.{name}": found(f"generators.{name}") for name in listed("generators.md")}
CLASSES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing)}
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}
for _class, _thing in CLASSES.items():
    FUNCTIONS |= methods_of(_class, _thing)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_docstring_says_what_goes_in_and_comes_out(name):
    function = FUNCTIONS[name]
    signature = inspect.signature(function)
    has = sections(function)
    takes = [parameter for parameter in signature.parameters if parameter not in ("self", "cls")]
    assert set(takes) == described(has.get("Parameters", "")), "Parameters"
    if signature.return_annotation not in (None, "None"):
        assert "Returns" in has or "Yields" in has
    assert ("Raises" in has) != (name in RAISE_NOTHING)
    for section in ("Parameters", "Raises"):
        for head, text in re.findall(r"^(\S.*)\n((?:(?: .*)?\n|    .*\Z)*)", has.get(section, ""), re.MULTILINE):
            assert text.strip(), f"{head} is not described"


def test_what_raises_nothing_is_there():
    assert set(FUNCTIONS) >= RAISE_NOTHING


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if name in bulkgen.__all__))
def test_the_docstring_of_a_class_says_what_it_holds(name):
    thing = CLASSES[name]
    has = sections(thing)
    known = described(has.get("Attributes", "")) | described(has.get("Parameters", ""))
    takes = {parameter for parameter in inspect.signature(thing).parameters if not parameter.startswith("_")}
    assert takes <= known
    for attribute, value in vars(thing).items():
        if not attribute.startswith("_") and isinstance(value, property | cached_property):
            assert inspect.getdoc(value), attribute


@pytest.mark.parametrize(
    "name", [name for name in generator_names() if generator_class(name).__module__.startswith("bulkgen.")]
)
def test_every_parameter_of_a_generator_is_described(name):
    """By its class or a base; the reference shows all of them on the page of the class."""
    generator = generator_class(name)
    described_fields = {
        field for kind in generator.__mro__ for field in described(sections(kind).get("Attributes", ""))
    }
    assert set(generator.model_fields) <= described_fields
