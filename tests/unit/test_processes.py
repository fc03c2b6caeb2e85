"""The ports that tests and benchmarks take."""

import socket
import subprocess
import sys

import pytest

from tests import processes
from tests.processes import free_port


def test_a_port_is_not_given_twice() -> None:
    """Who asked for it may listen only after others asked: a gateway takes six before its Envoy starts."""
    ports = [free_port() for _ in range(500)]

    assert len(set(ports)) == len(ports)


def test_a_port_that_another_process_was_given_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "from tests.processes import free_port; print(free_port(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", theirs], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        taken = int(other.stdout.readline())
        monkeypatch.setattr(processes, "_NEXT_PORTS", iter((taken, free_port())))

        assert free_port() != taken
        other.communicate("\n")

    monkeypatch.setattr(processes, "_NEXT_PORTS", iter((taken,)))
    assert free_port() == taken


def test_a_port_that_somebody_listens_on_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        free = free_port()
        monkeypatch.setattr(processes, "_NEXT_PORTS", iter((listening.getsockname()[1], free)))

        assert free_port() == free
