"""How the work of an instance is shared out over its devices: the one place that says so.

vLLM's own advice: tensor parallel inside a host, whose devices talk to each other fast, pipeline parallel across hosts.
A version for which something else is better says so in its arguments (`--data-parallel-size=4`, for experts that are
shared out over hosts): what is left follows from what is said. On the CPU a host is one device, and all of them work
tensor parallel: vLLM 0.32 starts a pipeline of CPUs and fails at its first request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.resourcepool import Flavor

TENSOR = ("--tensor-parallel-size", "-tp")
PIPELINE = ("--pipeline-parallel-size", "-pp")
DATA = ("--data-parallel-size", "-dp")
SEVERAL_HOSTS = "--distributed-executor-backend=mp"
"""With this begin the arguments by which the hosts of an instance find each other: they stand last of all."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Devices that share one layer, stages of layers one after another, and copies that share the requests. With
    experts, the copies share the experts' weights as well (vLLM's --enable-expert-parallel)."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1


def hosts(flavor: Flavor) -> int:
    """Hosts of an instance."""
    return flavor.hosts or 1


def devices(flavor: Flavor) -> int:
    """Devices of an instance, on all of its hosts; the CPU of a host is one."""
    return hosts(flavor) * (flavor.accelerator.count if flavor.accelerator else 1)


def parallelism(flavor: Flavor, args: Sequence[str] = ()) -> Parallelism:
    """How an instance of this flavor works with these arguments (the accelerator's, the version's and the user's, in
    that order: the last one counts)."""
    tensor, pipeline, data = (_said(names, args) for names in (TENSOR, PIPELINE, DATA))
    each_copy = max(1, devices(flavor) // (data or 1))
    if pipeline is None and hosts(flavor) == 1:
        pipeline = 1
    if tensor is None and pipeline is None:
        tensor = min(flavor.accelerator.count, each_copy) if flavor.accelerator else each_copy
    if tensor is None:
        tensor = max(1, each_copy // (pipeline or 1))
    return Parallelism(tensor, pipeline or max(1, each_copy // tensor), data or 1)


def arguments(flavor: Flavor, args: Sequence[str] = ()) -> list[str]:
    """vLLM's arguments for it, but for what is said already."""
    wanted = parallelism(flavor, args)
    sizes = ((TENSOR, wanted.tensor), (PIPELINE, wanted.pipeline))
    return [f"{names[0]}={size}" for names, size in sizes if size > 1 and _said(names, args) is None]


def _said(names: Sequence[str], args: Sequence[str]) -> int | None:
    """The last value that is given for an argument, as --name=value or --name value; None: there is none."""
    found = None
    for index, arg in enumerate(args):
        name, _, value = arg.partition("=")
        if name.replace("_", "-") in names:
            text = value or (args[index + 1] if index + 1 < len(args) else "")
            found = int(text) if text.isdecimal() and int(text) > 0 else found
    return found
