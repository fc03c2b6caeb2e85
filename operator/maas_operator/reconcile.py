"""The heart: read what was seen, decide, carry out, report, and say when to look again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from maas_operator import metrics
from maas_operator.act.answers import Gone, Outdated, Refused
from maas_operator.act.cluster import Cluster
from maas_operator.act.events import Events
from maas_operator.act.executor import Executor
from maas_operator.act.telling import Telling
from maas_operator.api.decision import Decision
from maas_operator.api.events import Happening
from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.seen import Manifest, Outcome, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide import (
    asked_test,
    decide_api_key,
    decide_model,
    decide_pool,
    decide_service,
    decide_topic,
    remembered,
    targets,
    with_happened,
    with_lack,
    with_learned,
    with_outcome,
    with_status,
)
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from maas_operator.watch.versions import Version

log = structlog.get_logger()


@dataclass(frozen=True)
class Rule:
    """How a kind is decided: which part of the snapshot is the object itself, and the function that decides. `learn`,
    for kinds whose carrying out teaches something: the snapshot with that in it. `stands`, for kinds whose status may
    have to be written before it is carried out: the snapshot with that status.

    For kinds of which something is told: `recall`, the snapshot with what this process knows besides; `record`, the
    status with what happened; `reported`, that this status stands; `gone`, that the object does not any more."""

    subject: Callable[[Any], Manifest]
    decide: Callable[[Any, datetime], Decision]
    learn: Callable[[Any, Mapping[str, Any]], Any] | None = None
    stands: Callable[[Any, Manifest], Any] = lambda seen, _: seen
    recall: Callable[[Any], Any] = lambda seen: seen
    record: Callable[[Any, Decision, Manifest, datetime], Manifest] = lambda _, __, status, ___: status
    reported: Callable[[Any, Manifest], None] = lambda _, __: None
    gone: Callable[[Key], None] = lambda _: None


def rules(settings: Settings, telling: Telling) -> Mapping[str, Rule]:
    """The five kinds."""
    return {
        MODEL_SERVICE.kind: Rule(
            lambda seen: seen.service,
            lambda seen, now: decide_service(seen, settings, now),
            stands=with_status,
            recall=telling.recall_service,
            record=lambda seen, decision, status, now: with_happened(seen, decision.events, status, now),
            reported=lambda seen, status: telling.service_reported(seen, status, targets(seen, Happening.DELETED)),
            gone=lambda key: telling.service_gone(key.namespace, key.name),
        ),
        RESOURCE_POOL.kind: Rule(lambda seen: seen.pool, decide_pool),
        MODEL.kind: Rule(lambda seen: seen.model, decide_model),
        API_KEY.kind: Rule(lambda seen: seen.key, lambda seen, now: decide_api_key(seen, settings, now), with_learned),
        NOTIFICATION_TOPIC.kind: Rule(
            lambda seen: seen.topic,
            decide_topic,
            recall=telling.recall_topic,
            reported=lambda seen, status: telling.topic_reported(seen, asked_test(seen.topic | {"status": status})),
            gone=lambda key: telling.topic_gone(key.namespace, key.name),
        ),
    }


class TryAgain(Exception):  # noqa: N818 nothing is wrong that has not been told
    """The key is to be tried again after a while."""


class Reconciler:
    """Reconciles one key at a time, as the queue says."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        executor: Executor,
        events: Events,
        rules: Mapping[str, Rule],
        unseen: Callable[[], Mapping[str, WriteFailure]] = dict,
        seen_whole: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`unseen`: by kind, what may not be seen of what its decisions need. `seen_whole`: whether all that decisions
        on a kind need has been seen: nothing is decided before."""
        self._unseen = unseen
        self._seen_whole = seen_whole
        self._store = store
        self._cluster = cluster
        self._executor = executor
        self._events = events
        self._rules = rules
        self._phases = metrics.Phases()
        self._pools = metrics.PoolInstances()

    def close(self) -> None:
        """Count nothing any more."""
        self._phases.clear()
        self._pools.clear()

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile an object. Returns the seconds until it is worth looking again. Raises what makes it try again:
        everything has been logged and counted by then."""
        structlog.contextvars.bind_contextvars(kind=key.kind, namespace=key.namespace, name=key.name)
        began = time.perf_counter()
        try:
            return await self._reconcile(key)
        except (TryAgain, Outdated):
            raise
        except Exception as error:
            metrics.ERRORS.labels(key.kind, type(error).__name__).inc()
            log.exception("reconciling failed")
            raise
        finally:
            metrics.RECONCILE_SECONDS.labels(key.kind).observe(time.perf_counter() - began)

    async def _reconcile(self, key: Key) -> float | None:
        rule, found = self._rules[key.kind], self._store.snapshot(key)
        if found is None:
            self._phases.forget(key)
            if key.kind == RESOURCE_POOL.kind:
                self._pools.forget(key.name)
            rule.gone(key)
            return None
        seen, version = rule.recall(found), self._store.version(key)
        subject = rule.subject(seen)
        if key.kind == MODEL_SERVICE.kind and "deletionTimestamp" in subject["metadata"]:
            return None
        if not self._seen_whole(key.kind):
            await self._tell_lack(key, subject)
            return None
        now = datetime.now(UTC)
        decision = rule.decide(seen, now)
        if key.kind == MODEL_SERVICE.kind:
            self._store.standings.expect(key, subject, decision.status)
        if decision.written_first:
            stands = await self._report(key, subject, seen, version, decision, Outcome(), now)
            if stands is None:
                return None
            seen, subject = rule.stands(seen, stands), subject | {"status": stands}
        outcome = await self._executor.carry_out(decision)
        if outcome.overruled:
            generation = subject["metadata"].get("generation", 0)
            known = remembered(self._store.contests(key), outcome.overruled, generation, datetime.now(UTC))
            self._store.remember_contests(key, known)
        if rule.learn and outcome.learned:
            seen = rule.learn(seen, outcome.learned)
            decision = rule.decide(seen, datetime.now(UTC))
        await self._report(key, subject, seen, version, decision, outcome, now)
        if any(failure.retry for failure in outcome.failures):
            raise TryAgain
        return 0.0 if outcome.overruled else decision.look_again

    async def _report(
        self,
        key: Key,
        subject: Manifest,
        seen: Any,
        version: Version | None,
        decision: Decision,
        outcome: Outcome,
        now: datetime,
    ) -> Manifest | None:
        """The status, also when carrying out failed; and the events. Returns the status that stands; None: the object
        does not any more. What was learned is written only upon the state of the object that was decided upon: another
        replica may have learned something else meanwhile."""
        for failure in outcome.failures:
            _tell(key, failure)
        rule = self._rules[key.kind]
        status = with_outcome(decision, outcome, subject["metadata"].get("generation", 0), now)
        status = rule.record(seen, decision, status, now)
        lack = self._unseen().get(key.kind)
        if lack and not outcome.failures:
            status = with_lack(status, decision.before, lack, subject["metadata"].get("generation", 0), now)
        self._phases.note(key, status.get("phase"))
        if key.kind == RESOURCE_POOL.kind:
            self._pools.note(key.name, status.get("flavors", ()))
        upon = str(version.resource_version) if version and outcome.learned else None
        if not await self._written(key, subject, status, upon):
            return None
        self._store.remember(key, decision.scaling_memory)
        rule.reported(seen, status)
        for event in decision.events:
            await self._events.tell(subject, event)
        return status

    async def _tell_lack(self, key: Key, subject: Manifest) -> None:
        """Of an object that cannot be decided: which permission is missing for that, if it is for that."""
        lack = self._unseen().get(key.kind)
        if lack is None:
            return
        before = subject.get("status", {})
        generation, now = subject["metadata"].get("generation", 0), datetime.now(UTC)
        status = with_lack(before, before.get("conditions", ()), lack, generation, now)
        await self._written(key, subject, status, None)

    async def _written(self, key: Key, subject: Manifest, status: Manifest, upon: str | None) -> bool:
        """Have the status stand. False: the object does not any more. Raises TryAgain."""
        if status == subject.get("status", {}):
            return True
        self._store.objects.expect_status(key, status)
        try:
            await self._cluster.write_status(subject, status, upon)
        except Gone:
            return False
        except Refused as refused:
            _tell(key, refused.failure)
            raise TryAgain from refused
        return True


def _tell(key: Key, failure: WriteFailure) -> None:
    metrics.ERRORS.labels(key.kind, failure.reason).inc()
    log.warning("a write failed", what=failure.what, reason=failure.reason, error=failure.message)
