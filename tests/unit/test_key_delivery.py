"""M22: whatever is killed, frozen or late between two requests, a key is delivered once, and its Secret goes.

The real reconciler, executor and store, against an API server of three requests. Replicas are coroutines that stop
before and after each request; hypothesis says who goes on, who is killed, and who looks at the cluster.
"""

import copy
from collections.abc import Coroutine, Generator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.act.answers import ApiError, Outdated
from maas_operator.act.cluster import Cluster
from maas_operator.act.events import Events
from maas_operator.act.executor import Executor
from maas_operator.act.http import Body
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_api_key, with_learned
from maas_operator.keymaking import digest_of
from maas_operator.reconcile import Reconciler, Rule, TryAgain
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from tests.unit.act.fakes import patched
from tests.unit.decide.facts import NOW

KEY = Key("ApiKey", "team-a", "ci")
SETTINGS = Settings(key_delivery_seconds=60)
MANY = 40
"""Reconciles after which a replica that is left alone has long been done."""


class ApiServer:
    """One ApiKey, the Secrets of its account, and the time."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.secrets: dict[str, Manifest] = {"ci": {"uid": "a-strangers", "key": "a-strangers"}}
        self.made = 0
        self.delivered: str | None = None
        self.key: Manifest = {
            "apiVersion": "maas-operator.io/v1alpha1",
            "kind": "ApiKey",
            "metadata": {
                "name": "ci",
                "namespace": "team-a",
                "uid": "uid",
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"tag": "ci", "description": "d", "delivery": "Secret"},
        }

    @property
    def status(self) -> Manifest:
        return dict(self.key.get("status", {}))

    def answer(self, method: str, path: str, body: Body) -> Manifest:
        if isinstance(body, list):
            return self._patch(body)
        if method == "POST":
            return self._make(body)
        return self._remove(path.rsplit("/", 1)[1], body.get("preconditions", {}).get("uid"))

    def _make(self, body: Manifest) -> Manifest:
        name = body["metadata"]["name"]
        if name in self.secrets:
            raise ApiError(409, {"message": "it already exists"})
        self.made += 1
        self.secrets[name] = {"uid": f"uid-{self.made}", "key": body["stringData"]["key"]}
        return {"metadata": {"uid": self.secrets[name]["uid"]}}

    def _remove(self, name: str, uid: str | None) -> Manifest:
        if name not in self.secrets:
            raise ApiError(404, {})
        if uid not in {None, self.secrets[name]["uid"]}:
            raise ApiError(409, {"message": "the UID in the precondition is another"})
        del self.secrets[name]
        return {}

    def _patch(self, body: list[Manifest]) -> Manifest:
        metadata = self.key["metadata"]
        status = patched(self.key, body).get("status", {})
        assert self.delivered in {None, status.get("sha256")}, "a digest was replaced"
        self.delivered = status.get("sha256")
        self.key = self.key | {
            "metadata": metadata | {"resourceVersion": str(int(metadata["resourceVersion"]) + 1)},
            "status": status,
        }
        return copy.deepcopy(self.key)

    def check(self) -> None:
        """What has to hold at every moment."""
        assert self.secrets["ci"]["uid"] == "a-strangers"
        counting = [name for name, each in self.secrets.items() if digest_of(each["key"]) == self.delivered]
        named = self.status.get("delivery", {}).get("secretName")
        if self.delivered and self.now < NOW + timedelta(seconds=SETTINGS.key_delivery_seconds):
            assert counting == [named], "the one key that counts is where the status says"
        assert len(counting) <= 1
        assert not any(each["key"] in str(self.key) for each in self.secrets.values())


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Replica:
    """An operator, believing that it leads."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.start()

    def start(self) -> None:
        """Begin with having seen what there is."""
        self._work: Coroutine[Any, Any, Any] | None = None
        self._store = Store()
        self.look()
        http: Any = self
        cluster = Cluster(http, self._feed)
        rule = Rule(
            lambda seen: seen.key, lambda seen, _: decide_api_key(seen, SETTINGS, self._server.now), with_learned
        )
        self._reconciler = Reconciler(self._store, cluster, Executor(cluster), Events(http, "me"), {KEY.kind: rule})

    def _feed(self, raw: Manifest) -> None:
        self._store.put(raw)

    async def write(self, method: str, path: str, body: Body, *_: Any) -> Manifest:
        await _Pause()
        try:
            return self._server.answer(method, path, body)
        finally:
            await _Pause()

    def look(self) -> None:
        """See the ApiKey as it is now; until then, it is decided upon what was seen before."""
        self._store.put(copy.deepcopy(self._server.key))

    def step(self) -> None:
        """Go on until just before, or just after, the next request."""
        self._work = self._work or self._reconciler.reconcile(KEY)
        try:
            self._work.send(None)
        except (StopIteration, TryAgain, Outdated):
            self._work = None

    def kill(self) -> None:
        """End where it is, and start anew."""
        if self._work:
            self._work.close()
        self.start()

    def finish(self) -> None:
        """Be left alone until everything is done."""
        for _ in range(MANY):
            self.step()
            while self._work:
                self.step()
            self.look()


ACTIONS = st.tuples(st.sampled_from([0, 0, 1]), st.sampled_from(["step", "step", "step", "step", "look", "kill"]))


def act(replicas: list[Replica], which: int, what: str) -> None:
    getattr(replicas[which % len(replicas)], what)()


@given(st.lists(ACTIONS, max_size=40))
def test_m22_one_replica_killed_anywhere_delivers_once_and_leaves_nothing(schedule: list[tuple[int, str]]) -> None:
    server = ApiServer()
    replicas = [Replica(server)]
    for which, what in schedule:
        act(replicas, which, what)
        server.check()
    replicas[0].kill()
    replicas[0].finish()
    server.check()
    assert server.delivered
    assert len(server.secrets) == 2, "the stranger's, and the one that delivers"
    server.now += timedelta(seconds=SETTINGS.key_delivery_seconds)
    replicas[0].finish()
    server.check()
    assert list(server.secrets) == ["ci"]
    assert server.status["delivery"]["removedAt"]


@given(st.lists(ACTIONS, max_size=80))
def test_m22_two_replicas_that_both_believe_to_lead_deliver_once(schedule: list[tuple[int, str]]) -> None:
    """One that was frozen may go on at any time, also long after the other one took over."""
    server = ApiServer()
    replicas = [Replica(server), Replica(server)]
    for which, what in schedule:
        act(replicas, which, what)
        server.check()
    for replica in replicas:
        replica.look()
        replica.finish()
        server.check()
    assert server.delivered
    server.now += timedelta(seconds=SETTINGS.key_delivery_seconds)
    replicas[1].finish()
    server.check()
    assert not [each for each in server.secrets.values() if digest_of(each["key"]) == server.delivered]
