"""A Model's status: who uses it, and whether its product's id is its own."""

from datetime import datetime

from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Decision
from maas_operator.api.seen import ModelSeen, age
from maas_operator.decide import conditions
from maas_operator.decide.conditions import Verdict
from maas_operator.decide.pool import listed, used_by

MAX_VERSIONS = 2048
"""Characters of status.versions in the CRD."""


def decide_model(seen: ModelSeen, now: datetime) -> Decision:
    """Count the services that name the model, and say whose its product is."""
    before = tuple(seen.model.get("status", {}).get("conditions", ()))
    generation = seen.model["metadata"].get("generation", 0)
    verdicts = conditions.simple(_verdict(seen))
    status = {
        "observedGeneration": generation,
        "versions": listed([version["name"] for version in seen.model["spec"]["versions"]], MAX_VERSIONS),
        **used_by(seen.users),
        "conditions": conditions.written(verdicts, before, generation, now),
    }
    return Decision(status=status, before=before)


def _verdict(seen: ModelSeen) -> Verdict:
    first = min(seen.same_product, key=age, default=seen.model)["metadata"]["name"]
    if first == seen.model["metadata"]["name"]:
        return Verdict(True, Reason.ACCEPTED, "the model can be deployed")
    id_ = seen.model["spec"]["product"]["id"]
    return Verdict(
        False,
        Reason.PRODUCT_ID_TAKEN,
        f"spec.product.id {id_} is that of Model {first}, which is older: clients of Intel's API get that one. Give "
        "this product another id, or take one of the two away. Services of this model are not affected",
    )
