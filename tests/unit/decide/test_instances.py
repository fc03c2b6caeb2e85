"""What a service's pods say, taken together."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.seen import PodSeen
from maas_operator.decide.instances import look, trouble
from tests.unit.decide.facts import pod
from tests.unit.decide.strategies import PODS


@given(st.lists(PODS, max_size=5))
def test_every_pod_that_stays_is_one_thing(pods: list[PodSeen]) -> None:
    seen = look(pods)
    assert seen.ready + len(seen.failing) + len(seen.unplaced) + seen.loading == len(seen.staying)
    assert min(seen.ready, seen.loading, seen.leaving, seen.placed, seen.working) >= 0


def test_what_each_pod_is() -> None:
    seen = look(
        [
            pod("ready", ready=True),
            pod("crashed-once-and-ready", ready=True, failure={"reason": "Error"}),
            pod("failing", failure={"reason": "SomethingNew"}),
            pod("loading"),
            pod("unplaced", node=None),
            pod("leaving", ready=True, leaving=True),
            pod("ended", phase="Succeeded"),
            pod("evicted", phase="Failed", failure={"reason": "Evicted"}),
        ]
    )
    assert (seen.ready, seen.loading, seen.leaving, seen.working, seen.placed) == (2, 1, 1, 3, 4)
    assert [each.name for each in seen.failing] == ["failing"]
    assert [each.name for each in seen.unplaced] == ["unplaced"]


def test_a_trouble_in_a_sentence() -> None:
    words = {"reason": "OOMKilled", "message": f"{'x' * 2000}the end\n", "exit_code": 137, "restarts": 1}
    told = trouble(pod("a", failure=words))
    assert told.startswith("instance a: OOMKilled, exit code 137, 1 restart: xxx")
    assert told.endswith("xthe end")
    assert len(told) < 1100
    assert trouble(pod("a", failure={"reason": "Error"})) == "instance a: Error"
