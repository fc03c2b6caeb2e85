"""What the operator says of a ResourcePool."""

from typing import Annotated

from pydantic import Field

from maas_operator.api.fields import ConditionList, LabelName, ObservedGeneration, Part


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

    observed_generation: ObservedGeneration | None = None
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
