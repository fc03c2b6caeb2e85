"""A Model's and a NotificationTopic's status."""

from maas_operator.api.seen import Manifest, ModelSeen, TopicSeen
from maas_operator.decide import decide_model, decide_topic
from tests.unit.decide.facts import EARLIER, NOW


def thing(**spec: object) -> Manifest:
    return {"metadata": {"name": "x", "generation": 2}, "spec": spec}


def test_a_model_says_who_uses_it() -> None:
    model = thing(versions=[{"name": "8k"}, {"name": "32k"}])
    status = decide_model(ModelSeen(model, ["team-a/x"], []), NOW).status
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 2,
        "versions": "8k, 32k",
        "services": 1,
        "users": ["team-a/x"],
    }
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [
        ("Accepted", "True"),
        ("Ready", "True"),
    ]


def test_a_model_of_32_long_versions_has_a_status_that_the_api_server_takes() -> None:
    versions = [{"name": f"{number:02}" + "x" * 61} for number in range(32)]
    assert len(decide_model(ModelSeen(thing(versions=versions), [], []), NOW).status["versions"]) <= 2048


def model_of(name: str, minute: int) -> Manifest:
    created = f"2026-01-01T00:{minute:02}:00Z"
    spec = {"versions": [{"name": "8k"}], "product": {"id": "97a75a6d", "name": "p", "modelName": "m"}}
    return {"metadata": {"name": name, "generation": 1, "creationTimestamp": created}, "spec": spec}


def conditions_of(model: Manifest, *same_product: Manifest) -> dict[str, tuple[str, str, str]]:
    status = decide_model(ModelSeen(model, [], same_product), NOW).status
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in status["conditions"]}


def test_i2_a_product_id_belongs_to_the_older_model() -> None:
    old, twin, young = model_of("old", 1), model_of("twin", 1), model_of("a-young", 2)
    assert conditions_of(old, young, twin, old)["Ready"][0] == "True"
    for later in (young, twin):
        told = conditions_of(later, young, twin, old)
        assert told["Accepted"][:2] == ("False", "ProductIdTaken")
        assert "spec.product.id 97a75a6d is that of Model old" in told["Accepted"][2]
        assert (told["Ready"], told["Stalled"][0]) == (told["Accepted"], "True")
    assert conditions_of(young, young)["Ready"][0] == "True"


def test_a_topic_is_accepted() -> None:
    topic = thing(channels=[{"name": "hook"}, {"name": "mail"}])
    first = decide_topic(TopicSeen(topic), EARLIER)
    assert first.status["channels"] == "hook, mail"
    assert decide_topic(TopicSeen(topic | {"status": first.status}), NOW).status == first.status
