"""The answer for a version on a flavor. Everything of a device unless said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from maas_operator.api.fields import EnvVar
from maas_operator.api.model import Architecture, ModelVersion, VersionAccelerator, Weights
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.quantities import amount
from maas_operator.api.resourcepool import Flavor
from maas_operator.decide.accelerators import CPU, Accelerator, told
from maas_operator.decide.fit.budget import cpu_batch, least_needs, left, most_usable, on_cpu, on_devices
from maas_operator.decide.fit.demand import Ranks, demand
from maas_operator.decide.fit.settings import GIB, UTILIZATION, Settings, settings
from maas_operator.decide.kept import Kept
from maas_operator.decide.parallel import devices, hosts, parallelism

ANSWERS_KEPT = 4096
"""Pairs of version and flavor whose answer is kept: each decision on a service asks for it. Specs are parsed once for
as long as they do not change (decide/specs.py), so that an answer is known by its version and flavor themselves."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a version fits a flavor. Bytes are those of one device (on a CPU: of one host's pod)."""

    fits: bool | None
    """None: not checked, or too close to tell: what False says is certain, and True promises no more than there is."""
    why: str | None = None
    """Why it does not fit, or cannot be told."""
    tokens: int | None = None
    """Of the instance's KV cache, as vLLM will tell it; of copies that share the requests, all together."""
    sequences: int | None = None
    """How many of the whole context at once."""
    longest: int | None = None
    """Tokens of the longest sequence that the KV cache can hold."""
    context: int = 0
    """The context that was asked about."""
    weights: int | None = None
    overhead: int | None = None
    """What the engine takes besides weights and cache."""
    token: int | None = None
    """Bytes of a token in the KV cache."""
    needs: int | None = None
    """The least with which the context fits once."""
    has: int | None = None
    """What vLLM may use."""


_answers: Kept[tuple[int, int, str, str | None, int | None], tuple[ModelVersion, Flavor, Fit]] = Kept(ANSWERS_KEPT)
_planned: Kept[tuple[int, int, str | None], tuple[ModelVersion, Flavor, int | None]] = Kept(ANSWERS_KEPT)


def fit(
    version: ModelVersion,
    flavor: Flavor,
    accelerator: Accelerator,
    extras: EngineExtras | None = None,
    context: int | None = None,
) -> Fit:
    """Whether the flavor holds the version, started with the user's arguments. context: tokens, instead of the
    version's."""
    made = _answers.get(
        (id(version), id(flavor), accelerator.type, extras.digest if extras else None, context),
        lambda: (version, flavor, _fit(version, flavor, accelerator, extras, context)),
        lambda known: known[0] is version and known[1] is flavor,
    )
    return made[2]


def _fit(
    version: ModelVersion, flavor: Flavor, accelerator: Accelerator, extras: EngineExtras | None, context: int | None
) -> Fit:
    need = told(version, accelerator)
    wanted = context or version.context_length
    refused = _unsupported(version, flavor, accelerator, need)
    if refused:
        return Fit(False, refused, context=wanted)
    weights = (need and need.weights) or version.weights
    shape = version.architecture
    memory = device_memory(flavor, accelerator)
    unknown = [
        words
        for words, fact in (
            ("the size of its weights", weights),
            ("its architecture", shape),
            ("the memory of its devices", memory),
        )
        if fact is None
    ]
    if weights is None or shape is None or memory is None:
        return Fit(None, f"not checked: nobody has said {' and '.join(unknown)}", context=wanted)
    try:
        chosen, ranks = _started(version, flavor, accelerator, extras)
        asked = context or chosen.context or version.context_length
        return _computed(replace(chosen, context=asked), ranks, flavor, accelerator, weights, shape, memory)
    except ValueError as error:
        return Fit(None, f"not checked: {error}", context=wanted)


def planned_cache(
    version: ModelVersion, flavor: Flavor, accelerator: Accelerator, extras: EngineExtras | None = None
) -> int | None:
    """Bytes of KV cache that each rank on a CPU is given where nobody says how many: what the pod's memory leaves
    beside weights, processes and the weights' files in the page cache. Of its own accord vLLM would take 92 % of the
    memory, and refuse to start where other processes of the pod, or that cache, already have more than the rest. None:
    no CPU, somebody says, too little is known, or nothing is left."""
    if accelerator.type != CPU:
        return None
    made = _planned.get(
        (id(version), id(flavor), extras.digest if extras else None),
        lambda: (version, flavor, _plan(version, flavor, accelerator, extras)),
        lambda known: known[0] is version and known[1] is flavor,
    )
    return made[2]


def _plan(version: ModelVersion, flavor: Flavor, accelerator: Accelerator, extras: EngineExtras | None) -> int | None:
    need = told(version, accelerator)
    weights, shape = (need and need.weights) or version.weights, version.architecture
    if weights is None or shape is None:
        return None
    try:
        chosen, ranks = _started(version, flavor, accelerator, extras)
        if chosen.cache_bytes or chosen.blocks or chosen.utilization:
            return None
        each = demand(weights, shape, chosen, ranks, cpu_batch(chosen, ranks))
    except ValueError:
        return None
    return left(each, ranks, amount("memory", flavor.memory)) or None


