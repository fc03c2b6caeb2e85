"""The kinds as values."""

import pytest
from pydantic import ValidationError

from maas_operator.api.fields import EnvVar, Part, digest
from maas_operator.api.model import ModelSpec, ModelVersion, Parameter
from maas_operator.api.modelservice import ModelServiceSpec
from maas_operator.api.resourcepool import Flavor
from maas_operator.api.settings import parse

VERSION = {"name": "4k", "source": "hf://a/b", "contextLength": 4096}


def test_manifests_speak_camel_case_and_what_nobody_knows_is_left_alone() -> None:
    version = ModelVersion.model_validate(VERSION | {"fromTheFuture": 1})
    assert version.context_length == 4096
    assert version.model_dump(by_alias=True, exclude_defaults=True) == VERSION


def test_a_digest_does_not_change_with_what_is_left_out() -> None:
    """An operator with more fields, all left out, must come to the same digest: else it would restart every pod."""

    class Later(ModelVersion):
        quantization: str | None = None
        rank: int = 8

    plain = ModelVersion.model_validate(VERSION)
    assert plain.digest == ModelVersion.model_validate(VERSION | {"args": [], "env": []}).digest
    assert plain.digest == Later.model_validate(VERSION).digest
    assert plain.digest != Later.model_validate(VERSION | {"quantization": "fp8"}).digest


def test_a_digest_stays_the_same_for_ever() -> None:
    """It stands in the annotations of running Deployments. If this fails, every service would be restarted."""
    version = VERSION | {"env": [{"name": "A", "value": "é"}], "args": ["--x"], "chatTemplate": "t"}
    assert ModelVersion.model_validate(version).digest == "f45bcb3f5ce56f55"


def test_m20_what_the_gateway_refuses_changes_no_digest() -> None:
    """So that a catalogue that says it restarts no instance."""
    refusing = ModelVersion.model_validate(VERSION | {"unsupportedParameters": ["BeamSearch"]})
    assert refusing.unsupported_parameters == [Parameter.BEAM_SEARCH]
    assert refusing.digest == ModelVersion.model_validate(VERSION).digest


def test_a_digest_does_not_depend_on_the_order_of_a_map() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(["a", "b"]) != digest(["b", "a"])


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (ModelVersion, VERSION | {"source": "ftp://a/b"}),
        (ModelVersion, VERSION | {"contextLength": 0}),
        (ModelSpec, {"versions": []}),
        (Flavor, {"name": "a", "cpu": "1", "memory": "1 Gi"}),
        (EnvVar, {"name": "a=b", "value": ""}),
        (ModelServiceSpec, {"model": {"name": "a"}, "resourcePool": "p", "flavor": "f", "displayName": "1st"}),
        (ModelServiceSpec, {"model": {"name": "a"}, "resourcePool": "p", "flavor": "f", "state": "Paused"}),
    ],
)
def test_what_the_crd_refuses_the_models_refuse(part: type[Part], fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        part.model_validate(fields)


def test_parts_are_values() -> None:
    assert Flavor(name="a", cpu="1", memory="1Gi") in {Flavor(name="a", cpu="1", memory="1Gi")}
    fast = {"devices": {"rdma/hca": 1}, "networks": ["rail"]}
    assert Flavor(name="a", cpu="1", memory="1Gi", **fast) in {Flavor(name="a", cpu="1", memory="1Gi", **fast)}
    assert Flavor(name="a", cpu="1", memory="1Gi", **fast) != Flavor(name="a", cpu="1", memory="1Gi")
    with pytest.raises(ValidationError):
        Flavor(name="a", cpu="1", memory="1Gi").name = "b"  # type: ignore[misc]


def test_settings_have_defaults_and_refuse_what_nobody_knows() -> None:
    assert parse("").drain_seconds == 600
    assert parse("accelerators: {cpu: {image: 'a:1'}}").accelerators["cpu"].image == "a:1"
    with pytest.raises(ValidationError, match="drainSecond"):
        parse("drainSecond: 5")
    with pytest.raises(ValidationError, match="drainSeconds"):
        parse("drainSeconds: 5")
    with pytest.raises(ValidationError, match="networkInterface"):
        parse("accelerators: {nvidia: {networkInterface: '^docker0,lo'}}")
