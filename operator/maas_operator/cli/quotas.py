"""What an account may have: from --quota to what a ResourceQuota counts, and back. Pure."""

import re
from collections.abc import Iterable, Iterator

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT
from maas_operator.api.fields import QUANTITY
from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.api.names import GROUP
from maas_operator.api.quantities import parse
from maas_operator.api.resourcepool import EXTENDED_RESOURCE
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import Manifest

KEYS = f"count/{API_KEY.plural}.{GROUP}"
COUNTED = {
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "ephemeral-storage": "requests.ephemeral-storage",
    "services": f"count/{MODEL_SERVICE.plural}.{GROUP}",
    "keys": KEYS,
}
"""How --quota calls what a ResourceQuota counts. Extended resources are called as they are."""
_BYTES = ("memory", "ephemeral-storage")


def quota_of(text: str) -> dict[str, str]:
    """From cpu=32,memory=256Gi,huawei.com/Ascend910=8,services=10,keys=20: what a ResourceQuota says. M22's bound on
    keys the operator holds without one. Raises CliError."""
    quota: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, amount = part.partition("=")
        counted = COUNTED.get(name) or (f"requests.{name}" if _is_extended(name) else None)
        if counted is None or not re.fullmatch(QUANTITY, amount):
            raise CliError(
                f"--quota {part}: write NAME=QUANTITY, with one of {', '.join(COUNTED)}, or an extended resource of "
                "the nodes, such as huawei.com/Ascend910=8"
            )
        if counted in quota:
            raise CliError(f"--quota {part}: {name} is named twice")
        if name in _BYTES and 0 < parse(amount) < parse("1Mi"):
            raise CliError(f"--quota {part}: less than 1Mi; without a unit it is in bytes, and m is a thousandth")
        if name not in {"cpu", *_BYTES} and parse(amount) % 1:
            raise CliError(f"--quota {part}: {name} is counted in whole numbers")
        quota[counted] = amount
    keys = quota.get(KEYS, "0")
    if not keys.isdecimal() or int(keys) > MAX_KEYS_PER_ACCOUNT:
        raise CliError(f"--quota keys={keys}: an account has at most {MAX_KEYS_PER_ACCOUNT} keys")
    return quota


def used_of(quotas: Iterable[Manifest]) -> Iterator[str]:
    """What is used of each bound, as the cluster counts: cpu 4/32."""
    names = {counted: name for name, counted in COUNTED.items()}
    for quota in quotas:
        used = quota.get("status", {}).get("used", {})
        for counted, bound in quota["spec"].get("hard", {}).items():
            name = names.get(counted, counted.removeprefix("requests."))
            yield f"{name} {used.get(counted, '?')}/{bound}"


def _is_extended(name: str) -> bool:
    """Whether it may be a resource of device plugins, as they call it: requests. is put before it here."""
    ours = name.startswith("requests.") or "kubernetes.io/" in name
    return not ours and re.fullmatch(EXTENDED_RESOURCE, name) is not None
