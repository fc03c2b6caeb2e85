"""The pods of the gateway and of the operator, and the kills of their processes: the node is this machine."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.installation import NAMESPACE

Pod = dict[str, Any]
LEASE = "maas-operator"
LEADS_SECONDS = 60
"""Limit for a replica of the operator to lead: one that waits looks every two seconds, one that was killed starts."""


def gateway_pods(cluster: Cluster) -> list[Pod]:
    """Those that run and are not leaving."""
    return _pods(cluster, "maas-gateway")


def operator_pods(cluster: Cluster) -> list[Pod]:
    """Those that run and are not leaving."""
    return _pods(cluster, "maas-operator")


def ready(pod: Pod) -> bool:
    """Whether it is."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def address(pod: Pod) -> str:
    """Where Envoy answers, without the Service in between."""
    return f"http://{pod['status']['podIP']}:8080"


def kill_agent(pod: Pod) -> None:
    """SIGKILL to the agent of a gateway's pod."""
    _signal(pod["status"]["initContainerStatuses"][0]["containerID"].rpartition("/")[2], signal.SIGKILL)


def kill_all(pod: Pod) -> None:
    """SIGKILL to all processes of a pod."""
    _signal(pod["metadata"]["uid"], signal.SIGKILL)


def kill_leader(cluster: Cluster) -> None:
    """SIGKILL to all processes of the operator's replica that leads, as soon as one does. Its lease is given back for
    it, so that the next leads within seconds: that a lease runs out by itself is proven in tests/api."""
    kill_all(wait_until(partial(_leader, cluster), LEADS_SECONDS, "a replica of the operator to lead"))
    nobody = json.dumps({"spec": {"holderIdentity": ""}})
    cluster.kubectl("patch", "lease", LEASE, "-n", NAMESPACE, "--type=merge", "-p", nobody)


@contextmanager
def halted(pod: Pod) -> Iterator[None]:
    """All processes of a pod stand still while the block runs."""
    _signal(pod["metadata"]["uid"], signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pod["metadata"]["uid"], signal.SIGCONT)


def _pods(cluster: Cluster, name: str) -> list[Pod]:
    selector = f"app.kubernetes.io/name={name}"
    pods = cluster.kubectl(
        "get", "pods", "-n", NAMESPACE, "-l", selector, "--field-selector=status.phase=Running", "-o", "json"
    )
    return [pod for pod in json.loads(pods)["items"] if "deletionTimestamp" not in pod["metadata"]]


def _leader(cluster: Cluster) -> Pod | None:
    lease = json.loads(cluster.kubectl("get", "lease", LEASE, "-n", NAMESPACE, "-o", "json"))
    name = str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]
    return next((pod for pod in operator_pods(cluster) if pod["metadata"]["name"] == name), None)


def _signal(control_group: str, number: signal.Signals) -> None:
    """Send the processes of a container or a pod a signal."""
    found = [each.parent.name for each in Path("/proc").glob("[0-9]*/cgroup") if control_group in _text(each)]
    assert found, control_group
    for process in found:
        os.kill(int(process), number)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it has ended
