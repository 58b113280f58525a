"""Small token data sets in which the labels can be told, and tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bulkgen.tokens import TokenDataset, TokenizeSummary, Vocabulary

GENES = 60
LABELS = ("alpha", "beta", "gamma")


def make_vocabulary(genes: int = GENES, *, context: int = 64, special: bool = False) -> Vocabulary:
    """Like V1, or with ``<cls>`` and ``<eos>`` like V2."""
    first = 4 if special else 2
    names = [f"ENSG{i:011d}" for i in range(genes)]
    return Vocabulary(
        name="toy",
        tokens={name: i + first for i, name in enumerate(names)},
        medians=dict.fromkeys(names, 1.0),
        pad=0,
        mask=1,
        cls=2 if special else None,
        eos=3 if special else None,
        context=context,
        mapping=None,
    )


def make_tokens(
    rows: Sequence[Sequence[int]],
    *,
    labels: Sequence[str | None] | None = None,
    vocabulary: Vocabulary | None = None,
    label: str | None = "kind",
) -> TokenDataset:
    """A token data set with these tokens and labels."""
    vocabulary = vocabulary or make_vocabulary()
    lengths = [len(row) for row in rows]
    columns = {
        "input_ids": pa.array([np.asarray(row, dtype=np.int16) for row in rows], type=pa.list_(pa.int16())),
        "length": pa.array(lengths, type=pa.int64()),
        "cell_id": pa.array([f"c{i}" for i in range(len(rows))]),
    }
    if labels is not None:
        columns["kind"] = pa.array(labels, type=pa.string())
    summary = TokenizeSummary(
        cells_in=len(rows),
        cells_out=len(rows),
        cells_dropped_empty=0,
        cells_kept_empty=0,
        empty_cells=(),
        cells_saturated=0,
        genes_in=len(vocabulary),
        genes_mapped=len(vocabulary),
        genes_versioned=0,
        genes_collapsed=0,
        mapped_fraction=1.0,
        gene_ids=None,
        tokens_total=sum(lengths),
        tokens_median=float(np.median(lengths)) if lengths else 0.0,
        tokens_max=max(lengths, default=0),
    )
    return TokenDataset(
        table=pa.table(columns),
        vocabulary=vocabulary,
        label=label if labels is not None else None,
        summary=summary,
    )


def make_cells(
    n: int = 150,
    *,
    seed: int = 0,
    labels: Sequence[str] = LABELS,
    vocabulary: Vocabulary | None = None,
    lengths: tuple[int, int] = (12, 30),
) -> TokenDataset:
    """Cells whose label can be told: each label has eight genes of its own that its cells express first.

    The first label is the commonest (half of the cells).
    """
    generator = np.random.default_rng(seed)
    vocabulary = vocabulary or make_vocabulary()
    genes = np.array(list(vocabulary.tokens.values()))
    names = [labels[0] if i % 2 else labels[1 + i // 2 % (len(labels) - 1)] for i in range(n)]
    rows = []
    for name in names:
        place = labels.index(name) * 8
        own = generator.permutation(genes[place : place + 8])[:5]
        others = generator.permutation(np.setdiff1d(genes, own))
        row = np.concatenate((own, others))[: generator.integers(*lengths)]
        if vocabulary.cls is not None:
            row = np.concatenate(([vocabulary.cls], row, [vocabulary.eos]))
        rows.append(row)
    return make_tokens(rows, labels=names, vocabulary=vocabulary)


@pytest.fixture(scope="session")
def training_cells() -> TokenDataset:
    return make_cells(150, seed=1)


@pytest.fixture(scope="session")
def validation_cells() -> TokenDataset:
    return make_cells(60, seed=2)


@pytest.fixture(scope="session")
def test_cells() -> TokenDataset:
    return make_cells(80, seed=3)


@pytest.fixture(scope="session")
def cells() -> Callable[..., TokenDataset]:
    """:func:`make_cells`."""
    return make_cells


@pytest.fixture(scope="session")
def tokens() -> Callable[..., TokenDataset]:
    """:func:`make_tokens`."""
    return make_tokens


@pytest.fixture(scope="session")
def vocabulary() -> Callable[..., Vocabulary]:
    """:func:`make_vocabulary`."""
    return make_vocabulary


#: Learns the cells of :func:`make_cells` in a second or two.
QUICK = {"epochs": 6, "batch_size": 16, "learning_rate": 5e-3, "hidden_size": 32, "feed_forward_size": 32}


@pytest.fixture(scope="session")
def quick() -> dict[str, object]:
    """Options with which ``tiny`` learns the cells of :func:`make_cells` in a second or two."""
    return {**QUICK, "threads": 1}


@pytest.fixture(scope="session")
def tiny_run(training_cells, validation_cells, quick, tmp_path_factory):
    """A ``tiny`` trained with validation, and its run folder."""
    from bulkgen.training import finetune

    out = tmp_path_factory.mktemp("runs") / "tiny"
    return finetune(training_cells, validation=validation_cells, model="tiny", out=out, rng=5, **quick)


@pytest.fixture(scope="session")
def linear_run(training_cells, validation_cells, tmp_path_factory):
    """A ``linear`` trained with validation, and its run folder."""
    from bulkgen.training import finetune

    out = tmp_path_factory.mktemp("runs") / "linear"
    return finetune(training_cells, validation=validation_cells, model="linear", out=out)


@pytest.fixture(scope="session")
def geneformer() -> Callable[..., Path]:
    """Save a checkpoint with the shapes of Geneformer-V1-10M, made small, with random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from bulkgen.training.model import quiet_transformers

    shapes = {
        "vocab_size": 62,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.02,
        "attention_probs_dropout_prob": 0.02,
        "pad_token_id": 0,
    }

    def make(folder: Path, *, head: str = "BertForMaskedLM", **changes: object) -> Path:
        with quiet_transformers(), torch.random.fork_rng():
            torch.manual_seed(11)
            getattr(transformers, head)(transformers.BertConfig(**(shapes | changes))).save_pretrained(folder)
        return folder

    return make
