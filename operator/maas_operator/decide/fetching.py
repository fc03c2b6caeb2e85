"""The Job that fetches weights into a cache that the nodes share, and how far the fetching is, wherever it is done."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Remove
from maas_operator.api.fetching import FetchProgress
from maas_operator.api.names import JOB_COMPLETE, JOB_FAILED
from maas_operator.api.seen import FetchState, Manifest, PodSeen, ServiceSeen
from maas_operator.decide.acceptance import Plan
from maas_operator.decide.conditions import Verdict
from maas_operator.decide.identity import owned
from maas_operator.decide.instances import FINISHED, Instances, trouble
from maas_operator.decide.sources import prefetched


@dataclass(frozen=True, slots=True)
class FetchJob:
    """What is to be done about the Jobs of a service."""

    wanted: Manifest | None
    """The one that has to have ended before instances start."""
    complete: bool
    failed: str | None
    """In Kubernetes' words why it gave up."""
    remove: tuple[Remove, ...]
    """Those of earlier versions and settings, and what is under way for a service that was stopped."""

    @property
    def pending(self) -> bool:
        """Whether instances have to wait for it."""
        return self.wanted is not None and not self.complete


def fetch_job(seen: ServiceSeen, plan: Plan, rendered: Manifest | None, in_use: bool) -> FetchJob:
    """rendered: the Job of what the instances are to become; in_use: that is what they become now."""
    jobs = _jobs(seen)
    if plan.stopped:
        return FetchJob(None, False, None, under_way(seen))
    if not in_use:
        return FetchJob(None, False, None, ())
    name = rendered["metadata"]["name"] if rendered else ""
    live = jobs.pop(name, None)
    failed = _ended(live, JOB_FAILED) if live else None
    return FetchJob(
        wanted=rendered,
        complete=bool(live and _ended(live, JOB_COMPLETE)),
        failed=failed["message"] if failed else None,
        remove=_removed(jobs.values()),
    )


def under_way(seen: ServiceSeen) -> tuple[Remove, ...]:
    """The removal of the Jobs that have not fetched all yet."""
    return _removed(live for live in _jobs(seen).values() if not _ended(live, JOB_COMPLETE))


def weights_ready(seen: ServiceSeen, plan: Plan, instances: Instances, job: FetchJob, held: bool) -> Verdict | None:
    """The condition on the weights; None where nothing is fetched before instances start. held: the instances are of a
    template of before."""
    pods = tuple(pod for pod in seen.fetchers if pod.phase not in FINISHED) if job.pending else _hosts(seen, instances)
    if not plan.desired or not prefetched(plan) or (held and not any(pod.fetch for pod in pods)):
        return None
    what = f"version {plan.version.name}"
    if job.failed:
        message = f"the Job that fetches {what} gave up ({job.failed}): kubectl maas start makes it anew"
        return Verdict(False, Reason.FETCH_FAILING, message)
    failing = [pod for pod in pods if pod.failure and (pod.fetch == FetchState.FAILING or pod in seen.fetchers)]
    if failing:
        return Verdict(False, Reason.FETCH_FAILING, f"{what} cannot be fetched: {trouble(failing[0], 'pod')}")
    running = [pod for pod in pods if pod.fetch == FetchState.RUNNING]
    if running:
        return Verdict(False, Reason.FETCHING, f"fetching {what}{_progress(seen, running)}")
    if job.pending:
        words = next((f": {pod.unschedulable}" for pod in pods if pod.unschedulable), "")
        return Verdict(False, Reason.FETCHING, f"the Job that fetches {what} is being placed{words}")
    if all(pod.ready or pod.fetch == FetchState.DONE for pod in pods) and (pods or job.complete):
        return Verdict(True, Reason.FETCHED, f"{what} is there, whole and verified")
    doing = "verified" if job.complete else "fetched"
    return Verdict(False, Reason.FETCHING, f"{what} is {doing} where instances are placed")


def _jobs(seen: ServiceSeen) -> dict[str, Manifest]:
    """The service's own, by name."""
    uid = seen.service["metadata"]["uid"]
    return {name: live for (kind, name), live in seen.children.items() if kind == "Job" and owned(live, uid)}


def _hosts(seen: ServiceSeen, instances: Instances) -> tuple[PodSeen, ...]:
    """The pods of the instances that stay, all of the hosts of each: every host has its own node's folder to fill."""
    groups = {pod.group for pod in instances.staying if pod.group}
    hosts = (pod for pod in seen.pods if pod.group in groups and not pod.leaving and pod.phase not in FINISHED)
    return (*(pod for pod in instances.staying if pod.group is None), *hosts)


def _progress(seen: ServiceSeen, running: Sequence[PodSeen]) -> str:
    """How far the one is that is furthest behind, of those that tell."""
    fetching = seen.measured.fetching if seen.measured else {}
    told = [fetching[pod.name] for pod in running if pod.name in fetching]
    if not told:
        return ""
    last = min(told, key=_share)
    others = f" (the last of {len(running)} pods)" if len(running) > 1 else ""
    return f": {last.words}{others}"


def _share(progress: FetchProgress) -> float:
    return progress.done / progress.total if progress.total else 0.0


def _ended(job: Manifest, how: str) -> Manifest | None:
    """The condition by which a Job has ended so."""
    conditions = job.get("status", {}).get("conditions", ())
    return next(({"message": ""} | each for each in conditions if each["type"] == how), None)


def _removed(jobs: Iterable[Manifest]) -> tuple[Remove, ...]:
    return tuple(
        Remove("Job", job["metadata"]["namespace"], job["metadata"]["name"], job["metadata"]["uid"]) for job in jobs
    )
