"""What happens in an account that a GitOps controller keeps in line with Git, and all that was seen of it."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from maas_operator.keymaking import digest_of, new_key
from tests.chat import ask
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import GONE_SECONDS, LOADED_SECONDS, Account
from tests.e2e.examples import Examples
from tests.e2e.repository import ACCOUNT, API, FLUX, PLATFORM, Controller, Manifest, Repository, Way
from tests.keys import gateway_address
from tests.processes import Process
from tests.streams import Clients
from tests.unit.health.test_argo_cd import assessed
from tests.unit.health.test_flux import evaluated

LOOP_SECONDS = 600
THREADS = 32
"""Of which each request that is held takes one."""
STEADY, SLEEPER, TIMED, LOST = "steady", "sleeper", "timed", "lost"
TARGET, LOAD = 2, 4
"""Requests that an instance is for, and requests at a time."""
LOAD_TOKENS = 400
ANSWER_SECONDS = 600
PAUSE_SECONDS = 1.0
"""Between two streams, so that engines that start get their share of two cores."""
SETTLE_SECONDS = 90
STOPPED_SECONDS = 180
"""Limit for an automatic stop a minute after an instance answers, and for a service to fall asleep."""
FORCED = 3
"""Instances that somebody else asks for."""
PATHS = {
    "msvc": f"{API}/namespaces/{{}}/modelservices",
    "deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "replicaset": "/apis/apps/v1/namespaces/{}/replicasets",
    "poddisruptionbudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "service": "/api/v1/namespaces/{}/services",
    "configmap": "/api/v1/namespaces/{}/configmaps",
    "pods": "/api/v1/namespaces/{}/pods",
}
CHILDREN = tuple(PATHS)[1:]


def custom(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "maas-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(way: Way, name: str, **spec: Any) -> Manifest:
    wanted = {"model": {"name": way.name, "version": "v1"}, "resourcePool": way.name, "flavor": "cpu"} | spec
    return custom("ModelService", name, wanted)


def files(way: Way, key: str, services: list[Manifest]) -> dict[str, list[Manifest]]:
    """The repository of an account with these services."""
    tiny = "oci://localhost/maas-operator/model-tiny:1"
    versions = [
        {"name": name, "source": tiny, "contextLength": length, "args": ["--kv-cache-memory-bytes=67108864"]}
        for name, length in (("v1", 1536), ("v2", 512))
    ]
    secret = {"name": "hook", "key": "url"}
    channels = [{"name": "hook", "webhook": {"urlFrom": secret, "signingKeyFrom": secret | {"key": "signing-key"}}}]
    access = {"tag": "git", "description": "for a test", "sha256": digest_of(key)}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": way.name, "labels": {"git": way.name}}}
    pool = {
        "accounts": {"matchLabels": {"git": way.name}},
        "flavors": [{"name": "cpu", "cpu": "100m", "memory": "2Gi", "maxQPS": 100}],
    }
    return {
        f"{PLATFORM}/namespace": [namespace],
        f"{PLATFORM}/catalogue": [
            custom("Model", way.name, {"versions": versions}),
            custom("ResourcePool", way.name, pool),
        ],
        f"{ACCOUNT}/services": services,
        f"{ACCOUNT}/access": [custom("ApiKey", "git", access)],
        f"{ACCOUNT}/topics": [custom("NotificationTopic", "ops", {"channels": channels})],
    }


class Read(Account):
    """An account that is read without a kubectl for each look: two stories look all the time, on two cores."""

    def get(self, kind: str, *arguments: str) -> Any:
        path = PATHS[kind].format(self.name)
        with closing(self.cluster.client()) as client:
            if arguments and arguments[0] != "-l":
                return client.request("GET", f"{path}/{arguments[0]}")
            return client.request("GET", path, labelSelector=arguments[1] if arguments else "")["items"]

    def left(self, service: str) -> list[str]:
        """The service, and what was made for it."""
        own = [each["metadata"]["name"] for each in self.get("msvc") if each["metadata"]["name"] == service]
        labelled = ("-l", f"maas-operator.io/service={service}")
        return own + [each["metadata"]["name"] for kind in CHILDREN for each in self.get(kind, *labelled)]


@dataclass
class Show:
    """One account in the loop, and all that was seen of it."""

    cluster: Cluster
    way: Way
    folder: Path
    key: str = field(default_factory=new_key)
    told: dict[str, Any] = field(default_factory=dict)
    """By what it is of: what was read while it was so."""

    def __post_init__(self) -> None:
        self.account = Read(self.cluster, self.way.name)
        self.watched = Watched(self.cluster, self.way, self.folder)
        self.repository = Repository(self.folder / self.way.name)
        self.controller = Controller(self.cluster, self.repository, self.way)
        self.clients = Clients(gateway_address(self.cluster), self.key, STEADY, max_tokens=60, pause=PAUSE_SECONDS)
        self.services = {
            STEADY: service(self.way, STEADY, instances=1),
            SLEEPER: service(
                self.way,
                SLEEPER,
                scaling={
                    "minInstances": 0,
                    "maxInstances": 2,
                    "sleepAfter": "10s",
                    "metrics": [{"type": "Concurrency", "target": TARGET}],
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}},
                },
            ),
            TIMED: service(self.way, TIMED, autoStop={"after": "1m"}),
        }

    def commit(self) -> None:
        self.repository.commit(files(self.way, self.key, list(self.services.values())))

    def change(self, name: str, **spec: Any) -> None:
        """Commit another spec of a service: with other fields, and without those that are None."""
        merged = self.services[name]["spec"] | spec
        wanted = {key: value for key, value in merged.items() if value is not None}
        self.services[name] = self.services[name] | {"spec": wanted}
        self.commit()

    def health(self, name: str) -> tuple[str, str]:
        """What Argo CD and Flux say of a service now."""
        found = self.account.get("msvc", name)
        return assessed(found)[0], evaluated("ModelService", found)

    def is_ready(self, name: str, reason: str) -> bool:
        found = self.account.condition(name, "Ready")
        return (found.get("status"), found.get("reason")) == ("True", reason)

    async def until(self, true: Callable[[], Any], what: str, seconds: float = SETTLE_SECONDS) -> Any:
        def otherwise() -> str:
            return self.account.kubectl("get", "msvc,pods", "-o", "wide") + self.account.kubectl("describe", "msvc")

        return await asyncio.to_thread(wait_until, true, seconds, f"{what} ({self.way.name})", otherwise)

    async def ready(self, name: str, seconds: float = 2 * LOADED_SECONDS) -> None:
        await asyncio.to_thread(self.account.wait_ready, name, seconds)

    async def play(self) -> None:
        """The story of an account. What is seen of it stands in `told`, and in the controller's rounds."""
        await self.appear()
        async with self.clients.running(1):
            await asyncio.gather(self.stop_by_itself(), self.sleep_and_wake())
            await self.roll()
            await self.fail()
            await self.contest()
            await self.prune()
            await self.clients.more()

    async def appear(self) -> None:
        await self.until(lambda: len(self.account.get("msvc")) == len(self.services), "all to be applied")
        await self.ready(STEADY)
        await self.until(self.answers, "the key to count")
        self.told["running"] = self.health(STEADY)

    def answers(self) -> bool:
        try:
            return bool(ask(gateway_address(self.cluster), STEADY, "hi", max_tokens=1, key=self.key))
        except OSError:
            return False

    async def stop_by_itself(self) -> None:
        stopped = partial(self.is_ready, TIMED, "AutoStopped")
        await self.until(stopped, "it to stop by itself", STOPPED_SECONDS + LOADED_SECONDS)
        self.told["stopped"] = self.health(TIMED)

    async def sleep_and_wake(self) -> None:
        asleep = partial(self.asleep, SLEEPER)
        await self.until(asleep, "it to fall asleep", STOPPED_SECONDS + LOADED_SECONDS)
        self.told["asleep"] = self.health(SLEEPER)
        requests = [asyncio.create_task(asyncio.to_thread(self.request)) for _ in range(LOAD)]
        await self.until(lambda: self.replicas(SLEEPER) == 2, "it to be woken and to need two", 2 * LOADED_SECONDS)
        self.told["answers"] = await asyncio.gather(*requests)
        await self.until(asleep, "it to fall asleep again", STOPPED_SECONDS + LOADED_SECONDS)

    def request(self) -> str:
        """One request to the service that sleeps: it is held, and answered. Raises OSError where it is not."""
        url = gateway_address(self.cluster)
        answer = ask(url, SLEEPER, "hi", max_tokens=LOAD_TOKENS, key=self.key, seconds=ANSWER_SECONDS)
        return str(answer["choices"][0]["finish_reason"])

    def asleep(self, name: str) -> bool:
        return self.is_ready(name, "Asleep") and not self.account.pods(name)

    def replicas(self, name: str) -> int:
        return int(self.account.get("deployment", name)["spec"]["replicas"])

    async def roll(self) -> None:
        self.change(STEADY, model={"name": self.way.name, "version": "v2"})
        await self.until(lambda: self.account.phase(STEADY) == "Upgrading", "it to be upgraded")
        self.told["rolling"] = self.health(STEADY)
        await self.ready(STEADY)

    async def fail(self) -> None:
        self.told["before"] = {pod["metadata"]["uid"] for pod in self.account.pods(STEADY)}
        self.services[LOST] = service(self.way, LOST, resourcePool="none")
        self.change(STEADY, engine={"args": ["--no-such-flag"]})
        for state in ("create", "condition=Stalled"):
            wait = ("wait", f"--for={state}", f"msvc/{LOST}", f"--timeout={SETTLE_SECONDS}s")
            await asyncio.to_thread(self.account.kubectl, *wait)
        self.told["lost"] = self.health(LOST)
        await self.until(lambda: self.account.phase(STEADY) == "Alarm", "it to fail", LOADED_SECONDS)
        self.told["failing"] = self.health(STEADY)
        del self.services[LOST]
        self.change(STEADY, engine=None)
        await self.ready(STEADY)
        await self.until(lambda: not self.account.left(LOST), "what is lost to be pruned")
        self.told["after"] = {pod["metadata"]["uid"] for pod in self.account.pods(STEADY)}

    async def contest(self) -> None:
        """Somebody else writes what is the operator's."""
        if self.way is FLUX:
            body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": STEADY}}
            force = ("apply", "--server-side", "--force-conflicts", "--field-manager=rival", "-f", "-")
            self.account.kubectl(*force, stdin=json.dumps(body | {"spec": {"replicas": FORCED}}))
        else:
            self.account.kubectl("scale", f"deployment/{STEADY}", f"--replicas={FORCED}")
        told = partial(self.account.condition, STEADY, "Reconciled")
        await self.until(lambda: told().get("reason") == "Conflict", "the conflict to be told")
        self.told["conflict"] = told()["message"]
        await self.ready(STEADY)

    async def prune(self) -> None:
        for name in (SLEEPER, TIMED):
            del self.services[name]
        self.commit()
        gone = (SLEEPER, TIMED)
        await self.until(lambda: not any(map(self.account.left, gone)), "what was pruned to be gone", GONE_SECONDS)
        self.told["rounds when pruned"] = len(self.controller.rounds)


