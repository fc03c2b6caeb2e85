"""Carrying out a decision: the marks, the writes in their order, then the removals."""

import asyncio

import structlog

from maas_operator.act import delivery
from maas_operator.act.answers import Gone, Refused
from maas_operator.act.cluster import Cluster
from maas_operator.api.decision import Decision
from maas_operator.api.seen import Outcome, Overruled

WRITES_AT_ONCE = 32
"""Requests to the API server in flight, over all decisions: more make it no faster, and crowd out everybody else."""

log = structlog.get_logger()


class Executor:
    """Carries decisions out, so many writes at a time."""

    def __init__(self, cluster: Cluster, at_once: int = WRITES_AT_ONCE) -> None:
        self._cluster = cluster
        self._free = asyncio.Semaphore(at_once)

    async def carry_out(self, decision: Decision) -> Outcome:
        """Write what is to be written, and remove what is to be removed only when all of that stands.

        A failed write ends the decision: what comes later needs what comes before. Raises Outdated where an object
        is not the one that was seen. Where there is nothing to write to any more, nothing has failed.
        """
        overruled: list[Overruled] = []
        try:
            for mark in decision.marks:
                async with self._free:
                    await self._cluster.mark(mark)
            for apply in decision.apply:
                async with self._free:
                    taken_back = await self._cluster.apply(apply)
                if taken_back:
                    overruled.append(taken_back)
                    log.warning("taken back", child=taken_back.kind, child_name=taken_back.name, by=taken_back.by)
                metadata = apply.manifest["metadata"]
                log.info("applied", child=apply.manifest["kind"], child_name=metadata["name"], why=apply.why)
            for remove in decision.remove:
                async with self._free:
                    await self._cluster.remove(remove)
                log.info("removed", child=remove.kind, child_name=remove.name)
            if decision.delivery:
                async with self._free:
                    return Outcome(learned=await delivery.carry_out(decision.delivery, self._cluster))
        except Refused as refused:
            return Outcome((refused.failure,), overruled=tuple(overruled))
        except Gone:
            log.info("there is nothing to write to any more")
        return Outcome(overruled=tuple(overruled))
