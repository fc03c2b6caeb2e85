"""The shipper on a real folder, with a ledger that can be away, restored or far behind."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from maas_operator.api.usage import Batch, Receipt
from maas_operator.gateway.shipping import counters
from maas_operator.gateway.shipping.logs import Logs
from maas_operator.gateway.shipping.sending import NotAcknowledgedError
from maas_operator.gateway.shipping.shipper import Settings, Shipper
from tests.unit.shipping.lines import line, total


class Ledger:
    """Counts as the real one does."""

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.tokens = 0
        self.away = False

    async def send(self, batch: Batch) -> Receipt:
        if self.away:
            raise NotAcknowledgedError("away")
        position = self.positions.get(batch.log, 0)
        if batch.start != position:
            return Receipt(acknowledged=position, counted=False)
        self.positions[batch.log] = batch.end
        self.tokens += total(batch.rows, "prompt_tokens")
        return Receipt(acknowledged=batch.end, counted=True)


class Scene:
    """A log, a ledger, and shippers."""

    def __init__(self, folder: Path) -> None:
        self.current = folder / "access.log"
        self.ledger = Ledger()

    def shipper(self, **settings: int) -> Shipper:
        sizes = {"batch_size": 1000, "rotate_size": 2000} | settings
        return Shipper(Settings("pod", self.current, **sizes), self.ledger.send, self.reopen)

    async def reopen(self) -> None:
        self.current.touch()

    def write(self, *numbers: int) -> None:
        with self.current.open("ab") as file:
            for number in numbers:
                file.write(line(number, prompt_tokens=1))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.current.parent.iterdir())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_shipper_that_starts_anew_is_told_where_to_go_on(scene: Scene) -> None:
    scene.write(*range(5))
    await scene.shipper(rotate_size=10**6).ship()
    scene.write(5)
    await scene.shipper(rotate_size=10**6).ship()
    assert scene.ledger.tokens == 6


async def test_a_ledger_restored_from_a_backup_gets_what_is_still_there(scene: Scene) -> None:
    shipper = scene.shipper(rotate_size=10**6)
    scene.write(*range(5))
    await shipper.ship()
    scene.ledger.positions, scene.ledger.tokens = {}, 0
    scene.write(5)
    await shipper.ship()
    assert scene.ledger.tokens == 6


async def test_a_log_is_set_aside_when_it_is_large_and_goes_when_it_is_acknowledged(scene: Scene) -> None:
    shipper = scene.shipper()
    scene.write(*range(20))
    await shipper.ship()
    assert len(scene.files()) == 2
    await shipper.ship()
    assert (scene.files(), scene.ledger.tokens) == (["access.log"], 20)


async def test_an_inode_that_is_used_again_is_another_log(scene: Scene) -> None:
    """ext4 and tmpfs give a new file the inode of one that was just removed."""
    shipper = scene.shipper()
    for number in range(10):
        scene.write(number)
        await shipper.ship()
        scene.current.unlink()
    assert (scene.ledger.tokens, len(scene.ledger.positions)) == (10, 10)


async def test_too_much_of_a_backlog_is_given_up_oldest_first_and_said(scene: Scene) -> None:
    scene.ledger.away = True
    shipper = scene.shipper(rotate_size=2000, largest_backlog=10_000)
    before = counters.DROPPED._value.get()
    with capture_logs() as logs:
        for number in range(0, 100, 10):
            scene.write(*range(number, number + 10))
            with pytest.raises(NotAcknowledgedError):
                await shipper.ship()
    said = [each for each in logs if each["event"] == "usage is given up: the ledger was away too long"]
    lost = sum(each["accounts"]["team-a"]["prompt_tokens"] for each in said)
    assert counters.DROPPED._value.get() - before == sum(each["bytes"] for each in said) > 0
    assert sum(path.stat().st_size for path in scene.current.parent.iterdir()) <= 10_000
    assert counters.WAITING._value.get() > 5_000
    scene.ledger.away = False
    await shipper.ship()
    assert scene.ledger.tokens + lost == 100, "what is given up is told exactly"


def test_the_order_of_logs_holds_when_the_clock_is_set_back(scene: Scene) -> None:
    scene.write(1)
    scene.current.rename(scene.current.with_name("access.log.99999999999999999999"))
    scene.write(2)
    Logs(scene.current).set_aside()
    scene.write(3)
    assert [log.path.suffix for log in Logs(scene.current).present()] == [
        ".99999999999999999999",
        ".100000000000000000000",
        ".log",
    ]
