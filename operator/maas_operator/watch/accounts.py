"""The ApiKeys of each account, as little of them as deciding on another key of the account needs."""

from maas_operator.api.seen import Manifest
from maas_operator.watch.keys import Key

KEPT = ("name", "creationTimestamp", "deletionTimestamp")
"""Metadata by which keys are compared."""


class Accounts:
    """Keys by account. An account may hold far more keys than count, and its own rank is all that one key asks for:
    a key that comes or goes alters the younger ones alone."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[Key, Manifest]] = {}

    def put(self, key: Key, raw: Manifest) -> set[Key]:
        """Keep a key. Returns the other keys whose decision it may alter."""
        account = self._keys.setdefault(key.namespace, {})
        metadata = {name: raw["metadata"][name] for name in KEPT if name in raw["metadata"]}
        kept = {"metadata": metadata, "spec": {"tag": raw["spec"].get("tag", "")}}
        before = account.get(key)
        account[key] = kept
        return set() if before == kept else self._younger(key)

    def drop(self, key: Key) -> set[Key]:
        """Forget a key. Returns the other keys whose decision it may alter."""
        if key not in self._keys.get(key.namespace, {}):
            return set()
        younger = self._younger(key)
        del self._keys[key.namespace][key]
        if not self._keys[key.namespace]:
            del self._keys[key.namespace]
        return younger

    def of(self, namespace: str) -> list[Manifest]:
        """The account's keys, trimmed to name, times and tag. They must not be changed."""
        return list(self._keys.get(namespace, {}).values())

    def _younger(self, key: Key) -> set[Key]:
        account = self._keys[key.namespace]
        age = _age(account[key])
        return {other for other, kept in account.items() if _age(kept) > age}


def _age(key: Manifest) -> tuple[str, str]:
    return key["metadata"].get("creationTimestamp", ""), key["metadata"]["name"]
