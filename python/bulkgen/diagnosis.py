"""What this installation is, what it runs on, and what is broken in it."""

from __future__ import annotations

import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.control_groups import cpu_quota
from bulkgen.errors import BulkgenError
from bulkgen.io.resources import available_memory, free_space, size_text
from bulkgen.kernels import available_threads, backend_names, get_kernels, resolve_threads
from bulkgen.kernels.known_answer import answers
from bulkgen.rng import STREAM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.requirements import Requirement

    from bulkgen.kernels.known_answer import Answer
    from bulkgen.kernels.protocol import Kernels

__all__ = ["Backend", "Diagnosis", "Package", "Place", "Problem", "diagnose"]

#: Less is too little for anything: a file of half a million cells, or a download.
_LEAST_SPACE = 1_000_000_000
_AGAIN = "pip install --force-reinstall --no-deps bulkgen"


@dataclass(frozen=True)
class Problem:
    """Something broken, and what mends it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Package:
    """A package that bulkgen uses.

    Attributes
    ----------
    name, needs
        What is needed, such as ``numpy`` and ``>=1.26``.
    version
        What is installed; ``None`` if nothing is.
    serves
        Whether that is what is needed.
    """

    name: str
    needs: str
    version: str | None
    serves: bool


@dataclass(frozen=True)
class Backend:
    """The kernels in use.

    Attributes
    ----------
    name, reason
        Which backend, and why it is that one.
    level, levels
        The instruction-set level in use, and all that this build and this processor have.
    compiler
        What compiled it.
    """

    name: str
    reason: str
    level: str | None = None
    levels: tuple[str, ...] = ()
    compiler: str | None = None


@dataclass(frozen=True)
class Place:
    """A folder that bulkgen reads or writes; `free` bytes, and whether it can be written."""

    path: str
    free: int
    writable: bool


@dataclass
class Diagnosis:
    """What :func:`diagnose` found.

    Attributes
    ----------
    version, stream_version, python, system
        Of bulkgen, of its random streams, of Python, and the operating system with the processor.
    backend
        The kernels in use; ``None`` if they cannot be loaded.
    answers
        What each backend answered to a question with a known answer.
    threads, threads_available, cpu_quota
        Threads in use, CPUs that this process may use, and the CPUs' worth of time that it is granted.
    memory
        Bytes that it can still take.
    packages, extras
        What is needed always, and for each extra.
    cuda, no_cuda
        Names of the CUDA devices, and why there is none.
    vocabularies
        Folder of Geneformer's dictionaries by vocabulary; ``None``: not on this machine.
    places
        Folders by what they are for.
    problems
        What is broken.
    """

    version: str = ""
    stream_version: int = STREAM_VERSION
    python: str = platform.python_version()
    system: str = f"{platform.platform(terse=True)}, {platform.machine()}"
    backend: Backend | None = None
    answers: list[Answer] = field(default_factory=list)
    threads: int | None = None
    threads_available: int = field(default_factory=available_threads)
    cpu_quota: float | None = field(default_factory=cpu_quota)
    memory: int | None = field(default_factory=available_memory)
    packages: list[Package] = field(default_factory=list)
    extras: dict[str, list[Package]] = field(default_factory=dict)
    cuda: list[str] = field(default_factory=list)
    no_cuda: str = ""
    vocabularies: dict[str, str | None] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON stores it."""
        return asdict(self)


def diagnose() -> Diagnosis:
    """Look at this installation and at what it runs on, and try every backend.

    The first time, Numba compiles what is asked, which takes some seconds.
    """
    found = Diagnosis()
    _look_at_packages(found)
    _look_at_kernels(found)
    _look_at_threads(found)
    _look_for_cuda(found)
    _look_for_vocabularies(found)
    _look_at_places(found)
    return found


def _look_at_packages(found: Diagnosis) -> None:
    try:
        found.version = metadata.version("bulkgen")
        requirements = metadata.requires("bulkgen") or []
    except metadata.PackageNotFoundError:
        found.problems.append(Problem("bulkgen is imported but not installed", "pip install bulkgen"))
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        needed = _asked_for(requirement, "")
        extras = [extra for extra in _extras() if not needed and _asked_for(requirement, extra)]
        if requirement.name == "bulkgen" or not (needed or extras):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        serves = version is not None and requirement.specifier.contains(version, prereleases=True)
        package = Package(requirement.name, str(requirement.specifier), version, serves)
        if needed:
            found.packages.append(package)
            if not serves:
                has = "is not installed" if version is None else f"{version} does not serve"
                remedy = f"pip install '{package.name}{package.needs}'"
                found.problems.append(Problem(f"the package {package.name} {has}", remedy))
        for extra in extras:
            found.extras.setdefault(extra, []).append(package)


def _extras() -> list[str]:
    return metadata.metadata("bulkgen").get_all("Provides-Extra") or []


