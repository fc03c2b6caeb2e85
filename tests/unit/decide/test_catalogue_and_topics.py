"""A Model's and a NotificationTopic's status."""

from maas_operator.api.seen import Manifest, ModelSeen, TopicSeen
from maas_operator.decide import decide_model, decide_topic
from tests.unit.decide.facts import EARLIER, NOW


def thing(**spec: object) -> Manifest:
    return {"metadata": {"name": "x", "generation": 2}, "spec": spec}


def test_a_model_says_who_uses_it() -> None:
    model = thing(versions=[{"name": "8k"}, {"name": "32k"}])
    status = decide_model(ModelSeen(model, ["team-a/x"]), NOW).status
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
    assert len(decide_model(ModelSeen(thing(versions=versions), []), NOW).status["versions"]) <= 2048


def test_a_topic_is_accepted() -> None:
    topic = thing(channels=[{"name": "hook"}, {"name": "mail"}])
    first = decide_topic(TopicSeen(topic), EARLIER)
    assert first.status["channels"] == "hook, mail"
    assert decide_topic(TopicSeen(topic | {"status": first.status}), NOW).status == first.status
