"""``bulkgen publish``: tokens as the Hugging Face hub holds them, with a data set card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Overwrite, print_result

__all__ = ["publish"]


def publish(
    tokens: Annotated[Path, typer.Argument(metavar="TOKENS", help="Token data set: a folder.")],
    license: Annotated[str, typer.Option("--license", help="The hub's name of the licence, such as cc-by-4.0.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.")] = None,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="USER/NAME", help="Upload to this repository of the hub.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Name of the split: train, validation or test.")] = "train",
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Write or upload tokens for the Hugging Face hub, with a card.

    The data set card says what the cells are, how they were made, and what they must not be used for.
    """
    if (out is None) == (repository is None):
        raise typer.BadParameter("give one of them", param_hint="--out or --repository")
    if out is not None and private:
        raise typer.BadParameter("is for --repository", param_hint="--private")
    if repository is not None and overwrite:
        raise typer.BadParameter("is for --out", param_hint="--overwrite")
    from bulkgen.tokens import TokenDataset

    dataset = TokenDataset.load(tokens)
    if out is not None:
        dataset.write_hub_folder(out, license=license, split=split, overwrite=overwrite)
        place = str(out)
    else:
        assert repository is not None
        place = dataset.push_to_hub(repository, license=license, split=split, private=private or None)
    print_result({"cells": len(dataset), "license": license, "split": split, "out": place}, as_json=json_)
