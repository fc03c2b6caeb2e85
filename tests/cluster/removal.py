"""The steps of `down`: what a cluster leaves on the machine, found again by its names, not by memory."""

import contextlib
import shutil
import signal
import subprocess
from pathlib import Path

from tests.cluster import cgroups, network
from tests.cluster.addresses import NODES
from tests.cluster.containerd import fallback_directory
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.parts import PARTS
from tests.cluster.processes import END_SECONDS, Processes, end, find, start_time
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until

TOOLS = {"kubectl", "helm", "ctr"}  # may be a user's own, and end by themselves
POD_LOG_LINKS = Path("/var/log/containers")  # the kubelet's, whatever its settings
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")  # the kubelet's, whatever its settings
CNI_RESULTS = Path("/var/lib/cni/results")  # containerd's, whatever its settings


def remove(layout: Layout, processes: Processes) -> None:
    """Remove all of the cluster. What is gone already is no error; what stays is one."""
    directories = [layout.directory, fallback_directory(layout), layout.addresses.runtime_directory]
    say("ending processes")
    _end_processes(directories, processes)
    cgroups.remove(layout.addresses.cgroup)
    say("removing mounts, bridge and network namespaces")
    _unmount(directories)
    network.remove(layout.addresses)
    _remove_strewn(layout)
    for directory in directories:
        if directory.exists():
            say(f"removing {directory}")
            _remove_directory(directory, last=layout.settings_file.name)


def _end_processes(directories: list[Path], processes: Processes) -> None:
    """By their records, then by what they are: binaries of ours at work on the cluster's own directories."""
    for name in processes.names():
        processes.stop(name, signal.SIGKILL)
    servers = [name for part in PARTS.values() for name in part.packages if name not in TOOLS]
    strays = find(servers, directories)
    for pid in strays:
        end(pid, signal.SIGKILL)
    wait_until(lambda: all(start_time(pid) is None for pid in strays), END_SECONDS, f"processes {list(strays)} to end")


def _unmount(directories: list[Path]) -> None:
    """Innermost first; nothing may stay mounted, or removing the directories would reach into it."""
    for target in reversed(_mounted(directories)):
        subprocess.run(["umount", target], capture_output=True, check=False)
    for target in reversed(_mounted(directories)):
        subprocess.run(["umount", "--lazy", target], capture_output=True, check=False)
    if left := _mounted(directories):
        raise ClusterError(f"cannot unmount {', '.join(left)}: end what uses it (`fuser -vm`), then `down` again")


def _mounted(directories: list[Path]) -> list[str]:
    """Mount points inside the directories, in the order in which they were mounted."""
    points = [
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [point for point in points if any(Path(point).is_relative_to(directory) for directory in directories)]


def _remove_directory(directory: Path, last: str) -> None:
    """What tells the directory for a cluster's goes last, so that a `down` cut short can be done again."""
    try:
        for entry in sorted(directory.iterdir(), key=lambda entry: entry.name == last):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        directory.rmdir()
    except OSError as error:
        raise ClusterError(f"cannot remove {directory}: {error}; end what writes there, then `down` again") from error


def _remove_strewn(layout: Layout) -> None:
    for link in POD_LOG_LINKS.glob("*.log"):
        if link.is_symlink() and any(
            link.readlink().is_relative_to(directory) for directory in (layout.directory, fallback_directory(layout))
        ):
            link.unlink()
    for node in map(layout.addresses.node, NODES):
        for result in CNI_RESULTS.glob(f"{node.network_namespace}-*"):
            result.unlink()
    if DEVICE_PLUGINS.exists() and not find(["kubelet"]):
        (DEVICE_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for directory in (POD_LOG_LINKS, CNI_RESULTS, CNI_RESULTS.parent, DEVICE_PLUGINS, DEVICE_PLUGINS.parent):
        with contextlib.suppress(OSError):
            directory.rmdir()  # only where it is empty
