"""Token data sets for the Hugging Face hub: what `datasets` loads, and a card that says what the cells are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, HfApi

import bulkgen as bg
from bulkgen.errors import OutputExistsError
from bulkgen.tokens import arrow, hub
from command_line import run
from datasets import ClassLabel, load_dataset

pytestmark = pytest.mark.filterwarnings("ignore:not the files that Geneformer published")


@pytest.fixture
def tokens(made, dictionaries):
    return bg.tokenize(made.synthetic, vocabulary="V2", vocabulary_path=dictionaries, label="drug", counts=True)


@pytest.fixture
def card_of(dictionaries, tmp_path):
    """Write the folder of some cells and return its card."""

    def card(cells):
        made = bg.tokenize(cells, vocabulary="V1", vocabulary_path=dictionaries)
        return DatasetCard.load(made.write_hub_folder(tmp_path / "hub", license="other", overwrite=True) / "README.md")

    return card


def test_datasets_loads_the_folder_with_tokens_and_names_of_classes(tokens, tmp_path, monkeypatch):
    # several files
    monkeypatch.setattr(hub, "SHARD_BYTES", tokens.table.nbytes // 3)
    folder = tokens.write_hub_folder(tmp_path / "hub", license="cc-by-4.0", split="validation")
    assert len(list(folder.glob("data/validation-*-of-0000?.parquet"))) > 2
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["validation"]
    data = loaded["validation"]
    assert [cell["input_ids"] for cell in data] == [tokens.input_ids(i).tolist() for i in range(len(tokens))]
    label = data.features["label"]
    assert isinstance(label, ClassLabel)
    assert [label.int2str(cell["label"]) for cell in data] == tokens.label_values.tolist()


def test_what_was_downloaded_is_the_same_token_data_set(tokens, tmp_path):
    tokens.write_hub_folder(tmp_path / "hub", license="cc-by-4.0")
    again = bg.TokenDataset.load(tmp_path / "hub")
    assert again.table.equals(tokens.table)
    assert again.vocabulary.fingerprint == tokens.vocabulary.fingerprint
    assert (again.label, again.summary, again.provenance) == (tokens.label, tokens.summary, tokens.provenance)


def test_a_damaged_download_is_told(tokens, tmp_path):
    folder = tokens.write_hub_folder(tmp_path / "hub", license="cc-by-4.0")
    place = next(folder.glob("data/*.parquet"))
    place.write_bytes(place.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        bg.TokenDataset.load(folder)


def test_the_card_says_that_the_cells_are_synthetic_and_how_they_were_made(tokens, made, tmp_path):
    card = DatasetCard.load(tokens.write_hub_folder(tmp_path / "hub", license="cc-by-4.0") / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert {"synthetic", "single-cell", "geneformer"} <= set(card.data.tags)
    assert card.data.size_categories == ["n<1K"]
    headline = next(line for line in card.text.splitlines() if line)
    assert headline == "# SYNTHETIC CELLS: GENERATED, NOT MEASURED"
    provenance = made.synthetic.uns["bulkgen"]
    for said in (
        "donor_shift",
        '"control": "vehicle"',
        provenance["key"],
        provenance["input_hash"],
        provenance["bulkgen_version"],
        tokens.vocabulary.fingerprint,
        "Do not score a model",
    ):
        assert said in card.text


@pytest.mark.parametrize(
    ("kind", "headline", "tag"),
    [
        ("pseudobulk", "PSEUDO-BULK: GROUPS OF CELLS, NOT SINGLE CELLS", "pseudo-bulk"),
        ("profiles", "BULK PROFILES, NOT SINGLE CELLS", "bulk"),
        ("cells", "CELLS AS THEY WERE GIVEN", "as-given"),
        ("test", "CELLS AS THEY WERE GIVEN", "as-given"),
    ],
)
def test_the_card_says_what_other_rows_are(kind, headline, tag, made, card_of):
    card = card_of(getattr(made, kind))
    assert f"# {headline}\n" in card.text
    assert tag in card.data.tags
    assert "synthetic" not in card.data.tags


def test_a_step_after_generation_does_not_hide_it(made, card_of):
    """Thinned and split synthetic cells are synthetic; what is made of simulated cells says both."""
    thinned = bg.thin(made.synthetic, fraction=0.5, rng=0)
    part = bg.split_benchmark(thinned, label="drug", test_fraction=0.2, rng=0).train
    card = card_of(part)
    assert "# SYNTHETIC CELLS: GENERATED, NOT MEASURED" in card.text
    assert "donor_shift" in card.text
    made.cells.uns["bulkgen"] = {"kind": "simulated", "parameters": "{}", "simulated": "a twin of sci-Plex2"}
    card = card_of(bg.pseudobulk(made.cells, by="drug", k=5, rng=0))
    assert [tag for tag in ("pseudo-bulk", "simulated") if tag in card.data.tags] == ["pseudo-bulk", "simulated"]
    assert "a twin of sci-Plex2" in card.text


def test_groups_of_synthetic_cells_are_said_to_be_of_synthetic_cells(made, card_of):
    card = card_of(bg.pseudobulk(made.synthetic, by="drug", k=5, rng=0))
    assert [line for line in card.text.splitlines() if line.startswith("# ")] == [
        "# PSEUDO-BULK: GROUPS OF CELLS, NOT SINGLE CELLS",
        "# SYNTHETIC CELLS: GENERATED, NOT MEASURED",
    ]
    assert {"pseudo-bulk", "synthetic"} <= set(card.data.tags)
    limits = card.text.partition("## Limits")[2].splitlines()
    assert len(limits) == len(set(limits) - {""}) + limits.count("")


def test_cells_that_were_added_to_synthetic_ones_are_said_to_be_others(made, dictionaries, tmp_path):
    pytest.importorskip("torch")
    real = bg.tokenize(made.test, vocabulary="V1", vocabulary_path=dictionaries, label="drug")
    fit = bg.fit_generator(made.train, by="drug", method="poisson")
    fresh = bg.SyntheticTokens(fit, 5, vocabulary="V1", vocabulary_path=dictionaries, real=real)
    card = DatasetCard.load(fresh.materialize().write_hub_folder(tmp_path / "hub", license="other") / "README.md")
    assert "# SYNTHETIC AND GIVEN CELLS: NOT ALL WERE MEASURED" in card.text
    assert "None was measured" not in card.text
    assert f"| cells added as they were given | {len(real)} |" in card.text


def test_a_licence_is_asked_for_and_never_invented(tokens, tmp_path):
    with pytest.raises(TypeError, match="license"):
        tokens.write_hub_folder(tmp_path / "hub")
    for wrong in ("", "CC BY 4.0", "mit\ntags: [real]"):
        with pytest.raises(ValueError, match="license must be"):
            tokens.write_hub_folder(tmp_path / "hub", license=wrong)
    for wrong in ("../train", "all", "tränen"):
        with pytest.raises(ValueError, match="split must be"):
            tokens.write_hub_folder(tmp_path / "hub", license="mit", split=wrong)
    assert not (tmp_path / "hub").exists()


def test_a_folder_is_not_written_over_unasked(tokens, tmp_path):
    (tmp_path / "hub").mkdir()
    with pytest.raises(OutputExistsError):
        tokens.write_hub_folder(tmp_path / "hub", license="mit")


def test_pushing_makes_the_repository_and_uploads_the_folder(tokens, tmp_path, monkeypatch):
    asked = {}

    def create_repo(self, repo_id, **options):
        asked["create"] = {"repo_id": repo_id, "token": self.token, **options}
        return f"https://huggingface.co/datasets/{repo_id}"

    def upload_folder(self, *, folder_path, **options):
        asked["upload"] = options
        shutil.copytree(folder_path, tmp_path / "uploaded")

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    url = tokens.push_to_hub("user/name", license="cc0-1.0", private=True, token="hf_x")
    assert url == "https://huggingface.co/datasets/user/name"
    assert asked["create"] == {
        "repo_id": "user/name", "token": "hf_x", "repo_type": "dataset", "private": True, "exist_ok": True
    }  # fmt: skip
    assert (asked["upload"]["repo_id"], asked["upload"]["repo_type"]) == ("user/name", "dataset")
    assert asked["upload"]["delete_patterns"] == "data/*"
    assert bg.TokenDataset.load(tmp_path / "uploaded").table.equals(tokens.table)
    assert {path.name for path in Path(tmp_path / "uploaded").iterdir()} == {
        "README.md", "bulkgen.json", "data", arrow.VOCABULARY_FILE
    }  # fmt: skip


def test_a_hub_that_cannot_be_reached_is_said_with_what_serves_instead(tokens, monkeypatch):
    class ConnectError(Exception):
        """Of an HTTP library, and no OSError."""

    def create_repo(self, repo_id, **options):
        raise ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    with pytest.raises(ConnectionError, match=r"cannot be reached: \[Errno 111\] Connection refused; .*: hf upload"):
        tokens.push_to_hub("user/name", license="mit")


@pytest.mark.json_of("publish")
def test_the_command_writes_the_folder_and_uploads_only_where_it_is_told(tokens, tmp_path):
    tokens.save(tmp_path / "made.dataset")
    done = run("publish", "made.dataset", "--license", "cc-by-4.0", "-o", "hub", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"cells": len(tokens), "license": "cc-by-4.0", "split": "train", "out": "hub"}
    assert bg.TokenDataset.load(tmp_path / "hub").table.equals(tokens.table)
    refused = {
        "give one of them": ((), ("-o", "other", "--repository", "user/name")),
        "--private: is for --repository": (("-o", "other", "--private"),),
        "--overwrite: is for --out": (("--repository", "user/name", "--overwrite"),),
    }
    for told, places in refused.items():
        for place in places:
            wrong = run("publish", "made.dataset", "--license", "cc-by-4.0", *place, cwd=tmp_path)
            assert wrong.returncode == 2
            assert told in wrong.stderr
