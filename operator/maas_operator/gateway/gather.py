"""From manifests, as the API server speaks of them, to the facts. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from maas_operator.api.apikey import ApiKeySpec, KeyKind, KeyLimits
from maas_operator.api.conditions import ConditionType, Phase, Reason, condition
from maas_operator.api.limits import default_key_limits
from maas_operator.api.model import Parameter
from maas_operator.api.model import Product as ProductSpec
from maas_operator.api.modelservice import Balancing, ModelServiceSpec, Sharing, State
from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS, ANNOTATION_FROZEN, ANNOTATION_WAKE, PORT_NAME
from maas_operator.api.seen import Manifest, age
from maas_operator.gateway.facts import Address, Facts, Key, Limits, Product, Reach, Service

SERVICE_OF_SLICE = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to."""
FQDN = "FQDN"
"""addressType of an EndpointSlice whose addresses are names."""

FORGET_AFTER = 1000
"""Manifests of the past whose reading may be kept beside those of now."""

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
    slices_read, unreadable_slices = _readable(slices, _slice)
    endpoints = _endpoints(slices_read)
    models, namespaces = tuple(models), tuple(namespaces)
    frozen_by, unreadable_namespaces = _readable(namespaces, lambda each: (each["metadata"]["name"], _frozen(each)))
    frozen = dict(frozen_by)
    limiting = (each for each in namespaces if ANNOTATION_DEFAULT_KEY_LIMITS in each["metadata"].get("annotations", ()))
    defaults, unreadable_accounts = _readable(limiting, _defaults)
    refusing, unreadable_versions = _readable(models, _unsupported)
    unsupported = {version: names for each in refusing for version, names in each.items()}
    found, unreadable = _readable(_by_age(services), lambda each: _service(each, endpoints, frozen, unsupported))
    known, unreadable_keys = _readable(_by_age(keys), (read or Read()).key)
    counting = ((each.key, each.quota) for each in known if each.key and not _ended(each.key, now))
    limited = _limited(counting, dict(defaults))
    offered, unreadable_models = _readable(_by_age(models), _product)
    return Facts(
        services=found,
        keys=tuple(_held_against(key, quota, frozen, used or {}) for key, quota in limited),
        products=_of_the_oldest(offered),
        replicas=endpoints.get(gateway, ()),
        over_limit=frozenset(over_limit),
        unreadable=(
            *unreadable,
            *unreadable_keys,
            *unreadable_models,
            *unreadable_versions,
            *unreadable_accounts,
            *unreadable_namespaces,
            *unreadable_slices,
        ),
    )


def counts_tokens(keys: Iterable[Manifest], namespaces: Iterable[Manifest]) -> bool:
    """Whether a key, or an account for its keys, bounds the tokens of a whole life: then the ledger is to be asked."""
    of_accounts = (each["metadata"].get("annotations", {}) for each in namespaces)
    said = (each.get(ANNOTATION_DEFAULT_KEY_LIMITS, "") for each in of_accounts)
    return any("tokenQuota" in limits for limits in (*said, *(each["spec"].get("limits", ()) for each in keys)))


def _by_age(manifests: Iterable[Manifest]) -> list[Manifest]:
    """The oldest first."""
    return sorted(manifests, key=age)


