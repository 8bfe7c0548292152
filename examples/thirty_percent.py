"""Measures if the lab's server loses 30 % of its packets, as the lab's text says.

python examples/thirty_percent.py [COUNT]
"""

import sys

from udpulse import EchoServer, ping

count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000

with EchoServer(port=0, loss="lab") as server:
    report = ping(*server.address, count=count, interval=0.0002, timeout=2.0)
    dropped = server.counters.dropped

low, high = report.loss_interval or (0.0, 1.0)
print(f"{report.lost} of {report.sent} pings lost; the server says that it dropped {dropped}")
print(f"loss {report.lost / report.sent:.2%}, 95 % confidence interval {low:.2%} to {high:.2%}")
for share, rule in ((0.3, "the lab's text"), (4 / 11, "4 of 11")):
    verdict = "inside" if low <= share <= high else "outside"
    print(f"{share:.2%} ({rule}) is {verdict}")
