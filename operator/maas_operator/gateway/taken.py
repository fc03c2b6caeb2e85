"""What Envoy has taken of what it was told: it reads its files in its own time."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from maas_operator.gateway.envoy.names import CLUSTERS, ROUTES
from maas_operator.gateway.envoy.proto import version
from maas_operator.gateway.envoy.routes import NAME_OF_ROUTES

STATS = {CLUSTERS: "cluster_manager.cds.version_text", ROUTES: f"http.gateway.rds.{NAME_OF_ROUTES}.version_text"}
"""File -> where Envoy says which version of it holds. These are few, however many services there are."""
REMEMBERED = 1000
"""Versions of a file, the last ones."""
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class Taken:
    """Tellings are numbered. admin: Envoy's own address (http://127.0.0.1:PORT)."""

    def __init__(self, admin: str) -> None:
        self._admin = admin
        self._numbers: dict[str, dict[str, int]] = {name: {} for name in STATS}
        self.told = 0
        """Number of the last telling."""

    def tell(self, files: Mapping[str, bytes]) -> int:
        """Envoy was told this; its number. What did not change counts as told anew."""
        self.told += 1
        for name, numbers in self._numbers.items():
            text = version(files[name])
            numbers.pop(text, None)
            numbers[text] = self.told
            if len(numbers) > REMEMBERED:
                del numbers[next(iter(numbers))]
        return self.told

    async def number(self) -> int:
        """Number of the last telling that Envoy has taken whole; 0 where it has taken none, or does not say."""
        shown = await self._shown()
        return min(numbers.get(shown.get(STATS[name], ""), 0) for name, numbers in self._numbers.items())

    async def _shown(self) -> Mapping[str, str]:
        query = f"{self._admin}/stats?format=json&type=TextReadouts"
        try:
            async with aiohttp.request("GET", query, timeout=_TIMEOUT, raise_for_status=True) as answer:
                stats: list[Mapping[str, Any]] = (await answer.json(content_type=None))["stats"]
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}
        return {each["name"]: each["value"] for each in stats if "name" in each}