def _readable(manifests: Iterable[Manifest], read: Callable[[Manifest], T]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """What can be read, in its order, and a sentence on each that cannot: it must not keep the others out."""
    made, unreadable = [], []
    for manifest in manifests:
        try:
            made.append(read(manifest))
        except Exception as error:  # whatever is wrong with it
            path = "/".join(filter(None, (manifest["metadata"].get("namespace"), manifest["metadata"]["name"])))
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            unreadable.append(f"{manifest.get('kind', '')} {path}: {words}")
    return tuple(made), tuple(unreadable)


def _service(
    manifest: Manifest,
    endpoints: Mapping[tuple[str, str], tuple[Address, ...]],
    frozen: Mapping[str, frozenset[str]],
    unsupported: Mapping[tuple[str, str], tuple[Parameter, ...]],
) -> Service:
    metadata = manifest["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = ModelServiceSpec.model_validate(manifest["spec"])
    pinned = manifest.get("status", {}).get("model") or {}
    model, version = pinned.get("name", spec.model.name), pinned.get("version", spec.model.version or "")
    limits, sharing = spec.limits, spec.sharing or Sharing()
    status = manifest.get("status", {})
    reach = _reach(spec, status, name, frozen.get(namespace, frozenset()))
    return Service(
        namespace=namespace,
        name=name,
        id=metadata["uid"],
        names=tuple(dict.fromkeys((model, name))),
        model=model,
        version=version,
        endpoints=endpoints.get((namespace, name), ()),
        reach=reach,
        qps=spec.qps,
        limits=Limits(limits.requests_per_minute, limits.tokens_per_minute) if limits else Limits(),
        shared_with=frozenset(sharing.accounts or ()),
        shared_with_all=bool(sharing.all),
        balancing=spec.balancing or Balancing.LEAST_REQUEST,
        unsupported=unsupported.get((model, version), ()),
        awaited=reach == Reach.OPEN and not metadata.get("deletionTimestamp") and _awaited(spec, status),
        asleep=bool(spec.scaling) and (status.get("instances") or {}).get("desired") == 0,
        wake_requested=metadata.get("annotations", {}).get(ANNOTATION_WAKE, ""),
    )


def _product(manifest: Manifest) -> Product | None:
    """What a Model is offered as; None where it is not."""
    if "product" not in manifest["spec"]:
        return None
    product = ProductSpec.model_validate(manifest["spec"]["product"])
    return Product(manifest["metadata"]["name"], product.id, product.name, product.model_name)


def _unsupported(model: Manifest) -> dict[tuple[str, str], tuple[Parameter, ...]]:
    """(Model, version) -> what the version does not support of a request's parameters. What only a newer operator knows
    is left out."""
    known = set(Parameter)
    return {
        (model["metadata"]["name"], version["name"]): tuple(Parameter(name) for name in names if name in known)
        for version in model["spec"].get("versions", ())
        if (names := version.get("unsupportedParameters"))
    }


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


def _awaited(spec: ModelServiceSpec, status: Manifest) -> bool:
    """Whether instances are wanted, and not known to fail. Those whose node is cut off may be back with it, and are
    made elsewhere otherwise."""
    wanted = spec.scaling is not None or spec.instances != 0
    cut_off = condition(status, ConditionType.READY).get("reason") == Reason.NODE_NOT_READY
    return wanted and (status.get("phase") != Phase.FAILED or cut_off)


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


def _defaults(namespace: Manifest) -> tuple[str, KeyLimits]:
    return namespace["metadata"]["name"], default_key_limits(namespace)


def _limited(
    counting: Iterable[tuple[Key, int | None]], defaults: Mapping[str, KeyLimits]
) -> Iterator[tuple[Key, int | None]]:
    """Keys and their quotas, with their account's default for each limit that they do not name."""
    for key, quota in counting:
        if default := defaults.get(key.account):
            requests = key.limits.requests_per_minute or default.requests_per_minute
            tokens = key.limits.tokens_per_minute or default.tokens_per_minute
            yield replace(key, limits=Limits(requests, tokens)), quota or default.token_quota
        else:
            yield key, quota


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


def _slice(each: Manifest) -> tuple[tuple[str, str], set[Address]] | None:
    """(namespace, Service), and where it answers by an EndpointSlice: ready, and not leaving. None where it answers for
    no Service, or not on our port: one of its name without a number means all ports, and says nothing of where an
    engine listens. Names (FQDN) are no addresses to Envoy."""
    metadata = each["metadata"]
    service = metadata.get("labels", {}).get(SERVICE_OF_SLICE)
    port = next((port.get("port") for port in each.get("ports") or () if port.get("name") == PORT_NAME), None)
    if service is None or port is None or each.get("addressType") == FQDN:
        return None
    addresses: set[Address] = set()
    for endpoint in each.get("endpoints") or ():
        if _ready(endpoint.get("conditions") or {}):
            addresses.update((address, port) for address in endpoint["addresses"])
    return (metadata["namespace"], service), addresses


def _ready(conditions: Mapping[str, bool]) -> bool:
    return conditions.get("ready", True) and not conditions.get("terminating")


def _endpoints(
    slices: Iterable[tuple[tuple[str, str], set[Address]] | None],
) -> dict[tuple[str, str], tuple[Address, ...]]:
    """(namespace, Service) -> where it answers, by all its slices."""
    found: dict[tuple[str, str], set[Address]] = {}
    for service, addresses in filter(None, slices):
        found.setdefault(service, set()).update(addresses)
    return {service: tuple(sorted(addresses)) for service, addresses in found.items()}
