"""Find Geneformer's dictionaries on this machine or on the hub, check them, and make a vocabulary of them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies

from bulkgen.errors import VocabularyError
from bulkgen.tokens.pickles import read_bytes, read_pickle
from bulkgen.tokens.vocabulary import Vocabulary
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    VocabularyPath: TypeAlias = str | Path
    Values: TypeAlias = Mapping[str, str | int | float]

__all__ = ["ENVIRONMENT", "KNOWN", "PINNED", "Release", "load_geneformer", "local_folder"]

#: Environment variable: a folder, or files separated as in PATH.
ENVIRONMENT = "BULKGEN_VOCABULARY_PATH"
REPOSITORY = "ctheodoris/Geneformer"
_SUFFIXES = (".pkl", ".json", ".parquet")
_TOKENS, _MEDIANS, _MAPPING = "token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"
# what tells the files apart where they are named one by one
_WORDS = {_TOKENS: "token", _MEDIANS: "median", _MAPPING: "mapping"}

#: SHA-256 of the files that Geneformer published.
PINNED = {
    "ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1": "token_dictionary_gc30M.pkl",
    "b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39": "gene_median_dictionary_gc30M.pkl",
    "eac0fb0b3007267871b6305ac0003ceba19d4f28d85686cb9067ecf142787869": "ensembl_mapping_dict_gc30M.pkl",
    "55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c": "gene_name_id_dict_gc30M.pkl",
    "67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f": "token_dictionary_gc104M.pkl",
    "a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5": "gene_median_dictionary_gc104M.pkl",
    "0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c": "ensembl_mapping_dict_gc104M.pkl",
    "fabfa0c2f49c598c59ae432a32c3499a5908c033756c663b5e0cddf58deea8e1": "gene_name_id_dict_gc104M.pkl",
}


@dataclass(frozen=True)
class Release:
    """A published vocabulary: its files and what they do not say."""

    name: str
    suffix: str
    #: Folder of the files inside the package `geneformer`, which is also a folder of the hub repository.
    folder: str
    context: int
    kinds: tuple[str, ...]

    def stems(self) -> dict[str, str]:
        """Return the file name, less its ending, of each kind of dictionary."""
        return {kind: f"{kind}_{self.suffix}" for kind in self.kinds}

    def hub_files(self) -> dict[str, str]:
        """Return the path in the hub repository of each kind of dictionary."""
        return {
            kind: "/".join(part for part in ("geneformer", self.folder, f"{stem}.pkl") if part)
            for kind, stem in self.stems().items()
        }


# V1's mapping is the identity on its 25,424 genes, so it is not read
KNOWN = {
    "V1": Release("V1", "gc30M", "gene_dictionaries_30m", 2048, (_TOKENS, _MEDIANS)),
    "V2": Release("V2", "gc104M", "", 4096, (_TOKENS, _MEDIANS, _MAPPING)),
}


def load_geneformer(name: str, *, path: VocabularyPath | Sequence[VocabularyPath] | None = None) -> Vocabulary:
    """Load Geneformer's vocabulary `name` (:meth:`bulkgen.Vocabulary.load` says from where)."""
    release = KNOWN[name]
    if path is not None:
        files = _explicit(path, release)
        missing = _missing(files, release)
        if missing:
            raise VocabularyError(f"path {_shown(path)} has no {' and no '.join(missing)} for vocabulary {name}")
    else:
        files = _search(release)
    contents = {kind: read_bytes(file) for kind, file in files.items()}
    pinned = {kind: PINNED.get(hashlib.sha256(content).hexdigest()) for kind, content in contents.items()}
    _warn_unknown(release, files, pinned)
    values = {
        kind: _parse(content, files[kind], trusted=pinned[kind] is not None) for kind, content in contents.items()
    }
    return _assemble(release, values, source=str(files[_TOKENS].parent))


def local_folder(name: str) -> Path | None:
    """Return the folder with the dictionaries of vocabulary `name`, looked for as for a load but not on the network.

    Raises
    ------
    VocabularyError
        If the environment variable ``BULKGEN_VOCABULARY_PATH`` names a place that does not exist.
    """
    release = KNOWN[name]
    files, _ = _nearby(release)
    files = files or _cached(release)
    return files[_TOKENS].parent if files else None


