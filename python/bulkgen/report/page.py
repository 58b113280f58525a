"""Self-contained pages: one HTML file with its figures inlined, no network, no script."""

from __future__ import annotations

import base64
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.errors import MissingExtraError
from bulkgen.io.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

__all__ = ["Figures", "render_page", "require_report_extra", "write_figures", "write_page"]

#: Figures by name, each with its alternative text, in the order of a page.
Figures = dict[str, "tuple[Figure, str]"]


def require_report_extra() -> None:
    """Raise :class:`bulkgen.errors.MissingExtraError` where a package that reports need is not installed."""
    for module in ("matplotlib", "jinja2"):
        if find_spec(module) is None:
            raise MissingExtraError(module, "report")


def render_page(template: str, svg: Mapping[str, bytes], descriptions: Mapping[str, str], **content: object) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template
        Its name; it extends ``page.html.j2``, which needs ``title``, ``banner`` (a mapping of ``title``, ``note`` and,
        for real cells, ``measured``; or ``None``), ``command``, ``versions`` and ``citations``.
    svg, descriptions
        Figures and their alternative texts, by name; ``image(name)`` gives the template a figure's address.
    **content
        What the template shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def image(name: str) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(svg[name]).decode("ascii")

    environment = Environment(
        loader=PackageLoader("bulkgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: "–" if value != value else f"{value:.3f}"
    # a number stays with its sign on one line
    environment.filters["tied"] = lambda text: re.sub(r" (?=[±=<%])|(?<=[±=<]) ", "\u00a0", text)
    return environment.get_template(template).render(image=image, descriptions=descriptions, **content)


def write_page(
    folder: str | Path, template: str, figures: Figures, *, overwrite: bool = False, **content: object
) -> Path:
    """Write ``report.html`` and, under ``figures/``, every figure as SVG and PNG.

    Parameters
    ----------
    folder
        An existing folder.
    template, **content
        As in :func:`render_page`.
    figures
        The figures.
    overwrite
        Replace a report that is there; figures that only the earlier one had are removed.

    Returns
    -------
    Path
        Where ``report.html`` is.

    Raises
    ------
    OutputExistsError
        If ``report.html`` exists and `overwrite` is false.
    """
    from bulkgen.report.figures import to_png, to_svg

    place = Path(folder) / "report.html"
    drawn = {name: to_svg(figure) for name, (figure, _) in figures.items()}
    described = {name: text for name, (_, text) in figures.items()}
    with atomic_file(place, overwrite=overwrite) as temporary:
        temporary.write_text(render_page(template, drawn, described, **content), encoding="utf-8")
    images = {f"{name}.svg": image for name, image in drawn.items()}
    images |= {f"{name}.png": to_png(figure) for name, (figure, _) in figures.items()}
    write_figures(Path(folder) / "figures", images, overwrite=overwrite)
    return place


def write_figures(folder: Path, images: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write figures by file name; with `overwrite`, those that an earlier report left there besides are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        with atomic_file(folder / name, overwrite=overwrite) as temporary:
            temporary.write_bytes(image)
    if overwrite:
        for path in folder.iterdir():
            if path.name not in images and _is_ours(path):
                path.unlink()


def _is_ours(path: Path) -> bool:
    """Tell whether a report made this file, as its metadata says at its beginning."""
    from bulkgen.report.figures import MAKER

    if path.suffix not in (".svg", ".png") or not path.is_file():
        return False
    with path.open("rb") as file:
        return MAKER.encode() in file.read(2048)
