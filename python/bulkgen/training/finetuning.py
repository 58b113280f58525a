"""Fine-tuning: labelled tokens in, a run folder with a trained model and its validation scores out."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, Unpack, cast

import numpy as np

from bulkgen.arguments import checked
from bulkgen.errors import LabelError
from bulkgen.io.atomic import atomic_directory, check_output
from bulkgen.rng import key_from_rng
from bulkgen.tokens import TokenDataset
from bulkgen.training.config import LinearConfig, TinyConfig, TransformerConfig, make_config, model_kind
from bulkgen.training.distributed import Processes, join_processes, launched
from bulkgen.training.evaluation import evaluate, predict
from bulkgen.training.labels import LabelMap
from bulkgen.training.run import Run, need_extra, package_versions
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from bulkgen.rng import RandomState
    from bulkgen.tokens import Vocabulary
    from bulkgen.training.config import FinetuneConfig, FinetuneOptions, ModelKind
    from bulkgen.training.evaluation import Predictions
    from bulkgen.training.metrics import Scores
    from bulkgen.training.model import SequenceClassifier
    from bulkgen.training.resume import Checkpoints, PartialRun
    from bulkgen.training.synthetic_tokens import SyntheticTokens

__all__ = ["FinetuneResult", "finetune"]


_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False, repr=False)
class FinetuneResult:
    """A trained model.

    Attributes
    ----------
    path
        Run folder, or ``None`` if none was asked for.
    validation
        Scores of the kept weights on the validation cells, or ``None`` without such cells.
    history
        Per epoch: ``epoch``, ``training_loss``, and validation loss and scores; empty for ``linear``.
    loss_curve
        About ten points per epoch: ``step``, ``epoch``, ``loss``, ``learning_rate``; empty for ``linear``.
    config
        The configuration, every default spelled out.
    labels
        The labels of the training cells, sorted: the classes.
    facts
        What ``run.json`` records beyond the configuration: model, data, versions, device, time.
    """

    path: Path | None
    validation: Scores | None
    history: tuple[dict[str, float], ...]
    loss_curve: tuple[dict[str, float], ...]
    config: FinetuneConfig
    labels: tuple[str, ...]
    facts: Mapping[str, object]
    run: Run

    def __repr__(self) -> str:
        place = "not stored" if self.path is None else str(self.path)
        return (
            f"FinetuneResult(model={self.run.kind!r}, {len(self.labels)} labels, {place}, validation={self.validation})"
        )

    def predict(self, tokens: TokenDataset | str | Path, *, batch_size: int | None = None) -> Predictions:
        """Predict the labels of cells, as :func:`bulkgen.training.predict` does.

        Parameters
        ----------
        tokens
            The cells, or the folder of their token data set.
        batch_size
            Cells per batch; by default the run's ``evaluation_batch_size``.

        Returns
        -------
        Predictions
            A probability for each cell and class.

        Raises
        ------
        VocabularyMismatchError
            If the tokens were made with another vocabulary than the model's.
        ValueError
            If the cells are longer than the model's positions.
        """
        return predict(self.run, tokens, batch_size=batch_size)

    def evaluate(
        self, tokens: TokenDataset | str | Path, *, label: str | None = None, batch_size: int | None = None
    ) -> Scores:
        """Score the model on labelled cells, as :func:`bulkgen.evaluate` does.

        Parameters
        ----------
        tokens
            The cells, or the folder of their token data set.
        label
            Column with the true labels; by default the label of the tokens.
        batch_size
            Cells per batch; by default the run's ``evaluation_batch_size``.

        Returns
        -------
        Scores
            Scores beside those of the majority baseline.

        Raises
        ------
        LabelError
            If cells have no label, or a label that training never saw.
        VocabularyMismatchError
            If the tokens were made with another vocabulary than the model's.
        ValueError
            If the cells are longer than the model's positions, or there are none.
        """
        return evaluate(self.run, tokens, label=label, batch_size=batch_size)


@dataclass(frozen=True, eq=False)
class _Data:
    """Cells with their classes, and where they came from: a file, or what makes them."""

    tokens: TokenDataset
    classes: npt.NDArray[np.int64]
    source: str | None
    synthetic: SyntheticTokens | None = None


@dataclass(frozen=True)
class _Fit:
    """How a training went, whatever the kind of model."""

    facts: dict[str, object]
    history: tuple[dict[str, float], ...] = ()
    loss_curve: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class _Session:
    """Where a training runs: its processes, its run folder in the making, and what it may go on from."""

    processes: Processes
    folder: Path
    partial: PartialRun | None
    checkpoint_steps: int | None


@checked
def finetune(
    tokens: TokenDataset | SyntheticTokens | str | Path,
    *,
    validation: TokenDataset | str | Path | None = None,
    model: str | Path = "tiny",
    subfolder: str | None = None,
    out: str | Path | None = None,
    label: str | None = None,
    rng: RandomState = 0,
    overwrite: bool = False,
    resume: bool = False,
    checkpoint_steps: int | None = None,
    **options: Unpack[FinetuneOptions],
) -> FinetuneResult:
    """Train a classifier of cells on labelled tokens.

    Under torchrun, every process calls this; they train one model together, on ``batch_size * accumulation`` cells per
    step each. The first writes `out`, and all have the same result.

    Parameters
    ----------
    tokens
        Training cells, or the folder of their token data set. Their labels, sorted, are the classes. With
        :class:`bulkgen.SyntheticTokens` every epoch has fresh cells (``"linear"`` has one epoch).
    validation
        Validation cells: scored after every epoch; the weights of the best macro-F1 are kept, and `patience` may
        end the training. Without them, the last weights are kept.
    model
        ``"linear"``: logistic regression on ranks. ``"tiny"``: a small BERT from a random start. Else a
        checkpoint: a folder, a run folder, or an id on the Hugging Face hub (``"ctheodoris/Geneformer"``).
    subfolder
        Folder within the checkpoint (``"Geneformer-V1-10M"``).
    out
        Run folder to make; ``None`` keeps the result in memory only.
    label
        Column that holds the labels, in both data sets; by default each one's own label.
    rng
        Seed. The same seed gives the same weights on the same CPU with the same number of threads.
    overwrite
        Replace a run folder that exists.
    resume
        Keep checkpoints in ``.NAME.partial`` beside the run folder NAME while the training runs, and go on from the
        last one where an interrupted training of the same cells, model and configuration left any. On a CPU the
        weights and scores are those of an uninterrupted training, bit by bit.
    checkpoint_steps
        Least steps from one checkpoint to the next within an epoch; they are made where the loss curve has a point,
        about ten times per epoch. ``None``: at the ends of epochs alone.
    **options
        Changes of the model's preset: :class:`~bulkgen.training.config.LinearConfig`,
        :class:`~bulkgen.training.config.TinyConfig`, :class:`~bulkgen.training.config.CheckpointConfig`.

    Returns
    -------
    FinetuneResult

    Raises
    ------
    OutputExistsError
        If `out` exists and `overwrite` is false.
    ResumeError
        If what is to go on was another training, or is still running.
    LabelError
        If cells have no label, training cells have only one, or validation cells have one that training lacks.
    VocabularyMismatchError
        If training cells, validation cells and model are not of one vocabulary.
    TypeError
        If this kind of model has no such option.
    ValueError
        If an option is out of range, the context does not fit into the model, or the training diverges.
    MissingExtraError
        If the model needs torch or transformers, or an option peft or tensorboard, which is not installed.
    """
    started = time.perf_counter()
    if out is not None:
        check_output(out, overwrite=overwrite)
    kind = model_kind(os.fspath(model))
    config = make_config(kind, seed=key_from_rng(rng) & 0xFFFF_FFFF, options=options)
    if isinstance(config, TransformerConfig):
        _check_needs(config, validated=validation is not None, stored=out is not None)
    _check_resume(kind, out=out, resume=resume, checkpoint_steps=checkpoint_steps)
    if kind != "checkpoint" and subfolder is not None:
        raise ValueError(f"subfolder belongs to a checkpoint; model is {model!r}")
    train: _Data | SyntheticTokens
    if _is_synthetic(tokens):
        _check_synthetic(tokens, config, label=label)
        train, labels, vocabulary = tokens, tokens.labels, tokens.vocabulary
        if kind == "linear":
            made = tokens.materialize(threads=config.threads)
            train = _Data(made, labels.classes(made, label=None, what="training"), None, tokens)
    else:
        stored = cast("TokenDataset | str | Path", tokens)
        training = _open(stored)
        labels, vocabulary = LabelMap.from_tokens(training, label=label), training.vocabulary
        train = _Data(training, labels.classes(training, label=label, what="training"), _source(stored))
    held_out = None
    if validation is not None:
        opened = _open(validation)
        opened.vocabulary.check_same(vocabulary, this="the validation tokens", that="the training tokens")
        held_out = _Data(opened, labels.classes(opened, label=label, what="validation"), _source(validation))
        if not len(opened):
            raise ValueError("there are no validation cells: the data set is empty")
    data = {
        "training": _provenance(train, config, labels),
        "validation": None if held_out is None else _provenance(held_out, config, labels),
    }
    with _session(config, out, overwrite=overwrite, resume=resume, checkpoint_steps=checkpoint_steps) as session:
        run, fit = _train(
            kind,
            config,
            train,
            held_out,
            labels,
            model=os.fspath(model),
            subfolder=subfolder,
            data=data,
            session=session,
        )
        scores = None if held_out is None else evaluate(run, held_out.tokens, label=label)
        facts: dict[str, object] = {
            **fit.facts,
            **data,
            "versions": package_versions(),
            "seconds": round(time.perf_counter() - started, 3),
        }
        if out is not None and session.processes.first:
            metrics = {
                "validation": None if scores is None else scores.to_dict(),
                "best_epoch": fit.facts.get("best_epoch"),
                "history": list(fit.history),
                "loss_curve": list(fit.loss_curve),
            }
            run.save(session.folder, facts=facts, metrics=metrics)
    return FinetuneResult(
        path=None if out is None else Path(out),
        validation=scores,
        history=fit.history,
        loss_curve=fit.loss_curve,
        config=config,
        labels=labels.names,
        facts=facts,
        run=run,
    )


def _train(
    kind: ModelKind,
    config: FinetuneConfig,
    train: _Data | SyntheticTokens,
    validation: _Data | None,
    labels: LabelMap,
    *,
    model: str,
    subfolder: str | None,
    data: Mapping[str, object],
    session: _Session,
) -> tuple[Run, _Fit]:
    """Train a model of any kind."""
    tokens, classes = (train.tokens, train.classes) if isinstance(train, _Data) else (train, None)
    vocabulary = tokens.vocabulary
    if isinstance(config, LinearConfig):
        assert isinstance(train, _Data)
        from bulkgen.training.linear import LinearClassifier

        linear, linear_fit = LinearClassifier.train(
            train.tokens, train.classes, config, class_weights=labels.class_weights(config.class_weights)
        )
        facts = {"model": {"source": model, "parameters": int(linear.weights.size)}, **asdict(linear_fit)}
        return Run(kind, config, labels, vocabulary, linear), _Fit(facts)

    from bulkgen.training.checkpoints import ModelStart, load_checkpoint
    from bulkgen.training.device import pick_device, pick_precision
    from bulkgen.training.model import check_attention, new_tiny
    from bulkgen.training.trainer import train_transformer
    from bulkgen.training.transformer import TransformerClassifier

    assert isinstance(config, TransformerConfig)
    device = pick_device(config.device)
    check_attention(config.attention, device=device, precision=pick_precision(config.precision, device))
    if isinstance(config, TinyConfig):
        network = new_tiny(config, vocabulary, labels.names)
        start = ModelStart(model, None, ("all",))
    else:
        network, start = load_checkpoint(
            model, subfolder=subfolder, config=config, vocabulary=vocabulary, labels=labels.names
        )
    with _checkpoints(session, network, start=asdict(start), config=config, labels=labels, data=data) as checkpoints:
        partial = session.partial if session.processes.first else None
        fit = train_transformer(
            network,
            tokens,
            classes,
            config,
            labels=labels,
            validation=None if validation is None else (validation.tokens, validation.classes),
            checkpoints=checkpoints,
            records=session.folder if partial is None else partial.records,
            processes=session.processes,
        )
        if partial is not None:
            shutil.copytree(partial.records, session.folder, dirs_exist_ok=True)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    facts = {"model": {**asdict(start), "parameters": parameters}, **asdict(fit)}
    del facts["history"], facts["loss_curve"]
    run = Run(kind, config, labels, vocabulary, TransformerClassifier(network, config))
    return run, _Fit(facts, fit.history, fit.loss_curve)


def _check_needs(config: TransformerConfig, *, validated: bool, stored: bool) -> None:
    """Refuse options without what they need: a package, validation cells, a run folder."""
    need_extra("train")
    if config.lora_rank is not None:
        need_extra("lora")
    if config.tensorboard:
        need_extra("tensorboard")
        if not stored:
            raise ValueError("tensorboard writes into the run folder; name one with out= (--out)")
    if config.patience is not None and not validated:
        raise ValueError("patience needs validation cells; name them with validation= (--validation)")


def _check_resume(kind: ModelKind, *, out: str | Path | None, resume: bool, checkpoint_steps: int | None) -> None:
    """Refuse to resume what leaves no checkpoints, and processes that have nothing to share."""
    if kind == "linear" and launched().count > 1:
        raise ValueError("model 'linear' is trained by one process; start it without torchrun")
    if kind == "linear" and resume:
        raise ValueError("resume belongs to transformers; model 'linear' has no checkpoints to go on from")
    if resume and out is None:
        raise ValueError("resume finds the checkpoints by the run folder; name it with out= (--output)")
    if checkpoint_steps is not None and not resume:
        raise ValueError("checkpoint_steps belongs to resume, which is not asked for; add resume=True (--resume)")
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise ValueError(f"checkpoint_steps must be 1 or more, got {checkpoint_steps}")


@contextmanager
def _session(
    config: FinetuneConfig,
    out: str | Path | None,
    *,
    overwrite: bool,
    resume: bool,
    checkpoint_steps: int | None,
) -> Iterator[_Session]:
    """Yield what a training runs in; when the body has finished, the run folder is in place for every process."""
    processes = Processes()
    if isinstance(config, TransformerConfig):
        from bulkgen.training.device import pick_device
        from bulkgen.training.resume import partial_path, partial_run

        processes = join_processes(pick_device(config.device))
        if out is not None and not resume and partial_path(out).exists():
            warn(f"{partial_path(out)} holds an interrupted training of {out}; resume=True (--resume) goes on with it")
    with ExitStack() as stack:
        partial = stack.enter_context(partial_run(out, processes=processes)) if resume and out is not None else None
        if out is None or not processes.first:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bulkgen-")))
        else:
            within = None if partial is None else partial.folder
            folder = stack.enter_context(atomic_directory(out, overwrite=overwrite, within=within))
        yield _Session(processes, folder, partial, checkpoint_steps)
    processes.wait()


@contextmanager
def _checkpoints(
    session: _Session,
    network: SequenceClassifier,
    *,
    start: Mapping[str, object],
    config: TransformerConfig,
    labels: LabelMap,
    data: Mapping[str, object],
) -> Iterator[Checkpoints]:
    """Yield where the checkpoints go, and what the training goes on from."""
    import torch

    from bulkgen.training.device import pick_device
    from bulkgen.training.resume import Checkpoints, weights_sha256

    if session.partial is None:
        with tempfile.TemporaryDirectory(dir=session.folder, prefix="checkpoints-") as folder:
            yield Checkpoints(session.processes.share(Path(folder)))
        return
    determines = {
        "model": {**start, "sha256": weights_sha256(network)},
        "config": config.model_dump(mode="json"),
        "labels": list(labels.names),
        # where the cells lie does not matter, nor how they were made
        **{
            part: {name: facts[name] for name in facts.keys() - {"source", "tokenize", "made_by"}}
            for part, facts in data.items()
            if isinstance(facts, dict)
        },
        "device": pick_device(config.device),
        "threads": config.threads or torch.get_num_threads(),
        "processes": session.processes.count,
        "versions": {name: package_versions()[name] for name in ("bulkgen", "torch", "transformers")},
    }
    yield session.partial.begin(determines, every_steps=session.checkpoint_steps)


def _is_synthetic(tokens: object) -> TypeGuard[SyntheticTokens]:
    # its module needs torch; where that was never imported, there is no such object
    module = sys.modules.get("bulkgen.training.synthetic_tokens")
    return module is not None and isinstance(tokens, module.SyntheticTokens)


def _check_synthetic(tokens: SyntheticTokens, config: FinetuneConfig, *, label: str | None) -> None:
    """Refuse what is settled in the synthetic cells already."""
    if label is not None and label != tokens.label:
        raise ValueError(f"the synthetic cells have the label {tokens.label!r}; choose it with SyntheticTokens(label=)")
    if isinstance(config, TransformerConfig) and config.sampling == "balanced":
        raise ValueError("sampling='balanced' draws from stored cells; give SyntheticTokens as many of every class")
    if len(tokens.labels.names) < 2:
        raise LabelError(f"a classifier needs cells of two labels or more; all have {tokens.labels.names[0]!r}")


def _open(tokens: TokenDataset | str | Path) -> TokenDataset:
    return tokens if isinstance(tokens, TokenDataset) else TokenDataset.load(tokens)


def _source(tokens: TokenDataset | str | Path) -> str | None:
    return None if isinstance(tokens, TokenDataset) else str(tokens)


def _provenance(data: _Data | SyntheticTokens, config: FinetuneConfig, labels: LabelMap) -> dict[str, object]:
    """Describe the cells of a run: enough to tell whether another run had the same."""
    if not isinstance(data, _Data):
        return {
            "synthetic": data.facts(),
            # an interrupted training does not go on beside other real cells
            **({} if data.real is None else {"sha256": _sha256(data.real, data.real_classes)}),
            "cells": data.cells,
            "cells_per_label": dict(zip(labels.names, labels.training_counts, strict=True)),
            "vocabulary": _vocabulary_facts(data.vocabulary),
        }
    context = getattr(config, "context", None)
    counts = np.bincount(data.classes, minlength=len(labels.names)).tolist()
    return {
        "source": data.source,
        "cells": len(data.tokens),
        "cells_per_label": dict(zip(labels.names, counts, strict=True)),
        "cells_cut": 0 if context is None else int((data.tokens.lengths > context).sum()),
        "sha256": _sha256(data.tokens, data.classes),
        "vocabulary": _vocabulary_facts(data.tokens.vocabulary),
        "tokenize": data.tokens.summary.to_dict(),
        "made_by": dict(data.tokens.provenance),
        **({} if data.synthetic is None else {"synthetic": data.synthetic.facts()}),
    }


def _sha256(tokens: TokenDataset, classes: npt.NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for part in (*tokens.flat(), classes):
        for start in range(0, len(part), _HASHED_AT_ONCE):
            # one byte order and width, so that the hash is of the content
            digest.update(np.ascontiguousarray(part[start : start + _HASHED_AT_ONCE], dtype="<i8").tobytes())
    return digest.hexdigest()


def _vocabulary_facts(vocabulary: Vocabulary) -> dict[str, object]:
    return {"name": vocabulary.name, "fingerprint": vocabulary.fingerprint}
