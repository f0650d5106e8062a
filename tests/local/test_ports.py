from __future__ import annotations

import socket

from fedsnap.local.ports import COMPANION, free_ports, is_free


def test_ports_are_different_and_free_with_their_companions():
    found = free_ports(str(number) for number in range(50))
    assert len(set(found.values())) == 50
    assert all(is_free(port) and is_free(port + COMPANION) for port in found.values())


def test_ports_lie_below_those_of_outgoing_connections():
    assert max(free_ports(str(number) for number in range(50)).values()) + COMPANION < 32768


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
