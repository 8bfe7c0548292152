"""Measurements of a ping over a rough path match the echo server's records, probe by probe."""

import os
from typing import Any

import numpy as np
import pytest

import udpulse
from udpulse import VERDICTS, EchoServer, Fate, PingReport
from udpulse.impair import (
    Exponential,
    GilbertElliott,
    Link,
    LossPattern,
    RateLimit,
    Reordering,
    Uniform,
)
from udpulse.reports import Reply

# To the server each flow is a client of its own, with its own random choices. It has its own
# receive queue, which even a busy host empties in time, and sends no more probes than a ping keeps.
FLOWS = 16
EACH = 6_250
COUNT = FLOWS * EACH
INTERVAL = 0.00008
# If a reply is held, it arrives after the timeout; all others arrive long before.
TIMEOUT = 1.0
HELD = 1.1
PORTABLE = "UDPULSE_PORTABLE" in os.environ


def rough_path(seed: int) -> tuple[Link, Link]:
    """Return links for both directions, with every impairment."""
    lost = np.random.default_rng(seed).random(EACH) < 0.02
    uplink = Link(
        loss=LossPattern(lost.tolist()),
        duplication=0.02,
        corruption=0.01,
        # A duplicate makes the queue overflow.
        rate=RateLimit(1_200_000, queue=250),
        delay=Exponential(0.002),
        keep_order=True,
        reordering=Reordering(0.01, 0.01),
    )
    downlink = Link(
        loss=GilbertElliott(p=0.01, r=0.4),
        duplication=0.02,
        corruption=0.01,
        rate=RateLimit(5_000_000, queue=500),
        delay=Uniform(0, 0.003),
        keep_order=True,
        reordering=Reordering(0.01, HELD),
    )
    return uplink, downlink


@pytest.mark.parametrize("seed", [1])
def test_a_ping_over_a_rough_path_matches_the_truth(seed: int) -> None:
    uplink, downlink = rough_path(seed)
    with EchoServer(port=0, uplink=uplink, downlink=downlink, seed=seed, keep=COUNT) as server:
        report = udpulse.ping(
            *server.address,
            count=COUNT,
            interval=INTERVAL,
            size=128,
            timeout=TIMEOUT,
            linger=HELD,
            flows=FLOWS,
        )
        fates, columns = server.fates(), server.columns()
        counters, truth = server.counters, server.truth

    # Each probe and each reply is accounted for: this host reports all that it dropped.
    assert (report.sent, report.send_failed, report.refused) == (COUNT, 0, 0)
    assert (truth.delayed, truth.delay_line_full, server.events_dropped, counters.send_failed) == (
        0,
    ) * 4
    assert COUNT - counters.received == truth.receive_drops or PORTABLE
    assert counters.received == counters.replied + counters.dropped == len(fates)
    assert report.received == truth.replies == len(server.columns("copies")["fate"])
    assert report.receive_drops == 0

    # Each impairment occurs in each direction, and the counters match the columns.
    for way, column in ((truth.uplink, columns["uplink"]), (truth.downlink, columns["downlink"])):
        seen = [int((column >> bit & 1).sum()) for bit in range(5)]
        assert seen == [way.lost, way.duplicated, way.corrupted, way.held, way.queue_full]
        assert min(seen) > 0
    assert min(report.late, report.duplicates, report.corrupt) > 0
    assert report.foreign == 0
    assert report.reordered > 0

    of_client: dict[tuple[str, int], list[Fate]] = {}
    for fate in fates:
        of_client.setdefault(fate.client, []).append(fate)
    # Match flows with clients by their start.
    starts = {min(map(sent, its)): its for its in of_client.values()}
    for flow in report.flows:
        began = sent_at(flow)[0]
        check(flow, starts.pop(min(starts, key=lambda start: abs(start - began))))
    assert not starts


def check(flow: PingReport, fates: list[Fate]) -> None:
    """Compare a flow's measurements with the server's records of its probes."""
    columns = flow.columns()
    replies = sorted(
        (copy.number, seq(fate), copy.sent_at, reading(fate, copy))
        for fate in fates
        for copy in fate.copies
    )
    readings = [what for *_, what in replies]
    assert flow.received == len(replies)
    assert flow.corrupt == readings.count("corrupt")

    first: dict[int, float] = {}
    for _, number, left, what in replies:
        if what == "sound":
            first.setdefault(number, left)
    assert flow.duplicates == readings.count("sound") - len(first)
    verdicts = ["lost"] * flow.sent
    for number, left in first.items():
        in_time = left - sent_at(flow)[number - 1] <= TIMEOUT
        verdicts[number - 1] = "answered" if in_time else "late"
    assert [VERDICTS[verdict] for verdict in columns["verdict"]] == verdicts
    # RFC 4737, section 3.3: replies in send order, which here is the order of arrival.
    order = np.array(list(first))
    assert flow.reordered == (order < np.maximum.accumulate(order)).sum()


def sent_at(flow: PingReport) -> Any:
    """Return when each probe was sent, in seconds since the Unix epoch."""
    assert flow.started_at is not None
    return flow.started_at + flow.columns()["sent_at_ns"] / 1e9


def reading(fate: Fate, copy: Reply) -> str:
    """Return how a ping must classify a reply."""
    reply = bytearray(fate.answer)
    for bit in (copy.uplink_bit, copy.downlink_bit):
        if bit is not None:
            reply[bit // 8] ^= 1 << bit % 8
    assert copy.corrupted == (reply != fate.answer)
    # Servers of the lab raise all letters.
    return "sound" if reply in (fate.answer, fate.answer.upper()) else "corrupt"


def seq(fate: Fate) -> int:
    """Return the ping's number of a probe; the server does not count probes it never read."""
    return int(fate.answer.split()[1])


def sent(fate: Fate) -> float:
    """Return the send time in a probe."""
    return float(fate.answer.split()[2])