def _search(release: Release) -> dict[str, Path]:
    """Look in every place that needs no naming, in order."""
    files, tried = _nearby(release)
    if files:
        return files
    files, problem = _from_hub(release)
    if not _missing(files, release):
        return files
    tried.append(f"the Hugging Face cache and hub ({problem})")
    wanted = " ".join(release.hub_files().values())
    raise VocabularyError(
        f"the dictionaries of vocabulary {release.name} were not found in {'; '.join(tried)}. Where there is "
        f"a network, fetch them:\n  hf download {REPOSITORY} {wanted}\n"
        f"or name their folder: --vocabulary-path FOLDER (path=), {ENVIRONMENT}=FOLDER; or fit a vocabulary to your "
        f"cells: --vocabulary fit"
    )


def _nearby(release: Release) -> tuple[dict[str, Path], list[str]]:
    """Find a release's files where the environment says or in the package; without all of them, say where not."""
    tried = []
    named = os.environ.get(ENVIRONMENT)
    if named:
        files = _explicit(named, release)
        if not _missing(files, release):
            return files, []
        tried.append(f"{ENVIRONMENT}={named}")
    spec = find_spec("geneformer")  # locates a package without importing it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        files = _in_folder(Path(folder), release)
        if not _missing(files, release):
            return files, []
        tried.append(f"the installed package geneformer ({folder})")
    if not tried or spec is None:
        tried.append("an installed package geneformer")
    return {}, tried


def _explicit(path: VocabularyPath | Sequence[VocabularyPath], release: Release) -> dict[str, Path]:
    """Find the dictionaries in a folder, or among the files that were named."""
    if isinstance(path, str):
        path = path.split(os.pathsep)
    elif isinstance(path, os.PathLike):
        path = [path]
    found: dict[str, Path] = {}
    for place in map(Path, path):
        if place.is_dir():
            found = _in_folder(place, release) | found
        elif not place.is_file():
            raise VocabularyError(f"the vocabulary path {place} does not exist")
        else:
            kinds = [kind for kind, word in _WORDS.items() if word in place.name]
            if len(kinds) != 1:
                raise VocabularyError(
                    f"cannot tell which dictionary {place} is: its name must hold one of the words 'token', "
                    f"'median', 'mapping'"
                )
            if kinds[0] in release.kinds:
                found[kinds[0]] = place
    return found


def _in_folder(folder: Path, release: Release) -> dict[str, Path]:
    """Find a release's files in a folder: as published, in a clone of the hub, or one file of each kind."""
    places = [folder, folder / release.folder, folder / "geneformer" / release.folder]
    others = tuple(known.suffix for known in KNOWN.values() if known is not release)
    found: dict[str, Path] = {}
    for kind, stem in release.stems().items():
        exact = [place / f"{stem}{suffix}" for place in places for suffix in _SUFFIXES]
        file = next((candidate for candidate in exact if candidate.is_file()), None)
        if file is None:
            alike = [f for s in _SUFFIXES for f in sorted(folder.glob(f"{kind}*{s}")) if not f.stem.endswith(others)]
            file = alike[0] if len(alike) == 1 else None
        if file is not None:
            found[kind] = file
    return found


def _cached(release: Release) -> dict[str, Path]:
    """Return a release's files in the Hugging Face cache, if all of them are there."""
    from huggingface_hub import try_to_load_from_cache

    cached = {kind: try_to_load_from_cache(REPOSITORY, file) for kind, file in release.hub_files().items()}
    files = {kind: Path(place) for kind, place in cached.items() if isinstance(place, str)}
    return {} if _missing(files, release) else files


def _from_hub(release: Release) -> tuple[dict[str, Path], str]:
    """Find a release's files in the Hugging Face cache, or fetch them; else say what went wrong."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        return {}, "the package huggingface_hub is not installed"
    files = _cached(release)
    if files:
        return files, ""
    host = _unknown_host()
    if host is not None:
        return {}, f"the files are not in the cache, and {host} is not reachable"
    try:
        return {k: Path(hf_hub_download(REPOSITORY, file)) for k, file in release.hub_files().items()}, ""
    # the network fails in many ways, and all of them mean the same here
    except Exception as error:
        return (
            {},
            f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}",
        )


def _unknown_host() -> str | None:
    """Return the hub's host if its name does not resolve, which saves half a minute of vain attempts."""
    from huggingface_hub.constants import ENDPOINT

    host = urlsplit(ENDPOINT).hostname
    # behind a proxy names need not resolve here
    if host is None or getproxies():
        return None
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return host
    return None


