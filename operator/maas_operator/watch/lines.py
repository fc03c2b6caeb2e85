"""Who has what of which pool, and who waits for room there, in order: kept as services change, never counted anew."""

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import replace

from maas_operator.api.kinds import RESOURCE_POOL
from maas_operator.api.names import LINE_SHOWN
from maas_operator.api.quantities import amount
from maas_operator.api.seen import Lines, Manifest, Standing
from maas_operator.watch.groups import Groups
from maas_operator.watch.keys import Key
from maas_operator.watch.objects import Altered
from maas_operator.watch.workloads import Owner

FRONT = 16
"""Services of each of a pool's lines, from its front, that are decided anew when room comes or goes there. Each that
gets its room has those behind it looked at, too."""
GLOBAL_DEFAULT = ""
"""Stands for the PriorityClass of those who name none."""

_Line = tuple[str, str]
"""Pool and resource."""


class Standings:
    """Standings of services by key, with the lines that follow from them."""

    def __init__(self) -> None:
        self._now: dict[Key, Standing] = {}
        self._told: dict[Key, Standing] = {}
        """As the cluster has it: of what is only expected nobody has been told yet."""
        self._owed: dict[Key, Altered] = {}
        """Those behind the places that were left by what is only expected."""
        self._lines: dict[_Line, list[tuple[tuple[int, str, str, str], Key]]] = {}
        self._shown: dict[str, Lines] = {}
        self._accounts: Groups[tuple[str, str], Key] = Groups()
        self._for_quota: Groups[tuple[str, str], Key] = Groups()
        self._asking: Groups[str, Key] = Groups()
        self._by_class: Groups[str, Key] = Groups()
        self._class: dict[Key, str] = {}
        self._values: dict[str, int] = {}
        self._default: dict[str, int] = {}
        """The values of those PriorityClasses that are the default, by name."""

    def put(self, key: Key, raw: Manifest) -> Altered:
        """Keep what a service has and asks for, as its object says. Returns whose decision that may alter."""
        if "deletionTimestamp" in raw["metadata"]:
            return self.drop(key)
        named = raw["spec"].get("priorityClassName", GLOBAL_DEFAULT)
        if self._class.get(key) != named:
            self._by_class.remove(self._class.get(key, named), key)
            self._class[key] = named
            self._by_class.add(named, key)
        return self._tell(key, self._standing(key, raw, raw.get("status", {})))

    def expect(self, key: Key, raw: Manifest, status: Manifest) -> None:
        """Go by this status from now on, which is about to be written: what is decided on others meanwhile must know
        of it. They are told of it once it stands."""
        before, now = self._now.get(key), self._standing(key, raw, status)
        if before is not None and before != now:
            self._owed.setdefault(key, set()).update(self._behind(before))
            self._keep(key, now)

    def drop(self, key: Key) -> Altered:
        """Forget a service."""
        self._by_class.remove(self._class.pop(key, GLOBAL_DEFAULT), key)
        return self._tell(key, None)

    def priority(self, key: Key) -> int | None:
        """The value of the service's PriorityClass; None: there is none of the name."""
        named = self._class.get(key, GLOBAL_DEFAULT)
        if named == GLOBAL_DEFAULT:  # of several defaults Kubernetes takes the lowest, too
            return min(self._default.values(), default=0)
        return self._values.get(named)

    def put_class(self, name: str, raw: Manifest | None) -> Altered:
        """Keep a PriorityClass; None: it is gone. Returns whose decision that may alter."""
        before = self._values.get(name), dict(self._default)
        self._values.pop(name, None)
        self._default.pop(name, None)
        if raw is not None:
            self._values[name] = int(raw.get("value", 0))
            if raw.get("globalDefault"):
                self._default[name] = self._values[name]
        altered: Altered = set()
        if before[0] != self._values.get(name):
            altered |= self._revalue(name)
        if before[1] != self._default:
            altered |= self._revalue(GLOBAL_DEFAULT)
        return altered

    def lines(self, pool: str) -> Lines:
        """The fronts of a pool's lines. The same tuples as before where nothing changed."""
        if pool not in self._shown:
            self._shown[pool] = {
                resource: tuple(self._now[key] for _, key in line[:LINE_SHOWN])
                for (of, resource), line in self._lines.items()
                if of == pool
            }
        return self._shown[pool]

    def front(self, pool: str) -> Altered:
        """Those who may get room that has come to a pool."""
        return {key for (of, _), line in self._lines.items() if of == pool for _, key in line[:FRONT]}

    def others(self, key: Key, pool: str, replicas: Mapping[Owner, int]) -> tuple[Standing, ...]:
        """What the other services of a service's account have of a pool. replicas: of their Deployments."""
        there = [self._now[each] for each in self._accounts.of((pool, key.namespace)) if each != key]
        return tuple(replace(each, replicas=replicas.get((each.namespace, each.name), 0)) for each in there)

    def asking(self, pool: str) -> tuple[Standing, ...]:
        """Services that ask for more of a pool than they have."""
        return tuple(self._now[key] for key in self._asking.of(pool))

    def for_quota_beside(self, key: Key) -> tuple[Key, ...]:
        """Those of a service's account and pool that wait for a quota."""
        standing = self._now.get(key)
        return self._for_quota.of((standing.pool, standing.namespace)) if standing else ()

    def _standing(self, key: Key, raw: Manifest, status: Manifest) -> Standing:
        spec, queue = raw["spec"], status.get("queue") or {}
        if (queue.get("pool"), queue.get("flavor")) != (spec["resourcePool"], spec["flavor"]):
            queue = {}
        desired = int(status.get("instances", {}).get("desired", 0))
        return Standing(
            namespace=key.namespace,
            name=key.name,
            pool=spec["resourcePool"],
            flavor=spec["flavor"],
            desired=desired,
            placed=int(queue["placed"]) if queue else desired,
            since=queue.get("since", ""),
            resource=queue.get("resource", ""),
            waiting=int(queue.get("instances", 0)),
            quota=queue.get("quota", ""),
            disk=amount("ephemeral-storage", queue.get("ephemeralStorage", "0")),
            priority=self.priority(key) or 0,
            created=raw["metadata"].get("creationTimestamp", ""),
        )

    def _revalue(self, named: str) -> Altered:
        altered: Altered = set()
        for key in self._by_class.of(named):
            altered |= {key}
            if (standing := self._now.get(key)) is not None:
                altered |= self._tell(key, replace(standing, priority=self.priority(key) or 0))
        return altered

    def _tell(self, key: Key, now: Standing | None) -> Altered:
        """Keep a standing that the cluster has. Returns those who may have to know of it."""
        before, expected = self._told.get(key), self._now.get(key)
        if before == now == expected:
            return set()
        altered = self._owed.pop(key, set())
        altered |= self._behind(expected) if expected else set()
        self._keep(key, now)
        altered |= self._behind(now) if now else set()
        changed = [each for each in (before, now) if each is not None]
        altered |= {other for each in changed for other in self._for_quota.of((each.pool, each.namespace))}
        if now is None:
            self._told.pop(key, None)
        else:
            self._told[key] = now
        altered |= {Key(RESOURCE_POOL.kind, "", each.pool) for each in changed if each.since}
        return altered - {key}

    def _behind(self, standing: Standing) -> Altered:
        """Those whose place in line is told and comes after the standing's, itself left out."""
        line = self._lines.get((standing.pool, standing.resource), [])
        if not standing.waiting:
            return set()
        index = bisect_left(line, standing.order, key=lambda each: each[0])
        return {key for _, key in line[index : LINE_SHOWN + 1]}

    def _keep(self, key: Key, now: Standing | None) -> None:
        before = self._now.pop(key, None)
        if before is not None:
            self._unlist(key, before)
        if now is not None:
            self._now[key] = now
            self._list(key, now)

    def _list(self, key: Key, standing: Standing) -> None:
        account = standing.pool, standing.namespace
        self._accounts.add(account, key)
        if standing.since:
            self._asking.add(standing.pool, key)
        if standing.quota:
            self._for_quota.add(account, key)
        if standing.waiting:
            insort(self._lines.setdefault((standing.pool, standing.resource), []), (standing.order, key))
            self._shown.pop(standing.pool, None)

    def _unlist(self, key: Key, standing: Standing) -> None:
        account = standing.pool, standing.namespace
        self._accounts.remove(account, key)
        self._asking.remove(standing.pool, key)
        self._for_quota.remove(account, key)
        if standing.waiting:
            named = standing.pool, standing.resource
            line = self._lines[named]
            del line[bisect_left(line, (standing.order, key))]
            if not line:
                del self._lines[named]
            self._shown.pop(standing.pool, None)
