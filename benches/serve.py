"""A monitor with 500 targets every second and 100,000 clients that beat every ten.

Run by `python benches/serve.py [SECONDS]`, 600 unless given. Sends over loopback only.
"""

import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from udpulse.monitor import Monitor

TARGETS = 500
CLIENTS = 100_000
INTERVAL = 10.0

ECHO = """
import time
from udpulse import EchoServer
with EchoServer("0.0.0.0", port=0, keep=0) as server:
    print(server.address[1], flush=True)
    time.sleep(1e6)
"""

# As many clients as one process can be: each datagram is a beat in another name.
BEATS = f"""
import socket, sys, time
clients = socket.socket(type=socket.SOCK_DGRAM)
clients.connect(("127.0.0.1", int(sys.argv[1])))
start, seq = time.monotonic(), 0
while True:
    for client in range({CLIENTS}):
        if client % 100 == 0:
            due = start + {INTERVAL} * (seq + client / {CLIENTS})
            time.sleep(max(due - time.monotonic(), 0))
        clients.send(b"hb;i={INTERVAL * 1000:.0f};b=1;id=client-%d %d" % (client, seq))
    seq += 1
"""

CONFIG = """
[[ping_many]]
interval = 1.0
targets = {targets}
[heartbeat]
port = 0
max_peers = {clients}
[http]
port = 0
[store]
path = "monitor.db"
"""


def seconds_of_cpu() -> float:
    """Return the time that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def latency(url: str) -> float:
    """Return the time of a request, in milliseconds."""
    start = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return (time.perf_counter() - start) * 1e3


def main(seconds: float) -> None:
    """Run a monitor, and print its costs ten times."""
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    assert echo.stdout is not None
    port = int(echo.stdout.readline())
    targets = [f"127.0.{n // 250}.{n % 250 + 1}:{port}" for n in range(TARGETS)]
    with TemporaryDirectory() as folder:
        file = Path(folder, "monitor.toml")
        listed = str(targets).replace("'", '"')
        file.write_text(CONFIG.format(targets=listed, clients=CLIENTS))
        with Monitor(file) as monitor:
            (server,) = (s.object for s in monitor.sources() if s.kind == "heartbeat")
            beats = subprocess.Popen([sys.executable, "-c", BEATS, str(server.address[1])])
            host, http = monitor.http_address or ("", 0)
            try:
                for _ in range(10):
                    cpu, start = seconds_of_cpu(), time.monotonic()
                    pages, scrapes = [], []
                    while time.monotonic() < start + seconds / 10:
                        time.sleep(min(15.0, seconds / 10))
                        pages.append(latency(f"http://{host}:{http}/api/"))
                        scrapes.append(latency(f"http://{host}:{http}/metrics"))
                    share = (seconds_of_cpu() - cpu) / (time.monotonic() - start)
                    snapshot = monitor.snapshot()
                    states = ", ".join(f"{n} {state}" for state, n in snapshot.clients.items())
                    print(
                        f"{share:.1%} of a core, {resident_mib():.0f} MiB,"
                        f" page {statistics.median(pages):.0f} ms,"
                        f" scrape {statistics.median(scrapes):.0f} ms; clients: {states};"
                        f" {snapshot.observer.receive_drops} dropped",
                        flush=True,
                    )
            finally:
                beats.kill()
                echo.kill()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
