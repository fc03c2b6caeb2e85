"""One containerd a node, with runc and the CNI plugins, sharing nothing with another containerd on the machine."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.addresses import NodeAddresses
from tests.cluster.build import binary
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.prerequisites import SEARCHED, cni_directory
from tests.cluster.progress import say

PAUSE_IMAGE = "localhost/maas-operator/pause:1"
LONGEST_SOCKET_DIRECTORY = 60  # the kubelet puts up to 45 of unix's 108 characters behind it
CONFIG = """\
version = 3
root = '{root}'
state = '{state}'
{disabled}

[grpc]
  address = '{socket}'

[ttrpc]
  address = '{socket}.ttrpc'

[plugins.'io.containerd.internal.v1.opt']
  path = '{root}/opt'

[plugins.'io.containerd.shim.v1.manager']
  socket_dir = '{runtime}/s'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = '{snapshotter}'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{pause}'

[plugins.'io.containerd.cri.v1.runtime']
  # Without it, and without CAP_SYS_RESOURCE, every sandbox dies: "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['{cni_plugins}']
    conf_dir = '{cni_config}'
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = '{runtime}/runc'
"""
DISABLED = "disabled_plugins = ['io.containerd.nri.v1.nri']"


@dataclass(frozen=True)
class Containerd:
    """The files of one node's containerd, and its command line."""

    layout: Layout
    node: NodeAddresses

    @property
    def name(self) -> str:
        return f"containerd-{self.node.index}"

    @property
    def socket(self) -> Path:
        return self.node.runtime_directory / "containerd.sock"

    @property
    def directory(self) -> Path:
        return node_directory(self.layout) / self.node.name

    @property
    def environment(self) -> dict[str, str]:
        """Our shim before any other that the machine has."""
        return {"PATH": f"{binary('containerd').parent}:{SEARCHED}"}

    def command(self) -> list[str]:
        return [str(binary("containerd")), f"--config={self._write_config()}"]

    def ctr(self, *arguments: str, check: bool = True) -> str:
        """Run ctr in Kubernetes' namespace and return what it prints."""
        command = [str(binary("ctr")), f"--address={self.socket}", "--namespace=k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise ClusterError(f"ctr {' '.join(arguments)} on {self.node.name}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else ""

    def _write_config(self) -> Path:
        config = self.directory / "containerd.toml"
        cni_config = self.directory / "cni"
        cni_config.mkdir(parents=True, exist_ok=True)
        self.node.runtime_directory.mkdir(parents=True, exist_ok=True)
        (cni_config / "10-pods.conflist").write_text(json.dumps(self._cni(), indent=1))
        config.write_text(
            CONFIG.format(
                root=self.directory / "containerd",
                state=self.node.runtime_directory / "containerd",
                runtime=self.node.runtime_directory,
                socket=self.socket,
                disabled=DISABLED,
                snapshotter=snapshotter(node_directory(self.layout)),
                pause=PAUSE_IMAGE,
                cni_plugins=cni_directory(),
                cni_config=cni_config,
            )
        )
        return config

    def _cni(self) -> dict[str, object]:
        """A cable from each pod to the node, which routes: so a Service's answers pass the node's NAT."""
        ipam = {
            "type": "host-local",
            "dataDir": str(self.directory / "pod-addresses"),
            "ranges": [[{"subnet": str(self.node.pod_subnet)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins = [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        return {"cniVersion": "1.0.0", "name": self.node.network_namespace, "plugins": plugins}


def node_directory(layout: Layout) -> Path:
    """Where nodes keep images and pods: in the cluster's directory, if its path is short enough for the kubelet's
    sockets and its file system takes overlay mounts; else in /var/lib."""
    fallback = fallback_directory(layout)
    if fallback.exists():
        return fallback
    if len(str(layout.directory)) <= LONGEST_SOCKET_DIRECTORY and _overlay_works(layout.directory):
        return layout.directory
    fallback.mkdir(mode=0o711)
    say(f"the nodes' files go to {fallback}: {layout.directory} is too long a path, or takes no overlay mounts")
    return fallback


def fallback_directory(layout: Layout) -> Path:
    return Path("/var/lib") / layout.name


def snapshotter(directory: Path) -> str:
    """overlayfs; where no overlay can be mounted at all, native (which copies each layer: slow, and large)."""
    return "overlayfs" if _overlay_works(directory) else "native"


def _overlay_works(directory: Path) -> bool:
    """Try it: whether one may be mounted on top depends on more than the file system's name."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=".overlay-") as trial:
        lower, upper, work, merged = (Path(trial, name) for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", str(merged)], check=True)
        return True
