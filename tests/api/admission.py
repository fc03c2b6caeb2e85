"""Asking a real API server whether it takes an object, without leaving one behind."""

import json
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client, config

from maas_operator.api.kinds import Kind
from maas_operator.api.names import GROUP, VERSION
from tests.api.rules import MAP_KEY, Manifest, Rule, replaced


@dataclass(frozen=True)
class Refusal:
    """What the API server had against an object: (field, words)."""

    causes: tuple[tuple[str, str], ...]

    def about(self, field: str) -> str:
        return "\n".join(words for named, words in self.causes if named == field)


class Admission:
    """One API server, asked as the administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self.objects = client.CustomObjectsApi(
            config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        )

    def ask(self, kind: Kind, manifest: Manifest) -> Refusal | None:
        """None where the object would be created. A field that the schema does not know is refused too."""
        try:
            if kind.namespaced:
                self.objects.create_namespaced_custom_object(
                    GROUP, VERSION, "default", kind.plural, manifest, dry_run="All", field_validation="Strict"
                )
            else:
                self.objects.create_cluster_custom_object(
                    GROUP, VERSION, kind.plural, manifest, dry_run="All", field_validation="Strict"
                )
        except client.ApiException as refused:
            return _refusal(refused)
        return None

    def judge(self, kind: Kind, base: Manifest, rule: Rule) -> None:
        """Assert that the rule lets its good values through, and refuses the bad ones by naming the field."""
        refusal = self.ask(kind, base)
        assert refusal is None, f"the example itself must be accepted: {refusal}"
        for value in rule.good:
            refusal = self.ask(kind, replaced(base, rule.path, value))
            assert refusal is None, f"{rule.path} = {value!r:.200} is refused: {refusal}"
        for value in rule.bad or (None,):
            refusal = self.ask(kind, replaced(base, rule.path, value))
            assert refusal is not None, f"{rule.path} = {value!r:.200} is accepted"
            words = refusal.about(_field(rule))
            assert rule.says in words, f"{rule.path} = {value!r:.200}: of {_field(rule)} is said {refusal}"

    def columns(self, kind: Kind) -> list[Manifest]:
        """The columns of `kubectl get`, as the API server tells kubectl of them."""
        answer = self.objects.api_client.rest_client.request(
            "GET",
            f"{self.objects.api_client.configuration.host}/apis/{GROUP}/{VERSION}/{kind.plural}",
            headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
        )
        columns: list[Manifest] = json.loads(answer.read())["columnDefinitions"]
        return columns


def _field(rule: Rule) -> str:
    return (rule.field or rule.path).replace("[]", "[0]").replace("{}", f".{MAP_KEY}")


def _refusal(refused: client.ApiException) -> Refusal:
    status = json.loads(refused.body or "{}")
    causes = status.get("details", {}).get("causes", [])
    return Refusal(tuple((cause.get("field", ""), cause["message"]) for cause in causes) or (("", status["message"]),))
