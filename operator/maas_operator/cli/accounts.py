"""Accounts as manifests: a namespace, its quota, and who has which role; and what a list says of them. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from maas_operator.api.apikey import KeyLimits
from maas_operator.api.fields import DNS_LABEL
from maas_operator.api.limits import default_key_limits, written
from maas_operator.api.names import (
    ANNOTATION_DEFAULT_KEY_LIMITS,
    ANNOTATION_FROZEN,
    LABEL_ACCOUNT,
    LABEL_MANAGED_BY,
)
from maas_operator.api.quantities import same
from maas_operator.cli.cluster import MANAGER
from maas_operator.cli.errors import CliError
from maas_operator.cli.needed import Manifest
from maas_operator.cli.poolaccess import taking
from maas_operator.cli.quotas import used_of
from maas_operator.cli.subjects import Subject, subject_of
from maas_operator.cli.tables import Row

QUOTA = "maas-account"
"""Name of an account's ResourceQuota."""
WHOLE = "*"
"""What the annotation that freezes says of a whole account."""
_LONGEST = 63
"""Characters of a namespace's name."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is to be made."""

    name: str
    labels: Mapping[str, str]
    """By which its pools take it."""
    quota: Mapping[str, str]
    """As a ResourceQuota says it; empty: it has none."""
    key_limits: Mapping[str, int]
    """What keys may use that name no limits of their own."""

    def manifests(self) -> list[Manifest]:
        """Its namespace, and its quota if it has one."""
        return [self.namespace(), *([self.resource_quota()] if self.quota else [])]

    def namespace(self) -> Manifest:
        """The account itself."""
        metadata: Manifest = {"name": self.name, "labels": {LABEL_ACCOUNT: "true", **self.labels}}
        if self.key_limits:
            metadata["annotations"] = {ANNOTATION_DEFAULT_KEY_LIMITS: written(self.key_limits)}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def resource_quota(self) -> Manifest:
        """What it may have."""
        metadata = {"name": QUOTA, "namespace": self.name}
        return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": dict(self.quota)}}


def checked_name(name: str) -> str:
    """The name. Raises CliError where no namespace can be called so."""
    if len(name) > _LONGEST or not re.fullmatch(DNS_LABEL, name):
        raise CliError(
            f"{name}: an account is a namespace, whose name has at most {_LONGEST} lower-case letters, digits and '-', "
            "and begins and ends with a letter or digit"
        )
    return name


def checked_limits(limits: dict[str, int]) -> dict[str, int]:
    """The limits. Raises CliError where the gateway could not go by them."""
    try:
        KeyLimits.model_validate(limits)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise CliError(f"--key-limits {first['loc'][0]}={first['input']}: {first['msg']}") from error
    return limits


def subject_named(text: str, option: str) -> Subject:
    """From user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME. Raises CliError."""
    kind, _, name = text.partition(":")
    given = {each: name if kind == each else None for each in ("user", "group", "serviceaccount")}
    subject = subject_of(given["user"], given["group"], given["serviceaccount"]) if name else None
    if subject is None:
        raise CliError(f"{option} {text}: write user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME")
    return subject


def marked(manifest: Manifest) -> Manifest:
    """With the label by which this tool knows what it made, and may remove."""
    metadata = manifest["metadata"]
    return manifest | {"metadata": metadata | {"labels": metadata.get("labels", {}) | {LABEL_MANAGED_BY: MANAGER}}}


