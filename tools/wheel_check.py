"""Build what a release publishes, and prove of it what one Linux machine can prove.

Run by ``make wheel-check``. It needs g++, clang++ and objdump, and an index to install bulkgen's dependencies from. The
source distribution, the repaired wheel and the pure wheel stay in the folder ``--out``; what each check found is
written to ``benchmarks/results/wheels/``.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import machine  # noqa: E402

MOST_BYTES = 2_000_000
#: Time of every file in the archives: 14 November 2023. Any would do, as long as it is the same.
EPOCH = "1700000000"
INFO_FILES = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
#: Packages of extras, which nobody needs who did not ask for them.
OF_EXTRAS = {"torch", "transformers", "accelerate", "peft", "tensorboard", "matplotlib", "dask", "pooch", "scvi-tools"}
#: What a check found: figures by name.
Found = dict[str, object]


def main() -> None:
    """Run every check, in the order of what each needs; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for what a release publishes")
    out = parser.parse_args().out.absolute()
    with tempfile.TemporaryDirectory(prefix="bulkgen-wheel-check-") as folder:
        results = Check(Path(folder), out).run()
    written = machine.write_results(
        machine.name(), results, folder=machine.RESULTS / "wheels", command="make wheel-check"
    )
    print(f"what was found is in {written}")


