"""Run ping, STAMP, echo, relays and heartbeats together for an hour and check them all the time.

`python benches/soak.py [--minutes 60]` exits with 1 after a violation: numbers that do not add up,
losses that are not those of the path, a schedule that drifts, memory that grows, a false alarm. All
traffic stays on loopback, and takes a few per cent of a core. Needs Linux.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import udpulse
from udpulse import events
from udpulse.impair import GilbertElliott, Link, Step, Uniform

SAMPLE_EVERY = 5.0
INTERVAL = 0.01
TIMEOUT = 1.0
KEEP = 500
# Then all tables are full: a session remembers 16,384 probes.
WARM_UP = 300.0
GROWTH = 2 << 20
CLIENTS = 10
BEAT_EVERY = 0.5

# A report names each loss of STAMP until there are 65,536, so not too many.
BURSTS = Link(loss=GilbertElliott(p=0.005, r=0.4), delay=Uniform(0.0, 0.03))
COPIES = Link(loss=0.03, delay=Uniform(0.0, 0.03), duplication=0.02)
# A cut of half a second, once in a while.
CUTS = [Step("outage", at=20, duration=0.5), Step("loop", at=60)]


class Sample(NamedTuple):
    """The size of this process and the lags of its schedules, at a moment."""

    at: float
    memory: float
    lags: tuple[float, ...]


class Soak:
    """All objects of a run, and the violations so far."""

    def __init__(self, stack: ExitStack, seconds: float) -> None:
        """Start everything."""
        enter = stack.enter_context
        self.seconds = seconds
        self.violations = 0
        self.samples: list[Sample] = []
        self.seen: Counter[str] = Counter()
        self.sessions = self.rounds = 0
        echo = enter(udpulse.EchoServer(port=0, keep=KEEP))
        lossy = enter(udpulse.EchoServer(port=0, keep=KEEP, uplink=BURSTS, downlink=COPIES))
        reflector = enter(udpulse.StampReflector(port=0, keep=KEEP))
        self.echoes = [echo, lossy]
        self.reflector = reflector
        self.relays = [
            enter(
                udpulse.Relay(
                    *upstream.address,
                    listen=("127.0.0.1", 0),
                    uplink=BURSTS,
                    downlink=downlink,
                    timeline=CUTS,
                    idle=10.0,
                    keep=KEEP,
                )
            )
            # Copies would hide losses of STAMP: each has a number of its own.
            for upstream, downlink in ((echo, COPIES), (reflector, BURSTS), (echo, COPIES))
        ]
        ping, stamp, _ = (relay.address for relay in self.relays)
        self.long: list[Session] = [
            kind(*address, interval=INTERVAL, timeout=TIMEOUT, duration=seconds, keep=KEEP)
            for kind, address in ((udpulse.PingClient, ping), (udpulse.StampSender, stamp))
        ]
        self.sweep = enter(
            udpulse.PingSweep(
                [server.address for server in self.echoes],
                count=10,
                rounds=None,
                interval=0.1,
                timeout=TIMEOUT,
                keep=KEEP,
            )
        )
        self.fleet = enter(udpulse.HeartbeatServer(port=0))
        self.hearts = [
            enter(
                udpulse.HeartbeatClient(
                    *self.fleet.address, interval=BEAT_EVERY, name=f"client-{number}", loss=0.05
                )
            )
            for number in range(CLIENTS)
        ]
        self.skipped: list[array[int]] = [array("q") for _ in self.hearts]
        self.last: dict[int, list[int]] = {}
        self.lost_before = 0
        self.short = self.new_session()
        self.start = time.monotonic()
        for client in self.long:
            client.start()

    def new_session(self) -> udpulse.PingClient:
        """Start a session of 100 probes over the third relay."""
        self.lost_before = lost_on(self.relays[2])
        client = udpulse.PingClient(
            *self.relays[2].address, count=100, interval=INTERVAL, timeout=TIMEOUT
        )
        client.start()
        return client

    def check(self, right: bool, what: str, *about: object) -> None:
        """Count and print a violation. Texts are made after one only, because they take memory."""
        if not right:
            after = time.monotonic() - self.start
            self.violations += 1
            print(f"{after:.0f} s: VIOLATION: {what}:", *map(repr, about), flush=True)

    def sample(self) -> None:
        """Check all that must hold at any moment."""
        lags = [self.check_session(client, relay) for client, relay in self.running()]
        for report in self.sweep.next_batch(timeout=0):
            self.rounds += 1
            self.check_report(report)
        for report in self.sweep.reports():
            self.check_report(report)
        servers: list[udpulse.EchoServer | udpulse.Relay] = [*self.echoes, *self.relays]
        for server in servers:
            self.check_packets(server)
        r = self.reflector.counters
        self.check(r.received == r.replied + r.dropped + r.send_failed, "reflector", r)
        self.check_fleet()
        if not self.short.running:
            self.sessions += 1
            self.check_end(self.short, self.relays[2], self.lost_before)
            self.short = self.new_session()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE")
        self.samples.append(Sample(time.monotonic() - self.start, memory, tuple(lags)))

    def running(self) -> Iterator[tuple["Session", udpulse.Relay]]:
        """Yield the long sessions, each with its path."""
        yield from zip(self.long, self.relays, strict=False)

    def check_session(self, client: "Session", relay: udpulse.Relay) -> float:
        """Check a running session against its path. Return the lag of its schedule in seconds."""
        client.next_batch(timeout=0)
        lost_then, time_then = lost_on(relay), time.monotonic()
        report = client.report()
        lost_now = lost_on(relay)
        self.check_report(report)
        # Each loss is that of a probe that is lost or pending; a lost one may yet be late, unless
        # it is settled.
        self.check(
            lost_then <= report.lost + report.pending and report.settled.lost <= lost_now,
            "the path's losses are not the session's",
            (lost_then, lost_now),
            report,
        )
        numbers = growing(report)
        before = self.last.get(id(client), numbers)
        fell = any(then > now for then, now in zip(before, numbers, strict=True))
        self.check(not fell, "a number fell", before, report)
        self.last[id(client)] = numbers
        return time_then - self.start - (report.sent + report.missed) * INTERVAL

    def check_report(self, r: udpulse.PingReport) -> None:
        """Check both identities of a report."""
        decided = r.answered + r.late + r.lost + r.refused + r.unreachable + r.send_failed
        self.check(r.sent == decided + r.pending, "probes", r)
        came = r.answered + r.late + r.duplicates + r.corrupt + r.foreign
        self.check(r.received == came, "datagrams", r)
        self.check(not r.refused + r.unreachable + r.send_failed + r.foreign, "verdicts", r)

    def check_packets(self, server: udpulse.EchoServer | udpulse.Relay) -> None:
        """Check the identity of an echo server or a relay."""
        # Two snapshots belong together if nothing has come or gone between them.
        while True:
            c, truth = server.counters, server.truth
            if c == server.counters and truth == server.truth:
                break
        gone = c.relayed if isinstance(c, udpulse.reports.RelayCounters) else c.replied
        settled = gone + c.dropped + c.send_failed
        self.check(c.received == settled + truth.pending, "packets", c, truth)
        self.check(not truth.receive_drops, "this host dropped packets", truth)

    def check_fleet(self) -> None:
        """Check the heartbeats: only beats that were skipped on purpose are missing."""
        c = self.fleet.counters
        sorts = c.beats + c.goodbyes + c.duplicates + c.stale + c.unproven + c.ignored
        self.check(c.received == sorts + c.rejected, "heartbeats", c)
        peers = {peer.name: peer for peer in self.fleet.peers()}
        for event in self.fleet.next_batch(timeout=0):
            self.seen[type(event).__name__] += 1
            self.check(not isinstance(event, events.Down), "a false alarm", event)
        for number, client in enumerate(self.hearts):
            skipped = self.skipped[number]
            beats = [one for one in client.next_batch(timeout=0) if isinstance(one, udpulse.Beat)]
            skipped.extend(beat.seq for beat in beats if beat.outcome == "skipped")
            peer = peers.get(f"client-{number}")
            if peer and peer.seq is not None and peer.expected is not None:
                first = peer.seq - peer.expected + 1
                truth = sum(first <= seq <= peer.seq for seq in skipped)
                missing = peer.expected - peer.received
                # After a pause of this process a beat that was due in it is not expected.
                right = missing <= len(skipped) if self.seen["Paused"] else missing == truth
                self.check(right, "beats were skipped", truth, peer)

    def check_end(self, client: "Session", relay: udpulse.Relay, before: int = 0) -> None:
        """Check the losses of a session that has ended: they are those of its path."""
        report = client.report()
        self.check_report(report)
        lost = lost_on(relay) - before
        self.check(report.pending == 0, "pending at the end", report)
        self.check(report.lost == lost, "packets were lost", lost, report)

    def finish(self) -> None:
        """Check all that must hold at the end."""
        while any(client.running for client in self.long):
            time.sleep(0.1)
        for client, relay in self.running():
            self.check_end(client, relay)
        stamped = self.long[1].report()
        ways = [stamped.forward.lost, stamped.reverse.lost, stamped.unattributed]
        known = [number for number in ways if number is not None]
        self.check(len(known) == 3 and sum(known) == stamped.lost, "ways of losses", ways)
        for number in range(len(self.long)):
            # The least lags, because a busy host adds to some.
            lags = tenths([sample.lags[number] for sample in self.samples])
            drift = min(lags[-1]) - min(lags[0])
            self.check(abs(drift) < INTERVAL, "a schedule drifted, in s", number, drift)
            print(f"schedule {number}: drift {1e3 * drift:+.1f} ms")
        if self.seconds < 2 * WARM_UP:
            print(f"too short to judge the memory: needs {2 * WARM_UP / 60:.0f} minutes")
        else:
            # A burst makes a server touch more of its buffers in one step; a leak grows steadily.
            memory = tenths([sample.memory for sample in self.samples if sample.at > WARM_UP])
            medians = list(map(statistics.median, memory))
            steps = [after - before for before, after in itertools.pairwise(medians)]
            leak = len(steps) * statistics.median(steps)
            self.check(leak < GROWTH, "memory grew steadily, in MiB", leak / 2**20)
            print("memory in MiB:", *(f"{value / 2**20:.1f}" for value in medians))
        for client, relay in self.running():
            print(client.report(), relay.truth, sep="\n")
        print(f"{self.sessions} short sessions, {self.rounds} rounds of the sweep")
        print(f"heartbeats: {self.fleet.counters}, {dict(self.seen)}")


Session = udpulse.PingClient | udpulse.StampSender[udpulse.Probe]


def growing(report: udpulse.PingReport) -> list[int]:
    """Return the numbers of a report that only grow."""
    names = ("sent", "answered", "late", "received", "duplicates", "missed")
    return [*(getattr(report, name) for name in names), *report.settled.to_dict().values()]


def lost_on(relay: udpulse.Relay) -> int:
    """Return the number of packets that a relay lost."""
    truth = relay.truth
    return sum(link.lost + link.outage for link in (truth.uplink, truth.downlink))


def tenths(values: list[float]) -> list[list[float]]:
    """Return ten parts, or fewer of one value each."""
    parts = min(10, len(values))
    bounds = [len(values) * part // parts for part in range(parts + 1)]
    return [values[start:end] for start, end in itertools.pairwise(bounds)]


def main() -> None:
    """Run; print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    seconds = 60 * parser.parse_args().minutes
    with ExitStack() as stack:
        soak = Soak(stack, seconds)
        while time.monotonic() - soak.start < seconds - SAMPLE_EVERY:
            time.sleep(SAMPLE_EVERY)
            soak.sample()
        soak.finish()
        share = time.process_time() / (time.monotonic() - soak.start)
    count = len(soak.samples)
    print(f"{count} samples, {100 * share:.1f} % of a core, {soak.violations} violations")
    sys.exit(1 if soak.violations else 0)


if __name__ == "__main__":
    main()
