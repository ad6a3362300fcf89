"""The memory of this machine: within the limits of every control group around the process."""

from __future__ import annotations

from pathlib import Path

from privatekube.training import machine

GIB = 1 << 30


def files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_limit_it_is_what_the_machine_has_available(tmp_path: Path) -> None:
    root = files(tmp_path, {"proc/meminfo": f"MemTotal: 999 kB\nMemAvailable: {2 * GIB >> 10} kB\n"})
    assert machine.available_memory(root) == 2 * GIB


def test_the_limit_of_any_group_above_counts_less_what_is_used_and_not_cache(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/pods"
    content = {
        "proc/meminfo": f"MemAvailable: {9 * GIB >> 10} kB\n",
        "proc/self/cgroup": "0::/pods/one\n",
        f"{group}/one/memory.max": "max\n",
        f"{group}/one/memory.current": "5\n",
        f"{group}/memory.max": f"{4 * GIB}\n",
        f"{group}/memory.current": f"{3 * GIB}\n",
        f"{group}/memory.stat": f"anon 7\ninactive_file {GIB}\n",
    }
    assert machine.available_memory(files(tmp_path, content)) == 2 * GIB


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/docker"
    content = {
        "proc/self/cgroup": "5:cpu,cpuacct:/docker\n4:memory:/docker\n",
        f"{group}/memory.limit_in_bytes": f"{3 * GIB}\n",
        f"{group}/memory.usage_in_bytes": f"{GIB}\n",
        f"{group}/memory.stat": "total_inactive_file 0\n",
    }
    assert machine.available_memory(files(tmp_path, content)) == 2 * GIB


def test_in_a_container_the_group_of_the_process_is_at_the_mount(tmp_path: Path) -> None:
    content = {
        "proc/self/cgroup": "0::/../../host/path\n",
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": "0\n",
    }
    assert machine.available_memory(files(tmp_path, content)) == GIB


def test_where_nothing_is_known_there_is_no_number(tmp_path: Path) -> None:
    assert machine.available_memory(tmp_path) is None


def test_this_machine_has_some_memory() -> None:
    available = machine.available_memory()
    assert available is None or available > 1 << 20
