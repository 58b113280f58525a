"""Figures that a notebook shows, alone or all of a report."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Gallery"]


@dataclass(frozen=True)
class Drawing:
    """One figure, which a notebook shows.

    Attributes
    ----------
    name
        The name of its file in the folder ``figures`` of a report.
    description
        What it shows, in a sentence.
    figure
        Matplotlib's, to change or to save.
    """

    name: str
    description: str
    figure: Figure

    def __repr__(self) -> str:
        return f"Drawing({self.name}: {self.description})"

    def _repr_html_(self) -> str:
        from bulkgen.report.figures import to_svg

        # as an image, so that names within one figure are not those of another
        data = base64.b64encode(to_svg(self.figure)).decode("ascii")
        text = escape(self.description)
        image = f'<img alt="{text}" style="background: white; max-width: 100%" src="data:image/svg+xml;base64,{data}">'
        return f"<figure>{image}<figcaption><code>{escape(self.name)}</code> {text}</figcaption></figure>"


class Gallery(Mapping[str, Drawing]):
    """The figures of a report by their names, in its order; a notebook shows them one below the other.

    Parameters
    ----------
    drawings
        The figures.
    """

    def __init__(self, drawings: tuple[Drawing, ...]) -> None:
        self._drawings = {drawing.name: drawing for drawing in drawings}

    def __getitem__(self, name: str) -> Drawing:
        try:
            return self._drawings[name]
        except KeyError:
            raise KeyError(f"no figure {name!r}; there are {', '.join(self._drawings)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawings)

    def __len__(self) -> int:
        return len(self._drawings)

    def __repr__(self) -> str:
        return f"Gallery({', '.join(self._drawings)})"

    def _repr_html_(self) -> str:
        return "\n".join(drawing._repr_html_() for drawing in self.values())
