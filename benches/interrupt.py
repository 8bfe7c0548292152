"""Measure how soon Ctrl-C ends a blocking call: from the signal to the KeyboardInterrupt."""

import os
import random
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable

import udpulse

ROUNDS = 20


def delay(block: Callable[[], object]) -> float:
    """Return the time from SIGINT to KeyboardInterrupt, in seconds."""
    sent = 0.0

    def interrupt() -> None:
        nonlocal sent
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(random.uniform(0.1, 0.2), interrupt).start()
    try:
        block()
    except KeyboardInterrupt:
        return time.perf_counter() - sent
    raise RuntimeError("the call ended by itself")


def main() -> None:
    """Interrupt each kind of wait; print the median and the longest delay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        silent = sink.getsockname()
        blocks: dict[str, Callable[[], object]] = {
            "ping": lambda: udpulse.ping(*silent, timeout=60),
            "PingClient": lambda: next(iter(udpulse.PingClient(*silent, timeout=60))),
            "EchoServer": lambda: next(iter(udpulse.EchoServer(port=0))),
            "HeartbeatServer": lambda: next(iter(udpulse.HeartbeatServer(port=0))),
        }
        for name, block in blocks.items():
            delays = [1000 * delay(block) for _ in range(ROUNDS)]
            print(f"{name}: median {statistics.median(delays):.0f} ms, max {max(delays):.0f} ms")


if __name__ == "__main__":
    main()
