"""ResourcePool: nodes, and the flavors in which they are given out. Its status: api/poolstatus.py."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.cache import Cache
from maas_operator.api.fields import (
    LABEL_KEYS_RULE,
    Decimal,
    LabelKey,
    LabelName,
    LabelValue,
    Part,
    Quantity,
    Text256,
)

MAX_ACCELERATORS = 64
"""Accelerators of one instance."""
MAX_FLAVOR_QPS = 100_000
"""Requests a second that one instance may be allowed."""
MAX_HOSTS = 64
"""Hosts of one instance."""
MAX_DEVICES = 1_000_000
"""Of one further resource: some plugins count in MiB."""
MAX_TOLERATION_SECONDS = 86_400
"""Seconds that an instance may stay on a node with a taint of effect NoExecute: a day."""
EXTENDED_RESOURCE = r"^[a-z0-9]([-a-z0-9.]{0,242}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
"""DOMAIN/NAME. In a quota it is called requests.DOMAIN/NAME, whose domain may have 253 characters."""
RDMA = "rdma/"
"""How resources of RDMA devices begin whose plugin says nothing else."""
NETWORK = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?(@[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"
"""[NAMESPACE/]NAME[@INTERFACE], as Multus reads it."""


class TolerationOperator(StrEnum):
    """How a toleration meets a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """Which taints a toleration is for."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Part):
    """A taint that the pool's pods put up with, as in a pod's spec."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
                    "message": "a toleration without a key needs operator Exists: it then tolerates every taint",
                },
                {
                    "rule": "!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
                    "message": "operator Exists takes no value: leave the value out, or use Equal",
                },
                {
                    "rule": "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                    "message": "tolerationSeconds needs effect NoExecute: other taints send no instance away",
                },
            ]
        }
    )

    key: LabelKey | None = Field(default=None, description="The taint's key; left out: every key.")
    operator: TolerationOperator | None = Field(default=None, description="Exists or Equal (also when left out).")
    value: LabelValue | None = Field(default=None, description="The taint's value, with Equal.")
    effect: TaintEffect | None = Field(default=None, description="The taint's effect; left out: every effect.")
    toleration_seconds: Annotated[int, Field(ge=0, le=MAX_TOLERATION_SECONDS)] | None = Field(
        default=None,
        description="With NoExecute: how long an instance stays on a node that got the taint; left out: for ever. For "
        "node.kubernetes.io/unreachable and node.kubernetes.io/not-ready, how long a dead node's instances are waited "
        "for before others are made elsewhere: 300 s where the pool says nothing.",
    )


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Part):
    """One requirement on a label, as in any label selector."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : "
                    "!has(self.values) || size(self.values) == 0",
                    "message": "In and NotIn need values; Exists and DoesNotExist take none",
                }
            ]
        }
    )

    key: LabelKey = Field(description="The label's key.")
    operator: SelectorOperator = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: Annotated[list[LabelValue], Field(max_length=64)] = Field(
        default=[],
        description="The values that In and NotIn compare with.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class AccountSelector(Part):
    """Chooses accounts by the labels of their namespaces."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=32)] = Field(
        default={}, description="Labels that the namespace must carry.", json_schema_extra=LABEL_KEYS_RULE
    )
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=16)] = Field(
        default=[],
        description="Requirements that the namespace's labels must meet, all of them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class FlavorAccelerator(Part):
    """Accelerators of one instance."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.memory) || quantity(self.memory).compareTo(quantity('1Mi')) >= 0",
                    "message": "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
                    "fieldPath": ".memory",
                    "reason": "FieldValueInvalid",
                }
            ]
        }
    )

    type: LabelName = Field(description="Which kind: ascend-910b, ascend-a3, ascend-310p, nvidia and so on.")
    count: Annotated[int, Field(ge=1, le=MAX_ACCELERATORS)] = Field(
        description="How many devices an instance gets; with several hosts, each of them."
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory of each device, for example 64Gi. Left out: what is known of the type; where nothing is, "
        "whether a model fits is not checked.",
    )


class Price(Part):
    """What an instance costs."""

    per_hour: Decimal = Field(description="For each instance and hour, for example 12.50.")
    currency: Annotated[str, Field(min_length=3, max_length=3, pattern="^[A-Z]{3}$")] = Field(
        description="ISO 4217's three letters, for example EUR."
    )


class Flavor(Part):
    """An instance specification: what each instance of a service gets."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.sharedMemory) || "
                    "quantity(self.sharedMemory).compareTo(quantity(self.memory)) <= 0",
                    "message": "sharedMemory counts as memory: it cannot be more than memory",
                    "fieldPath": ".sharedMemory",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "!has(self.topologyKey) || (has(self.hosts) && self.hosts > 1)",
                    "message": "topologyKey keeps the hosts of an instance together: it needs hosts of 2 or more",
                    "fieldPath": ".topologyKey",
                    "reason": "FieldValueForbidden",
                },
            ]
        }
    )

    name: LabelName = Field(description="Name, as ModelServices write it in spec.flavor.")
    description: Text256 | None = Field(default=None, description="A few words for those who choose.")
    accelerator: FlavorAccelerator | None = Field(
        default=None, description="The accelerators. Left out: the engine runs on the CPU."
    )
    devices: Annotated[dict[str, Annotated[int, Field(ge=1, le=MAX_DEVICES)]], Field(max_length=16)] = Field(
        default={},
        description="What an instance gets beside its accelerators, each of several hosts: how much of which extended "
        "resource, as the nodes' device plugins offer it, for example rdma/hca_shared_devices_a: 1.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"self.all(key, key.matches('{EXTENDED_RESOURCE}') && !key.startsWith('requests.') && "
                    "!key.contains('kubernetes.io/'))",
                    "message": "an extended resource is DOMAIN/NAME, the domain a lower-case DNS name other than "
                    "kubernetes.io and not beginning with requests., the name of at most 63 letters, digits, '-', '_' "
                    "and '.'",
                }
            ]
        },
    )
    ipc_lock: bool | None = Field(
        default=None,
        description="Whether instances may lock as much memory as they want (capability IPC_LOCK), as RDMA has to. "
        "They then run as root: others have no use of an added capability. Left out: true where a device is called "
        "rdma/..., else false. false is right where the nodes' container runtime sets no limit (memlock).",
    )
    networks: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=384, pattern=NETWORK)]], Field(max_length=32)
    ] = Field(
        default=[],
        description="Further networks of an instance's pods, as Multus reads them: [NAMESPACE/]NAME[@INTERFACE] of a "
        "NetworkAttachmentDefinition; one that is named several times is attached as often.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    hosts: Annotated[int, Field(ge=1, le=MAX_HOSTS)] | None = Field(
        default=None,
        description="Hosts of an instance, for models that one host cannot hold: each gets the accelerators, the "
        "devices, the cpu and the memory named here. Left out: 1.",
    )
    topology_key: LabelKey | None = Field(
        default=None,
        description="With several hosts: label of the nodes whose value all hosts of an instance must share, for "
        "example a super-node's or a rack's.",
    )
    cpu: Quantity = Field(
        description="CPU of an instance: requested, and not limited.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "quantity(self).isGreaterThan(quantity('0'))", "message": "cpu must be more than 0"}
            ]
        },
    )
    memory: Quantity = Field(
        description="Memory of an instance: requested, and its limit.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "quantity(self).compareTo(quantity('1Mi')) >= 0",
                    "message": "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
                }
            ]
        },
    )
    shared_memory: Quantity | None = Field(
        default=None, description="Size limit of /dev/shm (counts as memory). Left out: half of the memory."
    )
    max_qps: Annotated[int, Field(ge=1, le=MAX_FLAVOR_QPS)] | None = Field(
        default=None, alias="maxQPS", description="Requests a second allowed to each instance. Left out: no bound."
    )
    price: Price | None = Field(default=None, description="What an instance costs. Left out: nothing.")

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def locks_memory(self) -> bool:
        """Whether instances have IPC_LOCK."""
        if self.ipc_lock is None:
            return any(name.startswith(RDMA) for name in self.devices)
        return self.ipc_lock


