"""I2, I3: products, from the catalogue to the service that answers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.gateway.facts import Facts, Key, Product, Reach, Service
from maas_operator.gateway.gather import gather
from maas_operator.gateway.products import find, service_for
from maas_operator.gateway.seeing import Seen

NOW = datetime(2026, 6, 1, tzinfo=UTC)
QWEN = Product("qwen2.5", "97a75a6d", "maas-model-qwen", "Qwen/Qwen2.5")
FAST = Product("qwen2.5-fast", "0a0bffe9", "maas-model-qwen-fast", "Qwen/Qwen2.5")


def model(name: str, minute: int, version: int = 1, /, **product: str) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "resourceVersion": str(version)}
    return {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "Model",
        "metadata": {**metadata, "creationTimestamp": f"2026-01-01T00:{minute:02}:00Z"},
        "spec": {"versions": [{"name": "8k"}]} | ({"product": product} if product else {}),
    }


def offered(*models: dict[str, Any]) -> Facts:
    return gather((), (), (), (), NOW, models=models)


def service(name: str, namespace: str = "team-a", model: str = "qwen2.5", **fields: Any) -> Service:
    return Service(namespace, name, f"id-{name}", (model, name), model, "8k", **{"endpoints": (("::1", 1),), **fields})


def answers(*services: Service, key: Key | None = None) -> str | None:
    found = service_for(QWEN, Facts(services=services), "team-a", key)
    return found.name if found else None


def test_i2_the_catalogues_products_are_offered_and_of_one_id_the_older_model_s() -> None:
    facts = offered(
        model("young", 2, id="1", name="b", modelName="m/young"),
        model("old", 1, id="1", name="c", modelName="m/old"),
        model("other", 3, id="2", name="a", modelName="m/old"),
        model("not-offered", 0),
    )
    assert facts.products == (Product("other", "2", "a", "m/old"), Product("old", "1", "c", "m/old"))
    assert facts.unreadable == ()


def test_i2_a_product_that_cannot_be_read_stops_no_other() -> None:
    facts = offered(model("broken", 1, id="1"), model("good", 2, id="2", name="a", modelName="m"))
    assert [each.id for each in facts.products] == ["2"]
    assert "Model broken: " in facts.unreadable[0]


def test_i2_m20_of_a_model_the_product_is_kept_and_what_its_versions_do_not_support() -> None:
    seen = Seen()
    assert seen.put(model("a", 1, id="1", name="a", modelName="m"))
    renewed = model("a", 1, 2, id="1", name="a", modelName="m")
    renewed["spec"]["versions"].append({"name": "32k"})
    assert not seen.put(renewed)
    assert seen.put(model("a", 1, 3, id="1", name="b", modelName="m"))
    refusing = model("a", 1, 4, id="1", name="b", modelName="m")
    refusing["spec"]["versions"].append({"name": "32k", "unsupportedParameters": ["BeamSearch"]})
    assert seen.put(refusing)


def test_m20_a_service_refuses_what_its_version_does_not_support_of_what_is_known() -> None:
    catalogue = model("a", 1)
    catalogue["spec"]["versions"] = [
        {"name": "8k", "unsupportedParameters": ["NAboveOne", "Unheard", "LengthPenalty"]},
        {"name": "16k", "unsupportedParameters": []},
        {"name": "32k"},
    ]

    def unsupported(**status: Any) -> tuple[str, ...]:
        metadata = {"namespace": "team-a", "name": "s", "uid": "id-s", "creationTimestamp": "2026-01-01T00:00:00Z"}
        spec = {"model": {"name": "a", "version": "8k"}, "resourcePool": "p", "flavor": "f"}
        service = {"metadata": metadata, "spec": spec, "status": status}
        (found,) = gather((service,), (), (), (), NOW, models=(catalogue,)).services
        return found.unsupported

    assert unsupported() == ("NAboveOne", "LengthPenalty")
    assert unsupported(model={"name": "a", "version": "16k"}) == ()
    assert unsupported(model={"name": "a", "version": "32k"}) == ()
    assert unsupported(model={"name": "gone", "version": "8k"}) == ()


def test_i3_all_three_must_name_one_product() -> None:
    products = (QWEN, FAST)
    assert find(products, "Qwen/Qwen2.5", "maas-model-qwen", "97a75a6d") == QWEN
    assert find(products, "Qwen/Qwen2.5", "maas-model-qwen-fast", "0a0bffe9") == FAST
    assert "not offered" in str(find(products, "nope", "maas-model-qwen", "97a75a6d"))
    both = str(find((QWEN,), "Qwen/Qwen2.5", "x", None))
    assert "productName is 'x'" in both
    assert "productId is None" in both


@pytest.mark.parametrize(("name", "id_"), [("maas-model-qwen", "0a0bffe9"), ("maas-model-qwen-fast", "97a75a6d")])
def test_i3_halves_of_two_products_are_none(name: str, id_: str) -> None:
    found = find((QWEN, FAST), "Qwen/Qwen2.5", name, id_)
    assert isinstance(found, str)
    assert f"productName is '{name}'" in found


def test_i3_the_service_that_answers_is_of_the_products_model_and_may_be_called() -> None:
    assert answers(service("qwen2.5", model="another")) is None, "a service's name is no Model's"
    assert answers(service("alien", "team-b")) is None
    assert answers(service("lent", "team-b", shared_with=frozenset({"team-a"}))) == "lent"
    assert answers(service("public", "team-b", shared_with_all=True), service("own")) == "own"
    assert answers(service("old"), service("new")) == "old"
    assert answers(service("empty", endpoints=()), service("public", "team-b", shared_with_all=True)) == "public"
    assert answers(service("stopped", reach=Reach.STOPPED), service("loading", endpoints=())) == "loading"
    only = Key("team-a", "ci", "u", "0" * 64, services=("second",))
    assert answers(service("first"), service("second"), key=only) == "second"
    assert answers(service("first"), key=only) is None
