"""Stop-and-wait round trips on loopback: PingClient against a plain socket client.

Both ping the same EchoServer in turns; shown are the median round trips and their ratio.
"""

import socket
import statistics
import time
from collections.abc import Callable

import udpulse

ROUNDS = 9
PINGS = 2000


def with_udpulse(host: str, port: int) -> float:
    """Give the median round trip as PingClient measures it, in seconds."""
    probes = list(udpulse.PingClient(host, port, count=PINGS))
    return statistics.median(probe.rtt for probe in probes if probe.rtt is not None)


def with_stdlib(host: str, port: int) -> float:
    """Give the median round trip as the lab's student would measure it, in seconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        for seq in range(PINGS):
            start = time.perf_counter()
            client.sendto(b"Ping %d %f" % (seq, time.time()), (host, port))
            client.recvfrom(1024)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Run both in turns and show the medians."""
    clients: list[Callable[[str, int], float]] = [with_udpulse, with_stdlib]
    with udpulse.EchoServer(port=0) as server:
        rounds = [[client(*server.address) for client in clients] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(mine / other for mine, other in rounds)
    print(f"udpulse {ours * 1e6:.1f} us, stdlib {theirs * 1e6:.1f} us, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
