"""Geneformer's own classifier reads token data sets of bulkgen: the column contract of docs/design/tokens.md.

What is done to a data set here is what `Classifier.prepare_data`, `Classifier.train_all_data`, the collator and the
perturbers of Geneformer do to it, call for call.
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec

import numpy as np
import pytest

import bulkgen as bg
from datasets import ClassLabel, Dataset, concatenate_datasets, load_from_disk

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.filterwarnings("ignore:not the files that Geneformer published"),
    # how `datasets` sorts
    pytest.mark.filterwarnings("ignore:Specifying null_placement:FutureWarning"),
]


@pytest.fixture(scope="module")
def tokenize(dictionaries, tmp_path_factory):
    """Write a token data set as a user does, and return its folder."""

    def write(cells, name="cells", vocabulary="V2", **options):
        folder = tmp_path_factory.mktemp("tokens") / f"{name}.dataset"
        bg.tokenize(cells, vocabulary=vocabulary, vocabulary_path=dictionaries, out=folder, **options)
        return folder

    return write


@pytest.fixture
def with_columns(made, tokenize):
    """Labels as a column, without ``label=``: what Geneformer's tokenizer would have written."""
    return tokenize(made.synthetic, columns=["drug", "cell_line"])


def prepared(folder, state_key, filter_data=None):
    """Do what `Classifier.prepare_data` does; return the data and the names of the class ids."""
    data = load_from_disk(str(folder))
    for key, values in (filter_data or {}).items():
        data = data.filter(lambda cell, key=key, values=values: cell[key] in values)
    if "label" in data.features:
        raise RuntimeError("Column name 'label' must be reserved for class IDs. Please rename column.")
    data = data.shuffle(seed=42).rename_column(state_key, "label")
    names = dict(enumerate(sorted(set(data["label"]))))
    ids = {name: i for i, name in names.items()}

    def to_ids(cell):
        cell["label"] = ids[cell["label"]]
        return cell

    return data.map(to_ids), names


def cleaned(data):
    """Keep the columns that `validate_and_clean_cols` keeps."""
    return data.remove_columns([name for name in data.features if name not in ("label", "input_ids", "length")])


def collated(cells, pad):
    """Return a batch as `DataCollatorForCellClassification` makes it: Python lists, padded on the right."""
    longest = max(len(cell["input_ids"]) for cell in cells)
    assert all(isinstance(cell["label"], int) for cell in cells)  # else it takes labels for real numbers
    return {
        "input_ids": torch.tensor([cell["input_ids"] + [pad] * (longest - len(cell["input_ids"])) for cell in cells]),
        "attention_mask": torch.tensor(
            [[1] * len(cell["input_ids"]) + [0] * (longest - len(cell["input_ids"])) for cell in cells]
        ),
        "labels": torch.tensor([cell["label"] for cell in cells]),
    }


def loss_of(batch, vocabulary, n_labels):
    """Return the loss of a small BERT as the classifier loads it."""
    config = transformers.BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=16,
        max_position_embeddings=vocabulary.context,
        num_labels=n_labels,
    )
    return transformers.BertForSequenceClassification(config)(**batch).loss


@pytest.mark.parametrize("vocabulary", ["V1", "V2"])
def test_the_classifier_prepares_a_data_set_that_was_made_with_columns(vocabulary, made, tokenize):
    folder = tokenize(made.synthetic, vocabulary=vocabulary, columns=["drug", "cell_line"])
    data, names = prepared(folder, "drug", {"cell_line": ["A549", "H1975"]})
    assert list(names.values()) == sorted(made.synthetic.obs["drug"].unique())
    known = bg.TokenDataset.load(folder)
    by_name = dict(zip(known.column("cell_id"), known.column("drug"), strict=True))
    assert all(names[cell["label"]] == by_name[cell["cell_id"]] for cell in data)
    # it sorts by length for its batches, and splits by chance
    halves = cleaned(data.sort("length", reverse=True)).train_test_split(test_size=0.5, seed=42)
    batch = collated([halves["train"][i] for i in range(4)], known.vocabulary.pad)
    assert torch.isfinite(loss_of(batch, known.vocabulary, len(names)))


