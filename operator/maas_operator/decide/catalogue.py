"""A Model's status: who uses it."""

from datetime import datetime

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Decision
from maas_operator.api.seen import ModelSeen
from maas_operator.decide import conditions
from maas_operator.decide.pool import listed, used_by

MAX_VERSIONS = 2048
"""Characters of status.versions in the CRD."""


def decide_model(seen: ModelSeen, now: datetime) -> Decision:
    """Count the services that name the model."""
    before = tuple(seen.model.get("status", {}).get("conditions", ()))
    generation = seen.model["metadata"].get("generation", 0)
    verdicts = conditions.simple(conditions.Verdict(True, Reason.ACCEPTED, "the model can be deployed"))
    status = {
        "observedGeneration": generation,
        "versions": listed([version["name"] for version in seen.model["spec"]["versions"]], MAX_VERSIONS),
        **used_by(seen.users),
        "conditions": conditions.written(verdicts, before, generation, now),
    }
    return Decision(status=status, before=before)
