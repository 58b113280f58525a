"""Downloads against a real HTTP server: resumed, checked, never half a file in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import bulkgen
from bulkgen import fetching
from bulkgen.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server:
    """A server of one file, and what it was asked for."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges = True
        self.send_at_most = None  # bytes of a response before the connection is cut
        self.status = None
        self.requests: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                server.requests.append(asked)
                if server.status is not None:
                    self.send_error(server.status)
                    return
                first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
                body = server.content[first:]
                self.send_response(206 if asked and server.ranges else 200)
                if asked and server.ranges:
                    last = len(server.content) - 1
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(server.content)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.send_at_most])

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/cells.h5ad"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    serving = Server()
    monkeypatch.setitem(fetching.DOWNLOADS, "sciplex2", download_of(serving, CONTENT))
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    yield serving
    serving.close()


def download_of(server, content):
    return fetching.Download(
        file="cells.h5ad",
        url=server.url,
        page="https://zenodo.org/records/13350497",
        md5=hashlib.md5(content).hexdigest(),
        size=len(content),
        licence="CC BY 4.0",
        citations=("Srivatsan", "Peidli"),
    )


def kept(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server, tmp_path):
    path = bulkgen.fetch("sciplex2", cache=tmp_path)
    assert path == tmp_path / "cells.h5ad"
    assert path.read_bytes() == CONTENT
    assert bulkgen.fetch("sciplex2", cache=tmp_path) == path
    assert server.requests == [None]
    assert kept(tmp_path) == ["cells.h5ad"]


def test_the_cache_follows_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("BULKGEN_CACHE", str(tmp_path / "deep" / "cache"))
    assert bulkgen.fetch("sciplex2") == tmp_path / "deep" / "cache" / "cells.h5ad"
    assert fetching.cache_folder() == tmp_path / "deep" / "cache"


def test_a_part_is_continued_where_it_ended(server, tmp_path):
    (tmp_path / "cells.h5ad.part").write_bytes(CONTENT[:123_456])
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT
    assert server.requests == ["bytes=123456-"]
    assert kept(tmp_path) == ["cells.h5ad"]


def test_a_truncated_body_is_continued_and_never_in_the_cache(server, tmp_path):
    server.send_at_most = 70_000
    with pytest.raises(DownloadError, match="196,608 bytes are kept and will be continued"):
        bulkgen.fetch("sciplex2", cache=tmp_path)
    # whole chunks of 64 KiB are kept
    assert server.requests == [None, "bytes=65536-", "bytes=131072-"]
    assert kept(tmp_path) == ["cells.h5ad.part"]
    server.send_at_most = None
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT
    assert server.requests[3:] == ["bytes=196608-"]


def test_a_body_that_ends_early_without_an_error_is_noticed(server, tmp_path):
    server.content = CONTENT[:200_000]
    with pytest.raises(DownloadError, match=re.escape("could not be downloaded")):
        bulkgen.fetch("sciplex2", cache=tmp_path)
    assert "cells.h5ad" not in kept(tmp_path)


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "cells.h5ad.part").write_bytes(b"x" * 1000)
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]


def test_a_part_of_something_else_is_thrown_away_and_the_file_downloaded(server, tmp_path):
    (tmp_path / "cells.h5ad.part").write_bytes(b"x" * 1000)
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-", None]
    (tmp_path / "cells.h5ad").unlink()
    (tmp_path / "cells.h5ad.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_never_ends_up_in_the_cache(server, tmp_path):
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match="has another MD5 and was removed") as caught:
        bulkgen.fetch("sciplex2", cache=tmp_path)
    assert hashlib.md5(CONTENT).hexdigest() in str(caught.value)
    assert kept(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path):
    (tmp_path / "cells.h5ad").write_bytes(b"damaged")
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_of_the_server_is_said_and_a_part_kept(server, tmp_path, status):
    server.status = status
    with pytest.raises(DownloadError, match=str(status)):
        bulkgen.fetch("sciplex2", cache=tmp_path)
    assert kept(tmp_path) == []


def test_a_range_that_the_server_cannot_serve_starts_again(server, tmp_path):
    (tmp_path / "cells.h5ad.part").write_bytes(CONTENT[:1000])
    server.status = 416
    with pytest.raises(DownloadError, match="416"):
        bulkgen.fetch("sciplex2", cache=tmp_path)
    assert kept(tmp_path) == []


def test_without_network_it_says_what_to_download_from_where_and_where_to_put_it(server, tmp_path):
    server.close()
    with pytest.raises(DownloadError) as caught:
        bulkgen.fetch("sciplex2", cache=tmp_path)
    message = str(caught.value)
    wanted = fetching.DOWNLOADS["sciplex2"]
    for part in (wanted.file, f"{wanted.size:,} bytes", wanted.md5, wanted.page, str(tmp_path / wanted.file)):
        assert part in message
    # and what was put there by hand is taken
    (tmp_path / wanted.file).write_bytes(CONTENT)
    assert bulkgen.fetch("sciplex2", cache=tmp_path).read_bytes() == CONTENT


def test_two_at_once_download_once(server, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(bulkgen.fetch("sciplex2", cache=tmp_path))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert server.requests == [None]


def test_the_published_file_is_the_one_asked_for():
    wanted = fetching.DOWNLOADS["sciplex2"]
    assert (wanted.size, wanted.md5) == (145_178_504, "12a48293a166a859f994551653a2ad8c")
    assert wanted.licence == "CC BY 4.0"
    assert "13350497" in wanted.url
    assert wanted.file in wanted.url
    assert [text.split()[0] for text in wanted.citations] == ["Srivatsan", "Peidli"]


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no data set 'sciplex3' to fetch; known: sciplex2"):
        bulkgen.fetch("sciplex3", cache=tmp_path)


def run(*arguments, cwd, **variables):
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", **variables}
    return subprocess.run(
        [sys.executable, "-m", "bulkgen", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_without_network_says_what_to_do(tmp_path):
    # a proxy that refuses stands for a machine without network
    result = run("fetch", "sciplex2", cwd=tmp_path, BULKGEN_CACHE=str(tmp_path), https_proxy="http://127.0.0.1:9")
    assert result.returncode == 1
    assert result.stderr.startswith("bulkgen: error: SrivatsanTrapnell2020_sciplex2.h5ad could not be downloaded")
    assert "https://zenodo.org/records/13350497" in result.stderr
    assert str(tmp_path / "SrivatsanTrapnell2020_sciplex2.h5ad") in result.stderr
