"""Where a pool keeps weights."""

from typing import Annotated

from pydantic import ConfigDict, Field

from maas_operator.api.fields import ObjectName, Part


class HostPathCache(Part):
    """A folder of each node."""

    path: Annotated[str, Field(min_length=2, max_length=1024, pattern=r"^(/[A-Za-z0-9._-]+)+$")] = Field(
        description="The folder, absolute, best on a disk of its own. User 65532 has to be able to write there."
    )


class ClaimCache(Part):
    """A volume that the nodes share."""

    claim_name: ObjectName = Field(
        description="Name of a PersistentVolumeClaim, ReadWriteMany, in each account's namespace. It is the "
        "administrator's: the operator neither makes nor removes it."
    )


class Cache(Part):
    """Where weights are kept once they were fetched, for all services of the pool."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.hostPath) != has(self.persistentVolumeClaim)",
                    "message": "a cache is one of the two: hostPath, a folder of each node, or persistentVolumeClaim, "
                    "a volume that the nodes share",
                },
                {
                    "rule": "!has(self.hostPath) || !(self.hostPath.path + '/').contains('/../')",
                    "message": "hostPath.path is an absolute path without '..'",
                    "fieldPath": ".hostPath",
                    "reason": "FieldValueInvalid",
                },
            ]
        }
    )

    host_path: HostPathCache | None = Field(
        default=None, description="A folder of each node: an instance fetches what its node does not have."
    )
    persistent_volume_claim: ClaimCache | None = Field(
        default=None, description="A volume that the nodes share: a Job fetches before instances start."
    )
