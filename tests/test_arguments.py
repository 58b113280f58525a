"""Arguments of the wrong type are refused by every public function, in words that say what mends them."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata.experimental import AnnCollection

import bulkgen
from bulkgen.arguments import checked
from count_cases import make_cells

#: Annotations of what functions look at themselves.
LEFT_TO_FUNCTIONS = {
    "Any",
    "CountMatrix | None",
    "Executor | object | None",
    "RandomState",
    "object | None",
    "tuple[int, int]",
    "Unpack[FinetuneOptions]",
    # a CellStore is made by open_cells, and used by bulkgen itself
    "Iterable[tuple[int, int]] | None",
    "Int64Array",
    "Iterable[str]",
    "Sequence[bytes]",
}


def public_functions():
    for name in bulkgen.__all__:
        thing = getattr(bulkgen, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing) and name != "CellStore":
            for method, value in vars(thing).items():
                function = getattr(value, "__func__", value)
                if not method.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method}", function


class DataFrame:
    """A table that is not of pandas, such as one of polars."""

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame()


def takes_anything(function) -> bool:
    return all(
        parameter.annotation is inspect.Parameter.empty for parameter in inspect.signature(function).parameters.values()
    )


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_every_argument_of_a_public_function_is_checked(name, function):
    if takes_anything(function):
        return
    if name == "StudyConfig.points":
        pytest.skip("its argument comes from bulkgen itself")
    for argument, parameter in inspect.signature(function).parameters.items():
        if parameter.annotation is inspect.Parameter.empty or parameter.annotation in LEFT_TO_FUNCTIONS:
            continue
        with pytest.raises(TypeError, match=rf"^{argument} must be .*, got a value of type object$"):
            function(**{argument: object()})


@checked
def example(
    number: float = 0,
    whole: int | None = None,
    flag: bool = False,
    names: str | Sequence[str] = (),
    columns: Sequence[str] | None = None,
    path: str | Path = "",
    kind: Literal["a", "b"] = "a",
    cells: bulkgen.AnnData = None,
    table: Mapping[str, int] = {},
    frame: pd.DataFrame = None,
    anything: object = None,
    *rest: int,
    **others: str,
) -> tuple[object, ...]:
    return rest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": "all"}, "number must be a number, got 'all'"),
        ({"number": True}, "number must be a number, got True"),
        ({"whole": 2.5}, "whole must be a whole number or None, got 2.5"),
        ({"whole": 1e6}, "whole must be a whole number or None, got 1000000.0; int(1000000.0) makes one"),
        ({"flag": "no"}, "flag must be True or False, got 'no'"),
        ({"names": ["a", 3]}, "names must be a string or a list (each a string), got ['a', 3]"),
        ({"names": {"a"}}, "names must be a string or a list (each a string), got a value of type set"),
        ({"columns": "a"}, "columns must be a list (each a string) or None, got 'a'; write ['a']"),
        ({"columns": pd.DataFrame({"a": [1]})}, "got a value of type DataFrame"),
        ({"path": None}, "path must be a string or a path, got None"),
        ({"kind": 1}, "kind must be 'a' or 'b', got 1"),
        ({"table": [1]}, "table must be a mapping, got [1]"),
        ({"table": pd.Series({"a": 1})}, "table must be a mapping, got a value of type Series; .to_dict() makes one"),
        ({"frame": DataFrame()}, "frame must be a DataFrame, got a value of type DataFrame; .to_pandas() makes one"),
        ({"cells": "x.h5ad"}, "cells must be an AnnData, got 'x.h5ad'; bulkgen.read('x.h5ad') reads it"),
        ({"cells": Path("x.zarr")}, "bulkgen.read('x.zarr') reads it"),
        ({"cells": pd.DataFrame()}, "anndata.AnnData(table) makes one of a table"),
        ({"cells": "x" * 99}, "got a value of type str; bulkgen.read("),
    ],
)
def test_the_message_names_what_was_given_and_what_mends_it(arguments, message):
    with pytest.raises(TypeError) as raised:
        example(**arguments)
    assert message in str(raised.value)


def test_another_value_than_those_allowed_is_a_wrong_value_and_no_wrong_type():
    with pytest.raises(ValueError, match="kind must be 'a' or 'b', got 'c'"):
        example(kind="c")


def test_what_fits_is_passed_on():
    cells = make_cells(np.ones((2, 2), np.float32))
    assert example(
        np.float32(1), np.int64(2), np.True_, pd.Index(["a"]), ["a"], Path("x"), "b", cells, {}, pd.DataFrame(), 7, 8
    ) == (8,)
    assert example(names=np.array(["a", "b"]), columns=("a",), number=3, others="anything") == ()


def test_open_cells_in_the_place_of_an_anndata_are_led_to_memory():
    with pytest.raises(TypeError, match=r"cells must be an AnnData, got a value of type CellStore; \.to_memory\(\)"):
        example(cells=bulkgen.open_cells(make_cells(np.ones((2, 2), np.float32))))


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_views_subclasses_and_cells_on_disk_are_cells_and_collections_without_a_matrix_are_not(tmp_path):
    cells = make_cells(np.ones((3, 2), np.float32))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    kind = type("Subclass", (ad.AnnData,), {})
    for given in (cells[:2], kind(cells), ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")):
        example(cells=given)
        assert bulkgen.open_cells(given).n_vars == 2
    with pytest.raises(TypeError, match=r"cells must be an AnnData, .* got a value of type AnnCollection"):
        bulkgen.open_cells(AnnCollection([cells, cells]))


def test_a_checked_function_is_still_itself():
    function = bulkgen.pseudobulk
    assert pickle.loads(pickle.dumps(function)) is function
    assert inspect.signature(function).parameters["k"].default == 10
    assert inspect.getsource(function).startswith("@checked\ndef pseudobulk(")
    assert (function.__name__, function.__module__) == ("pseudobulk", "bulkgen.aggregate")


def test_python_says_itself_what_is_missing():
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'by'"):
        bulkgen.pseudobulk(make_cells(np.ones((2, 2), np.float32)))


class Place(os.PathLike):
    """A path that is neither a string nor one of pathlib, as packages of remote files have them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.filterwarnings("ignore:only .* columns")
def test_any_kind_of_path_is_taken_where_a_path_is(tmp_path):
    cells = make_cells(np.ones((20, 3), np.float32), drug=["a", "b"] * 10)
    cells.var_names = [f"ENSG0000000000{number}" for number in range(3)]
    bulkgen.write(cells, Place(tmp_path / "cells.h5ad"))
    stored = Place(tmp_path / "cells.h5ad")
    assert bulkgen.read(stored).n_obs == bulkgen.open_cells(stored).n_obs == 20
    assert bulkgen.read_bulk(stored, unit="counts").n_vars == 3
    vocabulary = Place(bulkgen.Vocabulary.fit(stored, context=8).save(tmp_path / "vocabulary.json"))
    bulkgen.tokenize(stored, vocabulary=vocabulary, label="drug", out=Place(tmp_path / "tokens"))
    run = bulkgen.finetune(Place(tmp_path / "tokens"), model="linear", out=Place(tmp_path / "run")).path
    assert bulkgen.evaluate(Place(run), Place(tmp_path / "tokens")).n == 20
    pytest.importorskip("transformers")
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint folder .*/none"):
        bulkgen.finetune(Place(tmp_path / "tokens"), model=Place(tmp_path / "none"))
