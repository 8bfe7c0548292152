"""Recording 20,000 probes per second as lines of JSON, into a file and through a pipe.

The server runs in another process. The output has, with and without recording, the CPU time of the
process for the probes of a second, as a share of a core: of all its threads, and of the one that
formats and writes lines; and the probes that have no line.
"""

import os
import statistics
import subprocess
import tempfile
import time
from typing import IO

from compare.servers import served

from udpulse import PingClient, jsonlines

ROUNDS = 5
RATE = 20_000
SECONDS = 5.0


def cpu() -> tuple[float, float]:
    """Return the CPU time of the process and of this thread so far, in seconds."""
    return time.process_time(), time.thread_time()


def shares_of(client: PingClient, file: IO[bytes] | None) -> tuple[float, float]:
    """Run a client, recorded if there is a file; return the shares of a core."""
    before = cpu()
    if file is None:
        client.start()
        client._finish()
    else:
        jsonlines.write(client, file)
    # A busy machine misses slots: count by probe.
    process, thread = (after - past for after, past in zip(cpu(), before, strict=True))
    return process / client.report().sent * RATE, thread / client.report().sent * RATE


def main() -> None:
    """Run the three ways in turns and print the medians."""
    shares: dict[str, list[tuple[float, float]]] = {"not recorded": [], "file": [], "pipe": []}
    missing = dropped = unsent = 0
    with served("udpulse echo") as server, tempfile.TemporaryDirectory() as directory:
        for _ in range(ROUNDS):
            for way, results in shares.items():
                path = os.path.join(directory, "lines")
                client = PingClient("127.0.0.1", server.port, interval=1 / RATE, duration=SECONDS)
                if way == "not recorded":
                    results.append(shares_of(client, None))
                    continue
                with open(path, "wb") as file:
                    if way == "file":
                        results.append(shares_of(client, file))
                    else:
                        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
                        assert reader.stdin is not None
                        results.append(shares_of(client, reader.stdin))
                        reader.communicate()
                with open(path, "rb") as file:
                    lines = sum(line.startswith(b'{"event":"probe"') for line in file)
                    file.seek(0)
                    assert jsonlines.read(file) == client.report()
                report = client.report()
                missing += report.sent - lines
                dropped += client.events_dropped
                unsent += report.missed
    print(f"CPU of the process for {RATE} probes per second, in cores:")
    for way, results in shares.items():
        process, thread = map(statistics.median, zip(*results, strict=True))
        print(f"  {way:<12} {process:.2f}, lines {thread:.3f}")
    print(f"probes without a line: {missing}, events dropped: {dropped}, slots missed: {unsent}")


if __name__ == "__main__":
    main()
