"""Pure decisions: what was seen and the time go in, what is to be done comes out."""

from maas_operator.decide.catalogue import decide_model
from maas_operator.decide.keys import decide_api_key, with_learned
from maas_operator.decide.outcome import with_outcome
from maas_operator.decide.pool import decide_pool
from maas_operator.decide.service import decide_service
from maas_operator.decide.topics import decide_topic

__all__ = [
    "decide_api_key",
    "decide_model",
    "decide_pool",
    "decide_service",
    "decide_topic",
    "with_learned",
    "with_outcome",
]
