"""The command line: one file per sub-command; each parses, builds a configuration and calls the library."""

from __future__ import annotations

from bulkgen.cli.app import main

__all__ = ["main"]
