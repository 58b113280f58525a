"""The results of studies as one page in Markdown, for documentation: the tables of the report, its figures as links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.io.atomic import atomic_file, check_output
from bulkgen.report.page import require_report_extra, write_figures
from bulkgen.report.study.overview import main_numbers
from bulkgen.report.study.page import study_page
from bulkgen.report.tables import Row, Table, table_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bulkgen.report.study.content import Origin, StudyContent
    from bulkgen.report.study.page import StudyPage
    from bulkgen.report.study.view import Picture

__all__ = ["markdown", "write_markdown"]

_HEAD = """\
# Results of studies

Made from stored results by `bulkgen study report FOLDER... --markdown PAGE`; no number is typed by hand. Scores are
balanced accuracy (mean recall of the labels) on test cells that took no part in training, estimation or any choice,
mean ± standard deviation over seeds. One test set serves all runs of a study, so the deviations are of training sets
and starting weights, not of test cells."""
_SIDE_BY_SIDE = (
    "One column for each study and model, in its problem of most labels; every number leads to its part. k is the "
    "number of cells per sample. The best of several was chosen on the test cells, so its score flatters it. "
    "Differences are from real cells alone, seed by seed, with p of a paired t-test by Holm's method over the "
    "comparisons of one study and model; with few seeds only large differences can be told from none."
)
_COLUMNS: Mapping[Origin, str] = {"real": "real", "simulated": "SIMULATED", "computed": "COMPUTED"}


def write_markdown(contents: Sequence[StudyContent], page: str | Path, *, overwrite: bool = False) -> Path:
    """Write the results of studies as one page, and every figure that is not minor as SVG in a folder beside it.

    Parameters
    ----------
    contents
        The results of the studies; each needs a name of its own.
    page
        The page, such as ``docs/results.md``; figures go to ``docs/results/<study>/``.
    overwrite
        Replace a page that is there, and its figures.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ValueError
        If two studies have one name.
    FileNotFoundError
        If the folder of `page` does not exist.
    OutputExistsError, MissingExtraError
        As :func:`bulkgen.report.study.html.write_html`.
    """
    page = check_output(page, overwrite=overwrite)
    names = [_file_name(content.name) for content in contents]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two studies are called {name!r}; give one another name in its TOML")
    require_report_extra()
    from bulkgen.report.figures import to_svg

    contained, chapters = [], []
    for content in contents:
        made, folder = study_page(content), f"{page.stem}/{_file_name(content.name)}"
        contained.append(_contents(made))
        chapters.append(markdown(made, figures=folder))
        images = {f"{picture.name}.svg": to_svg(picture.figure) for picture in _shown(made.pictures)}
        write_figures(page.parent / folder, images, overwrite=True)
    texts = [_HEAD, "## Contents", "\n".join(contained), "## Studies side by side", _side_by_side(contents), *chapters]
    with atomic_file(page, overwrite=overwrite) as temporary:
        temporary.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return page


def markdown(page: StudyPage, *, figures: str) -> str:
    """Return a study's results as a chapter, from a heading of the second level on.

    Parameters
    ----------
    page
        What the report says.
    figures
        Folder of the figures, as links name it.
    """
    parts = [_anchor(page.name), f"## {page.name}: {_origin(page)}", str(page.banner["note"]), page.caution.strip()]
    leading = [f"**{part}.** {text}" for part, texts in page.leading for text in texts]
    parts += [page.runs, _list([*page.levels, *leading]), page.uncertainty, _table(page.split)]
    for found in page.sections:
        parts += [_anchor(page.name, found.anchor), f"### {found.letter}. {found.title}"]
        parts.append(f"*{found.question}* ({found.runs}.)")
        parts.append(_list(finding.text for finding in found.findings if not finding.leading))
        for block in found.blocks:
            if len(found.blocks) > 1:
                parts.append(f"#### {block.title}")
            parts.append(_pictures(block.pictures, figures))
            parts += [_table(table) for table in block.tables]
        parts.append(_safe(found.note))
    if page.distributions:
        parts += ["### Training sets", _pictures(page.distributions, figures)]
    if page.failures is not None:
        parts += ["### Failures", _table(page.failures)]
    parts += ["### Cost", _table(page.cost), f"### How to reproduce\n\n```\n{page.command}\n```"]
    versions = ", ".join(f"{name} {version}" for name, version in page.versions.items())
    parts.append(f"Made with {versions}." if versions else "")
    parts.append(_list(page.citations))
    return "\n\n".join(part for part in parts if part)


def _origin(page: StudyPage) -> str:
    """Say in a heading where the cells come from, and their name once."""
    title = str(page.banner["title"])
    return title if page.data in title else f"{title} ({page.data})"


def _contents(page: StudyPage) -> str:
    parts = ", ".join(_link(f"{found.letter} {found.title}", page.name, found.anchor) for found in page.sections)
    return f"* {_link(page.name, page.name)}: {_origin(page)}. {parts}"


def _side_by_side(contents: Sequence[StudyContent]) -> str:
    """Compare the main numbers of studies; a study without one has a dash."""
    columns = {
        f"{_link(content.name, content.name)}, {model}, {_COLUMNS[content.origin]}": (
            content.name,
            main_numbers(content, model),
        )
        for content in contents
        for model in content.models
    }
    letters = {part.name: part.letter for content in contents for part in content.parts} | {"": ""}
    what = dict.fromkeys(number for _, found in columns.values() for number in found)
    rows = []
    for part, name in sorted(what, key=lambda number: letters[number[0]]):
        cells = [
            _link(found[part, name], study, part) if part and (part, name) in found else found.get((part, name), "–")
            for study, found in columns.values()
        ]
        rows.append(Row.of(f"**{letters[part]}** {name}".removeprefix("**** "), *cells))
    return table_markdown(Table(_SIDE_BY_SIDE, ("", *columns), tuple(rows)))


def _anchor(*place: str) -> str:
    # headings of several studies are the same, so that the addresses that a site gives them are not known
    return f'<a id="{_address(*place)}"></a>'


def _link(text: str, *place: str) -> str:
    return f"[{text}](#{_address(*place)})"


def _address(*place: str) -> str:
    return "-".join(_file_name(word) for word in place)


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {_safe(sentence)}" for sentence in sentences)


def _table(table: Table) -> str:
    text = _safe(table_markdown(table))
    if not table.folded:
        return text
    caption, _, body = text.partition("\n\n")
    return f"<details><summary>{caption}</summary>\n\n{body}\n\n</details>"


def _pictures(pictures: Sequence[Picture], figures: str) -> str:
    return "\n".join(f"![{_safe(picture.description)}]({figures}/{picture.name}.svg)" for picture in _shown(pictures))


def _shown(pictures: Sequence[Picture]) -> list[Picture]:
    return [picture for picture in pictures if not picture.minor]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _safe(text: str) -> str:
    """Keep what looks like a tag from being one."""
    return text.replace("<", "&lt;").replace(">", "&gt;")
