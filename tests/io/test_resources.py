"""Free space and memory as the system and the control groups say."""

from __future__ import annotations

import shutil

import pytest

from bulkgen.control_groups import cpu_quota
from bulkgen.errors import ResourcesError
from bulkgen.io.resources import available_memory, free_space, require_memory, require_space, size_text


def files(folder, **texts: str):
    """Write files by their paths, in which two underscores stand for a slash."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_least_that_any_group_leaves_is_available(tmp_path):
    proc = files(tmp_path / "proc", meminfo="MemTotal: 9000 kB\nMemAvailable: 8000 kB\n", self__cgroup="0::/job/step\n")
    cgroup = tmp_path / "cgroup"
    assert available_memory(proc=proc, cgroup=cgroup) == 8000 * 1024
    (cgroup / "job" / "step").mkdir(parents=True)
    (cgroup / "job" / "step" / "memory.max").write_text("max\n")
    assert available_memory(proc=proc, cgroup=cgroup) == 8000 * 1024
    (cgroup / "job" / "memory.max").write_text("5000000\n")
    (cgroup / "job" / "memory.current").write_text("3000000\n")
    assert available_memory(proc=proc, cgroup=cgroup) == 2_000_000
    # files that were read lie in memory only as long as nobody needs it
    (cgroup / "job" / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    assert available_memory(proc=proc, cgroup=cgroup) == 2_500_000


def test_groups_of_version_1(tmp_path):
    proc = files(tmp_path / "proc", meminfo="MemAvailable: 8000 kB\n", self__cgroup="3:cpu:/x\n5:memory:/docker/12\n")
    # in a container its own group is the root
    cgroup = files(tmp_path / "cgroup", **{"memory__memory.limit_in_bytes": "4000000"})
    (cgroup / "memory" / "memory.usage_in_bytes").write_text("1000000")
    assert available_memory(proc=proc, cgroup=cgroup) == 3_000_000


def test_a_system_that_says_nothing_of_itself(tmp_path):
    found = available_memory(proc=tmp_path, cgroup=tmp_path)
    assert found is None or found > 0


def test_free_space_of_a_path_that_is_still_to_be(tmp_path):
    assert free_space(tmp_path / "a" / "b") == pytest.approx(shutil.disk_usage(tmp_path).free, abs=1e9)


def test_refusals_name_what_is_needed_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("bulkgen.io.resources.free_space", lambda path: 1000)
    monkeypatch.setattr("bulkgen.io.resources.available_memory", lambda: 1000)
    require_space(1000, tmp_path, what="it", force=False)
    require_space(1001, tmp_path, what="it", force=True)
    with pytest.raises(ResourcesError, match=r"it will take about 1\.5 kB, .* has 1\.0 kB free.*--force"):
        require_space(1500, tmp_path, what="it", force=False)
    require_memory(1000, what="it", remedy="use less", force=False)
    require_memory(1001, what="it", remedy="use less", force=True)
    with pytest.raises(ResourcesError, match=r"1\.5 kB of memory, and 1\.0 kB are available; use less.*--force"):
        require_memory(1500, what="it", remedy="use less", force=False)


def test_sizes_are_for_people():
    assert [size_text(n) for n in (0, 999, 1500, 2.5e8, 3e9, 4.2e15)] == [
        "0 bytes", "999 bytes", "1.5 kB", "250 MB", "3.0 GB", "4,200.0 TB",
    ]  # fmt: skip


def test_the_quota_of_cpus_is_the_least_of_any_group(tmp_path):
    proc = files(tmp_path / "proc", self__cgroup="0::/job/step\n")
    cgroup = files(tmp_path / "cgroup", job__step__x="")
    assert cpu_quota(proc=proc, cgroup=cgroup) is None
    (cgroup / "job" / "step" / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(proc=proc, cgroup=cgroup) is None
    (cgroup / "job" / "cpu.max").write_text("150000 100000\n")
    (cgroup / "cpu.max").write_text("400000 100000\n")
    assert cpu_quota(proc=proc, cgroup=cgroup) == 1.5


def test_the_quota_of_groups_of_version_1(tmp_path):
    proc = files(tmp_path / "proc", self__cgroup="5:cpu,cpuacct:/docker/12\n")
    cgroup = files(tmp_path / "cgroup", **{"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"})
    assert cpu_quota(proc=proc, cgroup=cgroup) is None
    (cgroup / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert cpu_quota(proc=proc, cgroup=cgroup) == 2.5


@pytest.mark.parametrize(
    ("groups", "quota"),
    [(b"\n", b"1 2"), (b"no groups", b"1 2"), (b"0::/\xff", b"1 2"), (b"0::/", b"\xff"), (b"0::/", b"1 0")],
)
def test_what_is_no_control_group_is_no_limit(tmp_path, groups, quota):
    files(tmp_path, proc__self__cgroup="", cgroup__x="")
    (tmp_path / "proc" / "self" / "cgroup").write_bytes(groups)
    (tmp_path / "cgroup" / "cpu.max").write_bytes(quota)
    expected = 0.5 if groups == b"0::/\xff" else None
    assert cpu_quota(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup") == expected
