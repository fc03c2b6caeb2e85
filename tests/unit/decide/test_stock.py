"""What the catalogue's Job makes of the Models that stand there: users' changes stay."""

import copy
from typing import Any

import pytest

from maas_operator.api.names import ANNOTATION_CATALOGUE, LABEL_CATALOGUE
from maas_operator.api.seen import Manifest
from maas_operator.decide.stock import Step, Verb, decide_stock


def model(name: str = "tiny", **spec: Any) -> Manifest:
    versions = [{"name": "4k", "source": "hf://acme/tiny", "contextLength": 4096}]
    return {
        "apiVersion": "maas-operator.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name},
        "spec": {"versions": versions} | spec,
    }


def standing(manifest: Manifest, **spec: Any) -> Manifest:
    """What the API server holds of a Model that the catalogue made, and that somebody changed by `spec`."""
    (step,) = decide_stock({"tiny": manifest}, {})
    live = copy.deepcopy(step.manifest or {})
    live["metadata"] |= {"uid": "1", "resourceVersion": "7"}
    live["spec"] |= spec
    return live


def steps(shipped: list[Manifest], *live: Manifest) -> list[Step]:
    by_name = {each["metadata"]["name"]: each for each in shipped}
    return list(decide_stock(by_name, {each["metadata"]["name"]: each for each in live}))


def test_a_model_that_is_not_there_is_made_with_a_mark() -> None:
    (step,) = steps([model()])
    assert step.verb == Verb.CREATE
    assert step.manifest
    assert step.manifest["spec"] == model()["spec"]
    assert step.manifest["metadata"]["labels"] == {LABEL_CATALOGUE: "true"}
    assert set(step.manifest["metadata"]["annotations"]) == {ANNOTATION_CATALOGUE}
    assert "resourceVersion" not in step.manifest["metadata"]


def test_one_that_is_as_it_should_be_is_not_touched() -> None:
    assert steps([model()], standing(model())) == []


def test_a_newer_catalogue_changes_what_nobody_changed() -> None:
    (step,) = steps([model(license="MIT")], standing(model()))
    assert step.verb == Verb.UPDATE
    assert step.manifest
    assert step.manifest["metadata"]["resourceVersion"] == "7", "somebody's change of this moment is not overwritten"
    assert step.manifest["spec"]["license"] == "MIT"


@pytest.mark.parametrize(
    "change",
    [
        {"license": "ours"},
        {"versions": []},
        {"versions": [{"name": "4k", "source": "pvc://ours", "contextLength": 4096}]},
        {"gated": True},
    ],
    ids=["changed", "taken away", "within a list", "added"],
)
def test_what_somebody_changed_stays_whatever_the_catalogue_says(change: Manifest) -> None:
    edited = standing(model(), **change)
    for shipped in (model(), model(license="MIT")):
        (step,) = steps([shipped], edited)
        assert (step.verb, step.manifest) == (Verb.KEEP, None)
        assert step.why == "somebody changed it since"


def test_a_change_that_is_undone_gives_the_model_back_to_the_catalogue() -> None:
    live = standing(model(), license="ours")
    del live["spec"]["license"]
    assert steps([model()], live) == []
    assert [step.verb for step in steps([model(license="MIT")], live)] == [Verb.UPDATE]


def test_the_catalogues_spec_applied_by_hand_gives_it_back_too() -> None:
    live = standing(model(), license="MIT")
    (step,) = steps([model(license="MIT")], live)
    assert step.verb == Verb.UPDATE
    assert step.manifest
    assert step.manifest["metadata"]["annotations"] != live["metadata"]["annotations"]


def test_labels_and_annotations_of_others_are_no_change() -> None:
    live = standing(model())
    live["metadata"]["labels"] |= {"team": "a"}
    live["metadata"]["annotations"] |= {"note": "ours"}
    assert steps([model()], live) == []


def test_a_model_of_that_name_that_somebody_made_is_left_alone() -> None:
    live = model()
    live["metadata"]["resourceVersion"] = "7"
    (step,) = steps([model()], live)
    assert step.verb == Verb.KEEP
    assert "the catalogue did not make it" in step.why


def test_one_that_the_catalogue_brings_no_more_goes_unless_it_is_used_or_changed() -> None:
    unused, used, edited = standing(model()), standing(model()), standing(model(), license="ours")
    used["status"] = {"services": 2}
    for live, verb, why in (
        (unused, Verb.DELETE, "not in the catalogue any more"),
        (used, Verb.KEEP, "services use it"),
        (edited, Verb.KEEP, "somebody changed it since"),
    ):
        (step,) = steps([], live)
        assert (step.verb, step.live) == (verb, live)
        assert why in step.why


def test_models_that_are_not_of_the_catalogue_are_nobodys_business() -> None:
    assert steps([], model("own")) == []
