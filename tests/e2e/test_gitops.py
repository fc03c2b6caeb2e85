"""Ten minutes of GitOps: two accounts and examples/gitops are applied every few seconds, one account by server-side
apply, one by kubectl's three-way apply, while services scale, sleep, wake, stop by themselves, roll and fail. Nothing
flaps, nothing drifts, nobody fights, no stream is cut, and at every moment health is told right."""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.conftest import Account
from tests.e2e.examples import SERVICES, Examples
from tests.e2e.repository import ARGO_CD, FLUX, Manifest, Way
from tests.e2e.story import LOST, SLEEPER, STEADY, TIMED, Show, loop
from tests.installation import install
from tests.unit.health.objects import Case
from tests.unit.health.table import of_a_service
from tests.unit.health.test_argo_cd import assessed
from tests.unit.health.test_flux import evaluated

pytestmark = pytest.mark.e2e

MEASURE_SECONDS = 2
WAYS = (FLUX, ARGO_CD)
LEAST_ROUNDS = 40
"""In ten minutes, on two busy cores."""
HEALTH = {
    "running": ("Healthy", "Current"),
    "stopped": ("Suspended", "Current"),
    "asleep": ("Healthy", "Current"),
    "rolling": ("Progressing", "InProgress"),
    "lost": ("Degraded", "Failed"),
}
"""What Argo CD and Flux are to say of a service that is so."""
OF_STATE = {
    "Ready": ("Healthy", "Current"),
    "Reconciling": ("Progressing", "InProgress"),
    "Stalled": ("Degraded", "Failed"),
}
"""And of an object of another kind, by which of kstatus' conditions is True."""


@pytest.fixture(scope="module")
def examples(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """examples/gitops, before or after ten minutes of it."""
    made = Examples(cluster, tmp_path_factory.mktemp("examples") / "gitops")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def shows(
    cluster: Cluster, account: Account, examples: Examples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Way, Show]]:
    """Both accounts, after ten minutes of it."""
    account.delete("talker")  # of the tests that call the gateway
    install(cluster, f"settings.measureSeconds={MEASURE_SECONDS}")
    folder = tmp_path_factory.mktemp("repository")
    made = {way: Show(cluster, way, folder) for way in WAYS}
    asyncio.run(loop(cluster, list(made.values()), examples))
    yield made
    names = [way.name for way in WAYS]
    cluster.kubectl("delete", "namespace", *names, "--ignore-not-found")
    cluster.kubectl("delete", "maasmodel,rpool", *names, "--ignore-not-found")
    install(cluster)


each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@each_way
def test_no_drift_is_ever_reported(shows: dict[Way, Show], way: Way) -> None:
    rounds = shows[way].controller.rounds
    assert [each.drift for each in rounds if each.drift] == []
    assert len(rounds) > LEAST_ROUNDS


@each_way
def test_an_apply_of_the_same_changes_no_generation_and_no_resource_version(shows: dict[Way, Show], way: Way) -> None:
    rounds, same = shows[way].controller.rounds, 0
    for before, after in itertools.pairwise(rounds):
        if before.commit != after.commit:
            continue
        for at in before.objects.keys() & after.objects.keys():
            was, now = before.objects[at], after.objects[at]
            assert was["metadata"]["generation"] == now["metadata"]["generation"], at
            if at[0] != "ResourcePool" and bare(was) == bare(now):  # others' instances come and go in a pool's figures
                assert was["metadata"]["resourceVersion"] == now["metadata"]["resourceVersion"], at
                same += at == ("ModelService", STEADY)
    assert same > LEAST_ROUNDS / 2
    generations = {each.commit: each.objects["ModelService", STEADY]["metadata"]["generation"] for each in rounds}
    assert generations == {1: 1, 2: 2, 3: 3, 4: 4, 5: 4}


def bare(manifest: Manifest) -> Manifest:
    """Without what tells of writes."""
    told = {"resourceVersion", "managedFields"}
    return manifest | {"metadata": {key: value for key, value in manifest["metadata"].items() if key not in told}}


