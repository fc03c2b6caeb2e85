"""What the engine's arguments say of its memory, as vLLM reads them."""

import pytest

from maas_operator.decide.fit.settings import GIB, Settings, settings


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], Settings()),
        (["--kv-cache-memory-bytes=67108864"], Settings(cache_bytes=67108864)),
        (["--kv-cache-memory-bytes", "64M"], Settings(cache_bytes=64 * 2**20)),
        (["--kv_cache_memory_bytes", "64m"], Settings(cache_bytes=64 * 10**6)),
        (["--kv-cache-memory-bytes=1.5g"], Settings(cache_bytes=15 * 10**8)),
        (["--block-size=128", "--block-size", "32"], Settings(block=32)),
        (["--gpu-memory-utilization", "0.5", "--dtype=float32"], Settings(utilization=0.5, dtype="float32")),
        (["--dtype=auto", "--kv-cache-dtype=fp8"], Settings(cache_dtype="fp8")),
        (["--max-model-len=32k"], Settings(context=32000)),
        (["--max-num-seqs=16", "--max-num-batched-tokens=4096"], Settings(sequences=16, batch=4096)),
        (["--enforce-eager", "-q", "ascend"], Settings(eager=True, quantization="ascend")),
        (['--limit-mm-per-prompt={"image":8}'], Settings(images=True)),
        (["--num-gpu-blocks-override=100", "--served-model-name", "a"], Settings(blocks=100)),
        (["--data-parallel-size=4", "--enable-expert-parallel"], Settings(experts=True)),
    ],
)
def test_arguments_are_read_as_vllm_reads_them(args: list[str], said: Settings) -> None:
    assert settings(args, {}) == said


def test_on_a_cpu_the_environment_counts_more() -> None:
    assert settings(["--kv-cache-memory-bytes=1"], {"VLLM_CPU_KVCACHE_SPACE": "2"}).cache_bytes == 2 * GIB


@pytest.mark.parametrize(
    "args",
    [
        ["-dcp", "2"],
        ["--speculative-config", "{}"],
        ["--cpu-offload-gb=4"],
        ["--max-model-len=-1"],
        ["--max-model-len", "auto"],
        ["--kv-cache-memory-bytes=lots"],
        ["--block-size=0"],
        ["--gpu-memory-utilization=2"],
        ["--gpu-memory-utilization=most"],
    ],
)
def test_what_is_not_computed_is_said(args: list[str]) -> None:
    name = args[0].lstrip("-").partition("=")[0].replace("dcp", "decode-context-parallel-size")
    with pytest.raises(ValueError, match=f"^--{name}"):
        settings(args, {})
