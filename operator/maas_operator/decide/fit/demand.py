"""How many bytes an engine takes of each of its devices, KV cache apart, and how many a block of that cache takes.

Weights and cache follow from the version's facts, as vLLM 0.32 lays them out. What the engine takes besides is measured
on CPUs (docs/benchmarks.md, fit); for accelerators it is an upper estimate: what vLLM's users report lies below it.
"""

from dataclasses import dataclass
from math import ceil

from maas_operator.api.model import Architecture, Precision, Weights
from maas_operator.api.quantities import amount
from maas_operator.decide.fit.settings import CACHE_BYTES, GIB, Settings

STORED_BYTES = {
    Precision.FLOAT32: 4,
    Precision.BFLOAT16: 2,
    Precision.FLOAT16: 2,
    Precision.FLOAT8: 1,
    Precision.INT8: 1,
}
"""Bytes of a weight in its file."""
CAST = frozenset({Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16})
"""Weights that --dtype casts; others are kept as they are."""
HALF = 2
"""Bytes of a value where --dtype does not say: vLLM takes 16 bits, also for weights of 32."""

ACTIVATION_WIDTHS = 24
"""Values of a token that are kept at once while a batch goes through a layer, in widths of the model: the attention's
and the MLP's inputs, gates and outputs (the MLP of the catalogue's models is 3 to 6 widths)."""
LOGIT_BYTES = 16
"""Of each logit of a batch's sequences: as the model gives it, as float32, sorted, and its place."""
LATENT_WIDTHS = 4
"""Multi-head latent attention: columns of the projections that every device keeps whole, in latents (the keys' one,
and the queries' about 3)."""
LEAST_BYTES = 3 * GIB // 10
"""What every engine takes of an accelerator besides weights and cache: 0.35 GiB is the least that was reported."""
CONTEXT_BYTES = GIB // 2
"""Kernels and workspaces, at most."""
GROUP_BYTES = 3 * GIB // 2
"""Buffers of the collectives, where devices work together; once more where copies exchange tokens for experts."""
ENCODER_BYTES = 3 * GIB
"""What a picture of the largest size needs on its way through an encoder (Qwen2.5-VL: 16,384 tokens of it)."""
GRAPH_BYTES = GIB
"""Captured graphs; none with --enforce-eager."""
RANK_BYTES = 58 * GIB // 100
"""A rank's process on a CPU, before its weights."""
SERVER_BYTES = GIB // 2
"""The process beside the ranks on a CPU that takes the requests."""
MAPPED_SHARE = 0.5
"""Of the weights' files, as much as may still be mapped when a rank on a CPU looks at its memory."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """How an instance's engine is shared out over its devices (decide/parallel.py)."""

    tensor: int
    """Devices that share each layer."""
    pipeline: int
    """Stages, one after another, that share the layers."""
    data: int
    """Copies that share the requests, each with a KV cache of its own."""
    hosts: int

    @property
    def all(self) -> int:
        """Devices of the instance that are used."""
        return self.tensor * self.pipeline * self.data

    @property
    def of_a_host(self) -> int:
        """Devices of one host that are used."""
        return ceil(self.all / self.hosts)


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes of one device."""

    weights: int
    activations: int
    block: int
    """A block of the KV cache."""
    files: int
    """The device's share of the weights' files."""
    least: int
    """Weights, if all were shared out evenly and nothing repeated."""


def demand(weights: Weights, shape: Architecture, chosen: Settings, ranks: Ranks, batch: tuple[int, int]) -> Demand:
    """What each device needs. batch: tokens and sequences of a batch, at most. Raises ValueError for what this
    arithmetic does not know."""
    value = _bytes(chosen.dtype) or HALF
    stored = STORED_BYTES[weights.precision]
    kept = value if weights.precision in CAST else stored
    if chosen.quantization and weights.precision in CAST:
        raise ValueError(f"--quantization={chosen.quantization} makes the weights smaller by an unknown share")
    layers = ceil(shape.layers / ranks.pipeline)
    size = amount("memory", weights.size)
    whole = _in_each_copy(size, shape, stored) if chosen.experts else size
    files = ceil((whole + (size - whole) / ranks.data) / ranks.tensor * layers / shape.layers)
    return Demand(
        weights=ceil(files * kept / stored) + _repeated(shape, ranks, layers, kept),
        least=size // ranks.all * kept // stored,
        activations=batch[0] * shape.hidden_size * ACTIVATION_WIDTHS * value
        + batch[1] * shape.vocabulary_size * LOGIT_BYTES
        + (ENCODER_BYTES if chosen.images else 0),
        block=layers * chosen.block * _cached(shape, ranks) * (_bytes(chosen.cache_dtype) or value),
        files=files,
    )


def _in_each_copy(size: int, shape: Architecture, stored: int) -> int:
    """Bytes of the weights that are no experts', at most: attention with as many heads of keys as of queries, an MLP as
    wide as the model for the experts that every token meets, and the vocabulary's two."""
    layer = shape.hidden_size * (4 * shape.attention_heads * shape.head_size + 3 * shape.hidden_size)
    return min(size, (shape.layers * layer + 2 * shape.vocabulary_size * shape.hidden_size) * stored)


def _bytes(dtype: str | None) -> int | None:
    if dtype is not None and dtype not in CACHE_BYTES:
        raise ValueError(f"the size of {dtype} values is not known")
    return CACHE_BYTES[dtype] if dtype else None


def kv_heads(shape: Architecture, ranks: Ranks) -> int:
    """Heads of keys and values on a device: they are repeated where there are more devices than heads."""
    return max(1, shape.kv_heads // ranks.tensor)


def _cached(shape: Architecture, ranks: Ranks) -> int:
    """Values that a device keeps of a token in a layer: keys and values of its heads, or the whole latent."""
    return shape.latent_size or 2 * kv_heads(shape, ranks) * shape.head_size


def _repeated(shape: Architecture, ranks: Ranks, layers: int, kept: int) -> int:
    """Bytes of weights that are not shared out: projections to repeated heads or to the latent, and, of stages, the
    embedding, which the first and the last have whole."""
    if ranks.tensor == 1:
        columns = 0.0
    elif shape.latent_size:
        columns = LATENT_WIDTHS * shape.latent_size * (1 - 1 / ranks.tensor)
    else:
        columns = 2 * shape.head_size * (kv_heads(shape, ranks) - shape.kv_heads / ranks.tensor)
    embedding = shape.vocabulary_size * shape.hidden_size / ranks.tensor if ranks.pipeline > 1 else 0
    return ceil((layers * shape.hidden_size * columns + embedding) * kept)
