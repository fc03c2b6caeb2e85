"""M2: in which namespace the release is, and whether notifications are on there."""

from typing import Any

import pytest

from maas_operator.api.names import ANNOTATION_RELEASE_NAMESPACE
from maas_operator.cli import release
from maas_operator.cli.checking import notifications_on
from maas_operator.cli.errors import CliError

HELMS = "meta.helm.sh/release-namespace"


def role(name: str, **annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": name} | ({"annotations": annotations} if annotations else {})}


@pytest.mark.parametrize(
    ("roles", "namespace"),
    [
        ([], None),
        ([role("maas")], None),
        ([role("maas", **{ANNOTATION_RELEASE_NAMESPACE: "models"})], "models"),
        ([role("maas", **{HELMS: "models"}), role("maas-viewer")], "models"),
        ([role("maas", **{HELMS: "helms", ANNOTATION_RELEASE_NAMESPACE: "models"})], "models"),
    ],
)
def test_m2_the_cluster_roles_say_where_the_release_is(roles: list[dict[str, Any]], namespace: str | None) -> None:
    assert release.namespace_of(roles) == namespace


def test_m2_cluster_roles_of_two_releases_are_told() -> None:
    roles = [role("one", **{HELMS: "models"}), role("two", **{HELMS: "maas-system"})]
    with pytest.raises(CliError, match=r"maas-system \(ClusterRole two\), models \(ClusterRole one\)"):
        release.namespace_of(roles)


def test_m2_a_namespace_that_is_named_counts_where_the_cluster_roles_say_none() -> None:
    assert release.chosen("models", None) == release.chosen(None, "models") == release.chosen("models", "models")
    with pytest.raises(CliError, match="the release is in namespace models"):
        release.chosen("models", "team-a")
    with pytest.raises(CliError, match="name its namespace by -n"):
        release.chosen(None, None)


@pytest.mark.parametrize(
    ("settings", "on"),
    [
        ("notifications: {enabled: true}", True),
        ("notifications: {enabled: false}", False),
        ("notifications:", False),
        ("{newer: 1}", False),
        ("", False),
    ],
)
def test_m2_whether_notifications_are_on(settings: str, on: bool) -> None:
    assert notifications_on({"data": {"settings.yaml": settings}}, "maas-system/settings") is on


@pytest.mark.parametrize(
    "config_map",
    [{}, {"data": {}}, *({"data": {"settings.yaml": text}} for text in ("{", "[1]", "notifications: 1", "a"))],
)
def test_m2_settings_that_are_none_are_told(config_map: dict[str, Any]) -> None:
    with pytest.raises(CliError, match="ConfigMap maas-system/settings has no settings"):
        notifications_on(config_map, "maas-system/settings")
