"""Compare echo servers: udpulse, a Python loop, a naive Rust loop, and sockperf if installed.

Build first: cargo bench --no-run --no-default-features; maturin develop --release. Servers run on
core 0 and the load on core 1, in turns. The output has medians of the datagrams echoed per second,
the server's CPU time per datagram, the share of time that the load spends sending, and the ratios
to the other servers of the same round.
"""

import glob
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 3

STDLIB = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    message, client = s.recvfrom(1024)
    s.sendto(message.upper(), client)
"""
OURS = """
import sys, udpulse
with udpulse.EchoServer(port=0, keep=0, transform="upper") as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
"""
HELPER = max(
    (p for p in glob.glob("target/release/deps/echo-*") if os.access(p, os.X_OK)),
    key=os.path.getmtime,
    default="",
)
SERVERS: dict[str, list[str]] = {
    "udpulse": [sys.executable, "-c", OURS],
    "stdlib": [sys.executable, "-c", STDLIB],
    "naive": [HELPER, "naive"],
}
SOCKPERF = """
import os, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
print(port, flush=True)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.execvp("sockperf", ["sockperf", "server", "-i", "127.0.0.1", "-p", str(port)])
"""
if shutil.which("sockperf"):
    SERVERS["sockperf"] = [sys.executable, "-c", SOCKPERF]

# Clients, window, datagrams, length, kind of load.
LOADS: dict[str, tuple[int, int, int, int, str]] = {
    "1 client, window 64": (1, 64, 100_000, 64, "plain"),
    "1 client, window 1": (1, 1, 5_000, 64, "plain"),
    "64 clients, window 1": (64, 1, 50_000, 64, "plain"),
    "1 client, window 64, one datagram per call": (1, 64, 100_000, 64, "single"),
    "1 client, window 1, one datagram per call": (1, 1, 5_000, 64, "single"),
    "64 clients, window 1, one datagram per call": (64, 1, 50_000, 64, "single"),
    "GSO+GRO client, window 4096": (1, 4096, 10_000_000, 64, "gso"),
}


@contextmanager
def served(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server on core 0; yield its process and port."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def measure(server: str, load: str) -> tuple[float, float, float]:
    """Return datagrams per second, CPU nanoseconds per datagram and the share of sending."""
    clients, window, count, length, how = LOADS[load]
    if how == "gso" and server != "udpulse":
        # As many as its queue holds, and fewer in all: each takes 50 times as long.
        window, count = 200, count // 50
    with served(SERVERS[server]) as (pid, port):
        numbers = map(str, (clients, window, count, length))
        command = ["taskset", "-c", "1", HELPER, "load", f"127.0.0.1:{port}", *numbers, how]
        before = cpu_ns(pid)
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        used = cpu_ns(pid) - before
        came, seconds, sending = map(float, ended.stdout.split())
    return came / seconds, used / came, sending / seconds


def main() -> None:
    """Run all servers in turns and print the results."""
    wanted = sys.argv[1:]
    for load in LOADS:
        if wanted and not any(word in load for word in wanted):
            continue
        rounds = [{name: measure(name, load) for name in SERVERS} for _ in range(ROUNDS)]
        print(f"\n{load}")
        for name in SERVERS:
            rate, cpu, sending = (statistics.median(r[name][i] for r in rounds) for i in range(3))
            ratios = []
            for peer in SERVERS:
                if peer == name:
                    continue
                wall = statistics.median(r[name][0] / r[peer][0] for r in rounds)
                work = statistics.median(r[name][1] / r[peer][1] for r in rounds)
                ratios.append(f"{wall:.2f}x wall {work:.3f}x CPU of {peer}")
            print(f"  {name}: {rate / 1000:.0f} kpps, {cpu:.0f} ns CPU, load sends {sending:.0%}")
            print(f"    {'; '.join(ratios)}")


if __name__ == "__main__":
    main()
