"""python -m tests.cluster up|down|status|build."""

import argparse
import sys
from pathlib import Path

from tests.cluster.addresses import Addresses
from tests.cluster.build import build_all
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError, PrerequisitesError
from tests.cluster.parts import PARTS, PROFILES
from tests.cluster.prerequisites import ensure

STATES = {True: "runs", False: "ended"}
ANSWERS = {True: "ready", False: "does not answer"}
READINESS = {True: "Ready", False: "not Ready"}


def main() -> int:
    """Return 0; 1 where a step failed or, of `status`, the cluster does not run; 2 for a missing prerequisite."""
    arguments = _parser().parse_args()
    cluster = Cluster(arguments.number, arguments.directory)
    try:
        if arguments.command == "up":
            cluster.up(arguments.profile, arguments.nodes, arguments.audit)
        elif arguments.command == "down":
            cluster.down()
        elif arguments.command == "build":
            ensure("api", Addresses(arguments.number))
            build_all(tuple(PARTS))
        else:
            return _show(cluster)
    except PrerequisitesError as error:
        print(error, file=sys.stderr)
        return 2
    except (ClusterError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _show(cluster: Cluster) -> int:
    status = cluster.status()
    if status.profile is None:
        print(f"no cluster in {cluster.directory}")
        return 1
    print(f"profile {status.profile}, KUBECONFIG={cluster.kubeconfig}")
    print(f"{'API server':26}{ANSWERS[status.answers]}")
    lines = [(name, STATES[up]) for name, up in status.processes.items()]
    for name, state in lines + [(node, READINESS[ready]) for node, ready in status.nodes.items()]:
        print(f"{name:26}{state}")
    return 0 if status.running else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes on this machine.")
    parser.add_argument("command", choices=["up", "down", "status", "build"])
    parser.add_argument("--number", type=int, default=0, help="which cluster, 0 to 39: several run beside each other")
    parser.add_argument(
        "--directory", type=Path, help="its files; .cluster (or .cluster-NUMBER) in the checkout if left out"
    )
    parser.add_argument(
        "--profile", choices=list(PROFILES), default="node", help="how much of a cluster (default: node)"
    )
    parser.add_argument("--nodes", type=int, choices=[1, 2], default=1, help="real nodes, of profile node")
    parser.add_argument("--audit", action="store_true", help="log each request to logs/audit.log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
