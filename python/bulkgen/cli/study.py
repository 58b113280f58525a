"""``bulkgen study``: a grid of training sets, models and seeds, with one frozen real test set."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkgen.cli.help import Command, Group
from bulkgen.cli.options import Json
from bulkgen.cli.shards import Shard, read_shard

if TYPE_CHECKING:
    from bulkgen.study import StudyConfig, StudyEvent, StudyResults

__all__ = ["study"]

study = typer.Typer(
    cls=Group,
    help="Run the study of the poster and others, and report on them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study.")]

_WIDTH = 80


@study.command(cls=Command)
def run(
    source: Annotated[str, typer.Argument(metavar="TOML|PRESET", help="The study's file, or the name of a preset.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study; an unfinished one is gone on with.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes at the same time.")] = 1,
    shard: Shard = "1/1",
    data: Annotated[
        Path | None, typer.Option(help="Real cells for the study: a file of sci-Plex2, or what the TOML's source says.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1,...", help="Seeds in the place of the study's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting in the place of the study's, as parts.bulkiness.k=[1,10]; may be repeated.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Run only what this part needs; may be repeated.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run again what failed before.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave the report out.")] = False,
    json_: Json = False,
) -> None:
    """Run what is missing of a study.

    It may be stopped at any time; the same command goes on.
    """
    overrides = dict(map(_read_setting, settings or []))
    if seeds is not None:
        overrides["seeds"] = _numbers(seeds, "--seeds")
    config = read_study(source, overrides, data)
    results = run_and_tell(
        config, out, jobs=jobs, shard=read_shard(shard), only=only, retry_failed=retry_failed, report=not no_report
    )
    finish(results, as_json=json_)


@study.command(cls=Command)
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of studies.")],
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="Write all of them as one page in Markdown instead, figures beside it."),
    ] = None,
    json_: Json = False,
) -> None:
    """Make the reports and their figures again, from the results alone."""
    from bulkgen.report.study.markdown import write_markdown
    from bulkgen.study import StudyResults
    from bulkgen.study.reporting import study_content, write_report

    found = [StudyResults.load(folder) for folder in folders]
    if markdown is not None:
        pages = [write_markdown([study_content(results) for results in found], markdown, overwrite=True)]
    else:
        pages = [write_report(results) for results in found]
    written = [str(page.absolute()) for page in pages]
    if json_:
        typer.echo(json.dumps({"pages": written}))
        return
    for page in written:
        typer.echo(f"The {'report' if markdown is None else 'page'}: {page}")


@study.command(cls=Command)
def status(folder: Folder, json_: Json = False) -> None:
    """Say how far a study is, also while it runs."""
    from bulkgen.study import StudyResults

    _print_status(StudyResults.load(folder), as_json=json_)


@study.command(cls=Command)
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's TOML, to change and run it.")] = None,
    json_: Json = False,
) -> None:
    """List the studies that come with bulkgen, or print one."""
    from bulkgen.study.config import preset_names, preset_text

    if json_:
        typer.echo(json.dumps({known: preset_text(known) for known in ([name] if name else preset_names())}))
        return
    if name is not None:
        typer.echo(preset_text(name), nl=False)
        return
    for known in preset_names():
        # a preset says in its first line what it is
        typer.echo(f"{known:<8}{preset_text(known).splitlines()[0].lstrip('# ')}")


def read_study(source: str, overrides: dict[str, Any], data: Path | None) -> StudyConfig:
    """Read a study's file or a preset, with settings in the place of its own."""
    from bulkgen.study import StudyConfig
    from bulkgen.study.config import preset_names

    def read(overrides: dict[str, Any]) -> StudyConfig:
        if source in preset_names():
            return StudyConfig.preset(source, overrides=overrides)
        return StudyConfig.from_toml(source, overrides=overrides)

    if data is None:
        return read(overrides)
    real: dict[str, Any] = {"data.path": str(data.absolute())}
    if overrides.get("data.source") is None and read({}).data.source == "sciplex2_twin":
        # the real data set takes the place of its twin
        real |= {"data.source": "sciplex2", "data.n_cells": None}
    return read(overrides | real)


