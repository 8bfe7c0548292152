"""Stop-and-wait round trips on loopback: PingClient against sockperf and a plain socket client.

Servers run on core 0, clients on core 1, all in turns. The output has the medians over the rounds
of each client's median round trip, and of the ratios within a round. On two cores most of a round
trip is the time to wake them, which all clients share; so PingClient and the plain client also run
with the server on their own core, which never idles. Needs Linux, two cores and sockperf.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import udpulse

ROUNDS = 7
SECONDS = 0.5
SERVER = """
import os, sys, udpulse
os.sched_setaffinity(0, {int(sys.argv[2])})
if sys.argv[3] == "first":
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
with udpulse.EchoServer(sys.argv[1], 0, keep=0) as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
"""


@contextmanager
def echo_server(host: str = "127.0.0.1", *, core: int = 0, first: bool = False) -> Iterator[int]:
    """Run an EchoServer on a core, with real-time priority if `first`; yield its port."""
    command = [sys.executable, "-c", SERVER, host, str(core), "first" if first else "fair"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.communicate()


@contextmanager
def sockperf_server() -> Iterator[int]:
    """Run sockperf's server on core 0; yield its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = ["taskset", "-c", "0", "sockperf", "server", "-i", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            while not with_sockperf(port):  # until it has started
                pass
            yield port
        finally:
            server.terminate()


def with_udpulse(port: int, **options: bool | str) -> udpulse.PingReport:
    """Ping with udpulse."""
    report = udpulse.ping("127.0.0.1", port, duration=SECONDS, keep=0, **options)  # type: ignore[arg-type]
    assert report.loss == 0, report
    return report


def median(distribution: udpulse.reports.Distribution) -> float:
    """Return the median in seconds."""
    assert distribution.median is not None
    return distribution.median


def with_stdlib(port: int) -> float:
    """Return the median round trip as a student of the lab would measure it, in seconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        end = time.perf_counter() + SECONDS
        while (start := time.perf_counter()) < end:
            client.sendto(b"Ping %d %f" % (len(times), time.time()), ("127.0.0.1", port))
            client.recvfrom(1024)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def with_sockperf(port: int) -> float:
    """Return sockperf's median round trip in seconds; 0 if there is no answer."""
    command = ["sockperf", "ping-pong", "-i", "127.0.0.1", "-p", str(port), "--full-rtt"]
    command += ["-m", "24", "-t", "1"]
    ran = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"percentile 50\.000 =\s*([0-9.]+)", ran.stdout)
    return float(found[1]) / 1e6 if found else 0.0


def main() -> None:
    """Run all clients in turns and print medians and ratios."""
    if shutil.which("sockperf") is None:
        sys.exit("sockperf is not installed")
    os.sched_setaffinity(0, {1})
    with echo_server() as ours, echo_server(core=1) as near, sockperf_server() as theirs:
        runs: dict[str, Callable[[], float]] = {
            "sockperf": lambda: with_sockperf(theirs),
            "stdlib": lambda: with_stdlib(ours),
            "udpulse": lambda: median(with_udpulse(ours).rtt),
            "udpulse, precise": lambda: median(with_udpulse(ours, precise=True).rtt),
            "udpulse, kernel RTT": lambda: median(
                with_udpulse(ours, timestamps="kernel").kernel_rtt
            ),
            "stdlib, one core": lambda: with_stdlib(near),
            "udpulse, one core": lambda: median(with_udpulse(near).rtt),
        }
        rounds = [{name: run() for name, run in runs.items()} for _ in range(ROUNDS)]
    for name in runs:
        time_us = statistics.median(one[name] for one in rounds) * 1e6
        near_peers = ["stdlib, one core"]
        peers = near_peers if name.endswith("one core") else ["sockperf", "stdlib"]
        ratios = ", ".join(
            f"{statistics.median(one[name] / one[peer] for one in rounds):.2f} x {peer}"
            for peer in peers
        )
        print(f"{name}: {time_us:.1f} us, {ratios}")


if __name__ == "__main__":
    main()
