"""`kubectl maas logs`: which runs are read, and what becomes of their lines."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from maas_operator.cli import logs
from maas_operator.cli.errors import AwayError, CliError
from maas_operator.cli.logs import Follower, Run, chosen, line_of, readable, run_of
from maas_operator.cli.pods import Pods

RUNNING, ENDED = {"running": {"startedAt": "now"}}, {"terminated": {"exitCode": 1}}
WAITING = {"waiting": {"reason": "ContainerCreating"}}
SERVICE = {"metadata": {"name": "assistant"}, "status": {"phase": "Stopped"}}


def pod(name: str, restarts: int = 0, state: Any = RUNNING, last: Any = None) -> dict[str, Any]:
    engine = {"name": "engine", "restartCount": restarts, "state": state, "lastState": last or {}}
    return {"metadata": {"name": name}, "status": {"containerStatuses": [{"name": "sidecar"}, engine]}}


def test_a_run_is_what_has_said_something() -> None:
    assert run_of(pod("a")) == Run("a", 0)
    assert run_of(pod("a", 3, {"waiting": {"reason": "CrashLoopBackOff"}}, ENDED)) == Run("a", 3)
    assert run_of(pod("a", 0, WAITING)) is None
    assert run_of({"metadata": {"name": "a"}, "status": {}}) is None


def test_a_line_is_told_from_its_time_and_obeyed_by_no_terminal() -> None:
    line = line_of("a", "2026-01-02T03:04:05.123456789Z \x1b[32mINFO\x1b[0m\tready \x07é")
    assert line.at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert line.text == "INFO\tready ?é"
    assert line_of("a", "unable to retrieve container logs").text == "unable to retrieve container logs"


def test_of_an_instance_of_several_hosts_the_first_is_read_and_another_by_its_name() -> None:
    leader, worker = pod("set-0"), pod("set-0-1")
    worker["metadata"]["labels"] = {"leaderworkerset.sigs.k8s.io/worker-index": "1"}
    leader["metadata"]["labels"] = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
    assert chosen([leader, worker], None, SERVICE, waits=False) == [leader]
    assert chosen([leader, worker], "set-0-1", SERVICE, waits=False) == [worker]


def test_m11_an_instance_that_is_not_there_is_answered_with_those_that_are() -> None:
    assert chosen([pod("a"), pod("b")], "b", SERVICE, waits=False) == [pod("b")]
    with pytest.raises(CliError, match="has no instance c: it has a, b"):
        chosen([pod("b"), pod("a")], "c", SERVICE, waits=True)
    with pytest.raises(CliError, match="has no instance: it is Stopped; kubectl maas get assistant says why"):
        chosen([], None, SERVICE, waits=False)
    assert chosen([], None, SERVICE, waits=True) == []


def test_m11_what_has_not_started_or_was_not_restarted_is_said() -> None:
    there = [pod("a", 0, WAITING), pod("b"), pod("c", 2)]
    assert readable(there, SERVICE, previous=False) == [Run("b", 0), Run("c", 2)]
    assert readable(there, SERVICE, previous=True) == [Run("c", 2)]
    with pytest.raises(CliError, match="no engine of service assistant has started yet"):
        readable(there[:1], SERVICE, previous=False)
    with pytest.raises(CliError, match="there is no previous run"):
        readable(there[:2], SERVICE, previous=True)


class Said(Pods):
    """What each run says, from a connection that breaks after two lines."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Any]] = []

    def log(self, pod: str, **asked: Any) -> Iterator[str]:
        self.asked.append((pod, asked["since"], asked["tail"]))
        again = sum(name == pod for name, _, _ in self.asked)
        for second in range(2 * again):
            yield f"2026-01-02T03:04:0{second}Z {pod} says {second}"
        if again == 2:
            raise CliError("gone")


def test_m11_following_reads_new_instances_and_restarts_whole_and_goes_on_after_a_break(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "AGAIN_SECONDS", 0.01)
    said = Said()
    follower = Follower(said, None)
    for each in (pod("a", 0, WAITING), pod("a"), pod("a")):
        follower.see(each, since=60, tail=5)
    texts = [told(follower) for _ in range(4)]
    assert texts == [f"a says {second}" for second in range(4)], "nothing twice, nothing lost"
    follower.see(pod("a", 0, ENDED))
    follower.see(pod("b"))
    assert [told(follower) for _ in range(2)] == ["b says 0", "b says 1"]
    asked = {(name, tail): since for name, since, tail in said.asked}
    assert asked["a", 5] == 60
    assert asked["b", None] is None
    assert asked["a", None] > 60, "from the last line on, and some more"
    follower.see(pod("b", 0, ENDED))


def test_m11_one_instance_can_be_followed_alone() -> None:
    said = Said()
    follower = Follower(said, "b")
    follower.see(pod("a"))
    follower.see(pod("b", 0, ENDED))
    assert told(follower) == "b says 0"
    assert {name for name, _, _ in said.asked} == {"b"}


class Breaking(Said):
    """Pods whose watch breaks twice, and is refused then."""

    def watch(self, service: str) -> Iterator[dict[str, Any]]:
        self.watched = getattr(self, "watched", 0) + 1
        if self.watched > 3:
            raise CliError("no longer allowed")
        if self.watched != 2:
            yield pod("abc"[self.watched - 1], 0, ENDED)
        raise AwayError(f"broken {self.watched}")


def test_m11_following_outlasts_a_watch_that_breaks_but_not_one_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "AGAIN_SECONDS", 0.01)
    said = Breaking()
    follower = Follower(said, None)
    follower.watch(SERVICE["metadata"]["name"])
    got = [follower.lines.get(timeout=10) for _ in range(5)]
    assert [str(each) for each in got if isinstance(each, CliError)] == ["no longer allowed"]
    assert {each.text for each in got if not isinstance(each, CliError)} == {
        f"{of} says {n}" for of in "ac" for n in "01"
    }
    broken = [line for line in capsys.readouterr().err.splitlines() if "broken" in line]
    assert broken == ["broken 1; it is tried again", "broken 3; it is tried again"], "once in a row"


def told(follower: Follower) -> str:
    line = follower.lines.get(timeout=10)
    assert not isinstance(line, CliError)
    return line.text
