"""What an agent goes by that starts while the API server is away."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from structlog.testing import capture_logs

from maas_operator.gateway import memory, publishing
from maas_operator.gateway.envoy.names import KEYS
from maas_operator.gateway.facts import Facts, Key, Limits, Service
from maas_operator.gateway.memory import FILE, FOLDER, Memory, lasting
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.settings import GatewaySettings
from tests.unit.gateway.test_properties import FACTS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = Key("team-a", "ci", "uid-ci", "0" * 64, limits=Limits(60, 1000), expires=NOW + timedelta(days=1))
SERVICE = Service("team-a", "chat", "id-chat", ("tiny", "chat"), "tiny", "v1", (("10.0.0.1", 8000),))
SOME = Facts((SERVICE,), (KEY,), replicas=(("10.0.0.9", 8080),))


@given(FACTS)
def test_what_is_kept_is_recalled(tmp_path_factory: pytest.TempPathFactory, facts: Facts) -> None:
    folder = tmp_path_factory.mktemp("envoy")
    Memory(folder).keep(facts)
    assert Memory(folder).recall() == replace(facts, over_limit=frozenset(), unreadable=())


def test_what_is_kept_is_private_and_written_only_when_it_is_another(tmp_path: Path) -> None:
    kept = Memory(tmp_path)
    kept.keep(SOME)
    file = tmp_path / FOLDER / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    inode = file.stat().st_ino
    kept.keep(replace(SOME, over_limit=frozenset({"team-a/ci"})))
    assert file.stat().st_ino == inode
    kept.keep(replace(SOME, keys=()))
    assert file.stat().st_ino != inode


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-10], "damaged"),
        (lambda text: text.replace(b"id-chat", b"id-chap"), "damaged"),
        (lambda text: b"0" + text, "of another version"),
        (lambda text: b"", "of another version"),
        (lambda text: b"\xff\n\x00", "of another version"),
    ],
)
def test_what_is_torn_garbled_or_of_another_version_is_ignored_and_said(
    tmp_path: Path, damage: Callable[[bytes], bytes], says: str
) -> None:
    Memory(tmp_path).keep(SOME)
    file = tmp_path / FOLDER / FILE
    file.write_bytes(damage(file.read_bytes()))
    with capture_logs() as logs:
        assert Memory(tmp_path).recall() is None
    (said,) = logs
    assert says in said["event"]
    assert said["file"] == str(file)


def test_where_nothing_was_kept_nothing_is_recalled(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert Memory(tmp_path).recall() is None
    assert not logs


def test_m22_what_was_kept_is_forgotten_before_envoy_is_told_of_a_deletion(tmp_path: Path) -> None:
    """An agent killed between the two must not bring the key back."""
    publisher = Publisher(GatewaySettings(), tmp_path, tmp_path / "access.log")
    publisher.put(SOME)
    publisher.begin()
    (tmp_path / f".{KEYS}.new").mkdir()  # Envoy's file cannot be written
    publisher.put(replace(SOME, keys=()))
    with pytest.raises(OSError, match=KEYS):
        publisher.begin()
    assert Memory(tmp_path).recall() is None


async def test_what_envoy_was_told_is_kept_a_moment_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "KEPT_AFTER", 0.01)
    publisher = Publisher(GatewaySettings(), tmp_path, tmp_path / "access.log")
    publisher.put(SOME)
    publisher.begin()
    assert Memory(tmp_path).recall() == SOME
    publisher.put(replace(SOME, keys=()))
    running = asyncio.create_task(publisher.run())
    async with asyncio.timeout(10):
        while True:
            if Memory(tmp_path).recall() == replace(SOME, keys=()):
                break
            await asyncio.sleep(0.01)
    running.cancel()


def test_whose_tokens_a_minute_are_used_up_changes_nothing_that_is_kept(tmp_path: Path) -> None:
    kept = Memory(tmp_path)
    kept.keep(SOME)
    kept.forget(replace(SOME, over_limit=frozenset({"team-a/ci"})))
    assert Memory(tmp_path).recall() == SOME


async def coming(*facts: Facts, after: asyncio.Event) -> AsyncIterator[Facts]:
    await after.wait()
    for each in facts:
        yield each


async def test_an_api_server_that_answers_is_believed_and_nothing_else() -> None:
    here = asyncio.Event()
    here.set()
    assert [each async for each in lasting(coming(Facts(), SOME, after=here), SOME)] == [Facts(), SOME]


async def test_while_it_is_away_what_was_last_known_counts_less_what_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "PATIENCE", 0.01)
    here = asyncio.Event()
    clock = iter((NOW, NOW + timedelta(days=1)))
    soon = replace(KEY, name="soon", expires=NOW + timedelta(seconds=0.01))
    stays = replace(KEY, name="stays", expires=None)
    remembered = replace(SOME, keys=(soon, stays))
    facts = lasting(coming(Facts(), after=here), remembered, lambda: next(clock))
    assert await anext(facts) == remembered
    assert await anext(facts) == replace(SOME, keys=(stays,))
    here.set()
    assert await anext(facts) == Facts()
