"""What ``--json`` prints, against the schemas in docs/schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from conftest import ROOT

#: Commands whose JSON was checked in this process.
CHECKED: set[str] = set()
SCHEMAS = ROOT / "docs" / "schemas"


@cache
def schemas() -> dict[str, dict[str, object]]:
    """The schemas by command, such as ``study-run``."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}


def validator(command: str) -> Draft202012Validator:
    resources = [(f"{name}.json", Resource.from_contents(schema)) for name, schema in schemas().items()]
    return Draft202012Validator(schemas()[command], registry=Registry().with_resources(resources))


def check_json(arguments: Sequence[object], printed: str) -> None:
    """Require that what ``bulkgen`` with these arguments printed fits its schema, if it was asked for JSON."""
    words = [str(argument) for argument in arguments]
    if "--json" in words and printed:
        command = "-".join(words[:2]) if words[0] == "study" else words[0]
        validator(command).validate(json.loads(printed))
        CHECKED.add(command)