def for_git(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Without that label, each once: what is applied from Git, Git removes."""
    found: dict[tuple[str, str, str], Manifest] = {}
    for each in manifests:
        metadata = dict(each["metadata"])
        labels = {key: value for key, value in metadata.pop("labels", {}).items() if key != LABEL_MANAGED_BY}
        kept = {"name": metadata.pop("name"), **metadata} | ({"labels": labels} if labels else {})
        found[each["kind"], metadata.get("namespace", ""), kept["name"]] = each | {"metadata": kept}
    return list(found.values())


def made_here(namespace: Manifest) -> bool:
    """Whether this tool made a namespace, so that it may delete it."""
    return bool(namespace["metadata"].get("labels", {}).get(LABEL_MANAGED_BY) == MANAGER)


def differs(there: Manifest, wanted: Manifest) -> bool:
    """Whether what is there lacks something of what is wanted. The same in other words is no difference: the API server
    writes 1024Gi as 1Ti."""
    labels, wanted_labels = (each["metadata"].get("labels", {}) for each in (there, wanted))
    if not wanted_labels.items() <= labels.items():
        return True
    amounts, wanted_amounts = (each.get("spec", {}).get("hard", {}) for each in (there, wanted))
    if amounts.keys() != wanted_amounts.keys():
        return True
    return _limits_differ(there, wanted) or not all(same(amounts[each], wanted_amounts[each]) for each in amounts)


def being_deleted(namespace: Manifest) -> bool:
    """Whether somebody has deleted it, and the cluster is still at it."""
    return "deletionTimestamp" in namespace["metadata"]


def state(namespace: Manifest) -> str:
    """Active, Frozen (as a whole, or which services) or Terminating."""
    if being_deleted(namespace):
        return "Terminating"
    frozen = frozen_part(namespace)
    if not frozen:
        return "Active"
    return "Frozen" if WHOLE in frozen else f"Frozen: {', '.join(frozen)}"


def frozen_part(namespace: Manifest) -> list[str]:
    """What of it is frozen: names of services, or "*"."""
    text = namespace["metadata"].get("annotations", {}).get(ANNOTATION_FROZEN, "")
    return [name.strip() for name in text.split(",") if name.strip()]


def told(namespace: Manifest) -> Iterator[str]:
    """What an account's people should know of it, in sentences."""
    name = namespace["metadata"]["name"]
    if frozen := frozen_part(namespace):
        what = f"account {name} is" if WHOLE in frozen else f"of account {name}, {', '.join(frozen)} is"
        yield f"{what} frozen by the platform's team: calls get 401 ModelArts.81006"
    try:
        if limits := default_limits(namespace):
            yield f"where a key names no limit of a kind, it has the account's: {limits}"
    except ValueError as error:
        yield (
            f"the default limits of account {name}'s keys cannot be read, so none count: {error}; have the platform's "
            "team correct it"
        )


def default_limits(namespace: Manifest) -> str:
    """What an account's keys may use where they say nothing themselves, as the gateway goes by it; empty: nothing is
    said. Raises ValueError where the gateway cannot read it."""
    return written(default_key_limits(namespace).model_dump(by_alias=True, exclude_none=True))


def rows(
    namespaces: Iterable[Manifest],
    services: Iterable[Manifest],
    keys: Iterable[Manifest],
    quotas: Iterable[Manifest],
    pools: Sequence[Manifest],
) -> Iterator[Row]:
    """A line for each account: a namespace that is called one, or has a service or a key, or is frozen."""
    serving, calling = (Counter(each["metadata"]["namespace"] for each in objects) for objects in (services, keys))
    limits: dict[str, list[Manifest]] = {}
    for quota in quotas:
        limits.setdefault(quota["metadata"]["namespace"], []).append(quota)
    for each in sorted(namespaces, key=lambda namespace: str(namespace["metadata"]["name"])):
        metadata = each["metadata"]
        name, labels = metadata["name"], metadata.get("labels", {})
        if not (LABEL_ACCOUNT in labels or serving[name] or calling[name] or frozen_part(each)):
            continue
        yield {
            "account": name,
            "state": state(each),
            "services": serving[name],
            "keys": calling[name],
            "quota": ", ".join(used_of(limits.get(name, ()))) or None,
            "pools": ",".join(taking(pools, labels)) or None,
            "keyLimits": _limits_shown(each),
            "madeBy": "kubectl maas" if made_here(each) else "others",
            "created": metadata["creationTimestamp"],
        }


def _limits_shown(namespace: Manifest) -> str | None:
    try:
        return default_limits(namespace) or None
    except ValueError as error:
        return f"unreadable, so none count: {error}"


def _limits_differ(there: Manifest, wanted: Manifest) -> bool:
    limits = default_limits(wanted)
    try:
        return bool(limits) and default_limits(there) != limits
    except ValueError:
        return True
