"""Hostile bulk tables: junk, bombs, endless lines, mixed encodings."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hostile_cases import TABLE, case


def _text(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@case(TABLE, "open_table", "decode byte")
def table_that_is_binary_junk(folder: Path) -> Path:
    return _text(folder, "bulk.csv", np.random.default_rng(0).bytes(100_000))


@case(TABLE, "open_table", "one column only")
def table_of_zero_bytes(folder: Path) -> Path:
    return _text(folder, "bulk.tsv", bytes(1_000_000))


@case(TABLE, "open_table", "decode byte")
def table_in_another_encoding(folder: Path) -> Path:
    return _text(folder, "bulk.csv", "gene_id,é\nENSG00000000001,1\n".encode("utf-16"))


@case(TABLE, "open_table", "decode byte")
def table_of_mixed_encodings(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"gene_id,s\xc3\xa9,t\nENSG00000000001,1,2\nENSG\xe9,1,2\n")


@case(TABLE, "open_table", "Expected 3 fields")
def ragged_table(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"gene_id,s,t\nENSG00000000001,1,2\nENSG00000000002,1,2,3,4,5\n")


@case(TABLE, "open_table", "no end", heavy=True)
def table_of_one_endless_line(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"a" * 300_000_000)


@case(TABLE, "open_table", "unpacks to", heavy=True)
def table_of_one_endless_compressed_line(folder: Path) -> Path:
    return _text(folder, "bulk.csv.bz2", bz2.compress(bytes(1_000_000)) * 3_000)


@case(TABLE, "open_table", "unpacks to", heavy=True)
def gzip_bomb(folder: Path) -> Path:
    path = folder / "bulk.tsv.gz"
    part = gzip.compress(b"ENSG00000000001\t1\t2\n" * 500_000, 9)
    path.write_bytes(gzip.compress(b"gene_id\ts\tt\n") + part * 400)
    return path


@case(TABLE, "open_table", "EOF inside string")
def table_with_an_open_quote(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b'gene_id,s,t\n"ENSG00000000001,1,2\n' + b"ENSG,1,2\n" * 1000)


@case(TABLE, "open_table", "too few", heavy=True)
def parquet_of_a_hundred_million_rows_in_a_few_bytes(folder: Path) -> Path:
    path = folder / "bulk.parquet"
    part = pa.table({"gene_id": pa.nulls(1 << 24, pa.string()), "s": pa.nulls(1 << 24, pa.int64())})
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(8):
            writer.write_table(part, row_group_size=1 << 24)
    return path


@case(TABLE, "open_table", "no column of numbers")
def parquet_of_objects(folder: Path) -> Path:
    path = folder / "bulk.parquet"
    pd.DataFrame({"gene_id": ["ENSG00000000001"], "s": [{"deep": [1, 2]}]}).to_parquet(path)
    return path
