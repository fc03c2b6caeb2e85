"""A service is put through everything while clients stream from it all the time: no request fails and no stream is cut,
but for those of a service that was stopped on purpose."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import (
    FIRST_NODE,
    GONE_SECONDS,
    KEY_DELIVERY_SECONDS,
    LOADED_SECONDS,
    MANIFESTS,
    SECOND_NODE,
    Account,
)
from tests.e2e.replicas import Pod, address, gateway_pods, kill_leader, ready
from tests.images import reference
from tests.installation import install
from tests.keys import gateway_address, maas, new_key
from tests.processes import Process
from tests.streams import Clients

pytestmark = pytest.mark.e2e
TEAM, SERVICE = "team-a", "mover"
STREAMS = 2
PAUSE_SECONDS = 0.5
"""Between two streams of a client, so that engines that start get their share of two cores."""
SETTLE_SECONDS = 60
"""Limit for the gateway and the operator to take something up."""
IN_FORCE_SECONDS = 5.0
"""Limit for a change of QPS to hold on every replica: it takes one, on a quiet machine."""
REPLACED_SECONDS = LOADED_SECONDS + GONE_SECONDS
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector=maas-operator.io/service={SERVICE}")


@dataclass
class Scene:
    """The gateway in front of one service, a key for it, and what it says of itself."""

    cluster: Cluster
    account: Account
    key: str
    log: Process
    answered: set[str] = field(default_factory=set)
    """Instances that were ready when somebody looked."""

    def pods(self) -> dict[str, Pod]:
        """The instances there are, by uid."""
        pods = self.account.pods(SERVICE)
        self.answered |= {pod["metadata"]["name"] for pod in pods if ready(pod)}
        return {pod["metadata"]["uid"]: pod for pod in pods}

    def uids(self) -> set[str]:
        return set(self.pods())

    def status(self) -> Any:
        return self.account.get("msvc", SERVICE)["status"]

    def maas(self, *arguments: str) -> str:
        """What the CLI prints."""
        return maas(self.cluster, TEAM, *arguments)

    def clients(self) -> Clients:
        return Clients(gateway_address(self.cluster), self.key, SERVICE, max_tokens=60, pause=PAUSE_SECONDS)

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[Clients]:
        """Clients stream all the while, before and after what the block does, and none of their requests fails."""
        clients = self.clients()
        async with clients.running(STREAMS):
            await clients.more()
            yield clients
            await clients.more()
        assert clients.ends == {"whole"}

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = SETTLE_SECONDS) -> None:
        await asyncio.to_thread(wait_until, condition, seconds, what, partial(self.account.kubectl, "describe", "msvc"))

    async def ready(self) -> None:
        await asyncio.to_thread(self.account.wait_ready, SERVICE)

    async def alone(self) -> Pod:
        """Its instance, after those beyond one have left."""
        self.account.patch(SERVICE, instances=1)
        await self.ready()
        await self.until(lambda: len(self.uids()) == 1, "one instance to be left", GONE_SECONDS)
        return next(iter(self.pods().values()))

    async def replaced(self, before: Pod) -> Pod:
        """Its instance, after another one has taken the place of that one, which went when the other answered."""

        def taken() -> Pod | None:
            found = self.pods()
            assert self.answered & {pod["metadata"]["name"] for pod in found.values() if not leaves(pod)}
            return None if len(found) > 1 or before["metadata"]["uid"] in found else next(iter(found.values()), None)

        await self.until(taken, "another instance in its place", REPLACED_SECONDS)
        await self.ready()
        return next(iter(self.pods().values()))

    async def killed_once(self, condition: Callable[[], Any], what: str) -> None:
        """Kill the operator's leader as soon as this can be seen."""
        await self.until(condition, what, REPLACED_SECONDS)
        await asyncio.to_thread(kill_leader, self.cluster)