def test_a_labelled_data_set_is_one_that_the_classifier_has_prepared(made, tokenize, tmp_path):
    """It refuses to prepare one with a column `label`, and wants that column where it trains."""
    folders = [tokenize(cells, label="drug") for cells in (made.train, made.test)]
    with pytest.raises(RuntimeError, match="must be reserved"):
        prepared(folders[0], "drug")
    train, test = (load_from_disk(str(folder)) for folder in folders)
    assert isinstance(train.features["label"], ClassLabel)
    # class ids of a training and a test set agree, for they are in the order of the names
    assert train.features["label"].names == test.features["label"].names
    names = dict(enumerate(train.features["label"].names))
    (tmp_path / "id_class_dict.pkl").write_bytes(pickle.dumps(names))
    assert all(names[cell["label"]] == cell["drug"] for cell in train)
    data = cleaned(train.shuffle(seed=42))
    assert set(data.features) == {"label", "input_ids", "length"}
    vocabulary = bg.TokenDataset.load(folders[0]).vocabulary
    batch = collated([data[i] for i in range(4)], vocabulary.pad)
    assert torch.isfinite(loss_of(batch, vocabulary, len(names)))
    split = train.train_test_split(test_size=0.2, seed=42, stratify_by_column="label")
    assert set(split["test"]["label"]) == set(names)


def test_the_perturber_takes_cells_of_a_state_and_moves_their_genes(with_columns):
    vocabulary = bg.TokenDataset.load(with_columns).vocabulary
    data = load_from_disk(str(with_columns))
    assert "vehicle" in data["drug"]
    cells = data.filter(lambda cell: cell["drug"] in ["vehicle"]).sort("length", reverse=True)
    assert np.all(np.diff(cells["length"]) <= 0)
    ids = cells[0]["input_ids"]
    assert (ids[0], ids[-1]) == (vocabulary.cls, vocabulary.eos)  # what emb_mode="cls" looks for

    def without_the_first_gene(cell):
        del cell["input_ids"][1]
        cell["length"] = len(cell["input_ids"])
        return cell

    moved = cells.map(without_the_first_gene)
    assert moved[0]["input_ids"] == [ids[0], *ids[2:]]
    cells.set_format(type="torch")
    assert cells[0]["input_ids"].dtype == torch.int64


def test_columns_keep_the_types_of_what_geneformers_tokenizer_writes(with_columns, made):
    """Its attributes are strings and numbers as they are in obs; its token ids are int64, bulkgen's int16."""
    ours = load_from_disk(str(with_columns))
    theirs = Dataset.from_dict(
        {name: ours[name][:3] for name in ("input_ids", "length", "cell_id", "drug", "cell_line")}
    )
    assert {name: theirs.features[name] for name in ("length", "drug")} == {
        name: ours.features[name] for name in ("length", "drug")
    }
    both = concatenate_datasets([ours.cast_column("input_ids", theirs.features["input_ids"]), theirs])
    assert len(both) == len(ours) + 3


def test_multitask_training_finds_its_name_of_a_cell(made, tokenize):
    """It reads the columns of the tasks, and `unique_cell_id` where there is one."""
    cells = made.synthetic
    cells.obs["unique_cell_id"] = cells.obs_names
    data = load_from_disk(str(tokenize(cells, columns=["drug", "cell_line", "unique_cell_id"])))
    assert data["unique_cell_id"][:] == data["cell_id"][:]
    assert all(set(data[column]) == set(cells.obs[column]) for column in ("drug", "cell_line"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("geneformer") is None, reason="geneformer is not installed, nor on a package index")
def test_the_classifier_itself_prepares_the_data(with_columns, tmp_path):
    import geneformer

    tokens = bg.TokenDataset.load(with_columns).vocabulary
    dictionary = tmp_path / "tokens.pkl"
    dictionary.write_bytes(pickle.dumps({**tokens.special_tokens, **tokens.tokens}))
    classifier = geneformer.Classifier(
        classifier="cell",
        cell_state_dict={"state_key": "drug", "states": "all"},
        token_dictionary_file=str(dictionary),
        nproc=1,
    )
    classifier.prepare_data(
        input_data_file=str(with_columns), output_directory=str(tmp_path), output_prefix="made", test_size=0.2
    )
    with (tmp_path / "made_id_class_dict.pkl").open("rb") as file:
        names = pickle.load(file)
    train = load_from_disk(str(tmp_path / "made_labeled_train.dataset"))
    assert set(train["label"]) <= set(names)
    assert set(names.values()) == set(load_from_disk(str(with_columns))["drug"])
