"""``bulkgen evaluate``: scores of a trained model on labelled cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bulkgen.cli.options import Json, Overwrite, print_result

if TYPE_CHECKING:
    from bulkgen.tokens import TokenDataset
    from bulkgen.training import Predictions, Scores

__all__ = ["evaluate", "print_scores"]

_WIDTH = 80
#: Longest label in a table; the rest of the 80 columns is for numbers.
_LABEL_WIDTH = 30

Tokens = Annotated[Path, typer.Argument(metavar="TOKENS", help="Folder of a token data set (bulkgen tokenize).")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    typer.Option(help="Where to compute; auto is CUDA where there is one.", show_default=False),
]


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder (bulkgen finetune).")],
    tokens: Tokens,
    label: Annotated[
        str | None, typer.Option(help="Column that holds the labels (default: the data set's label).")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Cells per batch (default: the run's).")] = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the scores here, as JSON.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write label, prediction and probabilities of each cell here, as CSV.")
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Score a trained model on labelled cells.

    Beside the scores stands what the majority class alone would reach.
    """
    from bulkgen.io import atomic_file, check_output
    from bulkgen.tokens import TokenDataset
    from bulkgen.training.evaluation import evaluate_and_predict

    for path in (out, predictions):
        if path is not None:
            check_output(path, overwrite=overwrite)
    data = TokenDataset.load(tokens)
    scores, predicted = evaluate_and_predict(run, data, label=label, batch_size=batch_size, device=device)
    if out is not None:
        with atomic_file(out, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(scores.to_dict(), indent=2) + "\n", encoding="utf-8")
    if predictions is not None:
        with atomic_file(predictions, overwrite=overwrite) as temporary:
            _write_predictions(temporary, data, predicted, label=label)
    if json_:
        written = {"out": out, "predictions": predictions}
        print_result(scores.to_dict() | {name: str(path) for name, path in written.items() if path}, as_json=True)
        return
    print_scores(scores)
    for path in (out, predictions):
        if path is not None:
            print_result({"out": path}, as_json=False)


def print_scores(scores: Scores) -> None:
    """Print scores in at most 80 columns: overall beside the majority baseline, per class, confusion matrix."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=_WIDTH, highlight=False)
    majority = scores.majority

    def table(first: str) -> Table:
        made = Table(box=None, pad_edge=False)
        made.add_column(first, max_width=_LABEL_WIDTH, no_wrap=True)
        return made

    overall = table(f"{scores.n:,} cells")
    overall.add_column("model", justify="right")
    overall.add_column(f"all {majority['label']!r}", justify="right", max_width=_LABEL_WIDTH, no_wrap=True)
    for name, value, baseline in (
        ("balanced accuracy", scores.balanced_accuracy, majority["balanced_accuracy"]),
        ("macro-F1", scores.macro_f1, majority["macro_f1"]),
        ("accuracy", scores.accuracy, majority["accuracy"]),
    ):
        overall.add_row(name, f"{value:.3f}", f"{baseline:.3f}")
    console.print(overall)

    each = table("label")
    for name in ("precision", "recall", "F1", "cells"):
        each.add_column(name, justify="right")
    for label in scores.labels:
        values = scores.per_class[label]
        each.add_row(
            label,
            *(f"{number:.3f}" for number in (values["precision"], values["recall"], values["f1"])),
            f"{values['support']:,}",
        )
    console.print("", each, sep="\n")

    digits = len(str(scores.confusion.max()))
    needed = min(_LABEL_WIDTH, max(map(len, scores.labels)) + 4) + len(scores.labels) * (max(digits, 3) + 2)
    if needed > _WIDTH:
        console.print(f"\nThe confusion matrix of {len(scores.labels)} labels is too wide for this table; see --json.")
        return
    confusion = table("true \\ predicted")
    for place in range(1, len(scores.labels) + 1):
        confusion.add_column(f"({place})", justify="right")
    for place, (label, row) in enumerate(zip(scores.labels, scores.confusion, strict=True), start=1):
        confusion.add_row(f"({place}) {label}", *map(str, row))
    console.print("", confusion, sep="\n")


def _write_predictions(path: Path, tokens: TokenDataset, predicted: Predictions, *, label: str | None) -> None:
    import pandas as pd

    columns: dict[str, object] = {}
    if "cell_id" in tokens.table.column_names:
        columns["cell_id"] = tokens.column("cell_id")
    columns["label"] = tokens.label_values if label is None else tokens.column(label)
    columns["predicted"] = predicted.names
    for i, name in enumerate(predicted.labels):
        columns[f"probability_{name}"] = predicted.probabilities[:, i]
    pd.DataFrame(columns).to_csv(path, index=False)
