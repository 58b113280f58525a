"""The README's table of speeds from a results file.

    python benchmarks/speed_table.py [RESULTS.json]

The newest results file by default; prints the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import render

_HEAD = ("| job | bulkgen | beside | |", "|---|---|---|---|")


@dataclass(frozen=True)
class Line:
    """A figure of bulkgen (job, race, side) and the sides that it stands beside (race, bulkgen's side, peer, words)."""

    what: str
    figure: tuple[str, str | None, str]
    beside: tuple[tuple[str, str, str, str], ...] = ()


def _generator(method: str) -> Line:
    return Line(
        f"`{method}`, 20,000 genes, to CSR",
        ("generators", f"generator_{method}", "to CSR"),
        ((f"peer_{method}", "bulkgen", "NumPy", "NumPy's vectorised draws, 2,048 cells"),),
    )


LINES = (
    Line(
        "truncated Gaussian, 20,000 genes, one thread",
        ("truncated_gaussian", "truncated_gaussian", "bulkgen inverse, 1 thread"),
        (
            ("truncated_gaussian", "bulkgen inverse, 1 thread", "scipy.stats.truncnorm", "`scipy.stats.truncnorm`"),
            ("truncated_gaussian", "bulkgen inverse, 1 thread", "NumPy, redrawn", "NumPy, redrawn until inside"),
        ),
    ),
    Line(
        "pseudo-bulk, 100,000 cells, 150 million entries, groups of ten, checked, dense",
        ("pseudobulk", "pseudobulk_many", "bulkgen dense"),
        (
            ("pseudobulk_many", "bulkgen dense", "scanpy", "`scanpy.get.aggregate`"),
            ("pseudobulk_many", "bulkgen dense", "decoupler", "`decoupler.pp.pseudobulk`"),
            ("pseudobulk_many", "bulkgen dense", "SciPy product", "SciPy indicator product"),
        ),
    ),
    Line(
        "moments of 20,000 genes of the same cells, one pass, checked",
        ("gene_moments", "gene_moments", "bulkgen"),
        (("gene_moments", "bulkgen", "scanpy aggregate (mean, variance)", "`scanpy.get.aggregate`"),),
    ),
    *map(_generator, ("multinomial", "negative_binomial", "donor_shift")),
    Line(
        "10,000 cells to a data set of V2 tokens on disk",
        ("tokenize", "tokenize", "bulkgen"),
        (("tokenize", "bulkgen", "plain tokenizer", "the reference's way, in plain Python"),),
    ),
    Line(
        "a million truncated Gaussian cells straight to V1 tokens on disk",
        ("synthesize", None, "a million cells straight to tokens"),
        (("synthesize", "straight to tokens", "through h5ad", "through h5ad"),),
    ),
)


def table(record: dict) -> str:
    """Give the table as Markdown."""
    figures = record["results"]["figures"]
    return "\n".join([*_HEAD, *(row for line in LINES for row in _rows(line, figures))])


def _rows(line: Line, figures: list[dict]) -> Iterator[str]:
    job, race, side = line.figure
    found = _one(figures, job=job, race=race, what=side, against=None)
    first = (line.what, f"{render.number(found['median'])} {found['unit']}")
    for peer_race, own, peer, words in line.beside:
        ratio = _one(figures, job=job, race=peer_race, what=own, against=peer)
        yield f"| {' | '.join(first)} | {words} | {render.number(ratio['median'])}× |"
        first = ("", "")


def _one(figures: list[dict], **wanted: str | None) -> dict:
    """Return the one figure that is asked for."""
    found = [figure for figure in figures if all(figure.get(name) == value for name, value in wanted.items())]
    if len(found) != 1:
        raise LookupError(f"{len(found)} figures are {wanted}")
    return found[0]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=render.newest())
    print(table(json.loads(parser.parse_args(arguments).results.read_text())))


if __name__ == "__main__":
    main()