@each_way
def test_m14_replicas_never_flap(shows: dict[Way, Show], way: Way) -> None:
    watched = shows[way].watched
    assert watched.whole
    for kind in ("deployments", "modelservices"):
        told = {name: " ".join(watched.states(kind, name)) for name in (STEADY, SLEEPER, TIMED, LOST)}
        assert told[STEADY] == ("1 3 1" if kind == "deployments" else "1")
        assert re.fullmatch("1 0 (1 )?2 (1 )?0", told[SLEEPER]), told
        assert told[TIMED] == "1 0", told
        assert told[LOST] == ("" if kind == "deployments" else "0"), told


@each_way
def test_m12_health_is_right_at_every_phase(shows: dict[Way, Show], way: Way) -> None:
    told = shows[way].told
    failing = told.pop("failing")
    assert {name: told[name] for name in HEALTH} == HEALTH
    assert failing in {("Degraded", "InProgress"), ("Degraded", "Failed")}


@each_way
def test_m12_health_is_told_of_every_status_that_was_recorded(shows: dict[Way, Show], way: Way) -> None:
    """By what the table says of each; of a status that speaks of an earlier spec, that it is under way."""
    recorded = {
        json.dumps([each["kind"], each["metadata"]["name"], each["metadata"]["generation"], each["status"]]): each
        for seen in shows[way].controller.rounds
        for each in seen.objects.values()
    }
    met = Counter[tuple[str, str]]()
    for each in recorded.values():
        said = assessed(each)[0], evaluated(each["kind"], each)
        assert said == expected(each), each
        met[said] += 1
    assert {health for health, _ in met} == {"Healthy", "Progressing", "Degraded", "Suspended"}
    assert {flux for _, flux in met} == {"Current", "InProgress", "Failed"}


def expected(manifest: Manifest) -> tuple[str, str]:
    case = Case("", manifest)
    if manifest["status"]["observedGeneration"] != manifest["metadata"]["generation"] or case.leaving:
        return "Progressing", "InProgress"
    if manifest["kind"] == "ModelService":
        row = of_a_service(case)
        return row.argo_cd, row.flux
    return OF_STATE[case.state]


@each_way
def test_no_stream_is_cut_and_no_request_fails(shows: dict[Way, Show], way: Way) -> None:
    show = shows[way]
    assert show.clients.ends == {"whole"}
    assert len(show.clients.streams) > LEAST_ROUNDS
    assert set(show.told["answers"]) <= {"length", "stop"}


@each_way
def test_a_change_that_fails_and_is_reverted_leaves_the_instance_that_answers(shows: dict[Way, Show], way: Way) -> None:
    told = shows[way].told
    assert told["before"] & told["after"]


@each_way
def test_another_manager_is_told_of_and_nobody_fights(shows: dict[Way, Show], way: Way) -> None:
    rival = "rival" if way is FLUX else "kubectl"
    assert f"Deployment {STEADY} by {rival} (.spec.replicas)" in shows[way].told["conflict"]


@each_way
def test_a_pruned_service_is_gone_and_the_others_stay(shows: dict[Way, Show], way: Way) -> None:
    show = shows[way]
    for seen in show.controller.rounds[show.told["rounds when pruned"] :]:
        assert {name for kind, name in seen.objects if kind == "ModelService"} == {STEADY}
    assert [name for name in (SLEEPER, TIMED, LOST) if show.account.left(name)] == []
    assert show.account.phase(STEADY) == "Running"


@pytest.mark.usefixtures("shows")
def test_the_examples_run_as_they_stand_in_git_and_never_drift(examples: Examples) -> None:
    assert len(examples.drifts) > LEAST_ROUNDS
    assert set(examples.drifts) == {""}
    of_services = {f"modelservices/{name}" for name in SERVICES}
    assert {*of_services, "apikeys/ci", "notificationtopics/ops"} <= examples.generations.keys()
    assert all(seen == {1} for name, seen in examples.generations.items() if name in of_services)
    for name in SERVICES:
        found = examples.account.get("msvc", name)
        assert (assessed(found)[0], evaluated("ModelService", found)) == HEALTH["running"], found["status"]
