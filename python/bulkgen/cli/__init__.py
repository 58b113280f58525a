"""The command line: one file per sub-command; each parses, builds a configuration and calls the library."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; an interrupt while it is still being loaded is no crash either."""
    try:
        from bulkgen.cli.app import main as run
    except KeyboardInterrupt:
        if os.environ.get("BULKGEN_DEBUG"):
            raise
        print("bulkgen: error: interrupted; nothing was begun", file=sys.stderr)  # noqa: T201 - before there is an app
        sys.exit(130)
    run()
