"""Pages that are made from results, as GitHub shows them, on the site.

They name places by ``<a id="..."></a>``, which Sphinx does not know as targets, link to files of the repository beside
the documentation, and hold hundreds of figures and thousands of numbers with their deviations.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

REPOSITORY = "https://github.com/bulkgen/bulkgen/blob/main/"
ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>$', re.MULTILINE)
DEVIATION = re.compile(r"(?<=\d) ([±–]) (?=\d)")
OUTSIDE = re.compile(r"\]\((?:\.\./)+((?:benchmarks|examples|python|tests|cpp)/[^)]*)\)")


def adapt(_: Sphinx, page: str, source: list[str]) -> None:
    """Turn anchors into targets, and links to files outside of the documentation into links to the repository."""
    if page.startswith("reference/generated/"):
        return
    text = ANCHOR.sub(r"(\1)=", source[0])
    source[0] = OUTSIDE.sub(rf"]({REPOSITORY}\1)", text)


def finish(_: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Fetch figures when they come into view, of which there are some hundred; keep numbers with their deviations."""
    if "body" in context:
        body = context["body"].replace("<img ", '<img loading="lazy" ')
        context["body"] = DEVIATION.sub("&nbsp;\\1&nbsp;", body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("source-read", adapt)
    app.connect("html-page-context", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
