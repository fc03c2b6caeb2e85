"""Model: every rule of its schema, accepted and refused by a real API server."""

from typing import Any

import pytest

from maas_operator.api.crd import definition
from maas_operator.api.kinds import MODEL
from tests.api.admission import Admission
from tests.api.rules import (
    Rule,
    arguments,
    cel,
    choice,
    decimal,
    items,
    label,
    name,
    number,
    of,
    quantity,
    required,
    rules_of,
    text,
    variable,
    worded,
)

pytestmark = pytest.mark.api


def version(index: int) -> dict[str, Any]:
    return {"name": f"v{index}", "source": "hf://owner/name@main", "contextLength": 8192}


def of_size(size: int) -> str:
    """A source of so many characters."""
    return "pvc://" + "a" * (size - 6)


def source(path: str) -> tuple[Rule, ...]:
    """Where weights are."""
    accepted = (
        "hf://Qwen/Qwen3-8B",
        "hf://Qwen/Qwen3-8B@v1.0",
        "modelscope://Qwen/Qwen3-8B@master",
        "oci://a/b:1",
        "oci://localhost:5000/a@sha256:0",
        "pvc://claim",
        "pvc://claim/",
        "pvc://claim/folder/Model-1_0.5",
        "s3://bucket",
        "s3://my.bucket-1/",
        "s3://bucket/some/Prefix=1_0.5/",
    )
    refused = (
        "https://x/y",
        "hf://owner",
        "hf://owner/name/more",
        "hf:///name",
        "oci:// a",
        "pvc://",
        "pvc://A/b",
        "s3://B",
        "s3://a",
        "s3://bucket/a b",
    )
    return (
        *text(path, 6, 512, fill=of_size, shortest="pvc://a", accepted=accepted, refused=refused),
        *cel(
            path,
            "a source is hf://OWNER/NAME[@REVISION], modelscope://OWNER/NAME[@REVISION], s3://BUCKET[/PREFIX], "
            "oci://IMAGE or pvc://CLAIM[/FOLDER]",
            good=accepted,
            bad=("https://x/y", "hf://owner", "hf://owner/name/more", "hf:///name", "Qwen/Qwen3-8B", "pvc://"),
        ),
        *cel(
            path,
            "an oci:// source needs a tag other than latest, or a digest, so that every instance loads the same "
            "weights",
            good=("oci://a/b:1", "oci://h:5000/b:1", "oci://h:5000/b@sha256:0", "oci://b:latest@sha256:0"),
            bad=("oci://a/b", "oci://h:5000/b", "oci://a/b:latest"),
        ),
        *cel(
            path,
            "a pvc:// source names a folder inside the claim: '..' is not allowed",
            good=("pvc://a/b..c", "pvc://a/...", "pvc://a/.hidden"),
            bad=("pvc://a/..", "pvc://a/../b", "pvc://a/b/../../c"),
        ),
    )  # fmt: skip


def weights(path: str) -> tuple[Rule, ...]:
    """What there is to load."""
    return (
        *required(f"{path}.size", f"{path}.precision"),
        *quantity(f"{path}.size"),
        *choice(f"{path}.precision", "float32", "bfloat16", "float16", "float8", "int8"),
    )


SHAPE = {
    "parameters": (1, 10**14),
    "layers": (1, 4096),
    "hiddenSize": (1, 10**6),
    "attentionHeads": (1, 65536),
    "kvHeads": (1, 65536),
    "headSize": (1, 65536),
    "vocabularySize": (1, 10**8),
    "contextLength": (128, 16_777_216),
    "latentSize": (1, 65536),
    "slidingWindow": (1, 16_777_216),
}
"""Fields of an architecture: their bounds."""
MAY_BE_LEFT_OUT = {"latentSize", "slidingWindow"}


def architecture(path: str) -> tuple[Rule, ...]:
    """The model's shape."""
    bounds = [rule for field, (least, most) in SHAPE.items() for rule in number(f"{path}.{field}", least, most)]
    return (*bounds, *required(*(f"{path}.{field}" for field in SHAPE if field not in MAY_BE_LEFT_OUT)))


