"""A cache that nodes share: what waits for its Job, what does not, and what an upgrade of the operator leaves alone."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from maas_operator.api.decision import Decision
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.decide import decide_service
from tests.unit.decide.apiserver import children_after
from tests.unit.decide.facts import NOW, merged, pod, service_seen, settings_from
from tests.unit.decide.test_golden import facts_of

ANOTHER = {"model": {"spec": {"versions": [{"name": "8k", "source": "hf://acme/other@v2", "contextLength": 8192}]}}}


class Life:
    """A service, decision after decision: what each writes stands there for the next."""

    def __init__(self, facts: Manifest) -> None:
        self.facts = facts
        self.children: dict[tuple[str, str], Manifest] = {}
        self.pods: list[Any] = []
        self.status: Manifest = {}

    def decide(self) -> Decision:
        seen: ServiceSeen = service_seen(self.facts)
        seen.service["status"] = self.status
        seen = replace(seen, children=copy.deepcopy(self.children), pods=self.pods)
        decision = decide_service(seen, settings_from(self.facts), NOW)
        self.children |= children_after(decision)
        for gone in decision.remove:
            del self.children[(gone.kind, gone.name)]
        self.status = decision.status
        return decision

    def jobs(self) -> list[str]:
        return [name for kind, name in self.children if kind == "Job"]

    def complete(self) -> None:
        for (kind, _), child in self.children.items():
            if kind == "Job":
                child["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def runs(self) -> None:
        """As many instances answer as the Deployment asks for, of its template."""
        deployment = self.deployment
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        fetch = {"fetch": "Done"} if "initContainers" in deployment["spec"]["template"]["spec"] else {}
        self.pods = [
            pod(
                f"p{number}",
                ready=True,
                **fetch,
                template=labels["maas-operator.io/template"],
                model_version=labels["maas-operator.io/model-version"],
            )
            for number in range(deployment["spec"]["replicas"])
        ]

    @property
    def deployment(self) -> Manifest:
        return self.children[("Deployment", "assistant")]

    @property
    def version(self) -> str:
        label: str = self.deployment["spec"]["template"]["metadata"]["labels"]["maas-operator.io/model-version"]
        return label

    def alter(self, change: Manifest) -> None:
        self.facts = merged(self.facts, change)

    def condition(self, kind: str) -> str:
        found = next(each for each in self.status["conditions"] if each["type"] == kind)
        return f"{found['status']} {found['reason']}"


def written(decision: Decision) -> list[str]:
    return [f"{each.why} {each.manifest['kind']}" for each in decision.apply]


@pytest.fixture
def running() -> Life:
    """A service whose instance answers from a cache that its Job has filled."""
    life = Life(facts_of("cache-claim"))
    assert written(life.decide()) == ["created Service", "created PodDisruptionBudget", "created Job"]
    life.complete()
    assert written(life.decide()) == ["created Deployment"]
    life.runs()
    assert written(life.decide()) == []
    assert life.condition("WeightsReady") == "True Fetched"
    assert life.status["phase"] == "Running"
    return life


def test_an_upgrade_waits_for_its_weights_while_the_old_version_answers_and_scales(running: Life) -> None:
    (old,) = running.jobs()
    running.alter(merged(ANOTHER, {"service": {"spec": {"model": {"version": "8k"}}}}))
    assert written(running.decide()) == ["created Job"]
    assert running.version == "4k"
    assert running.status["phase"] == "Upgrading"
    assert running.condition("Updated") == "False Fetching"
    assert running.condition("Ready") == "False Fetching"
    running.alter({"service": {"spec": {"instances": 3}}})
    assert written(running.decide()) == ["changed Deployment"]
    assert (running.version, running.deployment["spec"]["replicas"]) == ("4k", 3)
    assert old not in running.jobs(), "the Job of the version before is not needed any more"
    running.complete()
    assert written(running.decide()) == ["changed Deployment"]
    assert running.version == "8k"


def test_a_job_that_somebody_deletes_is_made_again_and_disturbs_nothing(running: Life) -> None:
    (job,) = running.jobs()
    del running.children[("Job", job)]
    assert written(running.decide()) == ["created Job"]
    assert running.status["phase"] == "Running"
    assert running.deployment["spec"]["replicas"] == 1


def test_an_upgraded_operator_fetches_nothing_anew_and_restarts_nothing(running: Life) -> None:
    (job,) = running.jobs()
    running.alter({"settings": {"sources": {"image": "maas-operator:0.2.0"}}})
    assert written(running.decide()) == []
    assert running.jobs() == [job]
    assert running.condition("Updated") == "False RenderedByEarlierVersion"
    assert running.condition("Ready") == "True InstancesReady"


def test_a_cache_that_a_pool_gets_later_is_for_the_next_change() -> None:
    life = Life(merged(facts_of("cache-claim"), {"pool": {"spec": {"cache": None}}}))
    life.decide()
    life.runs()
    life.decide()
    life.alter({"pool": {"spec": {"cache": {"persistentVolumeClaim": {"claimName": "weights"}}}}})
    assert written(life.decide()) == []
    assert life.condition("Updated") == "False RenderedByEarlierVersion"
    assert not [each for each in life.status["conditions"] if each["type"] == "WeightsReady"]


def test_a_service_that_starts_again_waits_for_a_job_that_has_still_to_run() -> None:
    life = Life(merged(facts_of("cache-claim"), {"service": {"spec": {"state": "Stopped"}}}))
    assert "created Job" not in written(life.decide())
    life.alter({"service": {"spec": {"state": "Running"}}})
    assert written(life.decide()) == ["created Job"]
    assert life.deployment["spec"]["replicas"] == 0
    life.complete()
    assert written(life.decide()) == ["changed Deployment"]
    assert life.deployment["spec"]["replicas"] == 1


def test_kubectl_maas_start_makes_the_job_anew(running: Life) -> None:
    (job,) = running.jobs()
    running.alter({"service": {"metadata": {"annotations": {"maas-operator.io/start-requested-at": "now"}}}})
    assert "created Job" in written(running.decide())
    assert job not in running.jobs()


def test_somebody_elses_job_of_that_name_is_left_alone() -> None:
    life = Life(facts_of("cache-claim"))
    life.decide()
    (job,) = life.jobs()
    life.children[("Job", job)]["metadata"]["ownerReferences"] = []
    assert written(life.decide()) == []
    assert life.condition("Reconciled") == "False OwnedBySomeoneElse"


@pytest.mark.parametrize(
    "change",
    [
        {"service": {"spec": {"model": {"credentials": {"secretName": "other"}}}}},
        {"pool": {"spec": {"cache": {"persistentVolumeClaim": {"claimName": "other"}}}}},
        {"settings": {"sources": {"huggingFace": {"endpoint": "https://mirror.example"}}}},
        {"settings": {"sources": {"offline": True}}},
    ],
)
def test_what_is_kept_is_never_taken_for_something_else(change: Manifest) -> None:
    facts = facts_of("cache-claim")
    names = [Life(facts), Life(merged(facts, change))]
    for life in names:
        life.decide()
    assert names[0].jobs() != names[1].jobs()


def test_other_credentials_are_a_change_and_none_is_none() -> None:
    facts = facts_of("source-hub")
    life = Life(facts)
    life.decide()
    life.runs()
    assert written(life.decide()) == []
    life.alter({"service": {"spec": {"model": {"credentials": {"secretName": "other"}}}}})
    assert written(life.decide()) == ["changed Deployment"]
