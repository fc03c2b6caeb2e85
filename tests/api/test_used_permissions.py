"""M2: none of the operator's permissions is unneeded. Of each, something that this folder tests makes use; or what is
decided in a golden pair: no pod runs here, so some decisions never come."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from maas_operator.act.paths import path_of_all
from maas_operator.api.permissions import NOTIFICATION_PERMISSIONS, PERMISSIONS
from maas_operator.watch.watched import WATCHED
from tests.cluster import Cluster

pytestmark = pytest.mark.api

Grant = tuple[str, str, str]
HERE = Path(__file__).parent
GOLDEN = HERE.parent / "unit" / "decide" / "golden"
AGENTS = ("Python/", "kopf/")
"""How the operator's requests call themselves; kubectl and the tests' own client do not."""
FETCHED = {(each.group, each.plural, "get") for each in WATCHED}
"""Objects whose event is late or lost are fetched one by one (tests/unit/watch/test_resync.py): seldom here."""


def used(log: Path) -> Iterator[Grant]:
    """What the operator was allowed, from the API server's audit log."""
    with log.open() as lines:
        for line in lines:
            event = json.loads(line)
            code, what = event.get("responseStatus", {}).get("code", 0), event.get("objectRef")
            if what is None or code >= 400 or not event.get("userAgent", "").startswith(AGENTS):
                continue
            resource = "/".join(part for part in (what["resource"], what.get("subresource", "")) if part)
            yield what.get("apiGroup", ""), resource, event["verb"]
            if event["verb"] == "patch" and code == 201:  # an apply that makes an object takes both
                yield what.get("apiGroup", ""), resource, "create"


def decided() -> Iterator[Grant]:
    """What the golden pairs write and remove."""
    for path in GOLDEN.glob("*.out.yaml"):
        made = yaml.safe_load(path.read_text())
        for written in made.get("writes") or ():
            how, kind, *_ = written.split()
            if how == "created":
                yield from ((*resource(kind), verb) for verb in ("create", "patch"))
        yield from ((*resource(removed["kind"]), "delete") for removed in made.get("remove") or ())
        yield from ((*resource("Pod"), "patch") for _ in made.get("marks") or ())


def resource(kind: str) -> tuple[str, str]:
    """Group and plural."""
    *root, plural = path_of_all(kind, "").strip("/").split("/")
    return root[1] if root[0] == "apis" else "", plural


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> None:
    """All tests of the operator have run before."""
    collected = {Path(item.path).name for item in request.session.items}
    lacking = {each.name for each in HERE.glob("test_operator_*.py")} - collected
    if lacking or request.config.option.keyword:
        pytest.skip("it reads what the other tests of this folder made the operator do: run all of tests/api")


def test_m2_no_permission_of_the_operator_is_unneeded(whole: None, cluster: Cluster) -> None:
    table = {
        (each.group, each.resource, verb) for each in (*PERMISSIONS, *NOTIFICATION_PERMISSIONS) for verb in each.verbs
    }
    assert sorted(table - set(used(cluster.audit_log)) - set(decided()) - FETCHED) == []
