"""Compare relays: udpulse, a minimal poll loop in C, asyncio, and socat if installed.

Build first: maturin develop --release. Needs a C compiler. The relay runs on core 0, the load and
the echo server behind the relay on core 1, all in turns. The output has medians over the rounds of
the median round trip that a relay adds, and of the packets that it carries per second of CPU time,
each way counted, with 1 and with 1,000 clients; and the range of udpulse's ratio to each relay in
the same round. At the end it has the memory of udpulse with 10,000 clients. It takes less than two
minutes.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROUNDS = 3
SECONDS = 1.0

OURS = """
import sys, udpulse
with udpulse.Relay("127.0.0.1", int(sys.argv[1]), keep=0) as relay:
    print(relay.address[1], flush=True)
    sys.stdin.read()
"""
ASYNCIO = """
import asyncio, socket, sys

class Upstream(asyncio.DatagramProtocol):
    def __init__(self, listener, client):
        self.listener, self.client = listener, client
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, _):
        self.listener.sendto(data, self.client)

class Listener(asyncio.DatagramProtocol):
    def __init__(self):
        self.sessions = {}
    def connection_made(self, transport):
        self.transport = transport
        # SO_RCVBUFFORCE, as udpulse does.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
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
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
os.execvp("socat", ["socat", "-b65536", f"UDP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr",
                    f"UDP4:127.0.0.1:{sys.argv[1]}"])
"""


def built(folder: str) -> tuple[str, dict[str, list[str]]]:
    """Compile the programs in C. Return the load, and the relays; each takes the port behind it."""
    sources = Path(__file__).with_suffix("")
    for name in ("load", "relay"):
        words = ["cc", "-O2", "-o", f"{folder}/{name}", str(sources / f"{name}.c")]
        subprocess.run(words, check=True)
    relays = {
        "udpulse": [sys.executable, "-c", OURS],
        "poll loop in C": [f"{folder}/relay"],
        "asyncio": [sys.executable, "-c", ASYNCIO],
    }
    if shutil.which("socat"):
        relays["socat"] = [sys.executable, "-c", SOCAT]
    return f"{folder}/load", relays


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


def cpu_ns(group: int) -> int:
    """Return the CPU time of a group of processes and of those that it had."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(map(int, fields[11:15]))
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def memory_kib(process: int) -> int:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def run(load: str, *words: object) -> list[int]:
    """Run the load; return its numbers."""
    command = ["taskset", "-c", "1", load, *map(str, words)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return [int(word) for word in ended.stdout.split()]


def added_us(load: str, behind: int, command: list[str]) -> float:
    """Return the median round trip that a relay adds, in microseconds."""
    with served(0, [*command, str(behind)]) as (_, port):
        run(load, "rtt", port, 200)
        (through,) = run(load, "rtt", port, 5000)
        (direct,) = run(load, "rtt", behind, 5000)
        return (through - direct) / 1e3


def packets(load: str, behind: int, command: list[str], clients: int, window: int) -> float:
    """Return the thousands of packets that a relay carries per second of CPU time."""
    with served(0, [*command, str(behind)]) as (group, port):
        words = ["taskset", "-c", "1", load, "rate", *map(str, (port, clients, window, SECONDS))]
        with subprocess.Popen(words, stdout=-1, text=True) as process:
            assert process.stdout is not None
            # All sessions are open.
            assert process.stdout.readline() == "ready\n"
            before = cpu_ns(group)
            came, again = map(int, process.stdout.readline().split())
            used = cpu_ns(group) - before
    if again > clients:
        print(f"{command[0]}: {again} times a client lost all its datagrams", file=sys.stderr)
    return 2 * came / used * 1e6


def show(title: str, figures: dict[str, list[float]]) -> None:
    """Print the medians, and the ratios of udpulse to the others."""
    print(f"\n{title}")
    for name, values in figures.items():
        ratios = sorted(a / b for a, b in zip(figures["udpulse"], values, strict=True))
        text = f"{statistics.median(ratios):8.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<16}{statistics.median(values):9.1f}{text if name != 'udpulse' else ''}")


def crowd(load: str, behind: int, command: list[str], clients: int) -> None:
    """Print the memory of a relay with many clients, and after they have sent more."""
    with served(0, [*command, str(behind)]) as (group, port):
        empty = memory_kib(group)
        words = ["taskset", "-c", "1", load, "open", str(port), str(clients)]
        with subprocess.Popen(words, stdin=-1, stdout=-1, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            seen = []
            for _ in range(4):
                came = int(process.stdout.readline())
                seen.append((came, memory_kib(group) - empty))
                process.stdin.write("\n")
                process.stdin.flush()
            process.kill()
    print(f"\n{clients} clients, four times: datagrams that came back, KiB beyond an empty relay")
    print(*(f"{came} {kib}" for came, kib in seen), sep=", ")


def main() -> None:
    """Compare in turns and print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        load, relays = built(folder)
        with served(1, [load, "echo"]) as (_, behind):
            rounds: list[dict[str, tuple[float, float, float]]] = [
                {
                    name: (
                        added_us(load, behind, command),
                        packets(load, behind, command, 1, 64),
                        packets(load, behind, command, 1000, 1),
                    )
                    for name, command in relays.items()
                }
                for _ in range(ROUNDS)
            ]
            titles = (
                "added to the median round trip, in us",
                "thousands of packets per second of CPU time, 1 client with a window of 64",
                "the same, 1,000 clients",
            )
            for index, title in enumerate(titles):
                show(title, {name: [one[name][index] for one in rounds] for name in relays})
            crowd(load, behind, relays["udpulse"], 10_000)


if __name__ == "__main__":
    main()
