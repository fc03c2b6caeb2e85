"""Is the spec acceptable? Each question is a small function; the first that says no decides."""

from dataclasses import dataclass, replace

from pydantic import ValidationError

from maas_operator.api.conditions import QPS_TOO_HIGH_CODE, Reason
from maas_operator.api.model import ModelSpec, ModelVersion
from maas_operator.api.modelservice import ModelServiceSpec, State
from maas_operator.api.names import CONTAINER, LABEL_FLAVOR, LABEL_MODEL, LABEL_MODEL_VERSION, LABEL_POOL, LWS_KIND
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.selecting import selects
from maas_operator.decide.accelerators import CPU, Accelerator, accelerator_of, accelerators, impossible
from maas_operator.decide.fit import fit, unfit
from maas_operator.decide.identity import label_value
from maas_operator.decide.parallel import SEVERAL_HOSTS, hosts
from maas_operator.decide.scaling.schedules import trouble
from maas_operator.decide.specs import first_error, parsed
from maas_operator.decide.standing import pod_labels, pod_templates, template_of, workloads


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
    stopped_by_itself: str | None = None
    """Why, in a sentence (M10); None: it runs, unless its user stopped it."""
    scaled: int | None = None
    """How many instances scaling has decided on, where it decides."""
    unfit: str | None = None
    """Why the flavor cannot hold the version, where that was accepted before, and so is left as it is."""
    granted: int | None = None
    """How many of them are made now; None: all."""

    @property
    def stopped(self) -> bool:
        """Whether nothing is to run until a user starts it."""
        return self.stopped_by_itself is not None or self.spec.state == State.STOPPED

    @property
    def desired(self) -> int:
        """How many instances there should be."""
        if self.stopped:
            return 0
        return _most(self.spec) if self.scaled is None else self.scaled

    @property
    def replicas(self) -> int:
        """How many instances are made now: the others wait in line."""
        return self.desired if self.granted is None else self.granted

    @property
    def asleep(self) -> bool:
        """Whether nothing runs because there is nothing to do."""
        return not self.stopped and self.scaled == 0


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
    accelerator = accelerator_of(flavor)
    if accelerator is None:
        kind = flavor.accelerator.type if flavor.accelerator else CPU
        return Refusal(
            Reason.ACCELERATOR_UNKNOWN,
            f"flavor {flavor.name} of pool {spec.resource_pool} asks for accelerator type {kind}, which this operator "
            f"does not know; it knows {', '.join(accelerators())}",
        )
    if why := impossible(flavor, accelerator):
        return Refusal(Reason.FLAVOR_IMPOSSIBLE, why)
    refusal = _groups(spec, flavor, seen) or _priority(spec, seen)
    refusal = refusal or _qps(spec, flavor, version, pool) or _schedules(spec)
    return refusal or _fitting(seen, Plan(spec, version, pool, flavor, accelerator))


def asks_for_none(service: Manifest) -> bool:
    """Whether a spec, acceptable or not, asks that nothing runs."""
    spec = service["spec"]
    return bool(spec.get("state") == State.STOPPED or spec.get("instances") == 0)


def _most(spec: ModelServiceSpec) -> int:
    """How many instances the spec lets run."""
    if spec.scaling is not None:
        return spec.scaling.max_instances
    return 1 if spec.instances is None else spec.instances


def _pinned(seen: ServiceSeen, spec: ModelServiceSpec) -> str | None:
    """The version that the service has got of its model: as its status says or, where the status was never written
    since, its pods' template."""
    version: str | None = None
    pinned = seen.service.get("status", {}).get("model", {})
    if pinned.get("name") == spec.model.name:
        version = pinned.get("version")
    elif not pinned:
        for labels in (pod_labels(template_of(live)) for live in workloads(seen)):
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


