"""Which of bulkgen's dependencies have no wheel where a release has one of bulkgen.

Run by ``make dependency-wheels``. cibuildwheel says what is built (``pyproject.toml``), uv what would be installed
beside it. A dependency without a wheel would have to be compiled by the user. What was found is written to
``benchmarks/results/wheels/``.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import machine  # noqa: E402

#: Platform of a wheel: what cibuildwheel calls its system and processor, and what markers of requirements call them.
PLATFORMS = {
    "manylinux_x86_64": ("linux", "x86_64", {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}),
    "manylinux_aarch64": (
        "linux",
        "aarch64",
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    ),
    "macosx_arm64": ("macos", "arm64", {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}),
    "macosx_x86_64": ("macos", "x86_64", {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}),
    "win_amd64": ("windows", "AMD64", {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}),
}


def main() -> None:
    """Ask for each wheel, and write the answers."""
    results = {}
    for platform, (system, processor, marked) in PLATFORMS.items():
        options = ("--platform", system, "--archs", processor, "--print-build-identifiers")
        for wheel in run("cibuildwheel", *options, ROOT).split():
            python = wheel.partition("-")[0]
            results[wheel] = dependencies(python, platform, {**marked, "platform_machine": processor})
            print(f"{wheel}: {results[wheel]}", flush=True)
    written = machine.write_results("dependencies", results, folder=machine.RESULTS / "wheels")
    print(f"what was found is in {written}")


def dependencies(python: str, platform: str, marked: dict[str, str]) -> dict[str, object]:
    """Return how many there are, the version of Numba, and which of them have no wheel."""
    version = f"3.{python.removeprefix('cp3').removesuffix('t')}"
    environment = {**marked, "python_version": version, "python_full_version": f"{version}.9"}
    packages = [
        package
        for package in locked(version)
        if "marker" not in package or Marker(package["marker"]).evaluate(environment)
    ]
    versions = {package["name"]: package["version"] for package in packages}
    return {
        "packages": len(packages),
        "numba": versions["numba"],
        "without a wheel": [package["name"] for package in packages if not has_wheel(package, python, platform)],
    }


@functools.cache
def locked(version: str) -> list[dict]:
    """Return what uv would install with a version of Python, on any platform."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        options = ("--quiet", "--universal", "--prerelease", "disallow", "--python-version", version)
        run("uv", "pip", "compile", *options, "--output-file", lock, "--format", "pylock.toml", ROOT / "pyproject.toml")
        return tomllib.loads(lock.read_text())["packages"]


def has_wheel(package: dict, python: str, platform: str) -> bool:
    """Return whether one of a package's wheels is for this Python and platform."""
    tags = set()
    for wheel in package.get("wheels", []):
        _, _, _, of_wheel = parse_wheel_filename(unquote(PurePosixPath(wheel["url"]).name))
        tags |= of_wheel
    return any(fits(tag, python, platform) for tag in tags)


def fits(tag: Tag, python: str, platform: str) -> bool:
    """Return whether a tag is for this Python and platform; the oldest system that it serves is not looked at."""
    family, _, processor = platform.partition("_")
    of_platform = tag.platform == "any" or (
        tag.platform.startswith((family, "linux")) and tag.platform.endswith((processor, "universal2"))
    )
    return of_platform and (tag.abi == python or tag.abi == "none" or (tag.abi == "abi3" and not python.endswith("t")))


def run(program: str, *arguments: object) -> str:
    """Run a tool of this environment, and return what it wrote."""
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
