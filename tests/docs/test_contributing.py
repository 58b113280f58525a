"""The walk-throughs of CONTRIBUTING name files that hold what they are said to, and leave out none of a kernel."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: Heading of the walk-through -> the word to follow, and files that hold it under another name.
FOLLOWED = {
    "generator": (
        "donor_shift",
        {"python/bulkgen/rng.py": "DONOR_KEEP", "docs/reference/generators.md": "DonorShift"},
    ),
    "kernel": ("thin_rows", {}),
    "metric": ("correlation_slope", {}),
}


def files_of(what: str) -> list[str]:
    """Files of the table of a walk-through."""
    section = GUIDE.split(f"## Adding a {what}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([\w./]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("what", FOLLOWED)
def test_every_file_of_the_walk_through_holds_the_word(what):
    word, otherwise = FOLLOWED[what]
    files = files_of(what)
    assert len(files) >= 6
    for file in files:
        assert otherwise.get(file, word) in (ROOT / file).read_text(encoding="utf-8"), file


def test_the_walk_through_leaves_out_no_file_of_a_kernel():
    section = GUIDE.split("## Adding a kernel\n")[1].split("\n## ")[0]
    places = [ROOT / "CMakeLists.txt", ROOT / "cpp", ROOT / "python" / "bulkgen" / "kernels"]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    sources = [file for file in files if file.suffix in (".cpp", ".hpp", ".py", ".txt")]
    holding = {str(file.relative_to(ROOT)) for file in sources if "thin_rows" in file.read_text(encoding="utf-8")}
    assert {file for file in holding if f"`{file}`" not in section} == set()
