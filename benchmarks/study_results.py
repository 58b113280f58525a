"""Results of the studies in ``benchmarks/studies``: how they are stored, and the page that is made of them.

    bulkgen study run benchmarks/studies/NAME.toml --out FOLDER --jobs 2
    python benchmarks/study_results.py store FOLDER...
    python benchmarks/study_results.py page

``store`` writes ``benchmarks/results/studies/<name>/``: the settings, the facts of the data, the tables, and the
records of the runs in one compressed file. ``page`` writes ``docs/results.md`` and its figures from all that is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkgen.report.study.markdown import write_markdown
from bulkgen.study import StudyResults
from bulkgen.study.reporting import study_content

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "benchmarks" / "results" / "studies"
PAGE = ROOT / "docs" / "results.md"
#: Order on the page; others follow by name.
ORDER = ("interferon", "cell_lines", "twin", "interferon_tiny", "cell_lines_tiny", "twin_tiny")
_PLAIN = ("results.csv", "cost.csv", "split.parquet")
_RUNS = "runs.tar.xz"


def store(folder: Path) -> Path:
    """Store the results of a study that is complete; return where.

    Raises
    ------
    SystemExit
        If runs are missing.
    """
    results = StudyResults.load(folder)
    if results.missing:
        raise SystemExit(f"{folder}: {len(results.missing)} runs are missing; run the study to its end first")
    target = STORED / results.config.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in _PLAIN:
        shutil.copyfile(folder / name, target / name)
    # tables give the scores; the page also needs the records
    with tarfile.open(target / _RUNS, "w:xz") as archive:
        for key in sorted(results.runs):
            archive.add(folder / "runs" / f"{key}.json", f"runs/{key}.json", filter=_without_owner)
    settings = (folder / "study.toml").read_text(encoding="utf-8")
    (target / "study.toml").write_text(_seen_from(settings, target), encoding="utf-8")
    facts = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    facts["command"] = f"bulkgen study run benchmarks/studies/{results.config.name}.toml --out {results.config.name}"
    (target / "data.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return target


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Say nothing of who stored a file, or when: the same records give the same bytes."""
    member.uid = member.gid = 0
    member.mtime, member.mode = 0, 0o644
    member.uname = member.gname = ""
    return member


def _seen_from(settings: str, folder: Path) -> str:
    """Write the paths of settings relative to the folder that they are stored in."""

    def relative(found: re.Match[str]) -> str:
        # shared data lies beside the repository, wherever that is
        shared = Path(os.path.normpath(found["path"])).as_posix().rpartition("/shared/")[2]
        outside = ROOT.parent / "shared" / shared
        return f'{found["name"]} = "{Path(os.path.relpath(outside, folder)).as_posix()}"'

    return re.sub(r'^(?P<name>path) = "(?P<path>/.*)"$', relative, settings, flags=re.MULTILINE)


def names() -> list[str]:
    """Return the studies that are stored, in the order of the page."""
    found = sorted(path.parent.name for path in STORED.glob("*/data.json"))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


@contextmanager
def opened(name: str) -> Iterator[StudyResults]:
    """Give the results of a stored study."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        shutil.copytree(STORED / name, folder)
        with tarfile.open(folder / _RUNS) as archive:
            archive.extractall(folder, filter="data")
        yield StudyResults.load(folder)


def write_page(page: Path = PAGE) -> Path:
    """Write the page of all stored studies, and its figures."""
    contents = []
    for name in names():
        with opened(name) as results:
            contents.append(study_content(results))
    return write_markdown(contents, page, overwrite=True)


def main(arguments: list[str] | None = None) -> None:
    """Store results, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("store").add_argument("folders", type=Path, nargs="+")
    what.add_parser("page").add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    if given.what == "page":
        print("written to", write_page(given.out))
        return
    for folder in given.folders:
        print("stored in", store(folder))


if __name__ == "__main__":
    main()
