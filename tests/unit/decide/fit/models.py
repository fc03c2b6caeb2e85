"""Models whose shapes are published, and flavors, for the tests of whether they fit."""

from typing import Any

from maas_operator.api.model import ModelVersion
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.resourcepool import Flavor
from maas_operator.decide.accelerators import accelerator_of
from maas_operator.decide.fit import Fit, fit

FIGURES = ("parameters", "layers", "hiddenSize", "attentionHeads", "kvHeads", "headSize", "vocabularySize")
SHAPES: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "tiny": ("461488", "bfloat16", (230_000, 2, 64, 4, 2, 32, 2048)),
    "smollm2": ("269060552", "bfloat16", (134_515_008, 30, 576, 9, 3, 64, 49152)),
    "llama-8b": ("14.96Gi", "bfloat16", (8_030_261_248, 32, 4096, 32, 8, 128, 128256)),
    "qwen-14b": ("27.5Gi", "bfloat16", (14_770_033_664, 48, 5120, 40, 8, 128, 152064)),
    "qwen-32b": ("61Gi", "bfloat16", (32_763_876_352, 64, 5120, 40, 8, 128, 152064)),
    "qwen3-235b-fp8": ("220.2Gi", "float8", (235_093_634_560, 94, 4096, 64, 4, 128, 151936)),
    "deepseek-r1": ("641.3Gi", "float8", (671_026_419_200, 61, 7168, 128, 128, 128, 129280)),
}
"""By name: size and precision of the weights, and FIGURES."""


def version(model: str, context: int, *args: str, **more: Any) -> ModelVersion:
    """A version of one of SHAPES."""
    size, precision, figures = SHAPES[model]
    shape = dict(zip(FIGURES, figures, strict=True)) | {"contextLength": 131072}
    if model == "deepseek-r1":
        shape |= {"latentSize": 576}
    facts = {"weights": {"size": size, "precision": precision}, "architecture": shape}
    about = {"name": "v1", "source": "hf://owner/name", "contextLength": context, "args": list(args)}
    return ModelVersion.model_validate(about | facts | more)


def flavor(accelerator: str, count: int = 1, memory: str | None = None, hosts: int = 1, name: str = "f") -> Flavor:
    """A flavor; on a CPU, memory is the pod's."""
    about: dict[str, Any] = {"name": name, "cpu": "8", "memory": "64Gi", "hosts": hosts}
    if accelerator == "cpu":
        return Flavor.model_validate(about | {"memory": memory})
    device = {"type": accelerator, "count": count} | ({"memory": memory} if memory else {})
    return Flavor.model_validate(about | {"accelerator": device})


def answer(of: ModelVersion, on: Flavor, *args: str, context: int | None = None) -> Fit:
    """Whether it fits, with further arguments of the user's."""
    known = accelerator_of(on)
    assert known
    return fit(of, on, known, EngineExtras(args=list(args)) if args else None, context)
