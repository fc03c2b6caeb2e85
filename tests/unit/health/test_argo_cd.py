"""M12: what Argo CD says of each object that the operator leaves: its script, in a real Lua."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from maas_operator.api.seen import Manifest
from tests.unit.health.objects import Case, leaving, others, services
from tests.unit.health.table import OF_PHASE, of_a_service

FOLDER = Path(__file__).parents[3] / "examples" / "gitops" / "argo-cd" / "health"
CUT = """
debug.setmetatable("", nil)
for _, name in ipairs({"string", "math", "io", "os", "debug", "coroutine", "python"}) do _G[name] = nil end
"""
"""Argo CD runs scripts with Lua's base and table libraries alone."""
OF_STATE = {"Ready": "Healthy", "Reconciling": "Progressing", "Stalled": "Degraded"}


def assessed(obj: Manifest, script: str = "health.lua") -> tuple[str, str]:
    """Health and message."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute(CUT)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    answer: Any = lua.execute((FOLDER / script).read_text())
    return str(answer.status), str(answer.message)


@pytest.mark.parametrize("case", services(), ids=lambda case: case.name)
def test_m12_the_health_of_a_service(case: Case) -> None:
    told = "Stalled" if case.state == "Stalled" else "Ready"
    expected = ("Progressing", "it is being deleted") if case.leaving else (of_a_service(case).argo_cd, case.said(told))
    assert assessed(case.manifest) == expected


@pytest.mark.parametrize("case", others(), ids=lambda case: case.name)
def test_the_health_of_the_other_kinds(case: Case) -> None:
    assert assessed(case.manifest)[0] == ("Progressing" if case.leaving else OF_STATE[case.state])


def test_every_phase_and_every_health_is_met() -> None:
    met = {(case.status["phase"], case.state) for case in services() if not case.leaving}
    assert met == set(OF_PHASE)
    assert {row.argo_cd for row in OF_PHASE.values()} == {"Healthy", "Progressing", "Degraded", "Suspended"}
    assert {(case.name.split()[0], case.state) for case in others()} == {
        ("ResourcePool", "Ready"),
        ("ResourcePool", "Reconciling"),
        ("ResourcePool", "Stalled"),
        ("Model", "Ready"),
        ("Model", "Stalled"),
        ("ApiKey", "Ready"),
        ("ApiKey", "Reconciling"),
        ("ApiKey", "Stalled"),
        ("NotificationTopic", "Ready"),
        ("NotificationTopic", "Reconciling"),
    }


@pytest.mark.parametrize(
    "status",
    [None, {}, {"observedGeneration": -1}, {"observedGeneration": 1}, {"observedGeneration": 1, "conditions": []}],
    ids=str,
)
def test_what_the_operator_has_not_looked_at_is_progressing(status: Manifest | None) -> None:
    (case,) = (each for each in services() if each.name == "phase-running")
    obj = (
        case.altered(status=status) if status is not None else {k: v for k, v in case.manifest.items() if k != "status"}
    )
    health, message = assessed(obj)
    assert (health, bool(message)) == ("Progressing", True)


def test_what_is_being_deleted_is_progressing() -> None:
    for case in (*services(), *others()):
        assert assessed(leaving(case)) == ("Progressing", "it is being deleted"), case.name


def test_a_status_of_an_earlier_spec_is_progressing() -> None:
    for case in (*services(), *others()):
        later = case.altered(metadata=case.manifest["metadata"] | {"generation": 7})
        assert assessed(later)[0] == "Progressing", case.name


def test_asleep_is_healthy_and_stopped_is_suspended() -> None:
    """Asleep, it answers the next request; and Argo CD's sync waves wait for ever behind what is Suspended."""
    of = {case.name: assessed(case.manifest)[0] for case in services()}
    assert of["asleep-all-gone"] == "Healthy"
    stopped = ("phase-stopped-all-gone", "scaled-to-zero", "auto-stopped-all-gone")
    assert [of[name] for name in stopped] == ["Suspended"] * 3


def test_the_component_names_every_kind() -> None:
    crds = (yaml.safe_load(file.read_text()) for file in sorted((FOLDER.parents[3] / "crds").iterdir()))
    kinds = sorted(crd["spec"]["names"]["kind"] for crd in crds)
    (generator,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    assert generator["files"] == [
        *(f"resource.customizations.health.maas-operator.io_{kind}=health.lua" for kind in kinds),
        "resource.customizations.health.argoproj.io_Application=application.lua",
    ]


def test_an_applications_health_is_what_argo_cd_has_found() -> None:
    """So that the waves of argo-cd/base wait for each other: Argo CD has no health of Applications by itself."""
    found = {"status": {"health": {"status": "Degraded", "message": "one service fails"}}}
    assert assessed(found, "application.lua") == ("Degraded", "one service fails")
    nothing_yet: list[Manifest] = [{}, {"status": {}}, {"status": {"sync": {"status": "OutOfSync"}}}]
    for obj in nothing_yet:
        assert assessed(obj, "application.lua") == ("Progressing", "")
