"""The services and keys that the tests call."""

from dataclasses import replace
from typing import Any

from maas_operator.api.model import Parameter
from maas_operator.gateway.facts import Facts, Key, Limits, Reach, Service
from tests.gateway.backend import Backend
from tests.gateway.gateway import digest


def service(name: str, *engines: Backend, namespace: str = "team-a", **fields: Any) -> Service:
    """A service whose catalogue entry has its name, with the suffix -model."""
    made = Service(namespace, name, f"id-{name}", (f"{name}-model", name), f"{name}-model", "8k")
    return replace(made, **{"endpoints": tuple(each.endpoint for each in engines), **fields})


def key(text: str, name: str | None = None, account: str = "team-a", **fields: Any) -> Key:
    """The ApiKey of a key."""
    return Key(account, name or text, f"uid-{text}", digest(text), **fields)


def names(*services: str) -> tuple[str, ...]:
    """All the names that an engine of these services answers to."""
    return tuple(name for each in services for name in (each, f"{each}-model"))


def scene(engine: Backend, thinker: Backend) -> Facts:
    """A service in each state, and a key of each kind."""
    return Facts(
        services=(
            service("chat", engine),
            service("thinks", thinker),
            service("plain", engine, unsupported=tuple(Parameter)),
            service("empty"),
            service("stopped", reach=Reach.STOPPED),
            service("frozen", reach=Reach.FROZEN),
            service("qps", engine, qps=1),
            service("minutely", engine, limits=Limits(60)),
            service("spent", engine, limits=Limits(None, 100)),
            service("prefix", engine),
            service("alien", engine, namespace="team-b"),
            service("lent", engine, namespace="team-b", shared_with=frozenset({"team-a"})),
            service("public", engine, namespace="team-b", shared_with_all=True),
        ),
        keys=(
            key("key-a", "ci"),
            key("key-b", account="team-b"),
            key("key-minutely", limits=Limits(60)),
            key("key-spent", limits=Limits(None, 500)),
            key("key-only", services=("qps", "gone")),
            key("key-frozen", frozen=True),
            key("key-quota", quota_used_up=True),
        ),
        over_limit=frozenset({"team-a/key-spent", "id-spent"}),
    )


SERVED = names("chat", "plain", "qps", "minutely", "spent", "prefix", "alien", "lent", "public")
