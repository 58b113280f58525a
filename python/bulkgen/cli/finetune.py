"""``bulkgen finetune``: a classifier from labelled tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from bulkgen.cli.evaluate import Device, print_scores
from bulkgen.cli.help import HelpAll
from bulkgen.cli.options import GeneIds, Json, Output, Overwrite, Rng, Threads, VocabularyPaths, print_result

if TYPE_CHECKING:
    from bulkgen.training import FinetuneResult
    from bulkgen.training.config import FinetuneOptions
    from bulkgen.training.synthetic_tokens import SyntheticTokens

__all__ = ["finetune"]

_TRANSFORMER = "Options of tiny and checkpoints (defaults: tiny / checkpoint)"
_LINEAR = "Options of linear"
_FRESH = "Fresh synthetic cells, drawn while the model trains"
#: Fresh cells per stratum and epoch, as `bulkgen synthesize` stores.
_N_CELLS = 1000


def finetune(
    out: Output,
    tokens: Annotated[
        Path | None,
        typer.Argument(
            metavar="TOKENS",
            help="Folder of a token data set (bulkgen tokenize). With --fitted, cells that are beside the fresh ones "
            "in every epoch; may be left out then.",
        ),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Token data set to score each epoch on and choose the best by.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="linear, tiny, a checkpoint's folder, or an id on the Hugging Face hub.")
    ] = "tiny",
    subfolder: Annotated[
        str | None, typer.Option(help="Folder within the checkpoint, such as Geneformer-V1-10M.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column that holds the labels (default: the data sets' label).")
    ] = None,
    fitted: Annotated[
        Path | None,
        typer.Option(
            help="Draw cells from what bulkgen fit stored, other ones in every epoch (linear: one epoch).",
            rich_help_panel=_FRESH,
        ),
    ] = None,
    n_cells: Annotated[
        int | None,
        typer.Option("--n-cells", "-n", min=1, help="Cells per stratum and epoch (1000).", rich_help_panel=_FRESH),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="V1 or V2 (Geneformer), or a saved vocabulary (that of TOKENS or the validation cells, else V1).",
            rich_help_panel=_FRESH,
        ),
    ] = None,
    vocabulary_path: VocabularyPaths = None,
    gene_ids: GeneIds = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training cells (8 / 10).", rich_help_panel=_TRANSFORMER)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Cells that go through the model together (32 / 12).", rich_help_panel=_TRANSFORMER),
    ] = None,
    accumulation: Annotated[
        int | None, typer.Option(min=1, help="Batches per step of the optimizer (1).", rich_help_panel=_TRANSFORMER)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest (0.002 / 0.00005).", rich_help_panel=_TRANSFORMER)
    ] = None,
    schedule: Annotated[
        Literal["linear", "cosine", "constant"] | None,
        typer.Option(help="How the learning rate falls (cosine / linear).", rich_help_panel=_TRANSFORMER),
    ] = None,
    warmup_fraction: Annotated[
        float | None,
        typer.Option(help="Share of the steps in which the learning rate rises (0.3).", rich_help_panel=_TRANSFORMER),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Of AdamW (0.01 / 0.001).", rich_help_panel=_TRANSFORMER)
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=3,
            help="Cut cells to this many tokens (512 / not cut; more than the model has positions is refused).",
            rich_help_panel=_TRANSFORMER,
        ),
    ] = None,
    pooling: Annotated[
        Literal["first", "mean"] | None,
        typer.Option(help="Token that stands for the cell (mean / first).", rich_help_panel=_TRANSFORMER),
    ] = None,
    sampling: Annotated[
        Literal["natural", "balanced"] | None,
        typer.Option(
            help="Every cell once per epoch, or every class equally often (natural).", rich_help_panel=_TRANSFORMER
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop after so many epochs without a better macro-F1 on the validation cells (never).",
            rich_help_panel=_TRANSFORMER,
        ),
    ] = None,
    freeze_layers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Leave the embeddings and so many first layers as they are.", rich_help_panel=_TRANSFORMER
        ),
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option(
            min=1, help="Train low-rank adapters of the encoder (LoRA) and merge them.", rich_help_panel=_TRANSFORMER
        ),
    ] = None,
    lora_alpha: Annotated[
        int | None,
        typer.Option(min=1, help="Adapters count alpha / rank (twice the rank).", rich_help_panel=_TRANSFORMER),
    ] = None,
    lora_dropout: Annotated[
        float | None, typer.Option(help="Dropout before the adapters (0).", rich_help_panel=_TRANSFORMER)
    ] = None,
    device: Device = None,
    precision: Annotated[
        Literal["auto", "float32", "bf16"] | None,
        typer.Option(help="Of matrix products (bf16 on CUDA, float32 on CPUs).", rich_help_panel=_TRANSFORMER),
    ] = None,
    attention: Annotated[
        Literal["auto", "sdpa", "eager", "flash_attention_2"] | None,
        typer.Option(help="How transformers computes attention (sdpa).", rich_help_panel=_TRANSFORMER),
    ] = None,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing", help="Less memory for a third more time.", rich_help_panel=_TRANSFORMER
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write tensorboard/ into the run folder.", rich_help_panel=_TRANSFORMER),
    ] = False,
    class_weights: Annotated[
        str | None,
        typer.Option(help="none, balanced, or LABEL=WEIGHT,... for every label: what its cells weigh in the loss."),
    ] = None,
    features: Annotated[
        Literal["rank", "presence"] | None,
        typer.Option(help="What counts of a gene (rank).", rich_help_panel=_LINEAR),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Genes of a cell that count (2048).", rich_help_panel=_LINEAR)
    ] = None,
    inverse_regularization: Annotated[
        float | None, typer.Option(help="C of the logistic regression (1).", rich_help_panel=_LINEAR)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep checkpoints, and go on from the last of an interrupted training by the same command.",
            rich_help_panel=_TRANSFORMER,
        ),
    ] = False,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Least steps between checkpoints to resume from (the ends of epochs).",
            rich_help_panel=_TRANSFORMER,
        ),
    ] = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
    help_all: HelpAll = False,
) -> None:
    """Train a classifier of cells on labelled tokens.

    The run folder holds model, settings and scores. Synthetic cells need not be stored: see --fitted.
    """
    from bulkgen.io import check_output
    from bulkgen.training import finetune as train
    from bulkgen.training.distributed import launched

    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulation": accumulation,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "warmup_fraction": warmup_fraction,
        "weight_decay": weight_decay,
        "context": context,
        "pooling": pooling,
        "sampling": sampling,
        "patience": patience,
        "freeze_layers": freeze_layers,
        "lora_rank": lora_rank,
        "lora_alpha": lora_alpha,
        "lora_dropout": lora_dropout,
        "device": device,
        "precision": precision,
        "attention": attention,
        "gradient_checkpointing": gradient_checkpointing or None,
        "tensorboard": tensorboard or None,
        "class_weights": _class_weights(class_weights),
        "features": features,
        "top_k": top_k,
        "inverse_regularization": inverse_regularization,
        "threads": threads,
    }
    # what is not given is left to the model's preset
    options = cast("FinetuneOptions", {name: value for name, value in given.items() if value is not None})
    of_fresh = {
        "--n-cells": n_cells,
        "--vocabulary": vocabulary,
        "--vocabulary-path": vocabulary_path,
        "--gene-ids": gene_ids,
    }
    training: Path | SyntheticTokens
    if fitted is not None:
        check_output(out, overwrite=overwrite)
        training = _fresh_cells(
            fitted,
            _N_CELLS if n_cells is None else n_cells,
            beside=tokens,
            validation=validation,
            vocabulary=vocabulary,
            label=label,
            rng=rng,
            vocabulary_path=vocabulary_path or None,
            gene_ids=gene_ids,
        )
    elif tokens is None:
        raise typer.BadParameter("name the token data set to train on, or --fitted", param_hint="TOKENS")
    elif given_of_fresh := [name for name, value in of_fresh.items() if value]:
        raise typer.BadParameter("is for fresh cells: add --fitted", param_hint=given_of_fresh[0])
    else:
        training = tokens
    result = train(
        training,
        validation=validation,
        model=model,
        subfolder=subfolder,
        out=out,
        label=label,
        rng=rng,
        overwrite=overwrite,
        resume=resume,
        checkpoint_steps=checkpoint_steps,
        **options,
    )
    if not launched().first:
        return
    if json_:
        print_result(_for_machines(result), as_json=True)
        return
    print_result(_for_people(result), as_json=False, then=("evaluate", result.path, "TEST_TOKENS"))
    if result.validation is not None:
        typer.echo("\nvalidation, with the weights that are kept")
        print_scores(result.validation)


def _fresh_cells(
    fitted: Path,
    n_cells: int,
    *,
    beside: Path | None,
    validation: Path | None,
    vocabulary: str | None,
    label: str | None,
    rng: int,
    **options: Any,  # noqa: ANN401 - handed on as they are
) -> SyntheticTokens:
    """Return what draws cells in every epoch, by default with the vocabulary of the stored cells beside them."""
    from bulkgen.tokens import TokenDataset
    from bulkgen.training.synthetic_tokens import SyntheticTokens

    real = None if beside is None else TokenDataset.load(beside)
    if real is not None and label is not None:
        real = replace(real, label=label)
    known = real
    if vocabulary is None and real is None and validation is not None:
        known = TokenDataset.load(validation)
    return SyntheticTokens(
        fitted,
        n_cells,
        vocabulary=vocabulary or ("V1" if known is None else known.vocabulary),
        label=label,
        real=real,
        rng=rng,
        **options,
    )


def _class_weights(given: str | None) -> str | dict[str, float] | None:
    """Read ``none``, ``balanced`` or ``LABEL=WEIGHT,...``."""
    if given is None or "=" not in given:
        return given
    weights = {}
    for part in given.split(","):
        # a label may hold the sign itself
        label, _, weight = part.rpartition("=")
        try:
            weights[label] = float(weight)
        except ValueError:
            raise ValueError(f"--class-weights has LABEL=WEIGHT separated by commas, got {part!r}") from None
    return weights


def _for_machines(result: FinetuneResult) -> dict[str, object]:
    return {
        "out": str(result.path),
        "kind": result.run.kind,
        "labels": list(result.labels),
        "majority": result.run.labels.majority,
        "best_epoch": result.facts.get("best_epoch"),
        "history": list(result.history),
        "validation": None if result.validation is None else result.validation.to_dict(),
        "config": result.config.model_dump(mode="json"),
        "seconds": result.facts["seconds"],
    }


def _for_people(result: FinetuneResult) -> dict[str, object]:
    facts = result.facts
    model = cast("dict[str, object]", facts["model"])
    training = cast("dict[str, object]", facts["training"])
    fresh = "synthetic" in training and result.run.kind != "linear"
    lines: dict[str, object] = {
        "model": f"{model['source']}, {model['parameters']:,} parameters",
        "cells": f"{training['cells']:,}" + (", other ones in every epoch" if fresh else ""),
        "labels": ", ".join(f"{name} {n:,}" for name, n in cast("dict[str, int]", training["cells_per_label"]).items()),
    }
    # how many of the fresh cells are cut is not known
    if training.get("cells_cut"):
        lines["cut"] = f"{training['cells_cut']:,} cells, to {result.config.model_dump()['context']:,} tokens"
    if result.history:
        first, last = result.history[0], result.history[-1]
        lines["training_loss"] = f"{first['training_loss']:.3f} in epoch 1, {last['training_loss']:.3f} in the last"
        stopped = " (stopped early)" if facts["stopped_early"] else ""
        lines["kept_epoch"] = f"{facts['best_epoch']} of {len(result.history)}{stopped}"
    else:
        lines["iterations"] = f"{facts['iterations']}" + ("" if facts["converged"] else " (did not converge)")
    return lines | {"seconds": facts["seconds"], "out": str(result.path)}
