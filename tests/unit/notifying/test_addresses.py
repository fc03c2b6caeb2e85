"""M9: which addresses messages may go to."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.act.notifying.addresses import Guard, PrivateAddressError, public, public_socket


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "::ffff:0:10.0.0.1", "fec0::1", "2002:a00:1::1",
        "localhost", "", "10.0.0.1.example.com",
    ],
)  # fmt: skip
def test_private(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public(address: str) -> None:
    assert public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_in_ipv6_as_by_itself(address: object) -> None:
    assert public(f"::ffff:{address}") == public(str(address)) == public(f"64:ff9b::{address}")


def test_no_socket_is_made_for_a_private_address() -> None:
    with pytest.raises(PrivateAddressError, match=r"notifications\.allowPrivate=true"):
        public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)))
    public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 80))).close()


def test_a_held_thread_connects_to_no_private_address_and_others_do() -> None:
    guard, refused = Guard(), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def held() -> None:
            with guard.held():
                for kind, send in ((socket.SOCK_STREAM, "connect"), (socket.SOCK_DGRAM, "sendto")):
                    with socket.socket(socket.AF_INET, kind) as made:
                        try:
                            made.connect(address) if send == "connect" else made.sendto(b"x", address)
                        except PrivateAddressError:
                            refused.append(send)
            refused.append(str(guard.refused))
            with socket.create_connection(address):
                refused.append("and free again")

        thread = threading.Thread(target=held)
        thread.start()
        with socket.create_connection(address):
            thread.join()
    assert refused == ["connect", "sendto", "True", "and free again"]