class Check:
    """The checks, and what they hand on to each other."""

    def __init__(self, work: Path, out: Path) -> None:
        self.work, self.out = work, out

    def run(self) -> dict[str, Found]:
        """Run the checks one after the other, and return what each found."""
        steps: list[Callable[[], Found]] = [
            self.source_distribution,
            self.compiled_wheels,
            self.wheel_of_gcc,
            self.same_bytes_from_another_folder,
            self.no_contraction,
            self.contents,
            self.tags,
            self.bare_installation,
            self.an_extra,
            self.pure_wheel,
            self.wheel_of_clang,
            self.keep,
        ]
        results = {}
        for step in steps:
            started = time.perf_counter()
            name = step.__name__.replace("_", " ")
            results[name] = step()
            print(f"ok  {name}: {said(results[name])} ({time.perf_counter() - started:.0f} s)", flush=True)
        return results

    def source_distribution(self) -> Found:
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
        return {
            "file": self.sdist.name,
            "files": len(names),
            "bytes": size_of(self.sdist),
            "SHA-256": digest(self.sdist),
        }

    def compiled_wheels(self) -> Found:
        """Build three wheels from the source distribution alone, each in a folder of its own, warnings as errors."""
        tests = ("cmake.define.BULKGEN_TESTS=ON",)
        builds = (("first", "g++", ()), ("a/second/time", "g++", ()), ("third", newest_clang(), tests))
        sources = [self.unpacked(name) for name, _, _ in builds]

        def wheel(number: int) -> Path:
            _, compiler, settings = builds[number]
            return build("--wheel", sources[number], self.work / f"wheel-{number}", settings=settings, CXX=compiler)

        with ThreadPoolExecutor() as pool:
            self.wheel, self.again, self.of_clang = pool.map(wheel, range(len(builds)))
        versions = [run(compiler, "--version").splitlines()[0] for compiler in ("g++", newest_clang())]
        return {"compilers": versions, "warnings": 0}

    def wheel_of_gcc(self) -> Found:
        """Look at the options that its kernels were compiled with, and at its size."""
        commands = json.loads((self.work / "first" / "cmake" / "compile_commands.json").read_text())
        sources = [command for command in commands if "/cpp/src/" in command["file"]]
        require(bool(sources), "no kernel was compiled")
        for command in sources:
            flags = re.findall(r"-ffp-contract=\S+|-ffast-math|-Ofast", command["command"])
            require(flags == ["-ffp-contract=off"], f"{command['file']} was compiled with {flags}")
        size = size_of(self.wheel)
        require(size < MOST_BYTES, f"{self.wheel.name} has {size:,} bytes, more than {MOST_BYTES:,}")
        return {"file": self.wheel.name, "bytes": size, "kernel objects with -ffp-contract=off": len(sources)}

    def same_bytes_from_another_folder(self) -> Found:
        """Compare it with the one of a folder of another name and depth."""
        require(digest(self.wheel) == digest(self.again), f"{self.again.name} differs when it is built again")
        return {"SHA-256": digest(self.wheel)}

    def no_contraction(self) -> Found:
        """Look for fused multiply-add among the instructions of every level."""
        code = run("objdump", "-d", "--no-show-raw-insn", self.core(self.wheel))
        fused = re.findall(r"\bvfn?m(?:add|sub)\w*|\bfn?m(?:add|sub|la|ls)\b", code)
        require(not fused, f"{len(fused)} fused multiply-adds, such as {fused[:1]}")
        widest = len(re.findall("%zmm", code))
        # otherwise nothing would have been looked at
        require(platform.machine() != "x86_64" or widest > 0, "the level x86-64-v4 is not in the compiled core")
        return {"fused": len(fused), "instructions": code.count("\n"), "512 bits wide": widest}

    def contents(self) -> Found:
        """Look at the metadata and at the list of files."""
        tool("twine", "check", "--strict", self.sdist, self.wheel)
        tool("check_wheel_contents", self.wheel)
        self.check_files(self.wheel, compiled=1)
        return {"files of the package": len(self.package), "compiled": 1, "of metadata": len(INFO_FILES)}

    def tags(self) -> Found:
        """Repair the wheel: no library is added, and its tag asks for no more than this machine's C library."""
        folder = self.work / "repaired"
        tool("auditwheel", "repair", "--wheel-dir", folder, self.wheel)
        (self.repaired,) = folder.iterdir()
        self.check_files(self.repaired, compiled=1)
        tag = re.search(r"manylinux_2_(\d+)_" + re.escape(platform.machine()), self.repaired.name)
        require(tag is not None, f"{self.repaired.name} has no tag of manylinux")
        here = int(platform.libc_ver()[1].split(".")[1])
        require(int(tag[1]) <= here, f"{self.repaired.name} needs a newer C library than this machine's 2.{here}")
        return {"file": self.repaired.name, "bytes": size_of(self.repaired), "libraries added": 0}

    def bare_installation(self) -> Found:
        """Install it where there is no compiler and no package, and let the doctor ask every backend."""
        run(sys.executable, "-m", "venv", self.work / "bare")
        there = set(self.installed()) - {"pip", "setuptools"}
        require(not there, f"the environment is not bare: {sorted(there)}")
        install(self.bin("python"), self.repaired)
        sizes = self.installed()
        require(not OF_EXTRAS & set(sizes), f"installed without being asked for: {sorted(OF_EXTRAS & set(sizes))}")
        answers, extras = self.doctor()
        require("native" in {name for name, _ in answers}, "the compiled core did not answer")
        require(not extras, f"bulkgen doctor sees the extras {extras}, which nobody asked for")
        self.bare("python", "-c", "import bulkgen._core", LD_BIND_NOW="1")
        largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:12])
        return {
            "answers": [" ".join(filter(None, answer)) for answer in answers],
            "extras": extras,
            "packages": len(sizes),
            "megabytes": sum(sizes.values()) // 10**6,
            "largest in bytes": largest,
        }

    def an_extra(self) -> Found:
        """Install the lightest extra: the doctor sees it, and no other."""
        install(self.bin("python"), f"bulkgen[fetch] @ {self.repaired.as_uri()}")
        _, extras = self.doctor()
        require(extras == ["fetch"], f"with the extra fetch, bulkgen doctor sees {extras}")
        return {"extras": extras}

    def pure_wheel(self) -> Found:
        """Build the wheel for every platform, twice alike; it gives the same answer."""
        pure, again = (
            build("--wheel", self.unpacked(name), self.work / name / "pure", BULKGEN_PURE="1")
            for name in ("fourth", "fifth/folder")
        )
        require(digest(pure) == digest(again), f"{pure.name} differs when it is built again")
        require(pure.name.endswith("-py3-none-any.whl"), f"{pure.name} is not for every platform")
        tool("twine", "check", "--strict", pure)
        tool("check_wheel_contents", pure)
        self.check_files(pure, compiled=0)
        install(self.bin("python"), "--force-reinstall", "--no-deps", pure)
        answers, _ = self.doctor()
        require(answers == [("numba", None)], "the pure wheel has another backend than Numba")
        self.pure = pure
        return {"file": pure.name, "bytes": size_of(pure), "answers": ["numba"]}

    def wheel_of_clang(self) -> Found:
        """Run the C++ tests that clang++ compiled; its wheel gives the same answer."""
        tests = run("ctest", "--output-on-failure", cwd=self.work / "third" / "cmake")
        passed = re.search(r"100% tests passed.* out of (\d+)", tests)
        require(passed is not None, tests)
        install(self.bin("python"), "--force-reinstall", "--no-deps", self.of_clang)
        answers, _ = self.doctor()
        require("native" in {name for name, _ in answers}, "the core that clang++ compiled did not answer")
        return {"C++ tests": int(passed[1]), "answers": [" ".join(filter(None, answer)) for answer in answers]}

    def keep(self) -> Found:
        """Copy what a release publishes."""
        self.out.mkdir(parents=True, exist_ok=True)
        for path in (self.sdist, self.repaired, self.pure):
            shutil.copy(path, self.out)
        return {"files": sorted(path.name for path in self.out.iterdir())}

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

    def installed(self) -> dict[str, int]:
        """Return the packages of the bare installation, and how many bytes each takes."""
        code = (
            "import json; from importlib.metadata import distributions\n"
            "paths = lambda found: [found.locate_file(file) for file in found.files or []]\n"
            "sizes = {found.name.lower(): sum(path.stat().st_size for path in paths(found) if path.is_file())"
            " for found in distributions()}\n"
            "print(json.dumps(sizes))"
        )
        return json.loads(self.bare("python", "-c", code))

    def doctor(self) -> tuple[list[tuple[str, str | None]], list[str]]:
        """Return the backends and levels that gave the known answer, and the extras; any other result fails."""
        found = json.loads(self.bare("bulkgen", "doctor", "--json"))
        require(not found["problems"], f"bulkgen doctor: {found['problems']}")
        extras = [name for name, packages in found["extras"].items() if all(one["serves"] for one in packages)]
        return [(answer["backend"], answer["level"]) for answer in found["answers"]], extras


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


def said(found: Found) -> str:
    """Return figures as a line."""
    return "; ".join(
        f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}" for name, value in found.items()
    )


def size_of(path: Path) -> int:
    """Return how many bytes a file has."""
    return path.stat().st_size


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require(condition: bool, otherwise: str) -> None:
    """End the check where something is not as it must be."""
    if not condition:
        sys.exit(f"FAILED  {otherwise}")


if __name__ == "__main__":
    main()
