"""The nodes' control groups: made in every hierarchy before the kubelet starts, removed with all that runs in them."""

import contextlib
import functools
import os
import signal
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until

CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
INHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new v1 group, which then takes no process
END_SECONDS = 30.0


def create(name: str) -> None:
    """Make the group (an absolute name below the roots) and those above it."""
    for root in _roots():
        group = root
        for part in Path(name).parts[1:]:
            _delegate(group)
            parent, group = group, group / part
            group.mkdir(exist_ok=True)
            for setting in INHERITED:
                if (group / setting).exists() and not (group / setting).read_text().strip():
                    (group / setting).write_text((parent / setting).read_text())


def remove(name: str) -> None:
    """Kill what runs in the group and below it, then remove both."""
    groups = [root / name.lstrip("/") for root in _roots()]

    def empty() -> bool:
        members = {pid for group in groups for pid in _members(group)}
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not members

    wait_until(empty, END_SECONDS, f"the processes of cgroup {name} to end")
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):
            wait_until(functools.partial(_removed, Path(directory)), END_SECONDS, f"cgroup {directory} to be removable")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _roots() -> list[Path]:
    """The mount points of all hierarchies: one of v2, or several of v1."""
    fields = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(field[1]) for field in fields if field[2] in ("cgroup", "cgroup2")]
    if not roots:
        raise ClusterError("no cgroup hierarchy is mounted")
    return roots


def _delegate(group: Path) -> None:
    """Hand each v2 controller that the kernel has to the groups below."""
    control = group / "cgroup.subtree_control"
    if control.exists():
        for controller in CONTROLLERS:
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")


def _members(group: Path) -> list[int]:
    pids: list[int] = []
    for directory, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            pids += [int(pid) for pid in Path(directory, "cgroup.procs").read_text().split()]
    return pids