def run_and_tell(
    config: StudyConfig,
    out: Path,
    *,
    jobs: int,
    shard: tuple[int, int] = (1, 1),
    only: list[str] | None = None,
    retry_failed: bool = False,
    report: bool = True,
) -> StudyResults:
    """Run a study and say on standard error how far it is."""
    from bulkgen.study import run_study

    started = time.perf_counter()

    def say(event: StudyEvent) -> None:
        typer.echo(progress_line(event, time.perf_counter() - started), err=True)

    try:
        return run_study(
            config,
            out,
            jobs=jobs,
            shard=shard,
            only=only,
            retry_failed=retry_failed,
            report=report,
            command=shlex.join(["bulkgen", *sys.argv[1:]]),
            on_event=say,
        )
    except KeyboardInterrupt:
        typer.echo("bulkgen: interrupted; what is done is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None


def progress_line(event: StudyEvent, seconds: float) -> str:
    """Say an event: a run in one line, which loses its middle where it is too long; anything else whole."""
    head = f"[{seconds:4.0f} s] " + (f"{event.finished}/{event.total} " if event.key else "")
    tail = f" ({event.seconds:.1f} s)" if event.seconds is not None else ""
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    room = max(20, width - len(head) - len(tail))
    text = event.text
    if not event.key:
        return textwrap.fill(head + text, width, subsequent_indent=" " * len(head), break_long_words=False)
    if len(text) > room and event.kind != "failed":
        # what follows the last two commas says at which k, and with which seed
        end = ", ".join(["…", *text.rsplit(", ", 2)[1:]])
        text = text[: max(0, room - len(end))] + end
    return head + text + tail


def finish(results: StudyResults, *, as_json: bool, findings: bool = False) -> None:
    """Say how far the study is, and perhaps what it found; fail if a run of it did."""
    _print_status(results, as_json=as_json)
    if findings and not as_json:
        _print_findings(results)
    page = results.folder / "report.html"
    if page.is_file() and not as_json:
        typer.echo(f"The report: {page.absolute()}")
    if results.failed or results.benchmark_error is not None:
        raise typer.Exit(1)


def _print_status(results: StudyResults, *, as_json: bool) -> None:
    progress = results.progress()
    failures = [
        {"key": key, "error": f"{record['error']['type']}: {record['error']['message']}"}
        for key, record in results.failed.items()
        if record["error"] is not None
    ]
    if as_json:
        parts = json.loads(progress.to_json(orient="records"))
        found = {
            "folder": str(results.folder),
            "simulated": results.data.simulated,
            "parts": parts,
            "failures": failures,
            "missing": len(results.missing),
        }
        typer.echo(json.dumps(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=_WIDTH, highlight=False, markup=False)
    if results.data.simulated:
        console.print(f"{results.data.origin.upper()} data:", results.data.name)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("part", max_width=44)
    for column in ("done", "failed", "missing", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in progress.itertuples():
        table.add_row(f"{row.part}", f"{row.done}", f"{row.failed}", f"{row.missing}", f"{row.seconds:.0f}")
    console.print(table)
    for error, keys in _by_error(failures).items():
        console.print(f"failed ({len(keys)} runs, such as runs/{keys[0]}.json): {error}")
    if results.benchmark_error is not None:
        console.print("The benchmark of the generators failed:", results.benchmark_error["message"])
    if failures or results.benchmark_error is not None:
        folder = shlex.quote(str(results.folder))
        console.print(f"To try them again: bulkgen study run {folder}/study.toml --out {folder} --retry-failed")


def _print_findings(results: StudyResults) -> None:
    """Say what the report begins with."""
    from bulkgen.report.study.findings import findings
    from bulkgen.study.reporting import study_content

    content = study_content(results)
    for part in content.parts:
        for finding in findings(content, part.name):
            if finding.leading:
                typer.echo(textwrap.fill(f"{part.letter}. {finding.text}", _WIDTH, subsequent_indent="   "))


def _by_error(failures: list[dict[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for failure in failures:
        found.setdefault(failure["error"], []).append(failure["key"])
    return found


def _read_setting(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; the value is TOML where it can be (true, 0.5, [1, 2]), else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"{text!r} is not of the form KEY=VALUE", param_hint="--set")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def _numbers(text: str, option: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() for word in words):
        raise typer.BadParameter(f"{text!r} is no list of numbers, such as 0,1,2", param_hint=option)
    return list(map(int, words))
