"""A service's life, reconciled by the real reconciler against an API server of its own: one whose answers may fail, and
whose operator may end before or after any write."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from structlog.testing import capture_logs

from maas_operator.act.answers import ApiError
from maas_operator.act.cluster import Cluster
from maas_operator.act.events import Events
from maas_operator.act.executor import Executor
from maas_operator.act.http import Body
from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, ScalingMemory, ServiceSeen
from maas_operator.decide import decide_service, with_happened, with_status
from maas_operator.reconcile import Reconciler, Rule, TryAgain
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from tests.unit.act.fakes import patched
from tests.unit.decide.apiserver import stored
from tests.unit.decide.scaling.life import Life

KEY = Key("ModelService", "team-a", "assistant")
KINDS = {"deployments": "Deployment", "services": "Service", "poddisruptionbudgets": "PodDisruptionBudget"}
HOW = ("ends before", "ends after", "is refused")


class EndedError(BaseException):
    """The process has ended here."""


@dataclass(frozen=True)
class Trouble:
    """What happens at a write: the how manieth of those to come, 0 the next."""

    write: int
    how: str


class _Seen(Store):
    """What is seen is the life as it is."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def snapshot(self, key: Key) -> ServiceSeen:
        return replace(self._life.seen(), settled=frozenset(), contests=self.contests(key))

    def remember(self, service: Key, memory: ScalingMemory | None) -> None:
        self._life.memory = memory


class Reconciled:
    """An operator, and the API server that it writes to."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.trouble: Trouble | None = None
        self.forbidden = ""
        """A write that is refused whenever it comes."""
        self.met = False
        """Whether the last look met the trouble."""
        self.wrote: list[str] = []
        """What the last look wrote."""
        self._begin()

    def _begin(self) -> None:
        http: Any = self
        cluster = Cluster(http, lambda _: None)
        rule = Rule(
            lambda seen: seen.service,
            self._decide,
            stands=with_status,
            record=lambda seen, decision, status, _: with_happened(seen, decision.events, status, self.life.now),
        )
        executor, events = Executor(cluster), Events(http, "me")
        self._reconciler = Reconciler(_Seen(self.life), cluster, executor, events, {KEY.kind: rule})

    def _decide(self, seen: ServiceSeen, _: object) -> Decision:
        self._decision = decide_service(seen, self.life.settings, self.life.now)
        return self._decision

    def look(self) -> Decision:
        """Reconcile once. Returns what was decided, however far it was carried out."""
        self.met, self.wrote = False, []
        work = self._reconciler.reconcile(KEY)
        try:
            with capture_logs():  # printing them would take longer than all else
                work.send(None)
        except (StopIteration, TryAgain):
            pass
        except EndedError:
            self.life.restart()
            self._begin()
        else:
            raise AssertionError("it waits for something")
        return self._decision

    async def write(self, method: str, path: str, body: Body, *_: Any) -> Manifest:
        """A request to the API server."""
        trouble, name = self.trouble, "/".join(path.rsplit("/", 2)[1:])
        if trouble and trouble.write:
            self.trouble, trouble = replace(trouble, write=trouble.write - 1), None
        if trouble:
            self.trouble, self.met = None, True
        if trouble and trouble.how == "is refused":
            raise ApiError(503, {"message": "not now"})
        if trouble and trouble.how == "ends before":
            raise EndedError
        if self.forbidden == f"{method} {name}":
            raise ApiError(403, {"message": "not for you"})
        self.wrote.append(f"{method} {name}")
        answer = self._answer(method, name, body)
        if trouble:
            raise EndedError
        return answer

    def _answer(self, method: str, name: str, body: Body) -> Manifest:
        life, (kind, of) = self.life, name.split("/")
        if isinstance(body, list):
            life.service["status"] = patched(life.service, body)["status"]
            return life.service
        if method == "POST":
            return body
        if kind == "pods":
            changed: Mapping[str, Any] = {"leaving": True} if method == "DELETE" else {"deletion_cost": _cost(body)}
            if method == "DELETE":
                self.check_removal(of)
            life.pods = [replace(each, **changed) if each.name == of else each for each in life.pods]
            return body
        if method == "DELETE":
            return life.children.pop((KINDS[kind], of))
        if kind == "deployments":
            self.check_number(body["spec"]["replicas"])
        life.children[KINDS[kind], of] = stored(body)
        return life.children[KINDS[kind], of]

    def check_removal(self, pod: str) -> None:
        """An instance goes once it is written down why, for those who are to be told, too."""
        assert self.life.status["suspension"]["instance"] == pod
        told = [each["message"] for each in self.life.status["events"] if each["reason"] == "SuspectedSuspension"]
        assert any(f"instance {pod} " in each for each in told)

    def check_number(self, instances: int) -> None:
        """So many run as is written down, unless the spec says so itself."""
        spec, status = self.life.service["spec"], self.life.status
        if spec.get("state") == "Stopped":
            return
        if instances and "scaling" in spec and "scaling" in status:
            assert instances == status["scaling"]["desired"]
        elif not instances and spec.get("instances") != 0:
            assert "asleepSince" in status.get("scaling", {}) or "stoppedAt" in status.get("autoStop", {})


def _cost(body: Manifest) -> str:
    (cost,) = body["metadata"]["annotations"].values()
    return str(cost)
