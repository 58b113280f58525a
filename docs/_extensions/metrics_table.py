"""The directive ``metrics``: a table for each group of metrics, from the package's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from bulkgen.fidelity import GROUPS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx


class MetricsTable(SphinxDirective):
    """List the metrics."""

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown of the tables where the directive stands."""
        return self.parse_text_to_nodes("\n".join(tables()), allow_section_headings=True)


def tables() -> Iterator[str]:
    """Yield the Markdown of every group."""
    for group, heading in GROUPS.items():
        yield from (f"## {heading}", "", f"Group `{group}`.", "")
        yield from ("| metric | what it is | better | perfect |", "|---|---|---|--:|")
        for metric in METRICS.values():
            if metric.group == group:
                unit = f" ({metric.unit})" if metric.unit else ""
                yield f"| `{metric.name}` | {metric.description}{unit} | {metric.better} | {metric.perfect:g} |"
        yield ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("metrics", MetricsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
