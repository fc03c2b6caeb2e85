"""The ports that tests and benchmarks take."""

from tests.processes import free_port


def test_a_port_is_not_given_twice() -> None:
    """Who asked for it may listen only after others asked: a gateway takes six before its Envoy starts."""
    ports = [free_port() for _ in range(500)]

    assert len(set(ports)) == len(ports)