def _fitting(seen: ServiceSeen, plan: Plan) -> Plan | Refusal:
    """M3: the flavor can hold the version. What was deployed before is not refused for what the operator, the catalogue
    or the pool have learned since: it may run, and an upgrade stops nothing that does."""
    spec = plan.spec
    why = unfit(spec.model.name, plan.version, plan.flavor, spec.resource_pool, plan.pool.flavors, spec.engine)
    if why is None:
        return plan
    return replace(plan, unfit=why) if _deployed(seen, spec, plan.version) else Refusal(Reason.FLAVOR_UNFIT, why)


def _deployed(seen: ServiceSeen, spec: ModelServiceSpec, version: ModelVersion) -> bool:
    """Whether the service's pods are already made for this version, pool and flavor with these arguments."""
    wanted = {
        LABEL_MODEL: label_value(spec.model.name),
        LABEL_MODEL_VERSION: version.name,
        LABEL_POOL: label_value(spec.resource_pool),
        LABEL_FLAVOR: spec.flavor,
    }
    extras = spec.engine.args if spec.engine else []
    return any(
        wanted.items() <= pod_labels(template).items() and _said_last(template, len(extras)) == extras
        for template in map(template_of, workloads(seen))
    )


def _said_last(template: Manifest, count: int) -> list[str]:
    """The last so many of the engine's arguments, but for those by which the hosts of an instance find each other."""
    containers = next(pod_templates(template)).get("spec", {}).get("containers", ())
    args: list[str] = next((each.get("args", []) for each in containers if each.get("name") == CONTAINER), [])
    end = args.index(SEVERAL_HOSTS) if SEVERAL_HOSTS in args else len(args)
    return args[max(0, end - count) : end]


def _groups(spec: ModelServiceSpec, flavor: Flavor, seen: ServiceSeen) -> Refusal | None:
    """An instance of several hosts needs what makes them one."""
    if hosts(flavor) == 1 or LWS_KIND not in seen.absent:
        return None
    return Refusal(
        Reason.LEADER_WORKER_SET_MISSING,
        f"flavor {flavor.name} of pool {spec.resource_pool} spreads an instance over {flavor.hosts} hosts, which takes "
        "LeaderWorkerSet (leaderworkerset.x-k8s.io/v1), and this cluster does not have it: have it installed, after "
        "which this goes on by itself, or choose a flavor of one host",
    )


def _priority(spec: ModelServiceSpec, seen: ServiceSeen) -> Refusal | None:
    """The API server would refuse each pod."""
    if spec.priority_class_name is None or seen.priority is not None:
        return None
    return Refusal(
        Reason.PRIORITY_CLASS_NOT_FOUND,
        f"there is no PriorityClass {spec.priority_class_name}; kubectl get priorityclasses lists what there is",
    )


def _qps(spec: ModelServiceSpec, flavor: Flavor, version: ModelVersion, pool: ResourcePoolSpec) -> Refusal | None:
    """M8: no more requests a second than the flavor allows to that many instances."""
    instances = _most(spec)
    if spec.qps is None or flavor.max_qps is None or instances == 0 or spec.qps <= flavor.max_qps * instances:
        return None
    enough = -(-spec.qps // instances)
    allow = [
        each.name
        for each in pool.flavors
        if (each.max_qps is None or each.max_qps >= enough)
        and (known := accelerator_of(each))
        and fit(version, each, known, spec.engine).fits is not False
    ]
    other = f", or take a flavor that allows it: {', '.join(allow)}" if allow else ""
    return Refusal(
        Reason.QPS_TOO_HIGH,
        f"{QPS_TOO_HIGH_CODE}: qps {spec.qps} is above what is allowed: flavor {flavor.name} allows {flavor.max_qps} "
        f"an instance, {flavor.max_qps * instances} for {instances}; lower qps or raise "
        f"{'scaling.maxInstances' if spec.scaling else 'instances'}{other}",
    )


def _schedules(spec: ModelServiceSpec) -> Refusal | None:
    """What a schema cannot tell: cron expressions and time zones that are none."""
    words = trouble(spec.scaling) if spec.scaling else None
    return Refusal(Reason.INVALID, words) if words else None
