"""How hostile files are opened; apart from what makes them, so that the process that opens them is small."""

from __future__ import annotations

from pathlib import Path

from stored_things import open_cells, open_fit, open_table, open_tokens, open_vocabulary

__all__ = [
    "open_by_rows",
    "open_cells",
    "open_fit",
    "open_pickle",
    "open_shards",
    "open_table",
    "open_token_shards",
    "open_tokens",
    "open_vocabulary",
    "resume_shards",
]


def open_by_rows(path: Path) -> tuple[str, str]:
    """Aggregate cells out of core, in blocks of a few rows and with all that is set aside on the disk."""
    import bulkgen
    from bulkgen.io import count_rows, spill

    count_rows.BLOCK_ENTRIES, spill._IN_MEMORY = 200, 100
    out = path.with_name("out.h5ad")
    bulkgen.pseudobulk(path, by="label", k=3, threads=1, out=out)
    found = open_cells(out)
    out.unlink()
    return found


def open_shards(path: Path) -> tuple[str, str]:
    """Open shards of cells as one and use all of them."""
    import bulkgen

    cells = bulkgen.open_shards(path)
    matrix = cells.X.compute()
    return f"{cells.shape} {matrix.shape}", cells.obs.to_csv()


def open_token_shards(path: Path) -> tuple[str, str]:
    """Open shards of tokens as one."""
    return open_tokens(path)


def resume_shards(path: Path) -> tuple[str, str]:
    """Go on with shards."""
    import shards_made

    shards_made.make(path, resume=True)
    return "resumed", shards_made.content(path)


def open_pickle(path: Path) -> tuple[str, str]:
    """Read a dictionary of genes out of a pickle."""
    from bulkgen.tokens.pickles import read_bytes, read_pickle

    found = read_pickle(read_bytes(path), source=path.name)
    return f"{len(found)}", repr(found)
