"""Pure decisions: what was seen and the time go in, what is to be done comes out."""

from maas_operator.decide.beforehand import with_status
from maas_operator.decide.catalogue import decide_model
from maas_operator.decide.contests import remembered
from maas_operator.decide.happened import with_happened
from maas_operator.decide.keys import decide_api_key, with_learned
from maas_operator.decide.notified import targets
from maas_operator.decide.outcome import with_lack, with_outcome
from maas_operator.decide.pool import decide_pool
from maas_operator.decide.service import decide_service
from maas_operator.decide.topics import asked_test, decide_topic

__all__ = [
    "asked_test",
    "decide_api_key",
    "decide_model",
    "decide_pool",
    "decide_service",
    "decide_topic",
    "remembered",
    "targets",
    "with_happened",
    "with_lack",
    "with_learned",
    "with_outcome",
    "with_status",
]
