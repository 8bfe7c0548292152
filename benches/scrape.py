"""A scrape of 1,000 targets, and 200 viewers of a status page with as many.

Run by `python benches/scrape.py`; needs the extra `metrics`. Sends over loopback only.
"""

import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import prometheus_client

from udpulse import EchoServer, PingSweep, metrics
from udpulse.monitor._http import serve_http
from udpulse.monitor._status import HttpConfig

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from monitors import FakeMonitor, row

TARGETS = 1000
VIEWERS = 200
SECONDS = 10


def median_ms(call: Callable[[], object], times: int = 9) -> float:
    """Return the median time of a call, in milliseconds."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1e3


def scrapes() -> None:
    """Measure pages of targets that have answered more often than values are kept apart."""
    with EchoServer("0.0.0.0", port=0) as server:
        port = server.address[1]
        targets = [(f"127.0.{n // 250}.{n % 250 + 1}", port) for n in range(TARGETS)]
        for count in (20, 1100):
            with PingSweep(targets, count=count, rate=100_000, keep=0) as sweep:
                answered = sum(report.answered for report in sweep)
                sources: list[metrics.Source] = [("many", sweep)]
                text = median_ms(lambda sources=sources: metrics.render(sources))
                openmetrics = median_ms(
                    lambda sources=sources: metrics.render(sources, openmetrics=True)
                )
                size = len(metrics.render(sources))
            registry = prometheus_client.CollectorRegistry()
            registry.register(metrics.Collector(sources))
            by_client = median_ms(
                lambda registry=registry: prometheus_client.generate_latest(registry), 1
            )
            print(
                f"{TARGETS} targets, {answered} probes answered: text {text:.1f} ms, OpenMetrics "
                f"{openmetrics:.1f} ms, {size / 1e6:.1f} MB; prometheus_client {by_client:.0f} ms"
            )


def view(port: int, viewers: int) -> None:
    """Read the streams of many viewers until the server ends them."""
    selector = selectors.DefaultSelector()
    for _ in range(viewers):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        selector.register(stream, selectors.EVENT_READ)
    print("ready", flush=True)
    received = 0
    while selector.get_map():
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(1 << 20)
            received += len(data)
            if not data:
                selector.unregister(key.fileobj)
    print(received)


def used() -> float:
    """Return the processor time of this process, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def viewers() -> None:
    """Measure 1,000 targets, 17 other ones each second: all of them in a minute."""
    for count in (0, 1, VIEWERS):
        monitor = FakeMonitor([row(f"host {n}") for n in range(TARGETS)])
        server = serve_http(monitor, HttpConfig(port=0))
        command = [sys.executable, __file__, str(server.address[1]), str(count)]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert watching.stdout
        watching.stdout.readline()
        before = used()
        for second in range(SECONDS):
            for n in range(17):
                monitor.change(row(f"host {second * 17 + n}", p50=0.0002 + second * 1e-6))
            time.sleep(1)
        share = (used() - before) / SECONDS
        server.stop()
        received = int(watching.stdout.readline())
        watching.wait()
        print(
            f"{count:>3} viewers: {share:.1%} of a core, "
            f"{received / max(count, 1) / SECONDS / 1e3:.1f} kB/s each"
        )


if __name__ == "__main__":
    if sys.argv[1:]:
        view(*map(int, sys.argv[1:]))
    else:
        scrapes()
        viewers()
