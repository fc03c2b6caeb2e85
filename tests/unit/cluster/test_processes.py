"""A process is ours by pid and start time, and ends when it is told to."""

import signal
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Processes, Record, start_time


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def test_a_process_is_started_once_and_ended(processes: Processes) -> None:
    processes.start("sleeper", ["sleep", "60"])
    first = processes.record("sleeper")
    processes.start("sleeper", ["sleep", "60"])
    assert processes.record("sleeper") == first
    assert processes.names() == ["sleeper"]
    processes.stop("sleeper", signal.SIGKILL)
    assert not processes.running("sleeper")


def test_a_process_comes_back_as_it_was(processes: Processes) -> None:
    processes.start("sleeper", ["sleep", "60"], {"COLOR": "red"})
    processes.stop("sleeper")
    processes.restart("sleeper")
    record = processes.record("sleeper")
    assert record is not None
    assert record.running
    assert (record.argv, record.environment) == (["sleep", "60"], {"COLOR": "red"})
    processes.stop("sleeper")


def test_a_pid_that_another_process_has_by_now_is_not_ours() -> None:
    started = start_time(1)
    assert started is not None
    assert Record("init", [], {}, None, pid=1, started=started).running
    assert not Record("init", [], {}, None, pid=1, started=started + 1).running


def test_a_process_that_dies_while_starting_fails_at_once_with_its_words_and_its_log(processes: Processes) -> None:
    processes.start("broken", ["sh", "-c", "echo no such flag; exit 1"])
    with pytest.raises(ClusterError, match=r"(?s)broken ended while starting.*broken\.log.*no such flag"):
        processes.wait("broken", lambda: False, limit=30)


def test_restarting_what_was_never_started_says_what_there_is(processes: Processes) -> None:
    processes.start("sleeper", ["sleep", "60"])
    with pytest.raises(ClusterError, match="no process etcd; it has sleeper"):
        processes.restart("etcd")
    processes.stop("sleeper")
