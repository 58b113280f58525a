"""Where Geneformer's dictionaries are looked for, and what is said about what is found."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkgen.errors import UnsafePickleError, VocabularyError
from bulkgen.tokens import Vocabulary, dictionaries

GENES = {"ENSG00000000001": 4, "ENSG00000000002": 5}
TOKENS = {"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3} | GENES
MEDIANS = {"ENSG00000000001": 1.5, "ENSG00000000002": 2.0, "ENSG00000000009": 3.0}
MAPPING = {"ACTB": "ENSG00000000001", "ENSG00000000001": "ENSG00000000001", "OTHER": "ENSG00000000009"}
V2_NAMES = {
    "token_dictionary_gc104M": TOKENS,
    "gene_median_dictionary_gc104M": MEDIANS,
    "ensembl_mapping_dict_gc104M": MAPPING,
}

pytestmark = pytest.mark.filterwarnings("ignore:not the files that Geneformer published:UserWarning")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No environment variable, no package, no network, an empty cache."""
    monkeypatch.delenv(dictionaries.ENVIRONMENT, raising=False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)

    def no_network(*_):
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    monkeypatch.setattr(dictionaries.socket, "getaddrinfo", lambda *_: [])


def write(folder, names=V2_NAMES, suffix=".pkl"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in names.items():
        file = folder / f"{name}{suffix}"
        if suffix == ".json":
            file.write_text(json.dumps(values))
        elif suffix == ".parquet":
            pq.write_table(pa.table({"key": list(values), "value": list(values.values())}), file)
        else:
            file.write_bytes(pickle.dumps(values))
    return folder


def check(vocabulary):
    assert vocabulary.name == "V2"
    assert vocabulary.tokens == GENES
    assert vocabulary.medians == {gene: MEDIANS[gene] for gene in GENES}
    assert vocabulary.mapping == {"ACTB": "ENSG00000000001"}
    assert (vocabulary.pad, vocabulary.mask, vocabulary.cls, vocabulary.eos) == (0, 1, 2, 3)
    assert vocabulary.context == 4096


@pytest.mark.parametrize("suffix", [".pkl", ".json", ".parquet"])
def test_a_folder_may_hold_pickles_json_or_parquet(tmp_path, suffix):
    check(Vocabulary.load("V2", path=write(tmp_path / "d", suffix=suffix)))
    check(Vocabulary.load("v2", path=str(tmp_path / "d")))


def test_files_may_be_named_one_by_one(tmp_path):
    folder = write(tmp_path / "d")
    renamed = []
    for i, (name, new) in enumerate(zip(V2_NAMES, ["my_tokens", "my_medians", "my_mapping"], strict=True)):
        renamed.append(folder / str(i) / f"{new}.pkl")
        renamed[-1].parent.mkdir()
        shutil.move(folder / f"{name}.pkl", renamed[-1])
    check(Vocabulary.load("V2", path=renamed))
    with pytest.raises(VocabularyError, match="no ensembl_mapping_dict_gc104M for vocabulary V2"):
        Vocabulary.load("V2", path=renamed[:2])
    other = tmp_path / "other.pkl"
    other.write_bytes(b"")
    with pytest.raises(VocabularyError, match="cannot tell which dictionary"):
        Vocabulary.load("V2", path=[other])


def test_a_folder_may_hold_one_file_of_each_kind_under_other_names(tmp_path):
    names = {name.replace("gc104M", "mine"): values for name, values in V2_NAMES.items()}
    check(Vocabulary.load("V2", path=write(tmp_path / "d", names)))


def test_an_explicit_place_that_lacks_files_is_an_error_not_a_reason_to_look_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv(dictionaries.ENVIRONMENT, str(write(tmp_path / "d")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(VocabularyError, match="has no token_dictionary_gc104M and no gene_median"):
        Vocabulary.load("V2", path=tmp_path / "empty")
    with pytest.raises(VocabularyError, match="does not exist"):
        Vocabulary.load("V2", path=tmp_path / "absent")


def test_the_environment_names_a_folder_or_files(tmp_path, monkeypatch):
    folder = write(tmp_path / "d")
    monkeypatch.setenv(dictionaries.ENVIRONMENT, str(folder))
    check(Vocabulary.load("V2"))
    files = dictionaries.os.pathsep.join(str(file) for file in sorted(folder.iterdir()))
    monkeypatch.setenv(dictionaries.ENVIRONMENT, files)
    check(Vocabulary.load("V2"))


def test_the_package_geneformer_is_found_without_importing_it(tmp_path, monkeypatch):
    package = write(tmp_path / "site" / "geneformer")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    check(Vocabulary.load("V2"))
    assert "geneformer" not in sys.modules
    old = {name.replace("104M", "30M"): values for name, values in V2_NAMES.items()}
    write(package / "gene_dictionaries_30m", old)
    vocabulary = Vocabulary.load("V1")
    assert (vocabulary.name, vocabulary.context, vocabulary.mapping) == ("V1", 2048, None)


def test_the_environment_comes_before_the_package(tmp_path, monkeypatch):
    package = write(tmp_path / "site" / "geneformer", {"token_dictionary_gc104M": {"<pad>": 0}})
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv(dictionaries.ENVIRONMENT, str(write(tmp_path / "d")))
    check(Vocabulary.load("V2"))


def test_the_cache_comes_before_the_network(tmp_path, monkeypatch):
    clone = write(tmp_path / "snapshot" / "geneformer").parent
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda _, file: str(clone / file))
    check(Vocabulary.load("V2"))
    check(Vocabulary.load("V2", path=clone))  # a clone of the repository is a place too


def test_the_hub_is_asked_last_and_for_the_published_names(tmp_path, monkeypatch):
    clone = write(tmp_path / "snapshot" / "geneformer").parent
    asked = []

    def download(repository, file):
        asked.append((repository, file))
        return str(clone / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    check(Vocabulary.load("V2"))
    assert asked == [("ctheodoris/Geneformer", f"geneformer/{name}.pkl") for name in V2_NAMES]
    assert list(dictionaries.KNOWN["V1"].hub_files().values()) == [
        "geneformer/gene_dictionaries_30m/token_dictionary_gc30M.pkl",
        "geneformer/gene_dictionaries_30m/gene_median_dictionary_gc30M.pkl",
    ]


def test_finding_nothing_says_which_command_mends_it(tmp_path, monkeypatch):
    monkeypatch.setenv(dictionaries.ENVIRONMENT, str(tmp_path))
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.load("V1")
    message = str(caught.value)
    assert f"{dictionaries.ENVIRONMENT}={tmp_path}" in message
    assert "ConnectionError: no network" in message
    assert (
        "hf download ctheodoris/Geneformer geneformer/gene_dictionaries_30m/token_dictionary_gc30M.pkl "
        "geneformer/gene_dictionaries_30m/gene_median_dictionary_gc30M.pkl" in message
    )
    assert "--vocabulary-path" in message


def test_a_machine_without_a_network_is_told_so_without_waiting(monkeypatch):
    def unknown(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(dictionaries.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(dictionaries, "getproxies", dict)
    with pytest.raises(VocabularyError, match=r"not in the cache, and huggingface\.co is not reachable"):
        Vocabulary.load("V2")
    monkeypatch.setattr(dictionaries, "getproxies", lambda: {"https": "http://proxy:3128"})
    with pytest.raises(VocabularyError, match="ConnectionError: no network"):
        Vocabulary.load("V2")


@pytest.mark.filterwarnings("default:not the files:UserWarning")
def test_unknown_files_are_used_with_a_warning(tmp_path):
    folder = write(tmp_path / "d")
    with pytest.warns(UserWarning, match="not the files that Geneformer published for V2") as caught:
        check(Vocabulary.load("V2", path=folder))
    assert all(name in str(caught[0].message) for name in V2_NAMES)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_dictionary_gc104M": {"<mask>": 1, "ENSG1": 2}}, "has no <pad>"),
        ({"token_dictionary_gc104M": TOKENS | {"<bos>": 9}}, r"unknown special tokens \['<bos>'\]"),
        ({"token_dictionary_gc104M": TOKENS | {"ENSG00000000003": 9}}, "ENSG00000000003 has a token but no median"),
        ({"token_dictionary_gc104M": TOKENS | {"ENSG00000000002": 4}}, "token 4 is used twice"),
        ({"token_dictionary_gc104M": TOKENS | {"ENSG00000000002": 4.5}}, "4.5, not an int"),
        ({"gene_median_dictionary_gc104M": MEDIANS | {"ENSG00000000001": 0.0}}, "median 0.0"),
        ({"gene_median_dictionary_gc104M": MEDIANS | {"ENSG00000000001": "high"}}, "no median"),
        ({"ensembl_mapping_dict_gc104M": {"actb": "ENSG00000000001"}}, "upper-case"),
    ],
)
def test_inconsistent_dictionaries_are_refused(tmp_path, change, message):
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load("V2", path=write(tmp_path / "d", V2_NAMES | change))


def test_hostile_and_damaged_files_are_refused(tmp_path):
    folder = write(tmp_path / "d")
    file = folder / "token_dictionary_gc104M.pkl"
    whole = file.read_bytes()
    file.write_bytes(pickle.dumps({"a": np.arange(3)}))
    with pytest.raises(UnsafePickleError, match=r"token_dictionary_gc104M.pkl asks"):
        Vocabulary.load("V2", path=folder)
    file.write_bytes(whole[:-20])
    with pytest.raises(VocabularyError, match="truncated"):
        Vocabulary.load("V2", path=folder)
    file.unlink()
    for suffix, content in ((".json", b"{"), (".json", b'{"a": [1]}'), (".parquet", b"PAR1")):
        other = folder / f"token_dictionary_gc104M{suffix}"
        other.write_bytes(content)
        with pytest.raises(VocabularyError, match="is not"):
            Vocabulary.load("V2", path=folder)
        other.unlink()
    text = folder / "token_dictionary.txt"
    text.write_text("")
    with pytest.raises(VocabularyError, match=r"read from \.pkl, \.json, \.parquet"):
        Vocabulary.load("V2", path=[text, *folder.glob("*.pkl")])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": ["x"]}, "has 1 columns"),
        ({"a": ["x", "x"], "b": [1, 2]}, "an id twice"),
        ({"a": [1], "b": [1]}, "more than strings"),
    ],
)
def test_parquet_must_be_two_columns_of_unique_ids_and_values(tmp_path, table, message):
    folder = write(tmp_path / "d")
    (folder / "token_dictionary_gc104M.pkl").unlink()
    pq.write_table(pa.table(table), folder / "token_dictionary_gc104M.parquet")
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load("V2", path=folder)


@pytest.mark.real_data
def test_the_published_files_have_the_pinned_hashes(shared_data):
    files = sorted((shared_data / "geneformer").glob("*.pkl"))
    assert {hashlib.sha256(f.read_bytes()).hexdigest(): f.name for f in files} == dictionaries.PINNED
    prefixes = {
        "token_dictionary_gc30M": "ab9dc40973fa",
        "gene_median_dictionary_gc30M": "b3b589bb5ec7",
        "ensembl_mapping_dict_gc30M": "eac0fb0b3007",
        "gene_name_id_dict_gc30M": "55e67962e79c",
        "token_dictionary_gc104M": "67c445f43851",
        "gene_median_dictionary_gc104M": "a51c53f6a771",
        "ensembl_mapping_dict_gc104M": "0819bcbd869c",
        "gene_name_id_dict_gc104M": "fabfa0c2f49c",
    }
    assert {name.removesuffix(".pkl"): digest[:12] for digest, name in dictionaries.PINNED.items()} == prefixes


@pytest.mark.real_data
@pytest.mark.filterwarnings("error")
def test_the_published_vocabularies_are_as_described(shared_data):
    one = Vocabulary.load("V1", path=shared_data / "geneformer")
    assert (len(one), one.size, one.context, one.max_genes) == (25_424, 25_426, 2_048, 2_048)
    assert (one.pad, one.mask, one.cls, one.eos, min(one.tokens.values())) == (0, 1, None, None, 2)
    two = Vocabulary.load("V2", path=shared_data / "geneformer")
    assert (len(two), two.size, two.context, two.max_genes) == (20_271, 20_275, 4_096, 4_094)
    assert (two.pad, two.mask, two.cls, two.eos, min(two.tokens.values())) == (0, 1, 2, 3, 4)
    assert two.mapping is not None
    assert two.mapping["ISG15"] == "ENSG00000187608"
    assert one.mapping is None
    # on this machine, every day: what decides tokens has not changed
    assert one.fingerprint.startswith("68559221dba3")
    assert two.fingerprint.startswith("f6bff048a8a6")