@pytest.fixture(scope="module")
def scene(cluster: Cluster, account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    cluster.kubectl("apply", "-f", str(MANIFESTS / "aside.yaml"))
    account.apply(SERVICE, instances=2)
    account.wait_ready(SERVICE)
    key = new_key(cluster, TEAM, "changes", "for a test")
    wait_until(lambda: all(map(ready, gateway_pods(cluster))), SETTLE_SECONDS, "the gateway to be ready")
    for pod in gateway_pods(cluster):
        wait_until(partial(calls, address(pod), key), SETTLE_SECONDS, "the key to count and the service to answer")
    file = tmp_path_factory.mktemp("logs") / "followed"
    follow = ["logs", SERVICE, "--follow", "-n", TEAM, "--kubeconfig", str(cluster.kubeconfig)]
    made = Scene(cluster, account, key, Process(file, "-m", "maas_operator.cli.main", *follow))
    made.log.start()
    yield made
    made.log.end()
    account.delete(SERVICE)
    cluster.kubectl("delete", "rpool", "aside")


def calls(url: str, key: str, **more: Any) -> int:
    """The status of a request that asks for one token."""
    body = {"model": SERVICE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1} | more
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=SETTLE_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


async def test_m14_scaled_in_and_out_under_streams(scene: Scene) -> None:
    async with scene.streaming() as clients:
        scene.account.patch(SERVICE, instances=1)
        await scene.until(lambda: len(scene.uids()) == 1, "one instance to leave", GONE_SECONDS)
        await clients.more()
        scene.account.patch(SERVICE, instances=2)
        await scene.ready()


async def test_m14_qps_and_limits_hold_on_every_replica_within_seconds_and_touch_no_pod(scene: Scene) -> None:
    before = scene.uids()

    def refused() -> list[bool]:
        """By replica: whether it refuses some of a few requests at once."""
        return [429 in {calls(address(pod), scene.key) for _ in range(4)} for pod in gateway_pods(scene.cluster)]

    assert not any(refused())
    bounds: dict[str, Any] = {"qps": 2, "limits": {"requestsPerMinute": 120}}
    for name, bound in bounds.items():
        for value, in_force in ((bound, lambda: all(refused())), (None, lambda: not any(refused()))):
            scene.account.patch(SERVICE, **{name: value})
            changed = time.monotonic()
            await scene.until(in_force, f"{name} {value} to hold on every replica")
            assert time.monotonic() - changed < IN_FORCE_SECONDS
    assert scene.uids() == before


async def test_m11_top_tells_what_devices_and_engines_do(scene: Scene) -> None:
    instance = sorted(pod["metadata"]["name"] for pod in scene.account.pods(SERVICE))[0]
    exporter(scene.cluster, instance)
    try:
        async with scene.streaming():
            rows = {
                row["instance"]: row for row in json.loads(await asyncio.to_thread(scene.maas, "top", "-o", "json"))
            }
    finally:
        scene.cluster.kubectl("delete", "pod,configmap", "exporter", "-n", "default", "--grace-period=0", "--force")
    assert len(rows) == 2
    told = rows.pop(instance)
    assert (told["computePercent"], told["memoryMib"], told["memoryTotalMib"]) == (0, 1024, 4096)
    assert told["running"] + sum(row["running"] for row in rows.values()) <= STREAMS
    assert told["tokensPerSecond"] + sum(row["tokensPerSecond"] for row in rows.values()) > 0
    assert [row["computePercent"] for row in rows.values()] == [None]


def exporter(cluster: Cluster, instance: str) -> None:
    """An exporter of devices as NVIDIA's is labelled: a page that says that the instance has a device, and is idle."""
    values = {"DCGM_FI_DEV_GPU_UTIL": 0, "DCGM_FI_DEV_FB_USED": 1024, "DCGM_FI_DEV_FB_FREE": 3072}
    page = "".join(f'{name}{{gpu="0",namespace="{TEAM}",pod="{instance}"}} {value}\n' for name, value in values.items())
    metadata = {"name": "exporter", "namespace": "default", "labels": {"app": "nvidia-dcgm-exporter"}}
    container = {
        "name": "exporter",
        "image": reference("operator"),
        "command": ["python3", "-m", "http.server", "9400", "--directory", "/pages"],
        "ports": [{"containerPort": 9400}],
        "volumeMounts": [{"name": "pages", "mountPath": "/pages"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "pages", "configMap": {"name": "exporter"}}]}
    for manifest in ({"kind": "ConfigMap", "data": {"metrics": page}}, {"kind": "Pod", "spec": spec}):
        whole = {"apiVersion": "v1", "metadata": metadata} | manifest
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(whole))
    cluster.kubectl("wait", "pod/exporter", "-n", "default", "--for=condition=Ready", f"--timeout={SETTLE_SECONDS}s")


async def test_m15_a_version_that_fails_takes_nothing_away_and_is_undone(scene: Scene) -> None:
    before = scene.uids()
    async with scene.streaming() as clients:
        scene.account.patch(SERVICE, engine={"args": ["--no-such-flag"]})
        await asyncio.to_thread(scene.account.wait_phase, SERVICE, "Alarm")
        assert "the change goes no further" in scene.account.condition(SERVICE, "Ready")["message"]
        assert "no-such-flag" in scene.account.condition(SERVICE, "Ready")["message"]
        assert before <= scene.uids()
        await clients.more()
        scene.account.patch(SERVICE, engine=None)
        await scene.ready()
        await scene.until(lambda: scene.uids() == before, "what failed to be gone", GONE_SECONDS)


async def test_a_drain_lets_streams_finish_and_leaves_the_last_instance_that_answers(scene: Scene) -> None:
    """The node that is drained is the only one: what is evicted finds no other."""
    node = FIRST_NODE
    before = scene.uids()
    async with scene.streaming() as clients:
        try:
            with pytest.raises(ClusterError, match="disruption budget"):
                await asyncio.to_thread(scene.cluster.kubectl, "drain", node, *DRAIN, "--timeout=8s")
            await scene.until(lambda: len(scene.uids() & before) == 1, "one instance to leave", GONE_SECONDS)
            await clients.more()
        finally:
            scene.cluster.kubectl("uncordon", node)


