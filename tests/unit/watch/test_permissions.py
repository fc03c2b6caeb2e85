"""M2: what may be read is what is read. What may be written: tests/api/test_used_permissions.py."""

from collections.abc import Sequence

from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import GROUP
from maas_operator.api.permissions import GATEWAY_PERMISSIONS, PERMISSIONS, Lack, Permission
from maas_operator.gateway.seeing import GATEWAYS
from maas_operator.watch.watched import OPERATORS, View

READING = ("get", "list", "watch")
BESIDE = {Lack("coordination.k8s.io", "leases", "get"), Lack("", "events", "list")}
"""By the election, and where pods are not set up or hosts not made."""


def granted(permissions: Sequence[Permission]) -> set[Lack]:
    return {lack for each in permissions for lack in each.lacks()}


def read(view: View) -> set[Lack]:
    """What is listed alone is asked for by name, too: whether it is there already, before it is made."""
    watched = {Lack(each.group, each.plural, verb) for each in view.watched for verb in READING}
    return watched | {Lack(each.group, each.plural, verb) for each in view.listed for verb in ("get", "list")}


def test_m2_the_operator_may_read_what_it_watches_and_little_beside() -> None:
    assert {each for each in granted(PERMISSIONS) if each.verb in READING} == read(OPERATORS) | BESIDE


def test_m2_the_gateway_may_read_what_it_watches_and_wake_services() -> None:
    assert granted(GATEWAY_PERMISSIONS) == read(GATEWAYS) | {Lack(GROUP, MODEL_SERVICE.plural, "patch")}
