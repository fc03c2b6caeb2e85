"""Model: every rule of its schema, accepted and refused by a real API server."""

from typing import Any

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import MODEL
from tests.api.admission import Admission
from tests.api.rules import Rule, cel, choice, items, label, number, of, required, rules_of, text, variable

pytestmark = pytest.mark.api


def version(index: int) -> dict[str, Any]:
    return {"name": f"v{index}", "source": "hf://owner/name@main", "contextLength": 8192}


def source(size: int) -> str:
    """A source of so many characters."""
    return "pvc://" + "a" * (size - 6)


EXAMPLE = {
    "apiVersion": "maas-operator.io/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "deepseek-r1"},
    "spec": {
        "displayName": "DeepSeek-R1",
        "series": "DeepSeek",
        "type": "TextGeneration",
        "languages": ["English"],
        "useCases": ["reasoning"],
        "introduction": "A model that thinks first.",
        "license": "MIT",
        "product": {"id": "97a75a6d", "name": "maas-model-deepseek-r1", "modelName": "deepseek-ai/DeepSeek-R1"},
        "versions": [
            {
                **version(0),
                "reasoningParser": "deepseek_r1",
                "toolCallParser": "hermes",
                "chatTemplate": "{{ messages }}",
                "args": ["--trust-remote-code"],
                "env": [{"name": "VLLM_USE_V1", "value": "1"}],
            }
        ],
    },
}

RULES = (
    *of(
        "M5",
        text("spec.displayName", 1, 128),
        text("spec.series", 1, 128),
        choice("spec.type", "TextGeneration", "ImageUnderstanding"),
        items("spec.languages", 0, 64, "language {}".format, unique=True),
        text("spec.languages[]", 1, 128),
        items("spec.useCases", 0, 32, "use case {}".format, unique=True),
        text("spec.useCases[]", 1, 128),
        text("spec.introduction", 0, 4096),
        text("spec.license", 1, 128),
    ),
    *of(
        "M6",
        required("spec.versions", "spec.versions[].name", "spec.versions[].source", "spec.versions[].contextLength"),
        items("spec.versions", 1, 32, version, unique=True),
        label("spec.versions[].name"),
        number("spec.versions[].contextLength", 128, 16_777_216),
    ),
    *text(
        "spec.versions[].source",
        6,
        512,
        fill=source,
        shortest="pvc://a",
        accepted=(
            "hf://Qwen/Qwen3-8B", "hf://Qwen/Qwen3-8B@v1.0", "modelscope://Qwen/Qwen3-8B@master", "oci://a/b:1",
            "oci://localhost:5000/a@sha256:0", "pvc://claim", "pvc://claim/", "pvc://claim/folder/Model-1_0.5",
        ),
        refused=("https://x/y", "hf://owner", "hf://owner/name/more", "hf:///name", "oci:// a", "pvc://", "pvc://A/b",
                 "s3://bucket/key"),
    ),
    *cel(
        "spec.versions[].source",
        "an oci:// source needs a tag other than latest, or a digest, so that every instance loads the same weights",
        good=("oci://a/b:1", "oci://h:5000/b:1", "oci://h:5000/b@sha256:0", "oci://b:latest@sha256:0"),
        bad=("oci://a/b", "oci://h:5000/b", "oci://a/b:latest"),
        owner="spec.versions[]",
    ),
    *cel(
        "spec.versions[].source",
        "a pvc:// source names a folder inside the claim: '..' is not allowed",
        good=("pvc://a/b..c", "pvc://a/...", "pvc://a/.hidden"),
        bad=("pvc://a/..", "pvc://a/../b", "pvc://a/b/../../c"),
        owner="spec.versions[]",
    ),
    *of(
        "I2",
        required("spec.product.id", "spec.product.name", "spec.product.modelName"),
        text("spec.product.id", 1, 64, accepted=("97a75a6d-7eb4-40c9", "a.b_C"), refused=("-a", "a-", "a b", "a/b")),
        text("spec.product.name", 1, 128, accepted=("maas-model-qwen-2.5",), refused=("-a", "a.", "a b", "a/b")),
        text(
            "spec.product.modelName", 1, 256, accepted=("Qwen/Qwen2.5-32B_x",), refused=("/a", "a/", "a b", "a\nb")
        ),
    ),
    *of(
        "M21",
        text("spec.versions[].reasoningParser", 1, 63, accepted=("qwen3", "deepseek_r1"), refused=("Qwen3", "a-b")),
    ),
    *of(
        "M19",
        text("spec.versions[].toolCallParser", 1, 63, accepted=("hermes", "llama3_json"), refused=("Hermes", "a-b")),
    ),
    *text("spec.versions[].chatTemplate", 1, 65536),
    *items("spec.versions[].args", 0, 64, "--flag-{}".format),
    *text("spec.versions[].args[]", 1, 1024),
    *variable("spec.versions[].env"),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(MODEL, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(MODEL)))
