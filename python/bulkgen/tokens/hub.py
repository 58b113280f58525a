"""Token data sets for the Hugging Face hub: the layout that :func:`datasets.load_dataset` reads, with a card."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import xxhash

from bulkgen.io.atomic import atomic_directory
from bulkgen.tokens.arrow import ROWS_PER_BATCH, SHARD_BYTES, Layout, bulkgen_version
from bulkgen.tokens.card import data_set_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.tokens.dataset import TokenDataset

__all__ = ["push_to_hub", "write_hub_folder"]


def write_hub_folder(
    dataset: TokenDataset, path: str | Path, *, license: str, split: str = "train", overwrite: bool = False
) -> Path:
    """Write the folder of a repository on the hub (:meth:`bulkgen.TokenDataset.write_hub_folder`)."""
    _check_names(license, split)
    layout = Layout(dataset.table.schema, dataset.label, dataset.label_names if dataset.label is not None else ())
    with atomic_directory(path, overwrite=overwrite) as folder:
        names, fingerprint = _write_parquet(dataset, layout, folder, split)
        facts = layout.files(
            names,
            rows=len(dataset),
            fingerprint=fingerprint,
            vocabulary=dataset.vocabulary,
            summary=dataset.summary,
            provenance=dataset.provenance,
            version=bulkgen_version(),
        )
        (folder / "README.md").write_text(data_set_card(dataset, license=license, split=split), encoding="utf-8")
        # state.json would make `datasets` take the folder for one of load_from_disk
        for name in facts.keys() - {"dataset_info.json", "state.json"}:
            (folder / name).write_text(facts[name], encoding="utf-8")
    return Path(path)


def push_to_hub(
    dataset: TokenDataset,
    repo_id: str,
    *,
    license: str,
    split: str = "train",
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Upload to the hub (:meth:`bulkgen.TokenDataset.push_to_hub`)."""
    from huggingface_hub import HfApi

    _check_names(license, split)
    api = HfApi(token=token)
    # asked first, so that a missing permission is told before anything is written
    with _reaching_the_hub():
        url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    with TemporaryDirectory() as temporary:
        folder = write_hub_folder(dataset, Path(temporary) / "dataset", license=license, split=split)
        with _reaching_the_hub():
            api.upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                commit_message=f"{len(dataset):,} cells as {dataset.vocabulary.name} tokens, by bulkgen",
                # those of an earlier upload
                delete_patterns="data/*",
            )
    return str(url)


@contextmanager
def _reaching_the_hub() -> Iterator[None]:
    """Say that the hub was not reached: by which HTTP library, and so by which error, its versions differ."""
    try:
        yield
    # a refusal of the hub, a missing token, an impossible name
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ConnectionError(
            f"the Hugging Face hub cannot be reached: {error}; write a folder instead (write_hub_folder, "
            f"bulkgen publish -o FOLDER), and upload it where there is a network: "
            f"hf upload USER/NAME FOLDER --repo-type dataset"
        ) from error


def _check_names(license: str, split: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(
            f"license must be an identifier of the hub, such as 'cc-by-4.0', 'cc0-1.0' or 'other', got {license!r}; "
            f"it is yours to choose: the licences of the data that the cells were made from bind you"
        )
    # "all" is `datasets`' word for all splits together
    if not re.fullmatch(r"\w+", split, re.ASCII) or split == "all":
        raise ValueError(f"split must be a name of letters, digits and _, and not 'all', got {split!r}")


def _write_parquet(dataset: TokenDataset, layout: Layout, folder: Path, split: str) -> tuple[list[str], str]:
    """Write the rows; return the names of the files and the XXH3-128 of their bytes, one after the other."""
    table = dataset.table
    n_files = max(1, -(-table.nbytes // SHARD_BYTES))
    rows = max(1, -(-len(dataset) // n_files))
    (folder / "data").mkdir()
    names = [f"data/{split}-{i:05d}-of-{n_files:05d}.parquet" for i in range(n_files)]
    digest = xxhash.xxh3_128()
    for i, name in enumerate(names):
        with pq.ParquetWriter(folder / name, layout.stored_schema, compression="zstd") as writer:
            for batch in layout.stored(table.slice(i * rows, rows).to_batches(max_chunksize=ROWS_PER_BATCH)):
                writer.write_batch(batch)
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return names, digest.hexdigest()
