"""How the memory of a device, or of a pod on a CPU, is shared out between weights, engine and KV cache."""

from dataclasses import dataclass

from maas_operator.api.model import Architecture, Weights
from maas_operator.decide.fit.demand import (
    CONTEXT_BYTES,
    GRAPH_BYTES,
    GROUP_BYTES,
    LEAST_BYTES,
    MAPPED_SHARE,
    RANK_BYTES,
    SERVER_BYTES,
    Demand,
    Ranks,
    demand,
)
from maas_operator.decide.fit.settings import GIB, UTILIZATION, Settings

DRIVER_SHARE = 0.95
"""Of a device's memory, what its driver lets programs have: 61.0 of 64 GiB on Ascend 910B, 79.1 of 80 on H100."""
START_BYTES = 3 * GIB // 4
"""What vLLM finds in use on a CPU before anything is loaded: it refuses to start where that leaves less than its
share."""
BATCHES = ((0, 2048, 256), (70 * GIB, 8192, 1024), (160 * GIB, 16384, 1024))
"""vLLM's default batch by the device's memory: from so many bytes on, so many tokens and sequences."""
CPU_BATCH = (2048, 128)
"""vLLM's default batch on a CPU, for each rank."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How the memory is shared out."""

    has: int
    overhead: int
    cache: int
    """What is left for the KV cache."""
    held: int = 0
    """What is taken whatever the context: a KV cache whose size is said."""


def on_devices(
    weights: Weights, shape: Architecture, chosen: Settings, ranks: Ranks, memory: int, mask: int = 0
) -> tuple[Demand, Budget]:
    """vLLM takes its share of the memory; weights and what the first batch needs come off it. Its default batch grows
    with the memory, at steps where a device with more memory would have less left: what lies before such a step is
    given no more than what lies after it, so that more memory is never fewer tokens. mask: bytes of the attention mask
    for each pair of tokens."""
    there = int(memory * DRIVER_SHARE)
    share = 1.0 if chosen.cache_bytes else chosen.utilization or UTILIZATION
    groups = (ranks.all > 1) + (ranks.data > 1)
    fixed = CONTEXT_BYTES + groups * GROUP_BYTES + (0 if chosen.eager else GRAPH_BYTES)
    fixed += mask * (chosen.context or 0) ** 2
    here = max(index for index, (start, _, _) in enumerate(BATCHES) if start <= there)
    options = []
    for start, tokens, sequences in BATCHES[here:]:
        batch = (chosen.batch or tokens, chosen.sequences or sequences)
        each = demand(weights, shape, chosen, ranks, batch)
        has, overhead = int(max(there, start) * share), fixed + each.activations
        options.append((has - overhead, has, overhead, each))
    usable, has, overhead, each = min(options, key=lambda option: option[0])
    if has > there * share:
        has, overhead = int(there * share), int(there * share) - usable
    cache = chosen.cache_bytes or usable - each.weights
    return each, Budget(has, overhead, cache, chosen.cache_bytes or 0)


def most_usable(chosen: Settings, memory: int) -> int:
    """Bytes of a device that vLLM can have at the very most."""
    return int(memory * (1.0 if chosen.cache_bytes else chosen.utilization or UTILIZATION))


def least_needs(each: Demand, chosen: Settings, per_sequence: int) -> int:
    """Bytes without which no engine starts on a device: its weights, one sequence of the whole context, and vLLM's
    spare block."""
    return each.least + LEAST_BYTES + max((per_sequence + 1) * each.block, chosen.cache_bytes or 0)


def cpu_batch(chosen: Settings, ranks: Ranks) -> tuple[int, int]:
    """Tokens and sequences of a batch on CPUs, at most."""
    return (chosen.batch or CPU_BATCH[0] * ranks.all, chosen.sequences or CPU_BATCH[1] * ranks.all)


def on_cpu(each: Demand, chosen: Settings, ranks: Ranks, memory: int) -> Budget:
    """All ranks of a host share its pod's memory with the process that takes the requests."""
    processes = SERVER_BYTES + ranks.of_a_host * (RANK_BYTES + each.activations)
    if chosen.cache_bytes:
        return Budget(memory, processes, chosen.cache_bytes, ranks.of_a_host * chosen.cache_bytes)
    if chosen.utilization is None:
        files = ranks.of_a_host * each.files
        return Budget(int(memory * UTILIZATION), processes + files, left(each, ranks, memory))
    takes = int(memory * chosen.utilization)
    starts = takes + START_BYTES <= memory
    used = RANK_BYTES + each.activations + each.weights + int(MAPPED_SHARE * each.files)
    return Budget(memory, processes, takes - used if starts else 0)


def left(each: Demand, ranks: Ranks, memory: int) -> int:
    """Bytes that a rank on a CPU can have for its KV cache."""
    of_all = SERVER_BYTES + ranks.of_a_host * (RANK_BYTES + each.activations + each.weights + each.files)
    return max(0, int(memory * UTILIZATION) - of_all) // ranks.of_a_host
