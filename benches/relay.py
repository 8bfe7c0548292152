"""Compare relays: udpulse, a minimal poll loop in C, asyncio, and socat if installed.

Build first: cargo bench --no-run --no-default-features; maturin develop --release. The relay runs
on core 0, the load and the echo server behind the relay on core 1, in turns. The output has medians
over the rounds of the median round trip that a relay adds, and of its CPU time per datagram carried
there and back, with 1 and with 1,000 clients, each with the range of its ratio to udpulse in the
same round.
"""

import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import udpulse

ROUNDS = 5

OURS = """
import sys, udpulse
with udpulse.Relay("127.0.0.1", int(sys.argv[1]), keep=0) as relay:
    print(relay.address[1], flush=True)
    sys.stdin.read()
"""
ASYNCIO = """
import asyncio, sys

class Upstream(asyncio.DatagramProtocol):
    def __init__(self, listener, client):
        self.listener, self.client, self.early = listener, client, []
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, _):
        self.listener.sendto(data, self.client)

class Listener(asyncio.DatagramProtocol):
    def __init__(self):
        self.sessions = {}
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, client):
        if client in self.sessions:
            self.sessions[client].transport.sendto(data)
        else:
            asyncio.ensure_future(self.open(data, client))
    async def open(self, data, client):
        make = lambda: Upstream(self.transport, client)
        _, session = await loop.create_datagram_endpoint(
            make, remote_addr=("127.0.0.1", int(sys.argv[1])))
        self.sessions[client] = session
        session.transport.sendto(data)

async def main():
    global loop
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
SOCAT = """
import os, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
print(port, flush=True)
os.execvp("socat", ["socat", "-b65536", f"UDP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr",
                    f"UDP4:127.0.0.1:{sys.argv[1]}"])
"""
HELPER = max(
    (p for p in glob.glob("target/release/deps/echo-*") if os.access(p, os.X_OK)),
    key=os.path.getmtime,
    default="",
)


def relays(folder: str) -> dict[str, list[str]]:
    """Return the commands of the relays; each takes the port behind it."""
    found = {
        "udpulse": [sys.executable, "-c", OURS],
        "asyncio": [sys.executable, "-c", ASYNCIO],
    }
    if compiler := shutil.which("cc"):
        source = Path(__file__).with_suffix("") / "relay.c"
        subprocess.run([compiler, "-O2", "-o", f"{folder}/relay", source], check=True)
        found["poll loop in C"] = [f"{folder}/relay"]
    if shutil.which("socat"):
        found["socat"] = [sys.executable, "-c", SOCAT]
    return found


@contextmanager
def served(core: int, command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server; yield its process group and port."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def of_group(group: int) -> Iterator[list[str]]:
    """Return the fields of proc(5) from the third on for each process of a group."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = Path(path).read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            yield fields


def cpu_seconds(group: int) -> float:
    """Return the CPU time that a group of processes has taken."""
    ticks = sum(sum(map(int, fields[11:15])) for fields in of_group(group))
    return ticks / os.sysconf("SC_CLK_TCK")


def load(port: int, clients: int, window: int, count: int) -> int:
    """Send and receive datagrams; return how many came back."""
    words = [HELPER, "load", f"127.0.0.1:{port}", str(clients), str(window), str(count), "64"]
    command = ["taskset", "-c", "1", *words, "plain"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    return int(ended.stdout.split()[0])


def median_rtt(port: int) -> float:
    """Return the median round trip of a thousand probes, in seconds."""
    report = udpulse.ping("127.0.0.1", port, count=1000, interval=0.001)
    assert report.rtt.median is not None
    return report.rtt.median


def main() -> None:
    """Compare in turns and print the tables."""
    if not HELPER:
        sys.exit("build first: cargo bench --no-run --no-default-features")
    works = {
        "added round trip in us": (0, 0, 0),
        "CPU us per datagram, 1 client": (1, 64, 100_000),
        "CPU us per datagram, 1,000 clients": (1000, 1, 50_000),
    }
    with tempfile.TemporaryDirectory() as folder, served(1, [HELPER, "naive"]) as (_, behind):
        commands = relays(folder)
        figures: dict[str, dict[str, list[float]]] = {
            work: {name: [] for name in commands} for work in works
        }
        for _ in range(ROUNDS):
            for work, (clients, window, count) in works.items():
                for name, command in commands.items():
                    with served(0, [*command, str(behind)]) as (group, port):
                        if not clients:
                            load(port, 1, 1, 1)
                            value = (median_rtt(port) - median_rtt(behind)) * 1e6
                        else:
                            load(port, clients, window, clients * window)
                            before = cpu_seconds(group)
                            came = load(port, clients, window, count)
                            value = (cpu_seconds(group) - before) / came * 1e6
                        figures[work][name].append(value)
        for work, of_work in figures.items():
            print(f"\n{work}")
            for name, values in of_work.items():
                ratios = [a / b for a, b in zip(values, of_work["udpulse"], strict=True)]
                print(
                    f"{name:<16}{statistics.median(values):9.2f}"
                    f"{statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                )


if __name__ == "__main__":
    main()
