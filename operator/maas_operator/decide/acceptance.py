"""Is the spec acceptable? Each question is a small function; the first that says no decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from maas_operator.api.conditions import QPS_TOO_HIGH_CODE, Reason
from maas_operator.api.model import ModelSpec, ModelVersion
from maas_operator.api.modelservice import ModelServiceSpec, State
from maas_operator.api.names import LABEL_MODEL, LABEL_MODEL_VERSION
from maas_operator.api.resourcepool import AccountSelector, Flavor, LabelRequirement, ResourcePoolSpec, SelectorOperator
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide.accelerators import CPU, Accelerator, accelerators
from maas_operator.decide.identity import label_value, owned
from maas_operator.decide.specs import first_error, parsed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a spec is not carried out."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """An accepted spec with all that it names."""

    spec: ModelServiceSpec
    version: ModelVersion
    pool: ResourcePoolSpec
    flavor: Flavor
    accelerator: Accelerator
    stopped_by_itself: bool = False
    """Its time is up (M10)."""

    @property
    def desired(self) -> int:
        """How many instances there should be."""
        return 0 if self.stopped_by_itself or self.spec.state == State.STOPPED else _instances(self.spec)


def accept(seen: ServiceSeen) -> Plan | Refusal:
    """The plan to carry out, or the first reason not to."""
    try:
        spec = ModelServiceSpec.model_validate(seen.service["spec"])
        model = parsed(ModelSpec, seen.model) if seen.model else None
        pool = parsed(ResourcePoolSpec, seen.pool) if seen.pool else None
    except ValidationError as error:
        return Refusal(Reason.INVALID, f"{error.title}: {first_error(error)}")
    version = _version(spec, model, _pinned(seen, spec))
    if isinstance(version, Refusal):
        return version
    if pool is None:
        return Refusal(
            Reason.POOL_NOT_FOUND,
            f"there is no ResourcePool {spec.resource_pool}; kubectl get resourcepools lists what there is",
        )
    flavor = _flavor(spec, pool, seen)
    if isinstance(flavor, Refusal):
        return flavor
    kind = flavor.accelerator.type if flavor.accelerator else CPU
    accelerator = accelerators().get(kind)
    if accelerator is None:
        return Refusal(
            Reason.ACCELERATOR_UNKNOWN,
            f"flavor {flavor.name} of pool {spec.resource_pool} asks for accelerator type {kind}, which this operator "
            f"does not know; it knows {', '.join(accelerators())}",
        )
    return _qps(spec, flavor) or Plan(spec, version, pool, flavor, accelerator)


def asks_for_none(service: Manifest) -> bool:
    """Whether a spec, acceptable or not, asks that nothing runs."""
    spec = service["spec"]
    return bool(spec.get("state") == State.STOPPED or spec.get("instances") == 0)


def _instances(spec: ModelServiceSpec) -> int:
    return 1 if spec.instances is None else spec.instances


def _pinned(seen: ServiceSeen, spec: ModelServiceSpec) -> str | None:
    """The version that the service has got of its model: as its status says or, where the status was never written
    since, its pods' template."""
    version: str | None = None
    pinned = seen.service.get("status", {}).get("model", {})
    deployment = seen.children.get(("Deployment", seen.service["metadata"]["name"]))
    if pinned.get("name") == spec.model.name:
        version = pinned.get("version")
    elif not pinned and deployment is not None and owned(deployment, seen.service["metadata"]["uid"]):
        labels = deployment.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        if labels.get(LABEL_MODEL) == label_value(spec.model.name):
            version = labels.get(LABEL_MODEL_VERSION)
    return version


def _version(spec: ModelServiceSpec, model: ModelSpec | None, pinned: str | None) -> ModelVersion | Refusal:
    """The version named, or the one pinned, or the newest."""
    if model is None:
        return Refusal(
            Reason.MODEL_NOT_FOUND,
            f"there is no Model {spec.model.name}; kubectl get maasmodels lists what there is",
        )
    versions = {version.name: version for version in model.versions}
    wanted = spec.model.version or pinned
    if wanted is None:
        return model.versions[-1]
    if wanted not in versions:
        since = "" if spec.model.version else f" (deployed first with {wanted}: set spec.model.version to change it)"
        return Refusal(
            Reason.VERSION_NOT_FOUND,
            f"Model {spec.model.name} has no version {wanted}; it has {', '.join(versions)}{since}",
        )
    return versions[wanted]


def _flavor(spec: ModelServiceSpec, pool: ResourcePoolSpec, seen: ServiceSeen) -> Flavor | Refusal:
    """The flavor named, of a pool that the account may use."""
    if not selects(pool.accounts, seen.namespace_labels):
        return Refusal(
            Reason.POOL_NOT_ALLOWED,
            f"account {seen.service['metadata']['namespace']} may not use pool {spec.resource_pool}: its namespace "
            "does not carry the labels that the pool's spec.accounts asks for",
        )
    flavors = {flavor.name: flavor for flavor in pool.flavors}
    if spec.flavor not in flavors:
        return Refusal(
            Reason.FLAVOR_NOT_FOUND,
            f"pool {spec.resource_pool} has no flavor {spec.flavor}; it has {', '.join(flavors)}",
        )
    return flavors[spec.flavor]


def _qps(spec: ModelServiceSpec, flavor: Flavor) -> Refusal | None:
    """M8: no more requests a second than the flavor allows to that many instances."""
    instances = _instances(spec)
    if spec.qps is None or flavor.max_qps is None or instances == 0 or spec.qps <= flavor.max_qps * instances:
        return None
    return Refusal(
        Reason.QPS_TOO_HIGH,
        f"{QPS_TOO_HIGH_CODE}: qps {spec.qps} is above what is allowed: flavor {flavor.name} allows {flavor.max_qps} "
        f"an instance, {flavor.max_qps * instances} for {instances}; lower qps or raise instances",
    )


def selects(selector: AccountSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector finds an object with these labels. No selector finds everything."""
    if selector is None:
        return True
    return selector.match_labels.items() <= labels.items() and all(
        _meets(requirement, labels) for requirement in selector.match_expressions
    )


_OPERATORS: Mapping[SelectorOperator, Callable[[Any, list[str]], bool]] = {
    SelectorOperator.IN: lambda value, values: value in values,
    SelectorOperator.NOT_IN: lambda value, values: value not in values,
    SelectorOperator.EXISTS: lambda value, _: value is not None,
    SelectorOperator.DOES_NOT_EXIST: lambda value, _: value is None,
}


def _meets(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    return _OPERATORS[requirement.operator](labels.get(requirement.key), requirement.values)