def device_memory(flavor: Flavor, accelerator: Accelerator) -> int | None:
    """Bytes of a device, as its maker counts them; on a CPU, the pod's."""
    if accelerator.type == CPU:
        return amount("memory", flavor.memory)
    size = (flavor.accelerator and flavor.accelerator.memory) or accelerator.memory
    return amount("memory", size) if size else None


def _unsupported(
    version: ModelVersion, flavor: Flavor, accelerator: Accelerator, need: VersionAccelerator | None
) -> str | None:
    """What the version itself rules out."""
    if need is None:
        names = ", ".join(each.type for each in version.accelerators)
        return f"it does not run on {accelerator.type}: it runs on {names}" if names else None
    count = flavor.accelerator.count if flavor.accelerator else 1
    if count < (need.count or 1):
        return f"it needs at least {need.count} devices of {need.type} on each host, and the flavor has {count}"
    if hosts(flavor) < (need.hosts or 1):
        return f"it needs at least {need.hosts} hosts of {need.type}, and the flavor has {hosts(flavor)}"
    return None


def _started(
    version: ModelVersion, flavor: Flavor, accelerator: Accelerator, extras: EngineExtras | None
) -> tuple[Settings, Ranks]:
    """How the engine is started (decide/engine.py): with the accelerator's arguments, the version's, the version's on
    this accelerator, and the user's, a later one winning."""
    extras, here = extras or EngineExtras(), told(version, accelerator)
    sources: Sequence[tuple[Sequence[str], Sequence[EnvVar]]] = (
        (accelerator.args, accelerator.env),
        (version.args, version.env),
        (here.args, here.env) if here else ((), ()),
        (extras.args, extras.env),
    )
    args = [arg for each, _ in sources for arg in each]
    env = {variable.name: variable.value for _, each in sources for variable in each}
    sizes = parallelism(flavor, args)
    ranks = Ranks(sizes.tensor, sizes.pipeline, sizes.data, hosts(flavor))
    return settings(args, env if accelerator.type == CPU else {}), ranks


def _computed(
    chosen: Settings,
    ranks: Ranks,
    flavor: Flavor,
    accelerator: Accelerator,
    weights: Weights,
    shape: Architecture,
    memory: int,
) -> Fit:
    context = chosen.context or 0
    asked = Fit(False, context=context)
    if why := _unshared(flavor, shape, ranks):
        return replace(asked, why=why)
    per_sequence = ceil(context / chosen.block) + (1 if shape.sliding_window else 0)
    if accelerator.type == CPU:
        each = demand(weights, shape, chosen, ranks, cpu_batch(chosen, ranks))
        budget, shared = on_cpu(each, chosen, ranks, memory), ranks.of_a_host
    else:
        (each, budget), shared = on_devices(weights, shape, chosen, ranks, memory, accelerator.mask_bytes), 1
        sequence = ceil(min(context, shape.sliding_window or context) / chosen.block)
        if (least := least_needs(each, chosen, sequence)) > (most := most_usable(chosen, memory)):
            which = "it" if ranks.all == 1 else f"each of its {ranks.all} devices"
            return replace(asked, needs=least, has=most, why=f"{which} needs {sizes(least, most)}")
    blocks = chosen.blocks or max(0, budget.cache) // each.block
    needs = shared * each.weights + budget.overhead + max(shared * (per_sequence + 1) * each.block, budget.held)
    found = replace(
        asked,
        longest=max(0, blocks - 1) * chosen.block,
        weights=shared * each.weights,
        overhead=budget.overhead,
        token=shared * each.block // chosen.block,
        needs=needs,
        has=budget.has,
    )
    if blocks > per_sequence and needs <= budget.has:
        tokens, sequences = int(blocks / per_sequence * context), (blocks - 1) // per_sequence
        return replace(found, fits=True, tokens=tokens * ranks.data, sequences=sequences * ranks.data)
    if blocks <= per_sequence and (chosen.blocks or chosen.cache_bytes):
        return replace(
            found, why=f"its arguments give its KV cache {found.longest} tokens, and its context is {context}"
        )
    if accelerator.type != CPU:
        return replace(found, fits=None, why=f"too close to tell: it may need up to {sizes(needs, budget.has)}")
    if needs > budget.has:
        return replace(found, why=f"it needs {sizes(needs, budget.has)}")
    share = f"{chosen.utilization or UTILIZATION:.0%}"
    why = f"vLLM would take {share} of its memory, and finds too much of it in use: say --kv-cache-memory-bytes"
    return replace(found, why=why)


def _unshared(flavor: Flavor, shape: Architecture, ranks: Ranks) -> str | None:
    """Why the model cannot be shared out over so many devices: vLLM refuses it."""
    if flavor.accelerator and ranks.all > devices(flavor):
        return f"its arguments share it out over {ranks.all} devices, and the flavor has {devices(flavor)}"
    if shape.attention_heads % ranks.tensor:
        return f"its {shape.attention_heads} attention heads cannot be shared out over {ranks.tensor} devices"
    heads = shape.kv_heads
    if not shape.latent_size and max(heads, ranks.tensor) % min(heads, ranks.tensor):
        return f"its {heads} heads of keys and values cannot be shared out over {ranks.tensor} devices"
    return None


def sizes(needs: int, has: int) -> str:
    """Two sizes in words: what is needed rounded up, what there is rounded down."""
    unit, word = (GIB, "GiB") if has >= 8 * GIB else (1024**2, "MiB")
    return f"{ceil(needs / unit)} {word} and has {has // unit}"
