"""Why a flavor is refused, and which to take instead (M3)."""

from collections.abc import Iterable

from maas_operator.api.model import ModelVersion
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.resourcepool import Flavor
from maas_operator.decide.accelerators import accelerator_of
from maas_operator.decide.fit.answer import fit

COUNTS = (1, 2, 4, 8, 16)
HOSTS = (1, 2, 4, 8)
"""Flavors that are tried where the pool has none that fits."""


def unfit(
    model: str,
    version: ModelVersion,
    flavor: Flavor,
    pool: str,
    flavors: Iterable[Flavor],
    extras: EngineExtras | None = None,
) -> str | None:
    """Why the flavor cannot hold the version, and which flavors of the pool can. None: it can, or it is not checked."""
    accelerator = accelerator_of(flavor)
    if accelerator is None:
        return None
    answer = fit(version, flavor, accelerator, extras)
    if answer.fits is not False:
        return None
    answers = {each.name: fit(version, each, known, extras).fits for each in flavors if (known := accelerator_of(each))}
    can, may = ([name for name, fits in answers.items() if fits is sure] for sure in (True, None))
    if can:
        advice = f"flavors of pool {pool} that can: {', '.join(can)}"
    elif may:
        advice = f"flavors of pool {pool} that may: {', '.join(may)}"
    else:
        advice = f"no flavor of pool {pool} can{_would(version, flavor, extras)}"
    return f"flavor {flavor.name} cannot hold {model} {version.name}: {answer.why}; {advice}"


def _would(version: ModelVersion, flavor: Flavor, extras: EngineExtras | None) -> str:
    """The smallest flavor with the same devices that could."""
    accelerator, have = accelerator_of(flavor), flavor.accelerator
    if accelerator is None or have is None:
        return ""
    for hosts in HOSTS:
        for count in COUNTS:
            more = have.model_copy(update={"count": count})
            larger = flavor.model_copy(update={"accelerator": more, "hosts": hosts})
            if fit(version, larger, accelerator, extras).fits:
                where = f" on each of {hosts} hosts" if hosts > 1 else ""
                return f"; one of {count} such devices{where} could"
    return ""
