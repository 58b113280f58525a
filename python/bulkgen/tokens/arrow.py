"""Token data sets on disk: the layout that :func:`datasets.load_from_disk` reads, from flat buffers.

A folder holds ``data-00000-of-0000N.arrow`` (Arrow IPC streams), ``dataset_info.json`` and ``state.json`` for
Hugging Face `datasets` (which is not imported here), ``vocabulary.json``, and, written last, the manifest
``bulkgen.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from bulkgen.errors import VocabularyMismatchError
from bulkgen.io.atomic import atomic_directory
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder
from bulkgen.json_format import JsonFormat
from bulkgen.tokens.dataset import TokenDataset
from bulkgen.tokens.obs import RESERVED
from bulkgen.tokens.summary import TokenizeSummary
from bulkgen.tokens.vocabulary import VOCABULARY_FILE, Vocabulary

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

__all__ = [
    "CLASS_COLUMN",
    "MANIFEST_FILE",
    "ROWS_PER_BATCH",
    "SHARD_BYTES",
    "Layout",
    "bulkgen_version",
    "load_dataset",
    "plain_json",
    "plain_provenance",
    "save_dataset",
    "write_folder",
]

#: The column of class ids, under the name that trainers look for.
CLASS_COLUMN = "label"
#: Rows of a record batch: what `datasets` itself writes, and few enough for 32-bit list offsets.
ROWS_PER_BATCH = 1000
#: A shard is closed when it has grown past this many bytes (the default of `datasets`).
SHARD_BYTES = 500_000_000

_FORMAT = JsonFormat(
    "bulkgen-tokens",
    1,
    what="a manifest of tokens (cells are opened by bulkgen.open_shards)",
    remedy="tokenize again",
)


def write_folder(
    path: str | Path,
    batches: Iterable[pa.RecordBatch],
    *,
    schema: pa.Schema,
    vocabulary: Vocabulary,
    label: str | None,
    label_names: Sequence[str],
    provenance: Mapping[str, object],
    summarize: Callable[[], TokenizeSummary],
    overwrite: bool = False,
) -> Path:
    """Write a stream of record batches as a token data set, whole or not at all.

    Parameters
    ----------
    path
        The folder to make.
    batches
        Rows of ``schema``; consumed once, so that a data set larger than memory can pass through.
    schema
        Columns of the batches, without the column of class ids.
    vocabulary
        The vocabulary of the tokens.
    label, label_names
        Label column and its sorted names, which give the class ids.
    provenance
        How the cells were made, as JSON can hold it.
    summarize
        Called when `batches` is used up.
    overwrite
        Replace a folder that exists.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OutputExistsError
        If it exists and `overwrite` is false.
    """
    with atomic_directory(path, overwrite=overwrite) as folder:
        layout = Layout(schema, label, tuple(label_names))
        files, rows, fingerprint = _write_shards(folder, layout, batches)
        facts = layout.files(
            files,
            rows=rows,
            fingerprint=fingerprint,
            vocabulary=vocabulary,
            summary=summarize(),
            provenance=provenance,
            version=bulkgen_version(),
        )
        for name, text in facts.items():
            (folder / name).write_text(text, encoding="utf-8")
    return Path(path)


@dataclass(frozen=True)
class Layout:
    """What is written of a token data set beside its rows.

    Attributes
    ----------
    schema
        Columns, without the column of class ids.
    label, label_names
        Label column and its sorted names, which give the class ids.
    """

    schema: pa.Schema
    label: str | None
    label_names: tuple[str, ...]

    @cached_property
    def _stored(self) -> tuple[pa.Schema, dict[str, dict[str, object]]]:
        """Columns as they are stored, and what `datasets` needs to know of them."""
        schema = self.schema if self.label is None else _class_schema(self.schema, self.label)
        features = {field.name: _feature(field) for field in schema}
        if self.label is not None:
            features[CLASS_COLUMN] = {"names": list(self.label_names), "_type": "ClassLabel"}
        return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})}), features

    @property
    def stored_schema(self) -> pa.Schema:
        """Columns as they are stored, with what `datasets` needs to know of them."""
        return self._stored[0]

    def stored(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they are stored."""
        for batch in batches:
            stored = batch if self.label is None else _with_classes(batch, self.label, self.label_names)
            yield stored.replace_schema_metadata(self.stored_schema.metadata)

    def write(self, sink: pa.NativeFile, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches of at most :data:`ROWS_PER_BATCH` rows to one Arrow stream."""
        with pa.ipc.new_stream(sink, self.stored_schema) as writer:
            for batch in self.stored(batches):
                writer.write_batch(batch)

    def files(
        self,
        names: Sequence[str],
        *,
        rows: int,
        fingerprint: str,
        vocabulary: Vocabulary,
        summary: TokenizeSummary,
        provenance: Mapping[str, object],
        version: str,
        more: Mapping[str, object] | None = None,
    ) -> dict[str, str]:
        """Return the texts of the other files by name, in the order to write them, the manifest last.

        Parameters
        ----------
        names
            Files of the rows.
        rows
            Their number.
        fingerprint
            Of the rows; `datasets` keeps what it derives from a data set under it.
        vocabulary, summary, provenance
            Of the data set.
        version
            Of the bulkgen that made it.
        more
            Further facts for the manifest.
        """
        features = self._stored[1]
        info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
        state: dict[str, object] = {
            "_data_files": [{"filename": name} for name in names],
            "_fingerprint": fingerprint[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        manifest = {
            **_FORMAT.head,
            "bulkgen": version,
            "rows": rows,
            "files": list(names),
            "fingerprint": fingerprint,
            "vocabulary": {"name": vocabulary.name, "fingerprint": vocabulary.fingerprint},
            "label": self.label,
            "label_names": list(self.label_names),
            "summary": summary.to_dict(),
            "provenance": dict(provenance),
            **(more or {}),
        }
        return {
            "dataset_info.json": _json(info),
            "state.json": _json(state),
            VOCABULARY_FILE: vocabulary.to_json(),
            # last, so that a folder with a manifest is a whole one
            MANIFEST_FILE: _json(manifest),
        }


def save_dataset(dataset: TokenDataset, path: str | Path, *, overwrite: bool) -> Path:
    """Write a token data set (:meth:`bulkgen.TokenDataset.save`)."""
    return write_folder(
        path,
        dataset.table.to_batches(),
        schema=dataset.table.schema,
        vocabulary=dataset.vocabulary,
        label=dataset.label,
        label_names=dataset.label_names if dataset.label is not None else (),
        provenance=dataset.provenance,
        summarize=lambda: dataset.summary,
        overwrite=overwrite,
    )


def load_dataset(path: str | Path, *, vocabulary: Vocabulary | None = None) -> TokenDataset:
    """Open a token data set (:meth:`bulkgen.TokenDataset.load`), whose vocabulary may be at hand already."""
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(f"there is no token data set at {folder}; make one with: bulkgen tokenize")
    manifest = _read_manifest(folder)
    vocabulary = vocabulary or Vocabulary.load(folder)
    try:
        return _loaded(folder, manifest, vocabulary)
    except (OSError, pa.ArrowException, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise _FORMAT.damaged(folder, reason) from error


def _loaded(folder: Path, manifest: Mapping[str, object], vocabulary: Vocabulary) -> TokenDataset:
    stored = cast("Mapping[str, str]", manifest["vocabulary"])
    if stored["fingerprint"] != vocabulary.fingerprint:
        raise VocabularyMismatchError(
            f"{folder}: the tokens were made with vocabulary {stored['name']!r} "
            f"({stored['fingerprint'][:12]}), but its {VOCABULARY_FILE} is {vocabulary.name!r} "
            f"({vocabulary.fingerprint[:12]}); tokenize again"
        )
    files = cast("list[str]", manifest["files"])
    for shard in cast("list[dict[str, object]]", manifest.get("shards", [])):
        place = folder / Path(str(shard["name"])).name
        if place.stat().st_size != shard["bytes"]:
            raise ValueError(f"{place} is not the shard that was made; mend the folder with resume=True (--resume)")
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        raise _FORMAT.damaged(folder, f"its {MANIFEST_FILE} names files elsewhere")
    table = pa.concat_tables([_table(folder / name) for name in files]).replace_schema_metadata(None)
    _check_table(table, folder)
    if table.num_rows != manifest["rows"]:
        raise _FORMAT.damaged(folder, f"{table.num_rows} cells, but its {MANIFEST_FILE} says {manifest['rows']}")
    label = cast("str | None", manifest["label"])
    if label is not None:
        table = _without_classes(table, label, cast("list[str]", manifest["label_names"]))
    return TokenDataset(
        table=table,
        vocabulary=vocabulary,
        label=label,
        summary=TokenizeSummary.from_dict(cast("Mapping[str, object]", manifest["summary"])),
        provenance=cast("Mapping[str, object]", manifest["provenance"]),
    )


def _table(path: Path) -> pa.Table:
    """Open a file of rows: an Arrow stream stays on disk, Parquet (as on the hub) is unpacked."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            return file.read()
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


def _check_table(table: pa.Table, folder: Path) -> None:
    """Refuse a table whose cells do not lie within its buffers: Arrow reads wherever its offsets point to."""
    table.validate()
    for column in table.columns:
        # validated cheaply are the ends of a column; what lies between is told by its lengths, which takes no values
        if pa.types.is_string(column.type) and (pc.min(pc.binary_length(column)).as_py() or 0) < 0:
            raise IndexError("the offsets of a text fall")
        if pa.types.is_dictionary(column.type):
            column.validate(full=True)
    lengths = table["length"]
    if (pc.min(lengths).as_py() or 0) < 0:
        raise IndexError("a length is negative")
    for name in ("input_ids", "counts"):
        if name not in table.column_names and name == "counts":
            continue
        column = table[name]
        if pa.types.is_list(column.type):
            numbers = pa.types.is_integer(column.type.value_type) or name == "counts"
            if not numbers or any(chunk.values.null_count for chunk in column.chunks):
                raise TypeError(f"its column {name!r} holds {column.type}, or nothing in places, not whole numbers")
        if not pa.types.is_list(column.type) or not pc.list_value_length(column).cast(pa.int64()).equals(lengths):
            raise _FORMAT.damaged(folder, f"its column {name!r} has other lengths than it says")


def _read_manifest(folder: Path) -> dict[str, object]:
    place = folder / MANIFEST_FILE
    if not place.is_file():
        if (folder / "request").is_dir():
            ShardFolder.open(folder).check_complete()
        raise ValueError(
            f"{folder} is not a complete token data set of bulkgen (no {MANIFEST_FILE} in it); "
            f"make one with: bulkgen tokenize"
        )
    return _FORMAT.read(place)


def _write_shards(folder: Path, layout: Layout, batches: Iterable[pa.RecordBatch]) -> tuple[list[str], int, str]:
    """Write the shards; return their names, the number of rows, and the XXH3-128 of the shards one after the other."""
    parts: list[Path] = []
    rows = 0
    digest = xxhash.xxh3_128()
    # slices: no copy
    source = (batch.slice(row, ROWS_PER_BATCH) for batch in batches for row in range(0, batch.num_rows, ROWS_PER_BATCH))
    batch = next(source, None)
    while batch is not None or not parts:
        parts.append(folder / f"part-{len(parts)}")
        with parts[-1].open("wb", buffering=0) as file, pa.PythonFile(_Digested(file, digest), "w") as sink:

            def here(file: io.RawIOBase = file) -> Iterator[pa.RecordBatch]:
                nonlocal batch, rows
                while batch is not None and file.tell() < SHARD_BYTES:
                    rows += batch.num_rows
                    yield batch
                    batch = next(source, None)

            layout.write(sink, here())
    # their count is known last
    names = [f"data-{i:05d}-of-{len(parts):05d}.arrow" for i in range(len(parts))]
    for part, name in zip(parts, names, strict=True):
        part.rename(folder / name)
    return names, rows, digest.hexdigest()


class _Digested:
    """A file that is hashed while it is written."""

    closed = False

    def __init__(self, file: io.RawIOBase, digest: xxhash.xxh3_128) -> None:
        self._file, self._digest = file, digest

    def write(self, data: pa.Buffer | bytes) -> int:
        self._digest.update(data)
        left = memoryview(data)
        while left:
            # a raw file may take a part only
            left = left[self._file.write(left) :]
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Leave the file to whoever opened it."""
        self.closed = True


def _class_schema(schema: pa.Schema, label: str) -> pa.Schema:
    """Put the class ids before the `obs` columns, or in place of a label column that is itself named ``label``."""
    classes = pa.field(CLASS_COLUMN, pa.int64())
    if label == CLASS_COLUMN:
        return schema.set(schema.get_field_index(label), classes)
    place = next(i for i, field in enumerate(schema) if field.name not in RESERVED)
    return schema.insert(place, classes)


def _with_classes(batch: pa.RecordBatch, label: str, names: Sequence[str]) -> pa.RecordBatch:
    schema = _class_schema(batch.schema, label)
    class_ids = pc.index_in(batch.column(label), value_set=pa.array(names, pa.string())).cast(pa.int64())
    columns = [class_ids if field.name == CLASS_COLUMN else batch.column(field.name) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _without_classes(table: pa.Table, label: str, names: Sequence[str]) -> pa.Table:
    if label not in table.column_names:
        raise KeyError(f"it has no column {label!r}")
    place = table.schema.get_field_index(CLASS_COLUMN)
    if label != CLASS_COLUMN:
        return table.remove_column(place)
    class_ids: npt.NDArray[np.int64] = table[CLASS_COLUMN].to_numpy()
    if table[CLASS_COLUMN].null_count or np.any((class_ids < 0) | (class_ids >= len(names))):
        raise IndexError("a class id has no name")
    values = pa.array([names[i] for i in class_ids], pa.string())
    return table.set_column(place, pa.field(CLASS_COLUMN, pa.string()), values)


def _feature(field: pa.Field) -> dict[str, object]:
    """Describe a column in the words of `datasets`; "Sequence" is what every version since 2 reads."""
    if pa.types.is_list(field.type):
        return {"feature": _feature(field.type.value_field), "_type": "Sequence"}
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return {"dtype": names.get(str(field.type), str(field.type)), "_type": "Value"}


def plain_json(value: object) -> object:
    """Return `value` with NumPy's scalars and arrays as JSON has them; anything else unknown becomes text."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def plain_provenance(provenance: Mapping[str, object]) -> dict[str, object]:
    """Return provenance as JSON has it; files give the keys back in another order than they were written in."""
    return cast("dict[str, object]", plain_json({key: provenance[key] for key in sorted(provenance)}))


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def bulkgen_version() -> str:
    """Return the version of bulkgen."""
    import bulkgen

    return bulkgen.__version__
