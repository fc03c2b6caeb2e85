"""M22: what a key is, and what the CLI refuses before it asks the cluster."""

import hashlib
import json
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.cli import making
from maas_operator.cli.errors import CliError
from maas_operator.keymaking import new_key

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def spec(key: str = "sk-maas-secret", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "tag": "ci",
        "description": "nightly",
        "kind": None,
        "services": (),
        "limits": {},
        "expires": None,
    }
    return making.spec_of(key, now=NOW, **(fields | changes))


def test_m22_a_key_has_256_random_bits_and_bytes_that_pass_everywhere() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sk-maas-") and len(key) == 8 + 43 for key in keys)
    assert set("".join(keys)) <= set(string.ascii_letters + string.digits + "-_")


def test_m22_only_the_digest_goes_to_the_cluster() -> None:
    made = making.manifest("ci", "team-a", spec(limits={"requestsPerMinute": 600}, services=("assistant",)))
    assert made["spec"]["sha256"] == hashlib.sha256(b"sk-maas-secret").hexdigest()
    assert "sk-maas" not in json.dumps(made)


def test_what_is_left_out_is_left_out_of_the_manifest() -> None:
    assert spec().keys() == {"tag", "description", "sha256"}
    assert spec(expires="30d")["expiresAt"] == "2026-03-02T12:00:00Z"
    assert spec(kind="ClientCredentials")["kind"] == "ClientCredentials"


@pytest.mark.parametrize("tag", ["", "a b", "a.b", "é", "a/b", "x" * 101])
def test_m22_a_tag_that_breaks_the_rule_is_refused_with_the_rule(tag: str) -> None:
    with pytest.raises(CliError, match=r"tag cannot be '.*': .* 1 to 100 letters, digits, '_' and '-'"):
        spec(tag=tag)


@pytest.mark.parametrize("description", ["", "x" * 101])
def test_m22_a_description_that_breaks_the_rule_is_refused_with_the_rule(description: str) -> None:
    with pytest.raises(CliError, match="What the key is for, 1 to 100 characters"):
        spec(description=description)


def test_m22_the_digest_is_not_told_in_an_error() -> None:
    with pytest.raises(CliError) as refused:
        spec(tag="a b", description="", services=("No Service",))
    assert len(refused.value.message.splitlines()) == 3
    assert hashlib.sha256(b"sk-maas-secret").hexdigest() not in refused.value.message


def test_limits_are_named_as_in_the_manifest() -> None:
    assert making.limits_of("requestsPerMinute=600, tokenQuota=5") == {"requestsPerMinute": 600, "tokenQuota": 5}
    assert making.limits_of("") == {}
    for wrong in ("rpm=5", "requestsPerMinute", "requestsPerMinute=many", "requestsPerMinute=-1"):
        with pytest.raises(CliError, match="NAME=NUMBER, with one of requestsPerMinute, tokensPerMinute, tokenQuota"):
            making.limits_of(wrong)
    with pytest.raises(CliError, match="--limits tokenQuota=5,tokenQuota=6: tokenQuota is named twice"):
        making.limits_of("tokenQuota=5,tokenQuota=6")
    with pytest.raises(CliError, match=r"limits\.requestsPerMinute"):
        spec(limits={"requestsPerMinute": 0})


def test_an_expiry_in_the_past_is_refused() -> None:
    with pytest.raises(CliError, match="has passed: name a time to come"):
        spec(expires="2025-01-01")
    with pytest.raises(CliError, match="--expires soon is no time: write a duration"):
        spec(expires="soon")


@given(st.text(alphabet=string.ascii_letters + string.digits + "_-", min_size=1, max_size=100))
def test_every_tag_has_a_name_that_kubernetes_takes(tag: str) -> None:
    name = making.name_of(tag)
    assert len(name) <= 63
    assert making._DNS_LABEL.match(name)
    assert making.name_of(tag) == name


def test_tags_that_differ_in_case_alone_are_different_keys() -> None:
    assert len({making.name_of(tag) for tag in ("CI", "ci", "Ci", "c_i", "c-i")}) == 5
