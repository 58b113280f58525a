"""The code blocks of a page, and what a comment before a block says of how it is tested.

``<!-- not run: REASON -->``: the block is not run. ``<!-- needs: PACKAGE -->``: not where the package is missing.
``<!-- run with "NEW" for "OLD" -->``: so that it takes seconds, NEW stands in the place of OLD; there may be several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = ("sh", "bash", "console")
_FENCE = re.compile(r"^(```+) *([\w{}-]*)[^\n]*\n(.*?)^\1 *$", re.MULTILINE | re.DOTALL)
_COMMENTS = re.compile(r"((?:<!-- [^\n]*? -->\n)+)\n?\Z")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
_NEEDS = re.compile(r"<!-- needs: (\w+) -->")
_RUN_WITH = re.compile(r'<!-- run with "(.*?)" for "(.+?)" -->')


@dataclass(frozen=True)
class Block:
    """A block of code, as it is run."""

    language: str
    code: str
    line: int
    not_run: str | None
    needs: str | None


def code_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are Python or commands, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for fence in _FENCE.finditer(text):
        language, code = fence[2], fence[3]
        if language not in ("python", *SHELLS):
            continue
        before = _COMMENTS.search(text, 0, fence.start())
        said = before[1] if before else ""
        for new, old in _RUN_WITH.findall(said):
            assert old in code, f"{page.name} has a comment about {old!r}, which the block after it does not hold"
            code = code.replace(old, new)
        if language == "console":
            code = "\n".join(line[2:] for line in code.splitlines() if line.startswith(("$ ", "> ")))
        reason, needs = _NOT_RUN.search(said), _NEEDS.search(said)
        line = text.count("\n", 0, fence.start()) + 2
        blocks.append(Block(language, code, line, reason and reason[1], needs and needs[1]))
    return blocks
