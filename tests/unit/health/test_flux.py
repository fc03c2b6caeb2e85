"""M12: what Flux says of each object that the operator leaves: its expressions, in a real CEL library."""

from pathlib import Path

import pytest
import yaml
from cel_expr_python import cel

from maas_operator.api.seen import Manifest
from tests.unit.health.objects import Case, leaving, others, services
from tests.unit.health.table import KSTATUS, OF_PHASE, of_a_service

FILE = Path(__file__).parents[3] / "examples" / "gitops" / "flux" / "health" / "health-checks.yaml"
CHECKS = {each["kind"]: each for each in yaml.safe_load(FILE.read_text())["spec"]["healthCheckExprs"]}
ORDER = {"inProgress": "InProgress", "failed": "Failed", "current": "Current"}
"""In which Flux asks, and what it says of the first that applies; InProgress if none does."""
FIELDS = ("metadata", "status")
ENVIRONMENT = cel.NewEnv(variables=dict.fromkeys(FIELDS, cel.Type.DYN))
EXPRESSIONS = {
    kind: {word: ENVIRONMENT.compile(check[word], disable_check=True) for word in ORDER}
    for kind, check in CHECKS.items()
}


def evaluated(kind: str, obj: Manifest) -> str:
    """Flux's word for it, by the rules of its RFC 9. Raises ValueError where an expression has no answer."""
    status = obj.get("status", {})
    if status.get("observedGeneration", obj["metadata"]["generation"]) != obj["metadata"]["generation"]:
        return "InProgress"
    for word, result in ORDER.items():
        answer = EXPRESSIONS[kind][word].eval(data={field: obj[field] for field in FIELDS if field in obj})
        if answer.type() != cel.Type.BOOL:
            raise ValueError(f"{word} of {kind}: {answer}")
        if answer.value():
            return result
    return "InProgress"


@pytest.mark.parametrize("case", services(), ids=lambda case: case.name)
def test_m12_what_flux_says_of_a_service(case: Case) -> None:
    assert evaluated("ModelService", case.manifest) == ("InProgress" if case.leaving else of_a_service(case).flux)


@pytest.mark.parametrize("case", others(), ids=lambda case: case.name)
def test_what_flux_says_of_the_other_kinds(case: Case) -> None:
    assert evaluated(case.name.split()[0], case.manifest) == ("InProgress" if case.leaving else KSTATUS[case.state])


def test_with_and_without_the_expressions_flux_says_the_same_of_a_service() -> None:
    """kstatus, which Flux goes by without them, as Helm does. Of what is being deleted it says Terminating."""
    assert {state: row.flux for (_, state), row in OF_PHASE.items()} == KSTATUS
    assert [row for (_, state), row in OF_PHASE.items() if row.flux != KSTATUS[state]] == []


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_what_the_operator_has_not_looked_at_is_in_progress(kind: str) -> None:
    (case,) = (each for each in services() if each.name == "phase-running")
    looked_at: Manifest = {"observedGeneration": 1}
    of_no_spec = {"conditions": case.status["conditions"]}
    for status in ({}, {"observedGeneration": -1}, looked_at, of_no_spec, looked_at | {"conditions": []}):
        assert evaluated(kind, case.altered(status=status)) == "InProgress"


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_of_an_object_without_a_status_there_is_no_answer_and_flux_waits(kind: str) -> None:
    """No expression can name what is not there; Flux takes that for Unknown, which is not done."""
    with pytest.raises(ValueError, match="status"):
        evaluated(kind, {"metadata": {"generation": 1}})


def test_what_is_being_deleted_is_in_progress() -> None:
    (case,) = (each for each in services() if each.name == "phase-running")
    assert evaluated("ModelService", leaving(case)) == "InProgress"


def test_a_status_of_an_earlier_spec_is_in_progress() -> None:
    for case in services():
        later = case.altered(metadata=case.manifest["metadata"] | {"generation": 7})
        assert evaluated("ModelService", later) == "InProgress", case.name


def test_there_are_expressions_for_every_kind() -> None:
    crds = (yaml.safe_load(file.read_text()) for file in (FILE.parents[4] / "crds").iterdir())
    assert set(CHECKS) == {crd["spec"]["names"]["kind"] for crd in crds}
    assert {each["apiVersion"] for each in CHECKS.values()} == {"maas-operator.io/v1alpha1"}
