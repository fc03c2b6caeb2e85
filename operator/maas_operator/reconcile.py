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
from maas_operator.api.decision import Decision
from maas_operator.api.kinds import API_KEY, MODEL, MODEL_SERVICE, NOTIFICATION_TOPIC, RESOURCE_POOL
from maas_operator.api.seen import Manifest, Outcome, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide import (
    decide_api_key,
    decide_model,
    decide_pool,
    decide_service,
    decide_topic,
    with_learned,
    with_outcome,
)
from maas_operator.watch.keys import Key
from maas_operator.watch.store import Store
from maas_operator.watch.versions import Version

log = structlog.get_logger()


@dataclass(frozen=True)
class Rule:
    """How a kind is decided: which part of the snapshot is the object itself, and the function that decides. `learn`,
    for kinds whose carrying out teaches something: the snapshot with that in it."""

    subject: Callable[[Any], Manifest]
    decide: Callable[[Any, datetime], Decision]
    learn: Callable[[Any, Mapping[str, Any]], Any] | None = None


def rules(settings: Settings) -> Mapping[str, Rule]:
    """The five kinds."""
    return {
        MODEL_SERVICE.kind: Rule(lambda seen: seen.service, lambda seen, now: decide_service(seen, settings, now)),
        RESOURCE_POOL.kind: Rule(lambda seen: seen.pool, decide_pool),
        MODEL.kind: Rule(lambda seen: seen.model, decide_model),
        API_KEY.kind: Rule(lambda seen: seen.key, lambda seen, now: decide_api_key(seen, settings, now), with_learned),
        NOTIFICATION_TOPIC.kind: Rule(lambda seen: seen.topic, decide_topic),
    }


class TryAgain(Exception):  # noqa: N818 nothing is wrong that has not been told
    """The key is to be tried again after a while."""


class Reconciler:
    """Reconciles one key at a time, as the queue says."""

    def __init__(
        self, store: Store, cluster: Cluster, executor: Executor, events: Events, rules: Mapping[str, Rule]
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._executor = executor
        self._events = events
        self._rules = rules
        self._phases = metrics.Phases()

    def close(self) -> None:
        """Count no service any more."""
        self._phases.clear()

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
        seen = self._store.snapshot(key)
        if seen is None:
            self._phases.forget(key)
            return None
        rule, version = self._rules[key.kind], self._store.version(key)
        subject = rule.subject(seen)
        if key.kind == MODEL_SERVICE.kind and "deletionTimestamp" in subject["metadata"]:
            return None
        decision = rule.decide(seen, datetime.now(UTC))
        outcome = await self._executor.carry_out(decision)
        if rule.learn and outcome.learned:
            decision = rule.decide(rule.learn(seen, outcome.learned), datetime.now(UTC))
        await self._report(key, subject, version, decision, outcome)
        if any(failure.retry for failure in outcome.failures):
            raise TryAgain
        return decision.look_again

    async def _report(
        self, key: Key, subject: Manifest, version: Version | None, decision: Decision, outcome: Outcome
    ) -> None:
        """The status, also when carrying out failed; and the events. What was learned is written only upon the state
        of the object that was decided upon: another replica may have learned something else meanwhile."""
        for failure in outcome.failures:
            _tell(key, failure)
        status = with_outcome(decision, outcome, subject["metadata"].get("generation", 0), datetime.now(UTC))
        self._phases.note(key, status.get("phase"))
        upon = str(version.resource_version) if version and outcome.learned else None
        if status != subject.get("status", {}):
            self._store.objects.expect_status(key, status)
            try:
                await self._cluster.write_status(subject, status, upon)
            except Gone:
                return
            except Refused as refused:
                _tell(key, refused.failure)
                raise TryAgain from refused
        for event in decision.events:
            await self._events.tell(subject, event)


def _tell(key: Key, failure: WriteFailure) -> None:
    metrics.ERRORS.labels(key.kind, failure.reason).inc()
    log.warning("a write failed", what=failure.what, reason=failure.reason, error=failure.message)
