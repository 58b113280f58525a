"""``python -m bulkgen``: the command line."""

from __future__ import annotations

from bulkgen.cli import main

main()
