"""Build what a release publishes, and prove of it what one Linux machine can prove.

Run by ``make wheel-check``. It needs g++, clang++ and objdump, and an index to install bulkgen's dependencies from. The
source distribution, the repaired wheel and the pure wheel stay in the folder ``--out``.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 2_000_000
#: Time of every file in the archives: 14 November 2023. Any would do, as long as it is the same.
EPOCH = "1700000000"
INFO_FILES = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def main() -> None:
    """Run every check, in the order of what each needs; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for what a release publishes")
    out = parser.parse_args().out.absolute()
    with tempfile.TemporaryDirectory(prefix="bulkgen-wheel-check-") as folder:
        Check(Path(folder), out).run()


class Check:
    """The checks, and what they hand on to each other."""

    def __init__(self, work: Path, out: Path) -> None:
        self.work, self.out = work, out

    def run(self) -> None:
        """Run the checks one after the other."""
        steps: list[Callable[[], str]] = [
            self.source_distribution,
            self.wheel_of_gcc,
            self.same_bytes_from_another_folder,
            self.no_contraction,
            self.contents,
            self.tags,
            self.bare_installation,
            self.pure_wheel,
            self.wheel_of_clang,
            self.keep,
        ]
        for step in steps:
            started = time.perf_counter()
            said = step()
            print(f"ok  {step.__name__.replace('_', ' ')}: {said} ({time.perf_counter() - started:.0f} s)", flush=True)

    def source_distribution(self) -> str:
        """Build it from the checkout and from a copy elsewhere: the same bytes, and no file but those meant."""
        tracked = set(run("git", "ls-files", cwd=ROOT).split())
        copy = self.work / "copy" / "of-the-checkout"
        for name in tracked:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        self.sdist, again = (
            build("--sdist", source, self.work / name) for source, name in ((ROOT, "sdist"), (copy, "sdist-of-copy"))
        )
        require(digest(self.sdist) == digest(again), f"{self.sdist.name} differs when it is built in another folder")
        with tarfile.open(self.sdist) as archive:
            names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        meant = {name for name in tracked if name.startswith(("cpp/", "python/"))}
        meant |= {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO"}
        require(meant <= names, f"the source distribution lacks {sorted(meant - names)}")
        require(names <= tracked | {"PKG-INFO"}, f"the source distribution holds {sorted(names - tracked)}")
        self.package = {name.removeprefix("python/") for name in meant if name.startswith("python/")}
        return f"{self.sdist.name}, {len(names)} files, {self.sdist.stat().st_size:,} bytes"

    def wheel_of_gcc(self) -> str:
        """Build the wheel from the source distribution alone, with g++'s warnings as errors."""
        self.wheel = build("--wheel", self.unpacked("first"), self.work / "gcc", CXX="g++")
        commands = json.loads((self.work / "first" / "cmake" / "compile_commands.json").read_text())
        sources = [command for command in commands if "/cpp/src/" in command["file"]]
        require(bool(sources), "no kernel was compiled")
        for command in sources:
            flags = re.findall(r"-ffp-contract=\S+|-ffast-math|-Ofast", command["command"])
            require(flags == ["-ffp-contract=off"], f"{command['file']} was compiled with {flags}")
        size = self.wheel.stat().st_size
        require(size < MOST_BYTES, f"{self.wheel.name} has {size:,} bytes, more than {MOST_BYTES:,}")
        return f"{self.wheel.name}, {size:,} bytes, {len(sources)} kernel objects without contraction, no warning"

    def same_bytes_from_another_folder(self) -> str:
        """Build it again, in a folder with another name."""
        again = build("--wheel", self.unpacked("a/second/time"), self.work / "again", CXX="g++")
        require(digest(self.wheel) == digest(again), f"{again.name} differs when it is built again")
        return digest(self.wheel)

    def no_contraction(self) -> str:
        """Look for fused multiply-add among the instructions of every level."""
        code = run("objdump", "-d", "--no-show-raw-insn", self.core(self.wheel))
        fused = re.findall(r"\bvfn?m(?:add|sub)\w*|\bfn?m(?:add|sub|la|ls)\b", code)
        require(not fused, f"{len(fused)} fused multiply-adds, such as {fused[:1]}")
        widest = len(re.findall("%zmm", code))
        # otherwise nothing would have been looked at
        require(platform.machine() != "x86_64" or widest > 0, "the level x86-64-v4 is not in the compiled core")
        return f"none in {code.count(chr(10)):,} instructions, {widest:,} of them 512 bits wide"

    def contents(self) -> str:
        """Look at the metadata and at the list of files."""
        tool("twine", "check", "--strict", self.sdist, self.wheel)
        tool("check_wheel_contents", self.wheel)
        self.check_files(self.wheel, compiled=1)
        return f"{len(self.package)} files of the package, one compiled core, metadata"

    def tags(self) -> str:
        """Repair the wheel: no library is added, and its tag asks for no more than this machine's C library."""
        folder = self.work / "repaired"
        tool("auditwheel", "repair", "--wheel-dir", folder, self.wheel)
        (self.repaired,) = folder.iterdir()
        self.check_files(self.repaired, compiled=1)
        tag = re.search(r"manylinux_2_(\d+)_" + re.escape(platform.machine()), self.repaired.name)
        require(tag is not None, f"{self.repaired.name} has no tag of manylinux")
        here = int(platform.libc_ver()[1].split(".")[1])
        require(int(tag[1]) <= here, f"{self.repaired.name} needs a newer C library than this machine's 2.{here}")
        return f"{self.repaired.name}, no library added"

    def bare_installation(self) -> str:
        """Install it where there is no compiler, and let the doctor ask every backend."""
        run(sys.executable, "-m", "venv", self.work / "bare")
        install(self.bin("python"), self.repaired)
        answers = self.doctor()
        require("native" in {name for name, _ in answers}, "the compiled core did not answer")
        self.bare("python", "-c", "import bulkgen._core", LD_BIND_NOW="1")
        return f"{', '.join(f'{name} {level or str()}'.strip() for name, level in answers)}; LD_BIND_NOW=1 import"

    def pure_wheel(self) -> str:
        """Build the wheel for every platform, twice alike; it gives the same answer."""
        pure, again = (
            build("--wheel", self.unpacked(name), self.work / name / "pure", BULKGEN_PURE="1")
            for name in ("third", "fourth/folder")
        )
        require(digest(pure) == digest(again), f"{pure.name} differs when it is built again")
        require(pure.name.endswith("-py3-none-any.whl"), f"{pure.name} is not for every platform")
        tool("twine", "check", "--strict", pure)
        tool("check_wheel_contents", pure)
        self.check_files(pure, compiled=0)
        install(self.bin("python"), "--force-reinstall", "--no-deps", pure)
        require(self.doctor() == [("numba", None)], "the pure wheel has another backend than Numba")
        self.pure = pure
        return f"{pure.name}, {pure.stat().st_size:,} bytes, the same answer"

    def wheel_of_clang(self) -> str:
        """Build with clang++'s warnings as errors, the C++ tests too; another compiler gives the same answer."""
        compiler = newest_clang()
        tests = ("cmake.define.BULKGEN_TESTS=ON",)
        wheel = build("--wheel", self.unpacked("fifth"), self.work / "clang", settings=tests, CXX=compiler)
        run("ctest", "--output-on-failure", cwd=self.work / "fifth" / "cmake")
        install(self.bin("python"), "--force-reinstall", "--no-deps", wheel)
        answers = [level for name, level in self.doctor() if name == "native"]
        return f"{compiler}, no warning, C++ tests, the same answer at {', '.join(map(str, answers))}"

    def keep(self) -> str:
        """Copy what a release publishes."""
        self.out.mkdir(parents=True, exist_ok=True)
        for path in (self.sdist, self.repaired, self.pure):
            shutil.copy(path, self.out)
        return f"{self.sdist.name}, {self.repaired.name} and {self.pure.name} are in {self.out}"

    def unpacked(self, name: str) -> Path:
        """Unpack the source distribution in an empty folder."""
        folder = self.work / name / "source"
        with tarfile.open(self.sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = folder.iterdir()
        return source

    def core(self, wheel: Path) -> Path:
        """Return the compiled core of a wheel, unpacked."""
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.startswith("bulkgen/_core."))
            return Path(archive.extract(name, self.work / "core"))

    def check_files(self, wheel: Path, *, compiled: int) -> None:
        """Require the files of the package, so many compiled ones, and the metadata of wheels."""
        with zipfile.ZipFile(wheel) as archive:
            # repaired wheels name their folders too
            names = {name for name in archive.namelist() if not name.endswith("/")}
            (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
            root = email.message_from_bytes(archive.read(f"{info}/WHEEL"))["Root-Is-Purelib"]
        cores = {name for name in names if name.startswith("bulkgen/_core.")}
        others = names - cores - {f"{info}/{name}" for name in INFO_FILES}
        require(len(cores) == compiled, f"{wheel.name} holds {sorted(cores)}")
        require(others == self.package, f"{wheel.name} differs from the package by {sorted(others ^ self.package)}")
        require(root == ("false" if compiled else "true"), f"{wheel.name} says Root-Is-Purelib: {root}")

    def bin(self, name: str) -> Path:
        """Return a program of the bare installation."""
        return self.work / "bare" / "bin" / name

    def bare(self, name: str, *arguments: str, **variables: str) -> str:
        """Run one of its programs: nothing else is on the path, and nothing of the user's is seen."""
        path = str(self.bin(name).parent)
        require(all(shutil.which(found, path=path) is None for found in ("gcc", "g++", "cc", "clang")), "a compiler")
        environment = {"PATH": path, "HOME": str(self.work / "home"), **variables}
        return run(self.bin(name), *arguments, cwd=self.work, environment=environment)

    def doctor(self) -> list[tuple[str, str | None]]:
        """Return the backends and levels that gave the known answer; any other result fails."""
        found = json.loads(self.bare("bulkgen", "doctor", "--json"))
        require(not found["problems"], f"bulkgen doctor: {found['problems']}")
        return [(answer["backend"], answer["level"]) for answer in found["answers"]]


def build(kind: str, source: Path, out: Path, *, settings: tuple[str, ...] = (), **variables: str) -> Path:
    """Build a distribution with the tools of this environment, as a release does, and return it."""
    settings += ("cmake.define.BULKGEN_WERROR=ON", "cmake.define.CMAKE_EXPORT_COMPILE_COMMANDS=ON")
    # beside the unpacked source, as a path of its own
    settings += (f"build-dir={source.parent.parent / 'cmake'}",)
    options = [] if kind == "--sdist" else [word for setting in settings for word in ("--config-setting", setting)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **variables}
    run(
        *(sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", out, *options, source),
        cwd=source,
        environment=environment,
    )
    (made,) = out.iterdir()
    return made


def install(python: Path, *what: object) -> None:
    """Install into the environment of a Python."""
    run(
        *(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
        *("--only-binary", ":all:", "--constraint", ROOT / "constraints.txt", *what),
    )


def newest_clang() -> str:
    """Return the newest clang++ on the path."""
    names = [*(f"clang++-{version}" for version in range(40, 13, -1)), "clang++"]
    found = next(filter(shutil.which, names), None)
    require(found is not None, "there is no clang++ here")
    return str(found)


def tool(module: str, *arguments: object) -> str:
    """Run a tool of this environment."""
    return run(sys.executable, "-m", module, *arguments)


def run(*command: object, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run a program; what it wrote is shown if it fails."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require(condition: bool, otherwise: str) -> None:
    """End the check where something is not as it must be."""
    if not condition:
        sys.exit(f"FAILED  {otherwise}")


if __name__ == "__main__":
    main()