class Quota(Part):
    """How many instances an account may run."""

    name: LabelName = Field(description="Name of the quota.")
    accounts: AccountSelector | None = Field(
        default=None, description="Accounts that it holds for, each by itself. Left out: all."
    )
    flavors: Annotated[list[LabelName], Field(max_length=64)] = Field(
        default=[],
        description="Flavors that are counted, together. Left out: all of the pool's.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    instances: Annotated[int, Field(ge=0, le=100_000)] = Field(description="Most instances of an account.")


class Prepaid(Part):
    """Hours that an account has paid for: they are used up first."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.end) || self.end > self.start",
                    "message": "end must be after start: a package that has ended before it begins pays for nothing",
                    "fieldPath": ".end",
                    "reason": "FieldValueInvalid",
                }
            ]
        }
    )

    name: LabelName = Field(description="Name of the package.")
    account: LabelName = Field(description="The account (namespace).")
    flavor: LabelName = Field(description="The flavor.")
    hours: Annotated[int, Field(ge=1, le=10_000_000)] = Field(description="Hours of one instance.")
    start: Annotated[str, Field(max_length=64)] = Field(
        description="From when on they can be used (RFC 3339).", json_schema_extra={"format": "date-time"}
    )
    end: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Until when. Left out: for ever.", json_schema_extra={"format": "date-time"}
    )


class ResourcePoolSpec(Part):
    """Which nodes, for whom, in which flavors."""

    description: Text256 | None = Field(default=None, description="What the pool is for.")
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = Field(
        default={},
        description="Labels of the pool's nodes. Left out: every node of the cluster.",
        json_schema_extra=LABEL_KEYS_RULE,
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(
        default=[],
        description="Taints of the nodes that the pool's pods tolerate.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    accounts: AccountSelector | None = Field(
        default=None, description="Accounts (namespaces) that may use the pool. Left out: all."
    )
    flavors: Annotated[list[Flavor], Field(min_length=1, max_length=64)] = Field(
        description="The instance specifications to choose from.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    cache: Cache | None = Field(
        default=None,
        description="Where weights from hf://, modelscope:// and s3:// are kept. Left out: each instance fetches for "
        "itself.",
    )
    quotas: Annotated[list[Quota], Field(max_length=64)] = Field(
        default=[],
        description="How many instances each account may run here. A service that would run more waits in Queuing.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    dedicated: bool | None = Field(
        default=None,
        description="true: its accounts have the pool for themselves, and running instances costs nothing.",
    )
    prepaid: Annotated[list[Prepaid], Field(max_length=1024)] = Field(
        default=[],
        description="Hours that accounts have paid for in advance.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
