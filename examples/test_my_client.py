"""Tests a client of your own against paths that lose, duplicate and delay packets.

pytest examples/test_my_client.py
"""

import socket

import pytest

from udpulse.impair import GilbertElliott, Link, Uniform
from udpulse.pytest_plugin import EchoOptions, EchoServerFactory


def fetch(client: socket.socket, address: tuple[str, int], chunk: bytes) -> None:
    """The client under test: it asks for a chunk until it has it."""
    for _ in range(20):
        client.sendto(chunk, address)
        try:
            while client.recv(2048) != chunk:
                pass  # a late reply to an earlier question
            return
        except TimeoutError:
            pass
    raise TimeoutError(f"no answer for {chunk!r}")


PATHS: dict[str, EchoOptions] = {
    "bursts": {"uplink": Link(loss=GilbertElliott(p=0.1, r=0.4)), "seed": 11},
    "duplicates": {"downlink": Link(duplication=0.3), "seed": 11},
    "jitter": {"downlink": Link(delay=Uniform(0.0, 0.02)), "seed": 11},
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_all_chunks_arrive(echo_server: EchoServerFactory, path: EchoOptions) -> None:
    """Every chunk arrives, whatever the path does."""
    server = echo_server(**path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.05)
        for number in range(30):
            fetch(client, server.address, b"chunk %d" % number)
    assert server.counters.received >= 30