async def test_m13_stopped_under_streams_and_started_again(scene: Scene) -> None:
    clients = scene.clients()
    async with clients.running(STREAMS):
        await clients.more()
        stopped = time.monotonic()
        await asyncio.to_thread(scene.maas, "stop", SERVICE)
        await scene.until(lambda: not scene.uids(), "every instance to be gone", GONE_SECONDS)
    assert {each.end for each in clients.streams if each.began_at < stopped} == {"whole"}
    others = {each.end[:40] for each in clients.streams if each.began_at >= stopped}
    refused = [end for end in others if end.startswith("401 ") and "ModelArts.81004" in end]
    assert refused
    assert others <= {"whole", *refused}, others
    await asyncio.to_thread(scene.maas, "start", SERVICE, "--instances", "1")
    await scene.ready()
    async with scene.streaming():
        pass


async def test_m15_image_pool_flavor_and_limits_are_changed_under_streams(scene: Scene) -> None:
    image = f"{reference('engine-cpu')}-again"
    scene.cluster.tag_image(reference("engine-cpu"), image)
    aside = {"selector": {"kubernetes.io/hostname": SECOND_NODE}, "node": SECOND_NODE}
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"engine": {"image": image}}, {"image": image}),
        ({"resourcePool": "aside"}, aside),
        ({"flavor": "cpu-more"}, {"cpu": "150m"}),
    ]
    now = await scene.alone()
    async with scene.streaming() as clients:
        for change, brings in changes:
            before = now
            scene.account.patch(SERVICE, **change)
            now = await scene.replaced(before)
            assert runs(before) != runs(now) == runs(before) | brings
            await clients.more()
        scene.account.patch(SERVICE, limits={"requestsPerMinute": 60_000, "tokensPerMinute": 60_000_000})
        await scene.ready()
        await clients.more()
        assert scene.uids() == {now["metadata"]["uid"]}


def runs(pod: Pod) -> dict[str, Any]:
    """What of a pod follows from the service's image, pool and flavor."""
    spec, engine = pod["spec"], pod["spec"]["containers"][0]
    cpu = engine["resources"]["requests"]["cpu"]
    return {"image": engine["image"], "cpu": cpu, "selector": spec.get("nodeSelector"), "node": spec["nodeName"]}


async def test_m15_an_upgrade_while_the_operator_is_killed_at_every_step_and_upgraded_with_the_gateway(
    scene: Scene,
) -> None:
    old = (await scene.alone())["metadata"]["uid"]
    gateway = {pod["metadata"]["uid"] for pod in gateway_pods(scene.cluster)}
    async with scene.streaming() as clients:
        scene.account.patch(SERVICE, model={"version": "v2"})
        await scene.killed_once(lambda: scene.status()["phase"] == "Upgrading", "the upgrade to begin")
        await scene.killed_once(lambda: scene.status()["replicas"] == 2, "the new instance to be there")
        (new,) = scene.uids() - {old}
        values = ("gateway.settings.idleSeconds=302", f"settings.keyDeliverySeconds={KEY_DELIVERY_SECONDS + 1}")
        await asyncio.to_thread(install, scene.cluster, *values)
        await scene.killed_once(lambda: ready(scene.pods()[new]), "the new instance to answer")
        await scene.killed_once(lambda: leaves(scene.pods().get(old)), "the old instance to leave")
        await scene.killed_once(lambda: scene.uids() == {new}, "the old instance to be gone")
        assert gateway.isdisjoint(pod["metadata"]["uid"] for pod in gateway_pods(scene.cluster))
        await clients.more()
        scene.account.patch(SERVICE, description="seen by the last leader")
        await scene.ready()
    status = scene.status()
    assert scene.uids() == {new}
    assert (status["phase"], status["model"]["version"]) == ("Running", "v2")
    assert status["instances"] == {"desired": 1, "ready": 1, "summary": "1/1"}
    assert [each["reason"] for each in status["events"]].count("Upgraded") == 1


def leaves(pod: Pod | None) -> bool:
    """Whether it does, or has done so: on a busy machine that may be over before somebody looks."""
    return pod is None or "deletionTimestamp" in pod["metadata"]


def test_m11_logs_were_followed_over_every_instance_there_was(scene: Scene) -> None:
    (last,) = (pod["metadata"]["name"] for pod in scene.account.pods(SERVICE))
    lines = [line for line in scene.log.said().splitlines() if line.startswith(SERVICE)]
    assert {last} < scene.answered <= {line.split("  ")[0] for line in lines}
    found = scene.maas("logs", SERVICE, "--search", "[Aa]pplication startup complete", "--since", "1h")
    assert found.startswith(f"{last}  ")
    assert len(found.splitlines()) == 1
