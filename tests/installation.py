"""The operator on a local cluster, as the demo and the e2e tests install it: real images, the real chart, real helm."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests import images
from tests.cluster import Cluster, ClusterError
from tests.cluster.progress import say

REPOSITORY = Path(__file__).parent.parent
CHART = REPOSITORY / "charts" / "maas-operator"
NAMESPACE = "maas-system"
RELEASE = "maas-operator"
INSTALL_SECONDS = 180
"""Limit for the operator's pods to become ready."""
DRAIN_SECONDS = 60
LOAD_SECONDS = 900
"""Two busy cores load a model slowly."""

SMALL = (
    "gateway.settings.workers=1",
    "gateway.envoy.resources.requests.cpu=50m",
    "gateway.envoy.resources.requests.memory=128Mi",
    "gateway.agent.resources.requests.cpu=50m",
    "gateway.agent.resources.requests.memory=128Mi",
    "ledger.persistence.enabled=false",
)
"""Two cores, and no volumes: what was used is forgotten with the ledger's pod."""
TELLING = ("notifications.enabled=true", "notifications.allowPrivate=true")
"""Notifications, also to receivers on this machine."""


def load_images(cluster: Cluster, names: Sequence[str]) -> None:
    """Build what the cache lacks, and put it on the nodes."""
    for name in names:
        archive = images.archive(name)
        say(f"loading image {name} into the cluster ({archive.stat().st_size / 1e6:.0f} MB)")
        cluster.load_image(archive, images.reference(name))


def install(
    cluster: Cluster, *values: str, namespace: str = NAMESPACE, chart: Path = CHART, seconds: int = INSTALL_SECONDS
) -> None:
    """`helm upgrade --install` the chart, and wait until the operator is ready. `values` are helm's KEY=VALUE."""
    repository, _, tag = images.reference("operator").rpartition(":")
    settings = [
        f"image.repository={repository}",
        f"settings.accelerators.cpu.image={images.reference('engine-cpu')}",
        f"settings.drainSeconds={DRAIN_SECONDS}",
        f"settings.loadSeconds={LOAD_SECONDS}",
        *SMALL,
        *TELLING,
        *values,
    ]
    say("installing the operator's chart")
    arguments = ["--set-string", f"image.tag={tag}"]  # a tag of digits alone is no number
    arguments += [part for value in settings for part in ("--set", value)]
    wait = ["--wait", f"--timeout={seconds}s"]
    helm(cluster, "upgrade", "--install", RELEASE, str(chart), "-n", namespace, "--create-namespace", *arguments, *wait)


def helm(cluster: Cluster, *arguments: str) -> str:
    """Run helm as the cluster's admin and return what it prints. Raises ClusterError with its error output."""
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    command = [str(cluster.binary("helm")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"helm {' '.join(arguments[:3])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
