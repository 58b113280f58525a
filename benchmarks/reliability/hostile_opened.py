"""How hostile files are opened; apart from what makes them, so that the process that opens them is small."""

from __future__ import annotations

from pathlib import Path

from stored_things import open_cells, open_fit, open_table, open_tokens, open_vocabulary

__all__ = ["open_cells", "open_fit", "open_pickle", "open_table", "open_tokens", "open_vocabulary"]


def open_pickle(path: Path) -> tuple[str, str]:
    """Read a dictionary of genes out of a pickle."""
    from bulkgen.tokens.pickles import read_bytes, read_pickle

    found = read_pickle(read_bytes(path), source=path.name)
    return f"{len(found)}", repr(found)
