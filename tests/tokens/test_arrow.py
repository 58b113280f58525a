"""Token data sets on disk: what Hugging Face datasets reads, what comes back, and that nothing partial stays."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

import datasets
from bulkgen.errors import LabelError, OutputExistsError, VocabularyMismatchError
from bulkgen.tokens import TokenDataset, arrow, tokenize

FILES = {"data-00000-of-00001.arrow", "dataset_info.json", "state.json", "vocabulary.json", "bulkgen.json"}


@pytest.fixture
def cells(make_cells):
    X = sp.csr_matrix(np.random.default_rng(0).poisson(0.8, size=(60, 12)))
    obs = {
        "kind": [["b", "a", "C"][i % 3] for i in range(60)],
        "dose": pd.Categorical([f"{10 ** (i % 3)} nM" if i % 7 else None for i in range(60)]),
        "level": pd.Categorical([i % 4 for i in range(60)]),
        "n": np.arange(60, dtype=np.int32),
        "depth": np.where(np.arange(60) % 5, np.arange(60) / 3, np.nan).astype(np.float32),
        "good": np.arange(60) % 2 == 0,
        "maybe": pd.array([None if i % 6 == 0 else i for i in range(60)], dtype="Int64"),
        "perhaps": pd.array([None if i % 6 == 0 else i % 2 == 0 for i in range(60)], dtype="boolean"),
        "text": pd.array([None if i % 9 == 0 else f"é{i}" for i in range(60)], dtype="string"),
        "day": pd.date_range("2024-01-01", periods=60),
    }
    return make_cells(X, obs=obs, uns={"bulkgen": {"kind": "pseudobulk", "key": np.int64(7)}})


COLUMNS = ["dose", "level", "n", "depth", "good", "maybe", "perhaps", "text", "day"]


@pytest.fixture
def dataset(cells, mapped_vocabulary):
    return tokenize(cells, vocabulary=mapped_vocabulary, label="kind", columns=COLUMNS, counts=True)


def test_load_from_disk_reads_tokens_labels_and_columns(dataset, tmp_path):
    folder = dataset.save(tmp_path / "cells.dataset")
    assert {file.name for file in folder.iterdir()} == FILES
    loaded = datasets.load_from_disk(str(folder))
    assert loaded.num_rows == len(dataset) > 50
    assert loaded.column_names == ["input_ids", "length", "counts", "label", "cell_id", "kind", *COLUMNS]
    assert loaded.features["label"] == datasets.ClassLabel(names=["C", "a", "b"])
    assert loaded.features["input_ids"].feature == datasets.Value("int16")
    assert loaded.features["counts"].feature == datasets.Value("float32")
    kinds = {name: loaded.features[name].dtype for name in ["length", *COLUMNS]}
    assert kinds == {
        "length": "int64",
        "dose": "string",
        "level": "int64",
        "n": "int32",
        "depth": "float32",
        "good": "bool",
        "maybe": "int64",
        "perhaps": "bool",
        "text": "string",
        "day": kinds["day"],
    }
    assert kinds["day"].startswith("timestamp")
    assert loaded["input_ids"][:] == dataset.table["input_ids"].to_pylist()
    names = loaded.features["label"]
    assert [names.int2str(i) for i in loaded["label"]] == loaded["kind"][:] == dataset.label_values.tolist()
    assert loaded.format["type"] is None
    trainable = loaded.with_format("numpy")[3]
    np.testing.assert_array_equal(trainable["input_ids"], dataset.input_ids(3))


def test_what_datasets_saves_again_is_the_same_table(dataset, tmp_path):
    loaded = datasets.load_from_disk(str(dataset.save(tmp_path / "a")))
    loaded.save_to_disk(str(tmp_path / "b"))
    again = datasets.load_from_disk(str(tmp_path / "b"))
    assert again.features == loaded.features
    # NaN is not equal to itself
    tables = [each.data.table.drop_columns(["depth"]).combine_chunks() for each in (again, loaded)]
    assert tables[0].equals(tables[1])


def test_obs_values_come_through_unchanged_with_their_holes(dataset, cells):
    obs = cells.obs.loc[dataset.column("cell_id").tolist()]
    frame = dataset.table.select(COLUMNS).to_pandas(date_as_object=False)
    for name in ("n", "good", "level"):
        assert frame[name].tolist() == obs[name].tolist()
    np.testing.assert_array_equal(frame["depth"], obs["depth"])
    assert dataset.table["depth"].null_count == 0  # NaN is a value of a float column
    assert frame["day"].tolist() == obs["day"].tolist()
    for name in ("dose", "text", "maybe", "perhaps"):
        found = dataset.table[name].to_pylist()
        assert [value is None for value in found] == obs[name].isna().tolist()
        assert [value for value in found if value is not None] == obs[name].dropna().tolist()
    assert dataset.column("maybe").tolist() == [None if pd.isna(v) else str(v) for v in obs["maybe"]]


def test_a_saved_data_set_comes_back_whole(dataset, tmp_path):
    loaded = TokenDataset.load(dataset.save(tmp_path / "cells.dataset"))
    assert loaded.table.schema.equals(dataset.table.schema)
    np.testing.assert_array_equal(loaded.table["depth"], dataset.table["depth"])
    assert loaded.table.drop_columns(["depth"]).equals(dataset.table.drop_columns(["depth"]))
    assert loaded.vocabulary == dataset.vocabulary
    assert loaded.summary == dataset.summary
    assert (loaded.label, loaded.label_names) == ("kind", ("C", "a", "b"))
    assert loaded.label_values.tolist() == dataset.label_values.tolist()
    assert loaded.provenance == dataset.provenance == {"kind": "pseudobulk", "key": 7}
    assert repr(loaded) == repr(dataset)


def test_cells_are_views_of_flat_buffers(dataset, tmp_path):
    loaded = TokenDataset.load(dataset.save(tmp_path / "cells.dataset"))
    for each in (dataset, loaded):
        tokens, offsets = each.flat()
        assert tokens.dtype == np.int16
        assert offsets.dtype == np.int64
        for i in (0, 1, len(each) - 1):
            np.testing.assert_array_equal(each.input_ids(i), tokens[offsets[i] : offsets[i + 1]])
            assert np.shares_memory(each.input_ids(i), tokens)
        np.testing.assert_array_equal(each.input_ids(-1), each.input_ids(len(each) - 1))
        np.testing.assert_array_equal(np.diff(offsets), each.lengths)
        for i in (len(each), -len(each) - 1):
            with pytest.raises(IndexError, match=f"cell {i} of a token data set of {len(each)} cells"):
                each.input_ids(i)


def test_the_same_input_gives_the_same_bytes(cells, mapped_vocabulary, tmp_path):
    options = {"vocabulary": mapped_vocabulary, "label": "kind", "columns": COLUMNS}
    tokenize(cells, **options, threads=1, out=tmp_path / "a")
    tokenize(cells, **options, threads=3).save(tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_other_tokens_have_another_fingerprint(cells, mapped_vocabulary, tmp_path):
    for name, rows in (("a", slice(0, 50)), ("b", slice(5, 55))):
        tokenize(cells[rows].copy(), vocabulary=mapped_vocabulary, out=tmp_path / name)
    states = [json.loads((tmp_path / name / "state.json").read_text()) for name in "ab"]
    assert states[0]["_fingerprint"] != states[1]["_fingerprint"]
    assert len(states[0]["_fingerprint"]) == 16


def test_large_data_sets_are_split_into_shards(make_cells, plain_vocabulary, tmp_path, monkeypatch):
    X = np.random.default_rng(0).poisson(1.0, size=(5300, 12)).clip(1, None)
    cells = make_cells(X, obs={"kind": [f"k{i % 4}" for i in range(5300)]})
    whole = tokenize(cells, vocabulary=plain_vocabulary, label="kind")
    monkeypatch.setattr(arrow, "SHARD_BYTES", 50_000)
    folder = whole.save(tmp_path / "cells.dataset")
    shards = sorted(file.name for file in folder.glob("*.arrow"))
    assert shards == [f"data-{i:05d}-of-00003.arrow" for i in range(3)]
    assert [pa.ipc.open_stream(folder / name).read_all().num_rows for name in shards] == [2000, 2000, 1300]
    assert [batch.num_rows for batch in pa.ipc.open_stream(folder / shards[2])] == [1000, 300]
    loaded = TokenDataset.load(folder)
    assert loaded.table.equals(whole.table)
    np.testing.assert_array_equal(loaded.flat()[0], whole.flat()[0])
    for i in (0, 999, 1000, 1999, 2000, 4321, 5299):
        np.testing.assert_array_equal(loaded.input_ids(i), whole.input_ids(i))
    theirs = datasets.load_from_disk(str(folder))
    assert theirs.num_rows == 5300
    assert theirs[4321]["input_ids"] == whole.input_ids(4321).tolist()
    assert theirs["kind"][:] == whole.label_values.tolist()


def test_a_label_column_named_label_becomes_the_class_ids(make_cells, plain_vocabulary, tmp_path):
    cells = make_cells(np.ones((3, 2), dtype=np.int64), obs={"label": ["x", "a", "x"]})
    dataset = tokenize(cells, vocabulary=plain_vocabulary, label="label")
    folder = dataset.save(tmp_path / "cells.dataset")
    theirs = datasets.load_from_disk(str(folder))
    assert theirs.features["label"] == datasets.ClassLabel(names=["a", "x"])
    assert theirs["label"][:] == [1, 0, 1]
    loaded = TokenDataset.load(folder)
    assert loaded.label_values.tolist() == ["x", "a", "x"]
    assert loaded.table.equals(dataset.table)


def test_numeric_labels_are_sorted_as_text_and_stored_as_text(make_cells, plain_vocabulary, tmp_path):
    cells = make_cells(np.ones((3, 2), dtype=np.int64), obs={"k": [10, 2, 10]})
    loaded = tokenize(cells, vocabulary=plain_vocabulary, label="k", out=tmp_path / "d")
    assert loaded.label_names == ("10", "2")
    assert loaded.label_values.tolist() == ["10", "2", "10"]


def test_without_a_label_there_are_no_classes(make_cells, plain_vocabulary, tmp_path):
    cells = make_cells(np.ones((3, 2), dtype=np.int64))
    loaded = tokenize(cells, vocabulary=plain_vocabulary, out=tmp_path / "d")
    assert datasets.load_from_disk(str(tmp_path / "d")).column_names == ["input_ids", "length", "cell_id"]
    with pytest.raises(LabelError, match=r"no label; tokenize with label="):
        _ = loaded.label_values
    with pytest.raises(KeyError, match="no column 'kind'; it has length, cell_id"):
        loaded.column("kind")


def test_an_output_that_exists_is_kept_unless_overwriting_is_asked_for(dataset, tmp_path, cells, mapped_vocabulary):
    folder = dataset.save(tmp_path / "cells.dataset")
    with pytest.raises(OutputExistsError):
        dataset.save(folder)
    assert len(TokenDataset.load(folder)) == len(dataset)
    tokenize(cells[:9].copy(), vocabulary=mapped_vocabulary, out=folder, overwrite=True)
    assert len(TokenDataset.load(folder)) <= 9
    assert [file.name for file in tmp_path.iterdir()] == ["cells.dataset"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
@pytest.mark.parametrize("place", ["_json", "_write_shards", "_with_classes"])
def test_a_failure_leaves_nothing_behind(place, failure, cells, mapped_vocabulary, tmp_path, monkeypatch):
    def fail(*_):
        raise failure

    monkeypatch.setattr(arrow, place, fail)
    with pytest.raises(failure if isinstance(failure, type) else type(failure)):
        tokenize(cells, vocabulary=mapped_vocabulary, label="kind", out=tmp_path / "cells.dataset")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_between_batches_leaves_the_older_data_set(cells, mapped_vocabulary, tmp_path, monkeypatch):
    options = {"vocabulary": mapped_vocabulary, "label": "kind", "out": tmp_path / "cells.dataset"}
    before = tokenize(cells, **options)
    monkeypatch.setattr("bulkgen.tokens.encoder.CELLS_PER_BLOCK", 20)
    calls = []

    def interrupted(self, block, obs):
        calls.append(block.shape[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, block, obs)

    encode = arrow_encoder().encode
    monkeypatch.setattr(arrow_encoder(), "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tokenize(cells, **options, overwrite=True)
    assert calls == [20, 20, 20]
    assert [file.name for file in tmp_path.iterdir()] == ["cells.dataset"]
    assert TokenDataset.load(tmp_path / "cells.dataset").table.equals(before.table)


def arrow_encoder():
    from bulkgen.tokens.encoder import Encoder

    return Encoder


def test_tokens_beside_another_vocabulary_are_refused(dataset, plain_vocabulary, tmp_path):
    folder = dataset.save(tmp_path / "d")
    plain_vocabulary.save(folder, overwrite=True)
    with pytest.raises(VocabularyMismatchError, match=r"'mapped'.*vocabulary\.json is 'plain'"):
        TokenDataset.load(folder)


def test_damaged_folders_are_refused(dataset, tmp_path):
    whole = dataset.save(tmp_path / "d")

    def broken(change):
        folder = tmp_path / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        change(folder)
        return folder

    def shard(folder):
        return folder / "data-00000-of-00001.arrow"

    with pytest.raises(FileNotFoundError, match="bulkgen tokenize"):
        TokenDataset.load(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"no bulkgen\.json in it"):
        TokenDataset.load(broken(lambda folder: (folder / "bulkgen.json").unlink()))
    with pytest.raises(ValueError, match="is damaged"):
        TokenDataset.load(broken(lambda folder: (folder / "bulkgen.json").write_text("{")))
    with pytest.raises(ValueError, match="not a manifest of tokens"):
        TokenDataset.load(broken(lambda folder: (folder / "bulkgen.json").write_text("{}")))
    with pytest.raises(ValueError, match="is damaged"):
        TokenDataset.load(broken(lambda folder: shard(folder).unlink()))
    with pytest.raises(ValueError, match="is damaged"):
        TokenDataset.load(broken(lambda folder: shard(folder).write_bytes(b"ARROW")))

    def newer(folder):
        manifest = json.loads((folder / "bulkgen.json").read_text())
        (folder / "bulkgen.json").write_text(json.dumps(manifest | {"version": 99}))

    with pytest.raises(ValueError, match="pip install --upgrade"):
        TokenDataset.load(broken(newer))

    def shorter(folder):
        manifest = json.loads((folder / "bulkgen.json").read_text())
        (folder / "bulkgen.json").write_text(json.dumps(manifest | {"rows": 3}))

    with pytest.raises(ValueError, match=r"cells, but its bulkgen\.json says 3"):
        TokenDataset.load(broken(shorter))


@pytest.mark.parametrize("token", [-1, 30_000])
def test_a_token_that_the_vocabulary_does_not_have_never_reaches_a_model(dataset, token):
    ids = dataset.table["input_ids"].to_pylist()
    ids[7][1] = token
    place = dataset.table.column_names.index("input_ids")
    column = pa.array(ids, type=dataset.table.schema.field("input_ids").type)
    damaged = replace(dataset, table=dataset.table.set_column(place, "input_ids", column))
    with pytest.raises(ValueError, match=rf"cell 7 has the token {token}, .*; tokenize again"):
        damaged.flat()


def test_an_empty_table_can_be_saved_and_read(dataset, tmp_path):
    none = replace(dataset, table=dataset.table.slice(0, 0), label=None)
    loaded = TokenDataset.load(none.save(tmp_path / "d"))
    assert len(loaded) == 0
    assert len(loaded.flat()[0]) == 0
    assert loaded.flat()[1].tolist() == [0]
    assert datasets.load_from_disk(str(tmp_path / "d")).num_rows == 0


def test_provenance_is_stored_as_json_can_hold_it():
    value = {"a": np.float32(0.5), "b": np.array([1, 2]), 3: (None, True), "n": float("nan"), "p": {"q": {1}}}
    assert arrow.plain_json(value) == {"a": 0.5, "b": [1, 2], "3": [None, True], "n": "nan", "p": {"q": "{1}"}}
