"""Public data sets from the network: downloaded once, resumed where a download broke off, checked, kept in a cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bulkgen.arguments import checked
from bulkgen.datasets import SCIPLEX2_CITATION
from bulkgen.errors import DownloadError, MissingExtraError
from bulkgen.io.waiting import held
from bulkgen.progress import progress_bar

if TYPE_CHECKING:
    import requests

__all__ = ["DOWNLOADS", "Download", "cache_folder", "fetch"]

#: Environment variable that names another cache folder.
_CACHE_VARIABLE = "BULKGEN_CACHE"
_CONNECT_SECONDS, _SILENCE_SECONDS = 10, 60
_RETRIES = 2
_CHUNK_BYTES = 1 << 16  # the last, broken one is lost when a connection breaks


@dataclass(frozen=True)
class Download:
    """A file that can be fetched.

    Attributes
    ----------
    file
        Its name in the cache.
    url, page
        Where it is, and the page that describes it.
    md5, size
        What it must be; size in bytes.
    licence
        Terms of use.
    citations
        What to cite when using it.
    """

    file: str
    url: str
    page: str
    md5: str
    size: int
    licence: str
    citations: tuple[str, ...]


#: What can be fetched, by name.
DOWNLOADS = {
    "sciplex2": Download(
        file="SrivatsanTrapnell2020_sciplex2.h5ad",
        url="https://zenodo.org/records/13350497/files/SrivatsanTrapnell2020_sciplex2.h5ad?download=1",
        page="https://zenodo.org/records/13350497",
        md5="12a48293a166a859f994551653a2ad8c",
        size=145_178_504,
        licence="CC BY 4.0",
        citations=(
            SCIPLEX2_CITATION,
            "Peidli S et al. scPerturb: harmonized single-cell perturbation data. Nature Methods 21:531 (2024). "
            "doi:10.1038/s41592-023-02144-y",
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder where files are kept: ``BULKGEN_CACHE``, else the user's cache of this machine.

    Raises
    ------
    MissingExtraError
        Without pooch.
    """
    named = os.environ.get(_CACHE_VARIABLE)
    if named:
        return Path(named)
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError("pooch", "fetch") from error
    return Path(pooch.os_cache("bulkgen"))


@checked
def fetch(name: str, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """Download a public data set, unless it is in the cache already.

    A download that breaks off is kept and continued next time. The file is in the cache only once its MD5 was right.

    Parameters
    ----------
    name
        ``sciplex2``: scPerturb's file of sci-Plex2 (145 MB), for :func:`bulkgen.io.read_sciplex2`. Licence and
        citations are in :data:`bulkgen.fetching.DOWNLOADS`.
    cache
        Folder to keep it in (default: the environment variable ``BULKGEN_CACHE``, else the user's cache).
    progress
        Show how far it is, in a terminal or a notebook.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    DownloadError
        If it cannot be downloaded, or is not what it must be; the message says how to get it by hand.
    MissingExtraError
        Without pooch.
    ValueError
        For an unknown name.
    """
    if name not in DOWNLOADS:
        raise ValueError(f"there is no data set {name!r} to fetch; known: {', '.join(DOWNLOADS)}")
    try:
        import pooch
        import requests
    except ImportError as error:
        raise MissingExtraError("pooch", "fetch") from error

    wanted = DOWNLOADS[name]
    folder = (Path(cache) if cache is not None else cache_folder()).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / wanted.file
    part = folder / f"{wanted.file}.part"
    files = pooch.create(
        path=folder,
        base_url="",
        registry={wanted.file: f"md5:{wanted.md5}"},
        urls={wanted.file: wanted.url},
        retry_if_failed=_RETRIES,
    )

    def download(url: str, output_file: str, _: object) -> None:
        _download(url, part, wanted.size, progress=progress)
        # pooch checks it there, and moves it to its place or removes it
        part.replace(output_file)

    # one process downloads, others wait for it
    pooch.get_logger().setLevel("WARNING")
    with held(folder / f".{wanted.file}.lock", by_others=f"another process downloads {target}"):
        try:
            return Path(files.fetch(wanted.file, downloader=download))
        except (requests.RequestException, OSError) as error:
            _fail(wanted, target, part, str(error), error)
        except ValueError as error:
            _fail(wanted, target, part, f"what came from {wanted.url} has another MD5 and was removed", error)


def _download(url: str, part: Path, size: int, *, progress: bool) -> None:
    """Download what is missing in `part`, appending to it."""
    import requests

    start = part.stat().st_size if part.exists() else 0
    if start > size:
        part.unlink()
        start = 0
    if start == size:
        return
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS)) as response:
        if start and not _continues(response, start):
            part.unlink()
            start = 0
            # a server without ranges sends the whole file; anything else is of no use
            if response.status_code != requests.codes.ok:
                raise requests.ConnectionError(f"the server could not continue (HTTP status {response.status_code})")
        response.raise_for_status()
        with (
            part.open("ab" if start else "wb") as file,
            progress_bar(part.stem, size, enabled=progress) as advance,
        ):
            advance(start)
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                advance(len(chunk))
    found = part.stat().st_size
    if found < size:
        raise requests.ConnectionError(f"the connection ended after {found:,} of {size:,} bytes")


def _continues(response: requests.Response, start: int) -> bool:
    """Whether a response begins at byte `start`."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _fail(wanted: Download, target: Path, part: Path, reason: str, error: Exception) -> NoReturn:
    kept = f"; {part.stat().st_size:,} bytes are kept and will be continued" if part.exists() else ""
    raise DownloadError(
        f"{wanted.file} could not be downloaded: {reason}{kept}. To get it by hand, download it ({wanted.size:,} "
        f"bytes, MD5 {wanted.md5}) from {wanted.page} and put it at {target}"
    ) from error
