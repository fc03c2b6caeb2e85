"""Instances of several hosts: what their pods have beside an engine of one host.

Each host runs one `vllm serve`. The first leads: it alone takes requests; the others run `--headless`, with no port.
All of them keep a connection to the leader's store (torch.distributed) for as long as they work together, and by that
each can tell, from its own /proc and with no call to anyone, whether the other is still there.
"""

from typing import Any

from maas_operator.api import names
from maas_operator.api.seen import Manifest
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.parallel import DATA, SEVERAL_HOSTS, hosts

STORE_PORT = 29501
"""TCP port of the leader's store; vLLM's own default."""
WORKER_MARGIN_SECONDS = 10
"""By how much a worker may outlive its leader."""
HOSTNAME = "kubernetes.io/hostname"
"""Label of nodes that tells each from all others."""
HOST_IP = "VLLM_HOST_IP"
"""At which of its addresses vLLM is reached by the other hosts."""

_SOCKETS = "/proc/net/tcp /proc/net/tcp6"
_ESTABLISHED = "01"
_STORE = f"{STORE_PORT:04X}"

WITH_LEADER = f"grep -qs ':{_STORE} {_ESTABLISHED} ' {_SOCKETS}"
"""Succeeds on a worker while it is connected to its leader."""
WORKER_LEAVES = f"while {WITH_LEADER}; do sleep 1; done; kill -9 -1"
"""A worker has nothing of its own to finish: it stays for as long as its leader needs it, and no longer."""


def without_worker(count: int) -> str:
    """Succeeds on a leader that fewer hosts are connected with than there should be: what it has under way it cannot
    finish. Its own connection is one of them; where there is not even that, the group has not come together yet."""
    addresses = rf"s/.*:{_STORE} ([0-9A-F]+):[0-9A-F]+ {_ESTABLISHED} .*/\1/p"
    return f"n=$(sed -nE '{addresses}' {_SOCKETS} | sort -u | wc -l); [ $n -gt 0 ] && [ $n -lt {count} ]"


def arguments(plan: Plan, said: list[str]) -> tuple[list[str], list[str]]:
    """vLLM's arguments of the leader and of a worker. `said`: what else they are started with."""
    common = [
        SEVERAL_HOSTS,
        f"--nnodes={hosts(plan.flavor)}",
        "--node-rank=$(LWS_WORKER_INDEX)",
        "--master-addr=$(LWS_LEADER_ADDRESS)",
        f"--master-port={STORE_PORT}",
    ]
    # What copies of the engine are told by is bound to an address, not to a name.
    own = [f"--data-parallel-address=$({HOST_IP})"] if any(each.partition("=")[0] in DATA for each in said) else []
    return [*common, *own], [*common, "--headless"]


def environment() -> list[Manifest]:
    """Variables of each host."""
    return [{"name": HOST_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]


def affinity(plan: Plan) -> Manifest:
    """Each host of an instance is a node of its own. All of them share the value of the flavor's topologyKey; several
    instances may share it, too, where there is none that is freer: two that begin in one place may each find no room
    for the rest of them.

    LeaderWorkerSet's own annotation exclusive-topology would give each instance a value for itself, so that a rack of
    four hosts held one instance of two.
    """
    ours: Manifest = {"labelSelector": {"matchLabels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}}}
    same = ours | {"matchLabelKeys": [names.LABEL_LWS_KEY]}
    apart = {"requiredDuringSchedulingIgnoredDuringExecution": [same | {"topologyKey": HOSTNAME}]}
    if plan.flavor.topology_key is None:
        return {"podAntiAffinity": apart}
    where = {"topologyKey": plan.flavor.topology_key}
    others = ours | {"mismatchLabelKeys": [names.LABEL_LWS_KEY], "namespaceSelector": {}} | where
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": others}]}
    return {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [same | where]},
        "podAntiAffinity": apart | preferred,
    }


def facts(plan: Plan, pod_labels: dict[str, str], args: list[str]) -> dict[str, Any]:
    """What the LeaderWorkerSet's template is filled with, beside the facts of every engine."""
    leader, worker = arguments(plan, args)
    return {
        "hosts": hosts(plan.flavor),
        "leader_args": [*args, *leader],
        "worker_args": [*args, *worker],
        "worker_labels": pod_labels | {names.LABEL_APP: names.WORKER_APP},
        "with_leader": WITH_LEADER,
        "without_worker": without_worker(hosts(plan.flavor)),
        "worker_leaves": WORKER_LEAVES,
        "worker_margin": WORKER_MARGIN_SECONDS,
        "affinity": affinity(plan),
        "more_env": environment(),
    }
