"""What each action changes in a ModelService, and what is said of one. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from maas_operator.api.actions import Action, fitting, refusal
from maas_operator.api.conditions import ConditionType, Phase
from maas_operator.api.modelservice import State
from maas_operator.api.names import ANNOTATION_START, LINE_SHOWN
from maas_operator.api.times import written
from maas_operator.cli.errors import CliError
from maas_operator.cli.tables import shown

Manifest = dict[str, Any]
Patch = dict[str, Any]
"""A merge patch."""


def check(service: Manifest, action: Action) -> None:
    """Raises CliError where the action does not fit the service's state."""
    name = service["metadata"]["name"]
    phase = _phase(service)
    if phase is None:
        raise CliError(f"the operator has not seen service {name} yet: try again in a moment")
    if words := refusal(name, action, phase, _accepted(service), _asleep(service)):
        raise CliError(words)


def start(service: Manifest, instances: int | None, now: datetime) -> Patch:
    """Run again; what failed is made anew, without its back-off."""
    name = service["metadata"]["name"]
    spec: Patch = {} if service["spec"].get("state") != State.STOPPED else {"state": State.RUNNING.value}
    if instances is not None:
        spec |= scale(service, instances, None, None)["spec"]
    elif service["spec"].get("instances") == 0:
        raise CliError(f"service {name} was scaled to no instances: say how many to start, by --instances")
    return {"metadata": {"annotations": {ANNOTATION_START: written(now)}}, "spec": spec}


def stop(_: Manifest) -> Patch:
    """Run nothing."""
    return {"spec": {"state": State.STOPPED.value}}


def scale(service: Manifest, instances: int | None, least: int | None, most: int | None) -> Patch:
    """So many instances; or, where the operator decides, other bounds."""
    name, bounds = service["metadata"]["name"], {"minInstances": least, "maxInstances": most}
    given = {field: bound for field, bound in bounds.items() if bound is not None}
    if (instances is None) == (not given):
        raise CliError(f"say how many instances {name} is to have, or between how many, by --min and --max")
    if instances is not None and "scaling" in service["spec"]:
        raise CliError(
            f"how many instances service {name} has is decided by the operator (spec.scaling): change its bounds, by "
            "--min and --max"
        )
    if given and "scaling" not in service["spec"]:
        raise CliError(
            f"service {name} has no bounds, since its spec has no scaling: say how many instances it is to have"
        )
    return {"spec": {"instances": instances} if instances is not None else {"scaling": given}}


def lowered(service: Manifest, patch: Patch) -> str | None:
    """What there will be less of, in words, so that instances may go; None: nothing."""
    spec, asked = service["spec"], patch["spec"]
    if "scaling" in asked:
        less = [
            f"{key} {value} instead of {spec['scaling'][key]}"
            for key, value in asked["scaling"].items()
            if value < spec["scaling"][key]
        ]
        return " and ".join(less) or None
    now = instances_of(service)
    return f"{asked['instances']} instances instead of {now}" if asked["instances"] < now else None


def upgrade(service: Manifest, version: str, catalogue: Mapping[str, Manifest]) -> Patch:
    """Another version of the same model. catalogue: Models by name."""
    name, model = service["metadata"]["name"], service["spec"]["model"]["name"]
    if model not in catalogue:
        raise CliError(f"service {name} is of Model {model}, which is not in the catalogue")
    there = [each["name"] for each in catalogue[model]["spec"]["versions"]]
    if version not in there:
        raise CliError(f"Model {model} has no version {version}; it has {', '.join(there)}")
    if version == service.get("status", {}).get("model", {}).get("version"):
        raise CliError(f"service {name} runs version {version} already")
    return {"spec": {"model": {"version": version}}}


def instances_of(service: Manifest) -> int:
    """How many instances the spec asks for."""
    return int(service["spec"].get("instances", 1))


def described(service: Manifest) -> str:
    """A service for people: a line a fact."""
    lines = [(title, shown(value)) for title, value in _facts(service) if value not in (None, "")]
    width = max(len(title) for title, _ in lines) + 2
    return "".join(f"{title + ':':<{width}}{value}\n" for title, value in lines)


def _facts(service: Manifest) -> Iterator[tuple[str, Any]]:
    metadata, spec, status = service["metadata"], service["spec"], service.get("status", {})
    yield "Name", metadata["name"]
    yield "Account", metadata["namespace"]
    yield "Display name", spec.get("displayName")
    yield "Description", spec.get("description")
    yield "Service id", status.get("serviceId")
    version = status.get("model", {}).get("version") or spec["model"].get("version") or "the newest"
    yield "Model", f"{spec['model']['name']} {version}"
    yield "Resource pool", f"{spec['resourcePool']}, flavor {spec['flavor']}"
    yield "Instances", status.get("instances", {}).get("summary")
    yield "Scaling", _scaling(spec, status)
    yield "Priority class", spec.get("priorityClassName")
    yield "Waits", _waits(status.get("queue"))
    yield "QPS", spec.get("qps")
    for each in status.get("endpoints", ()):
        yield f"Endpoint ({each['name']})", each["url"]
    yield "Stops by itself", status.get("autoStop", {}).get("stopsAt")
    yield "Phase", status.get("phase") or "not seen by the operator yet"
    for each in status.get("conditions", ()):
        yield (
            each["type"],
            f"{each['status']}, {each['reason']}: {each['message']} (since {each['lastTransitionTime']})",
        )
    if phase := _phase(service):
        yield "What fits now", ", ".join(fitting(phase, _accepted(service), _asleep(service)))


def _scaling(spec: Manifest, status: Manifest) -> str | None:
    """Between which bounds, and what was decided last and why."""
    if "scaling" not in spec:
        return None
    bounds = f"{spec['scaling']['minInstances']} to {spec['scaling']['maxInstances']}"
    decided = status.get("scaling", {})
    if not decided:
        return bounds
    since = decided.get("lastScaleTime")
    return f"{bounds}; {decided['reason']}{f' (since {since})' if since else ''}"


def _waits(queue: Manifest | None) -> str | None:
    """Its place in line, for how many instances, and since when; the Scheduled condition says more."""
    if queue is None or not (queue["instances"] or queue.get("quota")):
        return None
    parts = []
    if "place" in queue:
        place = queue["place"] if queue["place"] <= LINE_SHOWN else f"after {LINE_SHOWN} others or more"
        parts.append(f"place {place} in line for {queue['resource']}, for {queue['instances']} more")
    if "quota" in queue:
        parts.append(f"quota {queue['quota']} of pool {queue['pool']} is reached")
    return f"{'; '.join(parts)} (since {queue['since']})"


def _asleep(service: Manifest) -> bool:
    return "asleepSince" in service.get("status", {}).get("scaling", {})


def _phase(service: Manifest) -> Phase | None:
    word = service.get("status", {}).get("phase")
    return Phase(word) if word else None


def _accepted(service: Manifest) -> bool:
    conditions = service.get("status", {}).get("conditions", ())
    return not any(each["type"] == ConditionType.ACCEPTED and each["status"] == "False" for each in conditions)
