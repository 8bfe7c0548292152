"""Accuracy of a 1 ms schedule: PingClient against Python's time.sleep to absolute times.

The server runs on core 0, the clients on core 1, all in turns. The output has the medians over the
rounds of each median error, of the ratios within a round, and of the lateness of the last probe: no
later than the others if nothing drifts. Needs Linux and two cores.
"""

import os
import socket
import statistics
import time

from compare.servers import served

import udpulse

ROUNDS = 7
SECONDS = 1.0
INTERVAL = 0.001


def with_udpulse(port: int, *, precise: bool) -> tuple[float, float]:
    """Return the median error of PingClient and the lateness of its last probe, in seconds."""
    report = udpulse.ping(
        "127.0.0.1", port, duration=SECONDS, interval=INTERVAL, precise=precise, keep="all"
    )
    sent = report.columns()["sent_at_ns"] / 1e9
    assert report.schedule_error.median is not None
    slots = round((sent[-1] - sent[0]) / INTERVAL)
    return report.schedule_error.median, sent[-1] - sent[0] - slots * INTERVAL


def with_sleep(port: int) -> tuple[float, float]:
    """Return the same for a loop around time.sleep."""
    errors = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        start = time.perf_counter()
        for slot in range(round(SECONDS / INTERVAL)):
            due = start + slot * INTERVAL
            time.sleep(max(0.0, due - time.perf_counter()))
            errors.append(time.perf_counter() - due)
            client.sendto(b"Ping %d %f" % (slot, time.time()), ("127.0.0.1", port))
    return statistics.median(errors), errors[-1]


def main() -> None:
    """Run all schedules in turns and print medians and ratios."""
    os.sched_setaffinity(0, {1})
    with served("udpulse echo") as server:
        port = server.port
        runs = {
            "time.sleep": lambda: with_sleep(port),
            "udpulse": lambda: with_udpulse(port, precise=False),
            "udpulse, precise": lambda: with_udpulse(port, precise=True),
        }
        rounds = [{name: run() for name, run in runs.items()} for _ in range(ROUNDS)]
    for name in runs:
        error = statistics.median(one[name][0] for one in rounds)
        drift = statistics.median(one[name][1] for one in rounds)
        ratio = statistics.median(one[name][0] / one["time.sleep"][0] for one in rounds)
        errors = f"error {error * 1e6:.1f} us, {ratio:.2f} x time.sleep"
        print(f"{name}: {errors}; the last {drift * 1e6:.0f} us")


if __name__ == "__main__":
    main()
