"""ResourcePool: nodes, and the flavors in which they are given out."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import (
    LABEL_KEYS_RULE,
    ConditionList,
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
            ]
        }
    )

    key: LabelKey | None = Field(default=None, description="The taint's key; left out: every key.")
    operator: TolerationOperator | None = Field(default=None, description="Exists or Equal (also when left out).")
    value: LabelValue | None = Field(default=None, description="The taint's value, with Equal.")
    effect: TaintEffect | None = Field(default=None, description="The taint's effect; left out: every effect.")


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

    type: LabelName = Field(description="Which kind: ascend-910b, ascend-a3, ascend-310p or nvidia.")
    count: Annotated[int, Field(ge=1, le=MAX_ACCELERATORS)] = Field(description="How many devices an instance gets.")


class Flavor(Part):
    """An instance specification: what each instance of a service gets."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "quantity(self.cpu).isGreaterThan(quantity('0'))",
                    "message": "cpu must be more than 0",
                    "fieldPath": ".cpu",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "quantity(self.memory).compareTo(quantity('1Mi')) >= 0",
                    "message": "memory must be at least 1Mi: without a unit it is in bytes, and m is a thousandth",
                    "fieldPath": ".memory",
                    "reason": "FieldValueInvalid",
                },
                {
                    "rule": "!has(self.sharedMemory) || "
                    "quantity(self.sharedMemory).compareTo(quantity(self.memory)) <= 0",
                    "message": "sharedMemory counts as memory: it cannot be more than memory",
                    "fieldPath": ".sharedMemory",
                    "reason": "FieldValueInvalid",
                },
            ]
        }
    )

    name: LabelName = Field(description="Name, as ModelServices write it in spec.flavor.")
    description: Text256 | None = Field(default=None, description="A few words for those who choose.")
    accelerator: FlavorAccelerator | None = Field(
        default=None, description="The accelerators. Left out: the engine runs on the CPU."
    )
    cpu: Quantity = Field(description="CPU of an instance: requested, and not limited.")
    memory: Quantity = Field(description="Memory of an instance: requested, and its limit.")
    shared_memory: Quantity | None = Field(
        default=None, description="Size limit of /dev/shm (counts as memory). Left out: half of the memory."
    )
    max_qps: Annotated[int, Field(ge=1, le=MAX_FLAVOR_QPS)] | None = Field(
        default=None, alias="maxQPS", description="Requests a second allowed to each instance. Left out: no bound."
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


class FlavorUse(Part):
    """Room in the pool, in instances of one flavor."""

    name: LabelName = Field(description="The flavor.")
    capacity: Annotated[int, Field(ge=0)] = Field(
        description="Instances that the pool's nodes could hold beside the pods that are not ours."
    )
    used: Annotated[int, Field(ge=0)] = Field(description="Instances of this flavor that have a node.")
    free: Annotated[int, Field(ge=0)] = Field(description="Instances that would find room now.")
    waiting: Annotated[int, Field(ge=0)] = Field(description="Instances of this flavor that wait for room.")


class ResourcePoolStatus(Part):
    """What the pool's nodes hold now."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    nodes: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Nodes that the selector finds.")
    ready_nodes: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Those of them that are ready and not cordoned."
    )
    summary: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Used and free instances by flavor, as `kubectl get` prints them."
    )
    services: Annotated[int, Field(ge=0)] | None = Field(default=None, description="ModelServices that name the pool.")
    users: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=20)] = Field(
        default=[],
        description="The first 20 of them, as NAMESPACE/NAME.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    flavors: Annotated[list[FlavorUse], Field(max_length=64)] = Field(
        default=[],
        description="Room by flavor.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    conditions: ConditionList = Field(default=[])
