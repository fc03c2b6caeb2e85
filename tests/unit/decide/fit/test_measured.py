"""Figures that real engines told, and what is foretold for them: never more, and on CPUs hardly less."""

import pytest

from tests.unit.decide.fit.models import answer, flavor, version

ON_CPU = [
    ("tiny", 1536, "3Gi", ["--kv-cache-memory-bytes=67108864"], 65_536),
    ("tiny", 1536, "3Gi", ["-tp", "2", "--kv-cache-memory-bytes=67108864"], 131_072),
    ("tiny", 1536, "4Gi", ["--gpu-memory-utilization=0.6"], 1_944_960),
    ("tiny", 1536, "12Gi", ["--gpu-memory-utilization=0.92"], 11_004_160),
    ("smollm2", 2048, "4Gi", ["--gpu-memory-utilization=0.6"], 24_192),
    ("smollm2", 8192, "8Gi", ["--gpu-memory-utilization=0.6"], 81_664),
    ("smollm2", 2048, "16Gi", ["--gpu-memory-utilization=0.92"], 313_344),
]
"""vLLM 0.32.0: what it told of its KV cache, in processes whose memory was limited as a pod's is."""


@pytest.mark.parametrize(("model", "context", "memory", "args", "told"), ON_CPU)
def test_the_kv_cache_of_a_cpu_is_foretold_within_5_per_cent(
    model: str, context: int, memory: str, args: list[str], told: int
) -> None:
    found = answer(version(model, context, *args), flavor("cpu", memory=memory))
    assert found.tokens is not None
    assert 0.95 * told <= found.tokens <= told


def test_a_cpu_engine_that_vllm_would_not_start_is_told_of() -> None:
    found = answer(version("tiny", 1536, "--gpu-memory-utilization=0.92"), flavor("cpu", memory="4Gi"))
    assert found.fits is False
    assert "say --kv-cache-memory-bytes" in (found.why or "")


ON_GPUS = [
    ("llama-8b", 32768, 1, "40Gi", 163_168),  # A100-SXM4-40GB
    ("llama-8b", 32768, 1, "93Gi", 545_456),  # H100 NVL
    ("qwen3-235b-fp8", 40960, 4, "80Gi", 178_880),  # H100; vllm-project/vllm issue 21348
]
"""What users of vLLM published, with --gpu-memory-utilization=0.9."""


@pytest.mark.parametrize(("model", "context", "count", "memory", "told"), ON_GPUS)
def test_the_kv_cache_of_a_gpu_is_never_foretold_as_more(
    model: str, context: int, count: int, memory: str, told: int
) -> None:
    found = answer(version(model, context, "--gpu-memory-utilization=0.9"), flavor("nvidia", count, memory))
    assert found.fits
    assert found.tokens is not None
    assert 0.75 * told <= found.tokens <= told