def _asked_for(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _look_at_kernels(found: Diagnosis) -> None:
    named = os.environ.get("BULKGEN_BACKEND")
    if named and named not in backend_names():
        what = f"BULKGEN_BACKEND={named} is none of the backends here ({', '.join(backend_names())})"
        found.problems.append(Problem(what, "unset BULKGEN_BACKEND"))
    found.answers = answers()
    for answer in found.answers:
        if answer.problem is not None:
            which = answer.backend + (f" at {answer.level}" if answer.level else "")
            what = f"the kernels of {which} failed: {answer.problem}"
            found.problems.append(Problem(what, _remedy_of_kernels(answer.problem)))
    kernels = _kernels_of(None)
    if kernels is None:
        return
    if named:
        reason = f"BULKGEN_BACKEND={named}"
    elif kernels.name == "native":
        reason = "the default where it is installed"
    else:
        reason = "this installation has no compiled core"
    about = {name: getattr(kernels, name) for name in ("level", "levels", "compiler") if hasattr(kernels, name)}
    found.backend = Backend(kernels.name, reason, **about)
    built = getattr(kernels, "version", found.version)
    if built != found.version:
        what = f"the compiled core is of version {built}, the package of {found.version or 'none'}"
        found.problems.append(Problem(what, _AGAIN))


def _remedy_of_kernels(problem: str) -> str:
    if "BULKGEN_ISA" in problem:
        return "unset BULKGEN_ISA"
    if "no locator available" in problem:  # Numba finds no folder for its cache
        return "set NUMBA_CACHE_DIR to a folder that can be written"
    return _AGAIN


def _look_at_threads(found: Diagnosis) -> None:
    try:
        found.threads = resolve_threads(None)
    except ValueError as error:
        found.problems.append(Problem(str(error), "unset BULKGEN_THREADS"))


def _look_for_cuda(found: Diagnosis) -> None:
    if find_spec("torch") is None:
        found.no_cuda = "torch is not installed: pip install 'bulkgen[train]'"
        return
    try:
        from bulkgen.training.device import cuda_devices

        found.cuda, found.no_cuda = cuda_devices()
    except (ImportError, OSError, RuntimeError) as error:
        found.no_cuda = f"torch cannot be used: {error}"
        found.problems.append(Problem(found.no_cuda, "pip install --force-reinstall torch"))


def _look_for_vocabularies(found: Diagnosis) -> None:
    from bulkgen.tokens.dictionaries import ENVIRONMENT, KNOWN, local_folder

    for name in KNOWN:
        try:
            folder = local_folder(name)
        except (BulkgenError, OSError) as error:
            found.problems.append(Problem(str(error), f"set {ENVIRONMENT} to a folder that is there, or unset it"))
            return
        found.vocabularies[name] = None if folder is None else str(folder)
    if os.environ.get(ENVIRONMENT) and not any(found.vocabularies.values()):
        what = f"{ENVIRONMENT}={os.environ[ENVIRONMENT]} holds no dictionaries of Geneformer"
        found.problems.append(Problem(what, f"set {ENVIRONMENT} to the folder that holds them, or unset it"))


def _look_at_places(found: Diagnosis) -> None:
    for purpose, (path, variable) in _places():
        place = Place(str(path), free_space(path), _can_be_written(path))
        found.places[purpose] = place
        if not place.writable:
            found.problems.append(
                Problem(f"the folder for {purpose}, {path}, cannot be written", f"set {variable} to one that can")
            )
        elif place.free < _LEAST_SPACE:
            found.problems.append(
                Problem(
                    f"{size_text(place.free)} are free in the folder for {purpose}, {path}",
                    f"make room, or set {variable} to a folder on another disk",
                )
            )


def _places() -> Iterator[tuple[str, tuple[Path, str]]]:
    """Yield what each folder is for, where it is, and the variable that names another."""
    from bulkgen.fetching import cache_folder

    # without pooch nothing is downloaded
    with suppress(BulkgenError):
        yield "downloads", (cache_folder(), "BULKGEN_CACHE")
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        pass
    else:
        yield "Hugging Face", (Path(HF_HUB_CACHE), "HF_HOME")
    cache = getattr(_kernels_of("numba"), "cache", None)
    if cache is not None:
        yield "Numba", (Path(cache), "NUMBA_CACHE_DIR")
    yield "temporary files", (Path(tempfile.gettempdir()), "TMPDIR")


def _kernels_of(backend: str | None) -> Kernels | None:
    """Return a backend, if it can be loaded; what it answered says why it cannot."""
    try:
        return get_kernels(backend)
    except Exception:
        return None


def _can_be_written(path: Path) -> bool:
    """Whether a folder can be written, or made."""
    while not path.exists():
        path = path.parent
    return os.access(path, os.W_OK) and path.is_dir()
