"""Recording 20,000 probes per second as lines of JSON, into a file and through a pipe.

The server runs in another process. The output has, with and without recording, the CPU time of the
whole process (engine, lines and writes) as a share of a core, and the probes that have no line.
"""

import os
import resource
import statistics
import subprocess
import tempfile
import time
from typing import IO

from ping_rtt import echo_server

from udpulse import PingClient, jsonlines

ROUNDS = 5
RATE = 20_000
SECONDS = 5.0


def load() -> tuple[float, float]:
    """Return the CPU time and the time so far, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, time.monotonic()


def share(client: PingClient, file: IO[bytes] | None) -> float:
    """Run a client, recorded if there is a file; return its share of a core."""
    cpu, start = load()
    if file is None:
        client.start()
        client._finish()
    else:
        jsonlines.write(client, file)
    used, end = load()
    return (used - cpu) / (end - start)


def main() -> None:
    """Run the three ways in turns and print the medians."""
    shares: dict[str, list[float]] = {"not recorded": [], "file": [], "pipe": []}
    missing = dropped = unsent = 0
    with echo_server("") as port, tempfile.TemporaryDirectory() as directory:
        for _ in range(ROUNDS):
            for way, results in shares.items():
                path = os.path.join(directory, "lines")
                client = PingClient("127.0.0.1", port, interval=1 / RATE, duration=SECONDS)
                if way == "not recorded":
                    results.append(share(client, None))
                    continue
                with open(path, "wb") as file:
                    if way == "file":
                        results.append(share(client, file))
                    else:
                        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
                        assert reader.stdin is not None
                        results.append(share(client, reader.stdin))
                        reader.communicate()
                with open(path, "rb") as file:
                    lines = sum(line.startswith(b'{"event":"probe"') for line in file)
                    file.seek(0)
                    assert jsonlines.read(file) == client.report()
                report = client.report()
                missing += report.sent - lines
                dropped += client.events_dropped
                unsent += report.missed
    print(f"CPU of the process at {RATE} probes per second, in cores:")
    for way, results in shares.items():
        print(f"  {way:<12} {statistics.median(results):.2f}")
    print(f"probes without a line: {missing}, events dropped: {dropped}, slots missed: {unsent}")


if __name__ == "__main__":
    main()
