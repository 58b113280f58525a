"""Wrong parameters are named in words that say what they must be."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bulkgen.parameters import wrong_parameters


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("groups have one cell in their middle")
    return value


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    share: float = Field(0.0, ge=0, lt=1)
    dose: float = Field(1.0, gt=0, le=2.5, allow_inf_nan=False)
    cells: int = Field(10, ge=1)
    thin: bool = False
    kind: Literal["a", "b"] = "a"
    sum: Annotated[float, Field(gt=0)] | Literal["estimate"] | None = None
    columns: tuple[str, ...] = ()
    width: Annotated[int, AfterValidator(odd)] = 1
    strata: dict[str, int] = {}


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"share": 1}, {"share": "must be below 1, got 1"}),
        ({"share": -0.5}, {"share": "must be at least 0, got -0.5"}),
        ({"share": "much"}, {"share": "must be a number, got 'much'"}),
        ({"dose": 0}, {"dose": "must be above 0, got 0"}),
        ({"dose": 3}, {"dose": "must be at most 2.5, got 3"}),
        ({"dose": float("inf")}, {"dose": "must be a finite number, got inf"}),
        ({"cells": 1.5, "thin": "perhaps"}, {"cells": "must be a whole number, got 1.5", "thin": None}),
        ({"cells": "ten"}, {"cells": "must be a whole number, got 'ten'"}),
        ({"thin": "perhaps"}, {"thin": "must be true or false, got 'perhaps'"}),
        ({"kind": "c"}, {"kind": "must be 'a' or 'b', got 'c'"}),
        ({"sum": 0}, {"sum": "must be above 0 or 'estimate', got 0"}),
        ({"sum": "guess"}, {"sum": "must be a number or 'estimate', got 'guess'"}),
        ({"name": ["x"]}, {"name": "must be text, got ['x']"}),
        ({"name": None}, {"name": "must be text, got None"}),
        ({"columns": 3}, {"columns": "must be a list, got 3"}),
        ({"columns": ["x", 4]}, {"columns[1]": "must be text, got 4"}),
        ({"sigma": 3}, {"sigma": "is unknown"}),
        ({"width": 2}, {"width": "is wrong: groups have one cell in their middle, got 2"}),
        ({"strata": 2}, {"strata": "must be another value (input should be a valid dictionary), got 2"}),
    ],
    ids=str,
)
def test_each_parameter_is_named_with_what_it_must_be(parameters, wrong):
    with pytest.raises(ValidationError) as raised:
        Parameters(**{"name": "x", **parameters})
    found = wrong_parameters(raised.value)
    assert found.keys() == wrong.keys()
    for name, words in wrong.items():
        assert words is None or found[name] == words


def test_a_missing_parameter():
    with pytest.raises(ValidationError) as raised:
        Parameters()
    assert wrong_parameters(raised.value) == {"name": "must be given"}
