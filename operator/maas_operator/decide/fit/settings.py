"""What an engine's arguments say of its memory. vLLM 0.32's own names and defaults (config/cache.py, arg_utils.py)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UTILIZATION = 0.92
"""--gpu-memory-utilization: the share of a device's memory that vLLM takes, weights and all."""
BLOCK = 128
"""Tokens of a block of the KV cache: vLLM's on CPUs, Ascend and Gaudi. On others it is 16 or 64; what is counted in
larger blocks is never more, and for contexts of whole thousands no less."""
CPU_SPACE = "VLLM_CPU_KVCACHE_SPACE"
"""Environment variable: GiB of KV cache of each rank on a CPU; it counts more than the arguments."""
GIB = 1024**3
CACHE_BYTES: Mapping[str, int] = {
    "float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2,
    "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1,
}  # fmt: skip
"""Bytes of a value, by the words of --dtype and --kv-cache-dtype."""
SHORT = {"q": "quantization", "dcp": "decode-context-parallel-size"}
OTHER_MEMORY = ("config", "cpu-offload-gb", "decode-context-parallel-size", "speculative-config")
"""Arguments after which the memory is shared out in ways that this arithmetic does not know."""
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT]?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    """The engine's settings. None: vLLM's default."""

    utilization: float | None = None
    cache_bytes: int | None = None
    """Of each rank."""
    blocks: int | None = None
    """A number of blocks, whatever the memory."""
    block: int = BLOCK
    dtype: str | None = None
    cache_dtype: str | None = None
    context: int | None = None
    batch: int | None = None
    """Tokens of a batch, at most."""
    sequences: int | None = None
    """Sequences of a batch, at most."""
    eager: bool = False
    quantization: str | None = None
    experts: bool = False
    """Copies that share the requests share the experts' weights."""
    images: bool = False
    """It takes pictures beside text: such models are told how many a request may have."""


def settings(args: Sequence[str], env: Mapping[str, str]) -> Settings:
    """What arguments of `vllm serve`, of which a later one wins, and the environment say. Raises ValueError for what
    this arithmetic does not know, or vLLM would not take."""
    said = _said(args)
    for name in OTHER_MEMORY:
        if said.get(name, "1") != "1":
            raise ValueError(f"--{name} shares out the memory in a way that is not computed")
    space = env.get(CPU_SPACE)
    cache = _count(said, "kv-cache-memory-bytes")
    return Settings(
        utilization=_share(said, "gpu-memory-utilization"),
        cache_bytes=int(space) * GIB if space else cache,
        blocks=_count(said, "num-gpu-blocks-override"),
        block=_count(said, "block-size") or BLOCK,
        dtype=_word(said, "dtype"),
        cache_dtype=_word(said, "kv-cache-dtype"),
        context=_count(said, "max-model-len"),
        batch=_count(said, "max-num-batched-tokens"),
        sequences=_count(said, "max-num-seqs"),
        eager="enforce-eager" in said,
        quantization=_word(said, "quantization"),
        experts="enable-expert-parallel" in said,
        images="limit-mm-per-prompt" in said,
    )


def _said(args: Sequence[str]) -> dict[str, str]:
    """Each argument's last value; vLLM takes --a-b=1, --a-b 1 and --a_b 1 alike."""
    found: dict[str, str] = {}
    name = ""
    for arg in args:
        if arg.startswith("-") and not arg[1:2].isdigit():
            key, _, value = arg.lstrip("-").partition("=")
            name = key.replace("_", "-")
            name = SHORT.get(name, name)
            found[name] = value
        elif name:
            found[name], name = arg, ""
    return found


def _count(said: Mapping[str, str], name: str) -> int | None:
    """A number of 1 or more, as vLLM reads it: 64M is 67,108,864, and 64m is 64,000,000."""
    text = said.get(name)
    if text is None:
        return None
    match = _COUNT.fullmatch(text)
    number = int(float(match[1]) * _UNITS.get(match[2], 1)) if match else 0
    if number < 1:
        raise ValueError(f"--{name}={text} is no number that can be computed with")
    return number


def _share(said: Mapping[str, str], name: str) -> float | None:
    text = said.get(name)
    try:
        share = None if text is None else float(text)
    except ValueError:
        share = 0.0
    if share is not None and not 0 < share <= 1:
        raise ValueError(f"--{name}={text} is no share between 0 and 1")
    return share


def _word(said: Mapping[str, str], name: str) -> str | None:
    return None if said.get(name) in {None, "", "auto"} else said[name]
