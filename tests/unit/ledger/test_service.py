"""The ledger's answers over HTTP; who asks is taken for granted."""

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from maas_operator.api.usage import LEDGER_TOKEN_HEADER
from maas_operator.ledger.database import open_database
from maas_operator.ledger.identity import Identity
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.service import Access, Ledger


async def gateway(_: str) -> Identity:
    return Identity("maas-system", "gateway")


@pytest.mark.parametrize(("query", "lines"), [("", 1), ("by=account,key", 0), ("key=ci&by=key", 0), ("by=day", 0)])
async def test_where_nothing_was_used_there_is_nothing_to_tell(tmp_path: Path, query: str, lines: int) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    made = Ledger(engine, gateway, Access("maas-system", "gateway"), Meters())
    async with TestClient(TestServer(made.application())) as client:
        answer = await client.get(f"/v1/usage?{query}", headers={LEDGER_TOKEN_HEADER: "any"})
        assert answer.status == 200
        assert (await answer.text()).count("\n") == lines
    engine.dispose()
