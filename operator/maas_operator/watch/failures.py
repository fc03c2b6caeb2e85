"""Why a pod does not run, from what the kubelet says of it."""

import re
from datetime import datetime
from typing import Any

from maas_operator.api.names import CONTAINER
from maas_operator.api.seen import Failure, Manifest

STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons for waiting that are no failure."""
NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""Reasons for waiting that name no image, and are about one."""
OUT_OF_MEMORY = "OOMKilled"
CRASH_LOOP = 2
"""Restarts from which a container that runs again is still taken for failing, until it is ready."""
KILLED = 137
"""The exit code of what SIGKILL ended."""
KILL_SECONDS = 60
"""What may pass between the last try of a startup probe and the end of the container that it killed."""

_BACK_OFF = re.compile(r"back-off (\S+) restarting")
"""The kubelet's words for the pause between two tries of a container that crashes."""


def failure(spec: Manifest, status: Manifest) -> Failure | None:
    """Of the first container that does not run, the engine's before any other; or of the whole pod."""
    containers = {each.get("name"): each for each in [*spec.get("initContainers", ()), *spec.get("containers", ())]}
    statuses = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    statuses.sort(key=lambda each: bool(each["name"] != CONTAINER))
    every = (_of_container(containers.get(each["name"], {}), each) for each in statuses)
    found = next((each for each in every if each), None)
    if status.get("phase") == "Failed" and (found is None or "reason" in status):
        return Failure(status.get("reason", "Error"), status.get("message", ""))
    return found


def _of_container(spec: Manifest, status: Manifest) -> Failure | None:
    state, last = status.get("state", {}), status.get("lastState", {}).get("terminated", {})
    restarts = status.get("restartCount", 0)
    if ended := state.get("terminated"):
        return _ended(spec, ended, restarts) if ended.get("exitCode") else None
    if "running" in state and not status.get("ready") and last.get("exitCode"):
        again = _ended(spec, last, restarts)
        return again if restarts >= CRASH_LOOP or again.start_seconds is not None else None
    waiting = state.get("waiting", {})
    reason = waiting.get("reason")
    if not reason or reason in STARTING:
        return None
    words = waiting.get("message", "")
    if reason in NO_IMAGE:
        return Failure(reason, words, restarts=restarts, image=spec.get("image", ""))
    back_off = _BACK_OFF.search(words)
    told: dict[str, Any] = {"back_off": back_off[1] if back_off else ""}
    if last:
        told |= {"exit_code": last.get("exitCode")} | _why(spec, last)
    # The engine's last words tell more than the kubelet's "back-off 5m0s restarting failed container".
    return Failure(reason, last.get("message") or words, restarts=restarts, **told)


def _ended(spec: Manifest, ended: Manifest, restarts: int) -> Failure:
    return Failure(
        ended.get("reason", "Error"), ended.get("message", ""), ended["exitCode"], restarts, **_why(spec, ended)
    )


def _why(spec: Manifest, ended: Manifest) -> dict[str, Any]:
    """Why the container was killed, if it was: for its memory, or since it was not ready in time."""
    if ended.get("reason") == OUT_OF_MEMORY:
        return {"memory_limit": spec.get("resources", {}).get("limits", {}).get("memory", "")}
    probe = spec.get("startupProbe")
    if probe is None or ended.get("exitCode") != KILLED or not {"startedAt", "finishedAt"} <= ended.keys():
        return {}
    allowed = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
    ran = datetime.fromisoformat(ended["finishedAt"]) - datetime.fromisoformat(ended["startedAt"])
    return {"start_seconds": allowed} if allowed <= ran.total_seconds() < allowed + KILL_SECONDS else {}
