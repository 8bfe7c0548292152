"""The cost of the live screens of `udpulse ping`: 10,000 probes/s, 10,000 targets.

Each run is made with the screen, on a pseudo-terminal that a thread reads, and without, in turns.
The output has the medians over the rounds: the send error and the missed slots of a client at 100
us, the rate of a sweep, and the share of a core that this process's Python thread takes.
Needs a platform with pseudo-terminals.
"""

import fcntl
import os
import pty
import statistics
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import udpulse
from udpulse.cli._live import live
from udpulse.cli._ping_screens import ManyTargets, OneTarget

ROUNDS = 5
SECONDS = 4.0
TARGETS = 10_000
TICK = 0.1


@contextmanager
def terminal() -> Iterator[None]:
    """Let stdout be a terminal of 80x24."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def read() -> None:
        while not os.read(master, 65536).endswith(b"\0"):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    before = sys.stdout
    try:
        with open(slave, "w", encoding="utf-8") as sys.stdout:
            yield
            os.write(slave, b"\0")
            reader.join()
    finally:
        sys.stdout = before
        os.close(master)


def follow(tick: Callable[[], object]) -> float:
    """Call `tick` for a while; return the share of a core that this thread took."""
    start, busy = time.monotonic(), time.thread_time()
    while time.monotonic() - start < SECONDS:
        time.sleep(TICK)
        tick()
    return (time.thread_time() - busy) / SECONDS


def one(port: int, *, screen: bool) -> list[float]:
    """Return a client's median and 99th percentile of the send error, and its missed slots."""
    client = udpulse.PingClient("127.0.0.1", port, count=None, interval=0.0001)
    view = OneTarget(client, lambda report: [])
    with client, drawing(view, screen=screen) as draw:
        share = follow(draw)
    report = client.report()
    error = report.schedule_error
    assert error.median is not None
    assert error.p99 is not None
    missed = report.missed / (report.sent + report.missed)
    return [1e6 * error.median, 1e6 * error.p99, 100 * missed, 100 * share]


def many(port: int, *, screen: bool) -> list[float]:
    """Return a sweep's probes per second."""
    targets = [(f"127.1.{i // 250}.{1 + i % 250}", port) for i in range(TARGETS)]
    sweep = udpulse.PingSweep(targets, rounds=None, rate=10_000, count=1, keep=0)
    view = ManyTargets(sweep.reports, None, lambda report: "")
    rounds = 0

    with sweep, drawing(view, screen=screen) as draw:

        def tick() -> None:
            nonlocal rounds
            rounds += len(sweep.next_batch(limit=1 << 20, timeout=0))
            draw()

        share = follow(tick)
    return [rounds / SECONDS, 100 * share]


@contextmanager
def drawing(view: OneTarget | ManyTargets, *, screen: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that draws, or one that does nothing."""
    if not screen:
        yield lambda: None
        return
    with terminal(), live(view.render) as draw:
        yield draw


def main() -> None:
    """Run in turns."""
    texts = {
        one: "send error {:.1f} us, p99 {:.1f} us, {:.2f} % missed, {:.1f} % of a core",
        many: "{:.0f} probes/s, {:.1f} % of a core",
    }
    with udpulse.EchoServer("0.0.0.0", port=0, keep=0) as server:
        port = server.address[1]
        for measure, text in texts.items():
            rounds = [measure(port, screen=screen) for screen in (False, True) * ROUNDS]
            for label, offset in (("without", 0), ("with", 1)):
                runs = zip(*rounds[offset::2], strict=True)
                medians = [statistics.median(values) for values in runs]
                print(f"{measure.__name__}, {label} screen: {text.format(*medians)}")


if __name__ == "__main__":
    main()