def accelerators(path: str) -> tuple[Rule, ...]:
    """On what the version runs, and what it needs there."""
    each = f"{path}[]"
    return (
        *items(path, 0, 32, lambda index: {"type": f"type-{index}"}, unique=True),
        *required(f"{each}.type"),
        *label(f"{each}.type"),
        *number(f"{each}.count", 1, 64),
        *number(f"{each}.hosts", 1, 64),
        *choice(f"{each}.support", "Full", "Experimental"),
        *source(f"{each}.source"),
        *weights(f"{each}.weights"),
        *arguments(f"{each}.args"),
        *variable(f"{each}.env"),
    )


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
        "supportedJobs": ["Deployment"],
        "gated": False,
        "product": {"id": "97a75a6d", "name": "maas-model-deepseek-r1", "modelName": "deepseek-ai/DeepSeek-R1"},
        "versions": [
            {
                **version(0),
                "weights": {"size": "641.3Gi", "precision": "float8", "estimated": True},
                "architecture": dict.fromkeys(SHAPE, 128),
                "accelerators": [
                    {
                        "type": "ascend-910b",
                        "count": 8,
                        "hosts": 2,
                        "estimated": True,
                        "support": "Experimental",
                        "source": "modelscope://owner/name-w8a8",
                        "weights": {"size": "640Gi", "precision": "int8"},
                        "args": ["--quantization=ascend"],
                        "env": [{"name": "HCCL_BUFFSIZE", "value": "200"}],
                    }
                ],
                "sampling": {"temperature": "0.6", "topP": "0.95", "topK": 20, "repetitionPenalty": "1.05"},
                "unsupportedParameters": ["NAboveOne"],
                "credentials": {"secretName": "hub"},
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
        items("spec.supportedJobs", 0, 3, ("Deployment", "FineTuning", "Compression", "Deployment").__getitem__, True),
        choice("spec.supportedJobs[]", "Deployment", "FineTuning", "Compression"),
    ),
    *of(
        "M6",
        required("spec.versions", "spec.versions[].name", "spec.versions[].source", "spec.versions[].contextLength"),
        items("spec.versions", 1, 32, version, unique=True),
        label("spec.versions[].name"),
        number("spec.versions[].contextLength", 128, 16_777_216),
    ),
    *source("spec.versions[].source"),
    *of(
        "M3",
        weights("spec.versions[].weights"),
        architecture("spec.versions[].architecture"),
        accelerators("spec.versions[].accelerators"),
    ),
    *of(
        "M20",
        decimal("spec.versions[].sampling.temperature"),
        decimal("spec.versions[].sampling.repetitionPenalty"),
        worded(
            "spec.versions[].sampling.topP",
            "a number above 0 and at most 1, in quotes, such as 0.95",
            text(
                "spec.versions[].sampling.topP",
                1,
                8,
                fill=lambda size: "0.123456".ljust(size, "0") if size > 1 else "1",
                accepted=("1", "1.0", "0.95", "0.05", "0.000001"),
                refused=("0", "0.0", "2", "1.1", "-0.5", ".5", "1e-3", "a"),
            ),
        ),
        number("spec.versions[].sampling.topK", 1, 10**6),
        items(
            "spec.versions[].unsupportedParameters",
            0,
            3,
            ("NAboveOne", "BeamSearch", "LengthPenalty", "NAboveOne").__getitem__,
            unique=True,
        ),
        choice("spec.versions[].unsupportedParameters[]", "NAboveOne", "BeamSearch", "LengthPenalty"),
    ),
    *required("spec.versions[].credentials.secretName"),
    *name("spec.versions[].credentials.secretName"),
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
    *arguments("spec.versions[].args"),
    *variable("spec.versions[].env"),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule(admission: Admission, rule: Rule) -> None:
    admission.judge(MODEL, EXAMPLE, rule)


def test_every_rule_has_a_row() -> None:
    assert {rule.identity for rule in RULES} == set(rules_of(definition(MODEL)))
