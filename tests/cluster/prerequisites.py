"""What this machine must have: gathered as facts, judged purely, before anything is built."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster.addresses import Addresses
from tests.cluster.build import cache_directory, go_command
from tests.cluster.errors import ClusterError, PrerequisitesError
from tests.cluster.processes import find
from tests.cluster.progress import say

GO_NEEDED = (1, 26)
GO_FETCHES_NEWER = (1, 21)
ARCHITECTURES = ("x86_64", "aarch64")
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "portmap")
CGROUP_CONTROLLERS = {"cpu", "cpuacct", "cpuset", "memory", "pids"}
DEBIAN_PACKAGES = {
    "runc": "runc",
    "CNI plugins": "containernetworking-plugins",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
}
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Facts:
    """What was found. `go` is None where there is none; `missing` holds keys of DEBIAN_PACKAGES."""

    system: str
    architecture: str
    root: bool
    go: str | None
    go_may_fetch_newer: bool
    cryptography: bool
    missing: frozenset[str]
    apt: bool
    cgroup_controllers: frozenset[str]
    taken_subnet: str
    foreign_kubelet: bool
    cache_writable: bool


def complaints(facts: Facts, profile: str, addresses: Addresses) -> list[str]:
    """Say, in one line each, what is missing for the profile and what to do; nothing when all is there."""
    found: list[str] = []
    if facts.system != "Linux" or facts.architecture not in ARCHITECTURES:
        found.append(
            f"it runs {facts.system} on {facts.architecture}: use a Linux machine with {' or '.join(ARCHITECTURES)}"
        )
    wanted = ".".join(map(str, GO_NEEDED))
    if facts.go is None:
        found.append(f"there is no Go: install Go {wanted} or newer (https://go.dev/doc/install), with go on PATH")
    elif not _go_suffices(facts.go, facts.go_may_fetch_newer):
        found.append(f"Go is {facts.go}: install Go {wanted} or newer (https://go.dev/doc/install), first on PATH")
    if not facts.cryptography:
        found.append("Python lacks the package cryptography: install the project with its dev extra")
    if not facts.cache_writable:
        found.append(f"{cache_directory()} cannot be written: set MAAS_CACHE to a folder with 3 GB of room")
    return found + (_node_complaints(facts, addresses) if profile == "node" else [])


def _node_complaints(facts: Facts, addresses: Addresses) -> list[str]:
    found: list[str] = []
    if not facts.root:
        found.append("this user is not root, and a node needs root: use sudo (profiles api and kwok do without)")
    if facts.missing and not (facts.root and facts.apt):
        packages = " ".join(packages_for(facts.missing))
        found.append(f"it lacks {', '.join(sorted(facts.missing))}: install Debian's {packages} or what equals them")
    if lacking := CGROUP_CONTROLLERS - facts.cgroup_controllers:
        found.append(
            f"it lacks the cgroup controllers {', '.join(sorted(lacking))}: use a machine whose kernel has them"
        )
    if facts.taken_subnet:
        found.append(f"it has a route to {facts.taken_subnet}, inside {addresses.network}: use another --number")
    if facts.foreign_kubelet:
        found.append("another cluster's kubelet runs on it, and device plugins know one only: use another machine")
    return found


def packages_for(missing: frozenset[str]) -> list[str]:
    """The Debian packages that bring what is missing."""
    return sorted(DEBIAN_PACKAGES[what] for what in missing)


def _go_suffices(version: str, may_fetch_newer: bool) -> bool:
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return found >= GO_NEEDED or (may_fetch_newer and found >= GO_FETCHES_NEWER)


def gather(addresses: Addresses) -> Facts:
    """Look at the machine, in well under a second."""
    go, toolchain = _go()
    return Facts(
        system=platform.system(),
        architecture=platform.machine(),
        root=os.geteuid() == 0,
        go=go,
        go_may_fetch_newer=toolchain.endswith("auto"),
        cryptography=importlib.util.find_spec("cryptography") is not None,
        missing=_missing(),
        apt=shutil.which("apt-get") is not None,
        cgroup_controllers=_cgroup_controllers(),
        taken_subnet=_taken_subnet(addresses),
        foreign_kubelet=_foreign_kubelet(),
        cache_writable=_writable(cache_directory()),
    )


def ensure(profile: str, addresses: Addresses) -> None:
    """Raise PrerequisitesError unless all is there; as root on Debian, install the missing packages."""
    facts = gather(addresses)
    if found := complaints(facts, profile, addresses):
        raise PrerequisitesError(found)
    if profile == "node" and facts.missing:
        install(packages_for(facts.missing))


def cni_directory() -> Path | None:
    """Where the CNI plugins are: Debian's folder, or the one that their own releases use."""
    for directory in CNI_DIRECTORIES:
        if all((directory / plugin).exists() for plugin in CNI_PLUGINS):
            return directory
    return None


def install(packages: Sequence[str]) -> None:
    say(f"installing Debian packages: {' '.join(packages)} (usually 20 s)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"apt-get {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _go() -> tuple[str | None, str]:
    command = go_command()
    if command is None:
        return None, ""
    done = subprocess.run(
        [command, "env", "GOVERSION", "GOTOOLCHAIN"], cwd="/", capture_output=True, text=True, check=False
    )
    version, _, toolchain = done.stdout.strip().partition("\n")
    return version or "unknown", toolchain


def _missing() -> frozenset[str]:
    commands = {what for what in DEBIAN_PACKAGES if what != "CNI plugins" and not shutil.which(what, path=SEARCHED)}
    return frozenset(commands | (set() if cni_directory() else {"CNI plugins"}))


def _cgroup_controllers() -> frozenset[str]:
    """cgroup v1 lists them in /proc/cgroups, v2 in cgroup.controllers (where cpuacct is part of cpu)."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        names = set(unified.read_text().split())
        return frozenset(names | ({"cpuacct"} if "cpu" in names else set()))
    mounted = {
        Path(line.split()[1]).name for line in Path("/proc/mounts").read_text().splitlines() if " cgroup " in line
    }
    return frozenset(name for entry in mounted for name in entry.split(","))


def _taken_subnet(addresses: Addresses) -> str:
    """A route into the cluster's network that is not the cluster's own."""
    if not shutil.which("ip", path=SEARCHED):
        return ""
    done = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        target, *rest = line.split()
        if target[0].isdigit() and addresses.bridge not in rest and IPv4Network(target).overlaps(addresses.network):
            return target
    return ""


def _foreign_kubelet() -> bool:
    """A kubelet that no cluster of ours started: ours have a configuration of that name in their directory."""
    return any("/kubelet.json" not in command for command in find(["kubelet"]).values())


def _writable(directory: Path) -> bool:
    while not directory.exists():
        directory = directory.parent
    return os.access(directory, os.W_OK)