def _missing(files: Mapping[str, Path], release: Release) -> list[str]:
    return [stem for kind, stem in release.stems().items() if kind not in files]


def _warn_unknown(release: Release, files: Mapping[str, Path], pinned: Mapping[str, str | None]) -> None:
    unknown = [str(file) for kind, file in files.items() if pinned[kind] != f"{release.stems()[kind]}.pkl"]
    if unknown:
        warn(
            f"not the files that Geneformer published for {release.name} (by SHA-256): {', '.join(unknown)}. "
            f"They are used, but models pretrained with {release.name} expect the published ones",
        )


def _parse(content: bytes, file: Path, *, trusted: bool) -> Values:
    if trusted or file.suffix == ".pkl":
        return read_pickle(content, source=str(file), trusted=trusted)
    if file.suffix == ".json":
        return _parse_json(content, file)
    if file.suffix == ".parquet":
        return _parse_parquet(content, file)
    raise VocabularyError(f"{file}: a dictionary is read from {', '.join(_SUFFIXES)}, not from {file.suffix!r}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has an id twice")
    return found


def _parse_json(content: bytes, file: Path) -> Values:
    try:
        value = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"{file} is not JSON: {error}") from error
    if not isinstance(value, dict) or not all(type(item) in (str, int, float) for item in value.values()):
        raise VocabularyError(f"{file} is not a flat JSON object of strings and numbers")
    return value


def _parse_parquet(content: bytes, file: Path) -> Values:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(BytesIO(content))
    except (OSError, pa.ArrowException) as error:
        raise VocabularyError(f"{file} is not parquet: {error}") from error
    if table.num_columns != 2:
        raise VocabularyError(f"{file} has {table.num_columns} columns; a dictionary has two: id and value")
    keys, items = table.column(0).to_pylist(), table.column(1).to_pylist()
    if not all(type(key) is str for key in keys) or not all(type(item) in (str, int, float) for item in items):
        raise VocabularyError(f"{file} holds more than strings and numbers under strings")
    if len(set(keys)) != len(keys):
        raise VocabularyError(f"{file} has an id twice")
    return dict(zip(keys, items, strict=True))


def _assemble(release: Release, values: Mapping[str, Values], *, source: str) -> Vocabulary:
    """Put the dictionaries together; keep of medians and mapping what concerns genes with a token."""
    special: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for key, token in values[_TOKENS].items():
        if type(token) is not int:
            raise VocabularyError(f"{source}: token of {key} is {token!r}, not an int")
        (special if key.startswith("<") else tokens)[key] = token
    for name in ("<pad>", "<mask>"):
        if name not in special:
            raise VocabularyError(f"{source}: the token dictionary has no {name}")
    unknown = set(special) - {"<pad>", "<mask>", "<cls>", "<eos>"}
    if unknown:
        raise VocabularyError(f"{source}: the token dictionary has unknown special tokens {sorted(unknown)}")
    medians: dict[str, float] = {}
    for gene in tokens:
        median = values[_MEDIANS].get(gene)
        if median is None or isinstance(median, str):
            raise VocabularyError(f"{source}: gene {gene} has a token but no median (found {median!r})")
        medians[gene] = float(median)
    mapping: dict[str, str] | None = None
    if _MAPPING in values:
        pairs = values[_MAPPING].items()
        mapping = {key: str(gene) for key, gene in pairs if gene in tokens and key != gene}
    return Vocabulary(
        name=release.name,
        tokens=tokens,
        medians=medians,
        pad=special["<pad>"],
        mask=special["<mask>"],
        cls=special.get("<cls>"),
        eos=special.get("<eos>"),
        context=release.context,
        mapping=mapping,
    )


def _shown(path: VocabularyPath | Sequence[VocabularyPath]) -> str:
    return str(path) if isinstance(path, str | os.PathLike) else ", ".join(map(str, path))
