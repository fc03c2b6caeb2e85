"""`kubectl maas` as a user runs it, for a key and for what was used with it."""

import json
import subprocess
import sys
from typing import Any

from tests.cluster import Cluster, ClusterError
from tests.installation import NAMESPACE, RELEASE

GATEWAY = f"{RELEASE}-gateway"


def maas(cluster: Cluster, account: str, *arguments: str) -> str:
    """What `kubectl maas` prints. Raises ClusterError with its error output."""
    command = [sys.executable, "-m", "maas_operator.cli.main", *arguments]
    command += ["--kubeconfig", str(cluster.kubeconfig), "-n", account]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl maas {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout


def new_key(cluster: Cluster, account: str, tag: str, description: str, *options: str) -> str:
    """A new key; one of the same tag that is there already is deleted first, since it cannot be had again."""
    if tag in (each["tag"] for each in json.loads(maas(cluster, account, "key", "list", "-o", "json"))):
        maas(cluster, account, "key", "delete", tag, "--yes")
    return maas(cluster, account, "key", "create", tag, "--description", description, *options).strip()


def used(cluster: Cluster, account: str, key: str) -> dict[str, Any]:
    """The ledger's sums for a key; empty where it knows of none."""
    lines = json.loads(maas(cluster, account, "usage", "--key", key, "--by", "key", "-o", "json"))
    return dict(lines[0]) if lines else {}


def gateway_address(cluster: Cluster) -> str:
    """Where the gateway answers: from a node, its Service's address does."""
    service = json.loads(cluster.kubectl("get", "service", "-n", NAMESPACE, GATEWAY, "-o", "json"))
    return f"http://{service['spec']['clusterIP']}"
