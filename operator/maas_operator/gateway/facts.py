"""All that the gateway's configuration follows from."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from maas_operator.api.model import Parameter
from maas_operator.api.modelservice import Balancing


class Reach(StrEnum):
    """Whether a service can be called."""

    OPEN = "Open"
    """It can; without endpoints its requests are held, if it will have some, or answered 503."""
    STOPPED = "Stopped"
    """Its user stopped it, or it never was accepted."""
    FROZEN = "Frozen"
    """The platform's team froze it, or its account."""


Address = tuple[str, int]
"""IP address and TCP port."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a key or a service; None where there is none."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A ModelService, as the gateway sees it."""

    namespace: str
    name: str
    id: str
    """Its uid, which stands in the paths of its API."""
    names: tuple[str, ...]
    """What a request's body may call it; the engine answers to each of them."""
    model: str
    version: str
    """The Model's version that it runs; "" while that is not known."""
    endpoints: tuple[Address, ...] = ()
    """Address and port of each instance that is ready and not leaving, sorted."""
    reach: Reach = Reach.OPEN
    qps: int | None = None
    limits: Limits = Limits()
    shared_with: frozenset[str] = frozenset()
    """Other accounts that may call it."""
    shared_with_all: bool = False
    balancing: Balancing = Balancing.LEAST_REQUEST
    awaited: bool = False
    """It will have instances, by all that is known."""
    unsupported: tuple[Parameter, ...] = ()
    """What of a request's parameters its model's version does not support."""
    asleep: bool = False
    """The operator decides how many instances it has, and it has none: a request wakes it."""
    wake_requested: str = ""
    """The annotation that last asked the operator to wake it."""

    @property
    def path(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    def callable_by(self, account: str) -> bool:
        """Whether the account's keys may call it."""
        return self.shared_with_all or account == self.namespace or account in self.shared_with


@dataclass(frozen=True, slots=True)
class Key:
    """An ApiKey that counts: accepted, and not expired."""

    account: str
    name: str
    uid: str
    sha256: str
    client_credentials: bool = False
    """It is the secret of a client that gets tokens for it, and not accepted by itself."""
    limits: Limits = Limits()
    services: tuple[str, ...] = ()
    """Names of services of its account that it may call, and no others; empty: all that the account may call."""
    frozen: bool = False
    quota_used_up: bool = False
    expires: datetime | None = None

    @property
    def path(self) -> str:
        """ACCOUNT/NAME: also the id of a client with credentials."""
        return f"{self.account}/{self.name}"

    @property
    def credential(self) -> str:
        """What the gateway looks a request's key up by: the key's digest, or what its tokens say."""
        return f"token/{self.uid}" if self.client_credentials else self.sha256


@dataclass(frozen=True, slots=True)
class Product:
    """A Model of the catalogue as clients of Intel's API know it (I2)."""

    catalogue_model: str
    """Name of the Model."""
    id: str
    name: str
    model: str
    """The model's name in that API."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that a request waits, from the settings."""

    held: int = 600
    """For an instance to be there."""
    backend: int = 600
    """For a byte from it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of the cluster, read once. Services stand in the order in which they win a name that several
    have: the older first."""

    services: tuple[Service, ...] = ()
    keys: tuple[Key, ...] = ()
    products: tuple[Product, ...] = ()
    """What Intel's API offers, sorted by name; no two have the same id."""
    replicas: tuple[Address, ...] = ()
    """Address and port of each ready replica of the gateway, this one among them: a limit is shared out over them."""
    over_limit: frozenset[str] = field(default=frozenset())
    """Keys (ACCOUNT/NAME) and services (ids) that are past their tokens a minute."""
    shared: bool = False
    """Limits are counted for all replicas in a store. What is held here is each replica's own: a net below the store's,
    for when that does not answer."""
    holding: frozenset[str] = frozenset()
    """Services (ids) whose requests are held."""
    waits: Waits = Waits()
    unreadable: tuple[str, ...] = ()
    """What is wrong with objects that are not as the CRDs say, and are left out."""

    @property
    def next_expiry(self) -> datetime | None:
        """When the next of the keys expires."""
        return min((key.expires for key in self.keys if key.expires), default=None)
