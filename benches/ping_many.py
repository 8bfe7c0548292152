"""Ten thousand loopback targets: ping_many against fping, two probes each.

Both send as fast as they can. The server runs on core 0 (the kernel answers fping), the clients on
core 1, in turns. The output has the medians over the rounds of the client's CPU time per probe,
including setup and reports, and their ratio. Needs Linux, two cores and fping.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys

from ping_rtt import echo_server

import udpulse

ROUNDS = 5
COUNT = 2
TARGETS = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(10_000)]
RATE = 1e6


def cpu(who: int) -> float:
    """Return the CPU time used so far, in seconds."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def with_udpulse(port: int) -> float:
    """Return the CPU time per probe, in seconds."""
    before = cpu(resource.RUSAGE_SELF)
    reports = udpulse.ping_many([(host, port) for host in TARGETS], count=COUNT, rate=RATE)
    used = cpu(resource.RUSAGE_SELF) - before
    answered = sum(report.answered for report in reports)
    assert answered > 0.99 * COUNT * len(TARGETS), answered
    return used / COUNT / len(TARGETS)


def with_fping() -> float:
    """Return the CPU time per probe, in seconds."""
    before = cpu(resource.RUSAGE_CHILDREN)
    command = ["fping", "-q", "-c", str(COUNT), "-i", "0", "-p", "1000", "-t", "1000"]
    subprocess.run(command, input="\n".join(TARGETS), capture_output=True, text=True)
    return (cpu(resource.RUSAGE_CHILDREN) - before) / COUNT / len(TARGETS)


def main() -> None:
    """Run both in turns and print the medians and the ratio."""
    if shutil.which("fping") is None:
        sys.exit("fping is not installed")
    os.sched_setaffinity(0, {1})
    with echo_server("") as port:
        rounds = [(with_udpulse(port), with_fping()) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) * 1e6 for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    print(f"CPU per probe: udpulse {ours:.1f} us, fping {theirs:.1f} us, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