class Watched:
    """Every state that an account's services and Deployments went through, as the API server told it."""

    def __init__(self, cluster: Cluster, way: Way, folder: Path) -> None:
        self._watches = {
            kind: Process(
                folder / f"{way.name}-{kind}", f"--kubeconfig={cluster.kubeconfig}", "get", kind, "-n", way.name,
                "--watch", f"-o=jsonpath={{.metadata.name}} {path}{{'\\n'}}", program=str(cluster.binary("kubectl")),
            )
            for kind, path in (
                ("deployments", "{.spec.replicas}"),
                ("modelservices", "{.status.instances.desired}"),
            )
        }  # fmt: skip

        self.whole = False
        """Whether nothing was missed."""

    def start(self) -> None:
        for each in self._watches.values():
            each.start()

    def end(self) -> None:
        self.whole = all(each.running() for each in self._watches.values())
        for each in self._watches.values():
            each.end()

    def states(self, kind: str, name: str) -> list[str]:
        """What followed on what; what was told twice on end, once."""
        lines = [line.split() for line in self._watches[kind].said().splitlines()]
        return [state for state, _ in itertools.groupby(line[1] for line in lines if line[0] == name and line[1:])]


async def loop(cluster: Cluster, shows: list[Show], examples: Examples) -> None:
    """Play all shows at the same time, with their controllers at work for ten minutes or longer, and the examples
    applied beside them."""
    stop = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    for show in shows:
        cluster.kubectl("create", "namespace", show.way.name)
        show.watched.start()
        show.commit()
    controllers = asyncio.gather(
        asyncio.to_thread(examples.run, stop), *(asyncio.to_thread(show.controller.run, stop) for show in shows)
    )
    plays = asyncio.gather(*(show.play() for show in shows), asyncio.sleep(LOOP_SECONDS))
    try:
        await asyncio.wait({controllers, plays}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        plays.cancel()
        for show in shows:
            show.watched.end()
    await controllers
    await plays
