"""From manifests, as the API server speaks of them, to the facts. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from maas_operator.api.apikey import ApiKeySpec, KeyKind
from maas_operator.api.conditions import ConditionType
from maas_operator.api.model import Product as ProductSpec
from maas_operator.api.modelservice import Balancing, ModelServiceSpec, Sharing, State
from maas_operator.api.names import ANNOTATION_FROZEN, PORT_NAME
from maas_operator.api.seen import Manifest, age
from maas_operator.gateway.facts import Facts, Key, Limits, Product, Reach, Service

SERVICE_OF_SLICE = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to."""

FORGET_AFTER = 1000
"""Manifests of the past whose reading may be kept beside those of now."""

Address = tuple[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Known:
    """What a manifest of an ApiKey says by itself. key: None where it does not count."""

    manifest: Manifest
    key: Key | None = None
    quota: int | None = None


class Read:
    """Keys that were read before. A manifest is never changed, only replaced: what was read of it holds."""

    def __init__(self) -> None:
        self._keys: dict[int, _Known] = {}

    def key(self, manifest: Manifest) -> _Known:
        """What an ApiKey says. Raises ValueError (pydantic's are such)."""
        known = self._keys.get(id(manifest))
        if known is None or known.manifest is not manifest:
            known = self._keys[id(manifest)] = _known(manifest)
        return known

    def keep(self, manifests: Collection[Manifest]) -> None:
        """Forget others than these, once they are many."""
        if len(self._keys) > 2 * len(manifests) + FORGET_AFTER:
            ids = {id(each) for each in manifests}
            self._keys = {id_: known for id_, known in self._keys.items() if id_ in ids}


def gather(
    services: Iterable[Manifest],
    keys: Iterable[Manifest],
    slices: Iterable[Manifest],
    namespaces: Iterable[Manifest],
    now: datetime,
    *,
    models: Iterable[Manifest] = (),
    gateway: tuple[str, str] = ("", ""),
    used: Mapping[str, int] | None = None,
    over_limit: Collection[str] = (),
    read: Read | None = None,
) -> Facts:
    """The facts at a moment.

    gateway: namespace and name of the gateway's own Service. used: key (ACCOUNT/NAME) -> tokens in its life.
    over_limit: as in Facts. read: what was read before; reading 30,000 keys anew takes longer than all else.
    """
    endpoints = _endpoints(slices)
    frozen = {each["metadata"]["name"]: _frozen(each) for each in namespaces}
    found, unreadable = _readable(services, lambda each: _service(each, endpoints, frozen))
    known, unreadable_keys = _readable(keys, (read or Read()).key)
    counting = ((each.key, each.quota) for each in known if each.key and not _ended(each.key, now))
    offered, unreadable_models = _readable(models, _product)
    return Facts(
        services=found,
        keys=tuple(_held_against(key, quota, frozen, used or {}) for key, quota in counting),
        products=_of_the_oldest(offered),
        replicas=endpoints.get(gateway, ()),
        over_limit=frozenset(over_limit),
        unreadable=unreadable + unreadable_keys + unreadable_models,
    )


def _readable(manifests: Iterable[Manifest], read: Callable[[Manifest], T]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """What can be read, the oldest first, and a sentence on each that cannot: it must not keep the others out."""
    made, unreadable = [], []
    for manifest in sorted(manifests, key=age):
        try:
            made.append(read(manifest))
        except ValueError as error:  # pydantic's are such
            path = "/".join(filter(None, (manifest["metadata"].get("namespace"), manifest["metadata"]["name"])))
            unreadable.append(f"{manifest.get('kind', '')} {path}: {error}")
    return tuple(made), tuple(unreadable)


def _service(
    manifest: Manifest, endpoints: Mapping[tuple[str, str], tuple[Address, ...]], frozen: Mapping[str, frozenset[str]]
) -> Service:
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = ModelServiceSpec.model_validate(manifest["spec"])
    pinned = manifest.get("status", {}).get("model") or {}
    model = pinned.get("name", spec.model.name)
    limits, sharing = spec.limits, spec.sharing or Sharing()
    return Service(
        namespace=namespace,
        name=name,
        id=metadata["uid"],
        names=tuple(dict.fromkeys((model, name))),
        model=model,
        version=pinned.get("version", spec.model.version or ""),
        endpoints=endpoints.get((namespace, name), ()),
        reach=_reach(spec, manifest.get("status", {}), name, frozen.get(namespace, frozenset())),
        qps=spec.qps,
        limits=Limits(limits.requests_per_minute, limits.tokens_per_minute) if limits else Limits(),
        shared_with=frozenset(sharing.accounts or ()),
        shared_with_all=bool(sharing.all),
        balancing=spec.balancing or Balancing.LEAST_REQUEST,
    )


def _product(manifest: Manifest) -> Product | None:
    """What a Model is offered as; None where it is not."""
    if "product" not in manifest["spec"]:
        return None
    product = ProductSpec.model_validate(manifest["spec"]["product"])
    return Product(manifest["metadata"]["name"], product.id, product.name, product.model_name)


def _of_the_oldest(offered: Iterable[Product | None]) -> tuple[Product, ...]:
    """One for each id: that of the oldest Model, which stands first."""
    of_id: dict[str, Product] = {}
    for product in filter(None, offered):
        of_id.setdefault(product.id, product)
    return tuple(sorted(of_id.values(), key=lambda each: (each.name, each.id)))


def _reach(spec: ModelServiceSpec, status: Manifest, name: str, frozen: frozenset[str]) -> Reach:
    if not frozen.isdisjoint({"*", name}):
        return Reach.FROZEN
    stopped_by_itself = "stoppedAt" in (status.get("autoStop") or {})
    return Reach.STOPPED if stopped_by_itself or spec.state == State.STOPPED else Reach.OPEN


def _known(manifest: Manifest) -> _Known:
    if not _counts(manifest) or not _digest(manifest):
        return _Known(manifest)
    metadata = manifest["metadata"]
    spec = ApiKeySpec.model_validate(manifest["spec"])
    limits = spec.limits
    key = Key(
        account=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        sha256=_digest(manifest),
        client_credentials=spec.kind == KeyKind.CLIENT_CREDENTIALS,
        limits=Limits(limits.requests_per_minute, limits.tokens_per_minute) if limits else Limits(),
        services=tuple(spec.services),
        expires=_end(manifest),  # a key of whose end nothing is known must not be believed for ever
    )
    return _Known(manifest, key, limits.token_quota if limits else None)


def _ended(key: Key, now: datetime) -> bool:
    return key.expires is not None and key.expires <= now


def _held_against(key: Key, quota: int | None, frozen: Mapping[str, frozenset[str]], used: Mapping[str, int]) -> Key:
    is_frozen = "*" in frozen.get(key.account, ())
    used_up = quota is not None and used.get(key.path, 0) >= quota
    return replace(key, frozen=is_frozen, quota_used_up=used_up) if is_frozen or used_up else key


def _counts(key: Manifest) -> bool:
    """Whether the operator accepted the key, and nobody is deleting it."""
    if key["metadata"].get("deletionTimestamp"):
        return False
    conditions = key.get("status", {}).get("conditions", ())
    return any(each["type"] == ConditionType.ACCEPTED and each["status"] == "True" for each in conditions)


def _digest(key: Manifest) -> str:
    """SHA-256 of the key that the user made, or the operator; empty before it has."""
    return str(key["spec"].get("sha256") or key.get("status", {}).get("sha256", ""))


def _end(key: Manifest) -> datetime | None:
    text = key["spec"].get("expiresAt")
    if not text:
        return None
    end = datetime.fromisoformat(text)
    if end.tzinfo is None:
        raise ValueError(f"expiresAt: {text} lacks its time zone")
    return end


def _frozen(namespace: Manifest) -> frozenset[str]:
    """Names of the frozen services of an account; "*" for the account as a whole."""
    text = namespace["metadata"].get("annotations", {}).get(ANNOTATION_FROZEN, "")
    return frozenset(filter(None, (name.strip() for name in text.split(","))))


def _endpoints(slices: Iterable[Manifest]) -> dict[tuple[str, str], tuple[Address, ...]]:
    """(namespace, Service) -> where it answers: ready, and not leaving."""
    found: dict[tuple[str, str], set[Address]] = {}
    for each in slices:
        metadata = each["metadata"]
        service = metadata.get("labels", {}).get(SERVICE_OF_SLICE)
        port = next((port["port"] for port in each.get("ports") or () if port.get("name") == PORT_NAME), None)
        if service is None or port is None:
            continue
        addresses = found.setdefault((metadata["namespace"], service), set())
        for endpoint in each.get("endpoints") or ():
            conditions = endpoint.get("conditions", {})
            if conditions.get("ready", True) and not conditions.get("terminating"):
                addresses.update((address, port) for address in endpoint["addresses"])
    return {service: tuple(sorted(addresses)) for service, addresses in found.items()}
