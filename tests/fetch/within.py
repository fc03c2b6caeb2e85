"""A fetch inside the test's own process."""

from pathlib import Path

from maas_operator.api.sources import read
from maas_operator.fetch.cache import Cache
from maas_operator.fetch.fetching import Fetch
from maas_operator.fetch.origins import origin_of

CALLED = "the cache of node-1"


def a_fetch(source: str, cache: Path, account: str | None = None) -> Fetch:
    found = read(source)
    return Fetch(source, found, lambda: origin_of(found), Cache(cache, CALLED), found.folder(account))
