"""M2: what may not be seen is told of the kinds that need it, and of no other."""

import pytest

from maas_operator.api.conditions import Reason
from maas_operator.api.kinds import KINDS
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import PERMISSIONS, Lack
from maas_operator.sight import SEEING, unseen

ALL = {kind.kind for kind in KINDS}
TELLS = {
    "modelservices": {"ModelService", "ResourcePool", "Model"},
    "resourcepools": {"ModelService", "ResourcePool"},
    "models": {"ModelService", "Model"},
    "apikeys": {"ApiKey"},
    "notificationtopics": {"ModelService", "NotificationTopic"},
    "pods": {"ModelService", "ResourcePool"},
    "nodes": {"ModelService", "ResourcePool"},
    "jobs": set(),
    "events": set(),
    "leases": set(),
}
"""Resource -> the kinds that say so; any other that is seen: services alone."""
LACKS = [lack for each in PERMISSIONS for lack in each.lacks() if "/" not in each.resource]


@pytest.mark.parametrize("lack", LACKS, ids=lambda each: f"{each.verb}-{each.resource}")
def test_m2_a_lack_is_told_of_the_kinds_that_need_to_see_it(lack: Lack) -> None:
    found = unseen({lack})
    sees = lack.verb in SEEING
    assert set(found) == (TELLS.get(lack.resource, {"ModelService"}) if sees else set())
    for failure in found.values():
        assert (failure.reason, failure.retry) == (Reason.FORBIDDEN, False)
        assert failure.message.startswith(f"the operator may not {lack.verb} {lack.title} (needed for ")


def test_m2_of_many_lacks_the_first_are_named() -> None:
    lacks = {Lack(GROUP, "modelservices", verb) for verb in SEEING} | {
        Lack("", "pods", "list"),
        Lack("", "nodes", "get"),
    }
    message = unseen(lacks)["ResourcePool"].message
    assert message.count("(needed for ") == 3
    assert ", and 2 more: " in message


def test_m2_where_nothing_is_missing_nothing_is_told() -> None:
    assert unseen(()) == {}
