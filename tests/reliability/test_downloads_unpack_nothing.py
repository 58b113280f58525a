"""What is downloaded stays one file: an archive whose paths lead elsewhere cannot write there."""

from __future__ import annotations

import ast
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import bulkgen
from bulkgen import fetching


def escaping_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../escaped", "x")
    return file.getvalue()


def escaping_tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo("/escaped")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    return file.getvalue()


@pytest.mark.parametrize(("name", "make"), [("data.zip", escaping_zip), ("data.tar.gz", escaping_tar)])
def test_an_archive_that_is_downloaded_is_not_unpacked(tmp_path, monkeypatch, name, make):
    pytest.importorskip("pooch")
    content = make()
    wanted = replace(
        fetching.DOWNLOADS["sciplex2"],
        file=name,
        md5=hashlib.md5(content).hexdigest(),
        size=len(content),
    )
    monkeypatch.setitem(fetching.DOWNLOADS, "sciplex2", wanted)
    # as if it had been downloaded up to its last byte
    cache = tmp_path / "deep" / "cache"
    cache.mkdir(parents=True)
    (cache / f"{name}.part").write_bytes(content)
    found = fetching.fetch("sciplex2", cache=cache, progress=False)
    assert found.read_bytes() == content
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert kept <= {name, f".{name}.lock"}


def test_no_module_of_the_package_can_unpack_an_archive():
    for path in Path(bulkgen.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            assert not {"zipfile", "tarfile"} & {*imported, module}, path
            assert getattr(node, "attr", "") not in ("unpack_archive", "extractall"), path
