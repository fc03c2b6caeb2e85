"""The ledger's answers over HTTP; who asks is taken for granted."""

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import QueuePool, create_engine

from maas_operator.api.usage import LEDGER_TOKEN_HEADER
from maas_operator.ledger import history
from maas_operator.ledger.database import open_database
from maas_operator.ledger.identity import Identity
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger


async def gateway(_: str) -> Identity:
    return Identity("maas-system", "gateway")


@pytest.mark.parametrize(("query", "lines"), [("", 1), ("by=account,key", 0), ("key=ci&by=key", 0), ("by=day", 0)])
async def test_where_nothing_was_used_there_is_nothing_to_tell(tmp_path: Path, query: str, lines: int) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    made = Ledger(engine, gateway, Access("maas-system", "gateway", "operator"), Meters())
    async with TestClient(TestServer(made.application())) as client:
        answer = await client.get(f"/v1/usage?{query}", headers={LEDGER_TOKEN_HEADER: "any"})
        assert answer.status == 200
        assert (await answer.text()).count("\n") == lines
    engine.dispose()


async def test_m11_when_all_connections_are_taken_it_is_a_503_and_old_events_are_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PRUNE_SECONDS", 0.01)
    url = f"sqlite:///{tmp_path}/ledger.db"
    open_database(url).dispose()
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    made = Ledger(engine, gateway, Access("maas-system", "gateway", "operator"), Meters())
    with engine.connect():
        pruning = asyncio.create_task(made.prune_now_and_then())
        async with TestClient(TestServer(made.application())) as client:
            answer = await client.get("/v1/events", headers={LEDGER_TOKEN_HEADER: "any"})
            assert answer.status == 503
        done, _ = await asyncio.wait({pruning}, timeout=0.2)
    assert not done
    pruning.cancel()
    engine.dispose()
