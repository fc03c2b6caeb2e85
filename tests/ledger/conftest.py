"""What the ledger's tests share: real databases, and a real API server."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from maas_operator.api import crd
from maas_operator.api.kinds import API_KEY, MODEL_SERVICE
from maas_operator.api.names import GROUP
from maas_operator.ledger.database import open_database
from tests.cluster import Cluster
from tests.ledger.postgresql import PostgreSql
from tests.processes import free_port

NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "25"))


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSql]:
    server = PostgreSql(tmp_path_factory.mktemp("postgresql") / "data", free_port())
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgreSql = request.getfixturevalue("postgresql")
    with psycopg.connect(server.url) as connection:
        connection.execute(
            "DROP TABLE IF EXISTS usage, position, event, notification, instance, tariff, schema_version"
        )
    return server.url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real etcd and API server that knows ApiKeys and ModelServices."""
    made = Cluster(NUMBER, tmp_path_factory.mktemp("cluster"))
    made.down()
    try:
        made.up("api")
        for kind in (API_KEY, MODEL_SERVICE):
            made.kubectl("apply", "--server-side", "-f", "-", stdin=crd.render(kind))
            made.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", f"{kind.plural}.{GROUP}")
        yield made
    finally:
        made.down()
