"""The effect of a busy host on a measurement: a thread that holds the GIL, and a CPU hog.

The server runs on core 0 with a real-time priority, so that other work of the machine disturbs only
the client. The client runs on core 1; the CPU hog, a process that never sleeps, shares that core.
One probe leaves per millisecond. Rounds are interleaved; the output has medians over the rounds,
including that of the ratio of the tails within a round. Needs Linux, two cores and root.
"""

import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable

from compare.servers import served

import udpulse

ROUNDS = 5
COUNT = 2000


def measured(port: int) -> udpulse.PingReport:
    """Ping once per millisecond."""
    return udpulse.ping("127.0.0.1", port, count=COUNT, interval=0.001, timestamps="kernel")


def beside_a_thread(port: int) -> udpulse.PingReport:
    """Ping while a Python thread never releases the GIL by itself."""
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            pass

    # On the server's core, so that only the interpreter is shared.
    def on_core_0() -> None:
        os.sched_setaffinity(0, {0})
        burn()

    thread = threading.Thread(target=on_core_0)
    thread.start()
    try:
        return measured(port)
    finally:
        done.set()
        thread.join()


def beside_a_hog(port: int) -> udpulse.PingReport:
    """Ping while a process on the same core never sleeps."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        try:
            return measured(port)
        finally:
            hog.kill()


def show(name: str, reports: list[udpulse.PingReport]) -> None:
    """Print the results of one situation."""

    def us(value: Callable[[udpulse.PingReport], float | None]) -> float:
        return statistics.median((value(report) or 0) * 1e6 for report in reports)

    rtt, tail = us(lambda r: r.rtt.median), us(lambda r: r.rtt.percentile(99.9))
    kernel = us(lambda r: r.kernel_rtt.median)
    kernel_tail = us(lambda r: r.kernel_rtt.percentile(99.9))
    ratio = statistics.median(
        (report.kernel_rtt.percentile(99.9) or 0) / (report.rtt.percentile(99.9) or 1)
        for report in reports
    )
    error = us(lambda r: r.schedule_error.median)
    missed = statistics.median(report.missed for report in reports)
    print(
        f"{name}: RTT {rtt:.0f} us, p99.9 {tail:.0f} us; kernel RTT {kernel:.0f} us, p99.9 "
        f"{kernel_tail:.0f} us ({ratio:.3f} x); send error {error:.0f} us, "
        f"missed {missed:.0f} of {COUNT}"
    )


def main() -> None:
    """Run all situations in turns and print their results."""
    os.sched_setaffinity(0, {1})
    runs = {"quiet": measured, "busy GIL": beside_a_thread, "CPU hog": beside_a_hog}
    with served("udpulse echo") as server:
        for task in os.listdir(f"/proc/{server.process.pid}/task"):
            os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(1))
        rounds = [{name: run(server.port) for name, run in runs.items()} for _ in range(ROUNDS)]
    for name in runs:
        show(name, [one[name] for one in rounds])


if __name__ == "__main__":
    main()
