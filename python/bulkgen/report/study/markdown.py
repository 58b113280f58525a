"""The results of studies as a page in Markdown, for documentation: the tables of the report, its figures as links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.io.atomic import atomic_file, check_output
from bulkgen.report.page import require_report_extra, write_figures
from bulkgen.report.study.page import study_page
from bulkgen.report.tables import table_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulkgen.report.study.content import StudyContent
    from bulkgen.report.study.page import StudyPage
    from bulkgen.report.study.view import Picture
    from bulkgen.report.tables import Table

__all__ = ["markdown", "write_markdown"]

_HEAD = """\
# Results of studies

Made from stored results by `bulkgen study report FOLDER... --markdown`; no number is typed by hand. Scores are balanced
accuracy on test cells that took no part in training, estimation or any choice, mean ± standard deviation over seeds."""


def markdown(content: StudyContent, *, figures: str = "figures") -> str:
    """Return a study's results as a section in Markdown.

    Parameters
    ----------
    content
        The results of a study.
    figures
        Folder of the figures, as links name it.

    Returns
    -------
    str
        From a heading of the second level on.

    Raises
    ------
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    """
    return _section(content, study_page(content), figures)


def write_markdown(contents: Sequence[StudyContent], page: str | Path, *, overwrite: bool = False) -> Path:
    """Write the results of studies as one page, with the figures in a folder beside it.

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
    OutputExistsError
        If `page` exists and `overwrite` is false.
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    """
    page = check_output(page, overwrite=overwrite)
    names = [_file_name(content.name) for content in contents]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two studies are called {name!r}; give one another name in its TOML")
    require_report_extra()
    from bulkgen.report.figures import to_svg

    texts = [_HEAD]
    for content in contents:
        made, folder = study_page(content), f"{page.stem}/{_file_name(content.name)}"
        texts.append(_section(content, made, folder))
        images = {f"{picture.name}.svg": to_svg(picture.figure) for picture in _shown(made.pictures)}
        write_figures(page.parent / folder, images, overwrite=True)
    with atomic_file(page, overwrite=overwrite) as temporary:
        temporary.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return page


def _section(content: StudyContent, page: StudyPage, figures: str) -> str:
    parts = [f"## {content.name}: {content.data['name']}"]
    parts.append(f"**{page.banner['title']}.** {page.banner['note']}".strip())
    leading = [f"**{part}.** {text}" for part, texts in page.leading for text in texts]
    parts += [page.runs, _list([*page.levels, *leading])]
    parts.append(_table(page.split))
    for found in page.sections:
        parts += [f"### {found.letter}. {found.title}", f"*{found.question}* ({found.runs}.)"]
        parts.append(_list(finding.text for finding in found.findings if not finding.leading))
        for block in found.blocks:
            if len(found.blocks) > 1:
                parts.append(f"#### {block.title}")
            parts.append(_pictures(block.pictures, figures))
            parts += [_table(table) for table in block.tables]
        parts.append(found.note)
    if page.distributions:
        parts += ["### Training sets", _pictures(page.distributions, figures)]
    if page.failures is not None:
        parts += ["### Failed runs", _table(page.failures)]
    parts += ["### Cost", _table(page.cost), f"### How to reproduce\n\n```\n{content.command}\n```"]
    versions = ", ".join(f"{name} {version}" for name, version in content.versions.items())
    parts.append(f"Made with {versions}." if versions else "")
    parts.append(_list(content.citations))
    return "\n\n".join(part for part in parts if part)


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
    return text.replace("<", "&lt;")
