"""Golden pairs: NAME.in.yaml manifests, NAME.out.yaml what Envoy is told. `pytest --update-golden` rewrites them."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from maas_operator.gateway.envoy import render, render_start, render_tokens
from maas_operator.gateway.envoy.names import START
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.gather import gather
from maas_operator.gateway.settings import GatewaySettings, parse
from maas_operator.gateway.signing import SigningKey
from tests.unit.gateway.decoding import decoded

GOLDEN = Path(__file__).parent / "golden"
FULL = """
trustedProxies: 1
requestsPerMinutePerAddress: 5
tls: {folder: /tls}
usageOnStreams: EveryChunk
contentControl: {url: "https://control.example.com/check", tokenFile: /control/token, caBundle: a PEM}
rateLimitService: limits:8081
holding: {requests: 10, requestsPerService: 5, seconds: 60}
"""


def facts_from(text: str) -> Facts:
    seen: dict[str, Any] = yaml.safe_load(text)
    for key in seen.get("keys", ()):
        key["spec"]["sha256"] *= 32
    return gather(
        seen.get("services", ()),
        seen.get("keys", ()),
        seen.get("slices", ()),
        seen.get("namespaces", ()),
        datetime.fromisoformat(str(seen["now"])),
        models=seen.get("models", ()),
        gateway=tuple(seen.get("gateway", ("", ""))),
        used=seen.get("used"),
        over_limit=seen.get("overLimit", ()),
    )


@pytest.mark.parametrize("name", ["everything", "nothing"])
def test_golden_of_facts(name: str, update_golden: bool) -> None:
    text = (GOLDEN / f"{name}.in.yaml").read_text()
    holding = frozenset(yaml.safe_load(text).get("holding", ()))
    files = render(replace(facts_from(text), holding=holding))
    told = json.loads(json.dumps({file: decoded(content) for file, content in files.items()}))
    compare(GOLDEN / f"{name}.out.yaml", yaml.safe_dump(told, width=120), update_golden)


@pytest.mark.parametrize(("name", "settings"), [("start-default", GatewaySettings()), ("start-full", parse(FULL))])
def test_golden_of_settings(name: str, settings: GatewaySettings, update_golden: bool) -> None:
    files = render_start(settings, "/envoy", "/logs/access.log")
    told = {
        file: content.decode() if file == START else _without_scripts(json.loads(content))
        for file, content in files.items()
    }
    compare(GOLDEN / f"{name}.out.yaml", yaml.safe_dump(told, width=120), update_golden)


@pytest.mark.parametrize("name", ["tokens-none", "tokens-two"])
def test_golden_of_signing_keys(name: str, update_golden: bool) -> None:
    keys = [SigningKey(id=each, secret=each * 32) for each in ("a", "b")] if name == "tokens-two" else []
    told = json.loads(json.dumps({file: decoded(content) for file, content in render_tokens(keys).items()}))
    compare(GOLDEN / f"{name}.out.yaml", yaml.safe_dump(told, width=120), update_golden)


def compare(path: Path, made: str, update: bool) -> None:
    if update:
        path.write_text(made)
    assert made == path.read_text()


def _without_scripts(value: Any) -> Any:
    """The scripts stand in files of their own: only their first line is shown."""
    if isinstance(value, dict):
        return {
            key: item.splitlines()[0] if key == "inline_string" and "function" in item else _without_scripts(item)
            for key, item in value.items()
            if key != "version_info"
        }
    return [_without_scripts(item) for item in value] if isinstance(value, list) else value
