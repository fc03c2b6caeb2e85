"""examples/gitops, as its tests read it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
ROOT = Path(__file__).parents[1]
GITOPS = ROOT / "examples" / "gitops"
CLUSTERS = ("staging", "production")
LAYERS = ("namespaces", "secrets", "operator", "platform", "team-a")
"""In the order in which they have to come."""
SECRETS = ("external-secrets", "sops")
"""The two ways of having them: folders of secrets/."""
OWNERS = ("system", "team-a")
"""Whose they are: folders of each way."""
STEPS = {
    "namespaces": set[str](),
    "secrets": {"namespaces"},
    "operator": {"namespaces", "secrets"},
    "platform": {"operator"},
    "team-a-secrets": {"namespaces"},
    "team-a": {"platform", "team-a-secrets"},
}
"""What a tool does by itself, and what each waits for: the operator's secrets are a layer, an account's its own."""


def folders(*layers: str) -> list[str]:
    """Of these layers, the folders that are built: those of both clusters where they differ."""
    parts = {"secrets": tuple(f"{way}/{owner}" for way in SECRETS for owner in OWNERS)}
    parts |= {layer: CLUSTERS for layer in layers if (GITOPS / layer / "base").exists()}
    return [f"{layer}/{part}".rstrip("/") for layer in layers for part in parts.get(layer, ("",))]


def files() -> list[Path]:
    """Every YAML file of it, .sops.yaml among them."""
    return sorted(GITOPS.rglob("*.yaml"))


def manifests(text: str) -> list[Manifest]:
    """The objects of a YAML text."""
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(found: Iterable[Manifest], kind: str) -> list[Manifest]:
    return [each for each in found if each["kind"] == kind]
