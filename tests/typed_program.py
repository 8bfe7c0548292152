"""Uses everything that udpulse makes public; mypy and pyright check it, `test_types.py` runs it."""

import asyncio
import io
import socket
import tempfile
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_never, assert_type

import udpulse
from udpulse import events, impair, reports

Address = tuple[str, int]


def models() -> Iterable[impair.Link]:
    """Every model of an impairment, as a part of a link."""
    losses: list[impair.Loss] = [
        0.1,
        "lab",
        impair.GilbertElliott(0.1, 0.5, bad_loss=0.9, good_loss=0.01),
        impair.GilbertElliott.timed(good=1.0, bad=0.1, bad_loss=0.9, bad_delay=0.01),
        impair.LossPattern([True, False]),
    ]
    delays: list[impair.Delay] = [
        0.001,
        impair.Uniform(0.0, 0.001),
        impair.Normal(0.001, 0.0001),
        impair.Exponential(0.001),
        impair.Pareto(0.001, 3.0),
        impair.Quantiles([0.001, 0.002], correlation=0.5, spacing=0.01),
    ]
    for loss in losses:
        yield impair.Link(loss=loss, duplication=0.1, corruption=0.1)
    for delay in delays:
        yield impair.Link(
            delay=delay,
            keep_order=True,
            rate=impair.RateLimit(10_000_000, queue=65_536),
            reordering=impair.Reordering(0.1, 0.001),
        )
    yield impair.Link(
        rules=[
            impair.Rule("drop", offset=13, value=b"\x02", mask=b"\xff", nth=2),
            impair.Rule("delay", delay=0.1, min_size=1200, nth=range(1, 4)),
            impair.Rule("corrupt", bit=7, max_size=100, nth=[1, 3]),
        ]
    )
    trace: impair.Rate = impair.TraceRate([1, 2], quantum=1500, queue=9000)
    yield impair.Link(rate=trace)
    yield impair.presets.CABLE.uplink
    yield impair.presets.CABLE.links["downlink"]


def show_parameters(link: impair.Link) -> None:
    """Parameters of a link."""
    show(link.duplication, link.corruption, link.keep_order, link.to_dict())
    for rule in link.rules:
        show(rule.action, rule.offset, rule.value, rule.mask, rule.min_size, rule.max_size)
        assert_type(rule.nth, int | tuple[int, ...] | range | None)
        show(rule.delay, rule.bit)
    if link.reordering is not None:
        show(link.reordering.p, link.reordering.delay)
    match link.rate:
        case impair.RateLimit(bits_per_second=bits_per_second, queue=queue):
            show(bits_per_second, queue)
        case impair.TraceRate(opportunities=opportunities):
            assert_type(opportunities, tuple[int, ...])
        case None:
            pass
    match link.loss:
        case impair.GilbertElliott(p=p, r=r, bad_loss=bad_loss, good_loss=good_loss):
            show(p, r, bad_loss, good_loss)
        case impair.TimedGilbertElliott(good=good, bad=bad):
            show(good, bad)
        case impair.LossPattern(lost=lost):
            assert_type(lost, tuple[bool, ...])
        case loss:
            show(loss)
    match link.delay:
        case impair.Uniform(low=low, high=high):
            show(low, high)
        case impair.Normal(mean=mean, deviation=deviation):
            show(mean, deviation)
        case impair.Exponential(mean=mean):
            show(mean)
        case impair.Pareto(scale=scale, shape=shape):
            show(scale, shape)
        case delay:
            show(delay)


def use_ping(address: Address) -> None:
    """A ping as a call and as a running object, and its report."""
    client = udpulse.PingClient(
        *address,
        count=3,
        timeout=1.0,
        interval=0.001,
        schedule="poisson",
        duration=None,
        seed=7,
        size=64,
        fill=b"abc",
        keep="all",
        timestamps="receive",
        precise=False,
        source=("127.0.0.1", 0),
        interface=None,
        ttl=64,
        dscp=0,
        dont_fragment=False,
        flows=2,
        family=4,
        resolve_every=60.0,
        wait_out=False,
        linger=0.0,
        capture=None,
        capture_snaplen=96,
        capture_limit=1 << 20,
    )
    with client as same:
        assert_type(same, udpulse.PingClient)
        assert_type(client.address, Address)
        for probe in client:
            assert_type(probe, udpulse.Probe)
            assert_type(
                probe.verdict,
                Literal[
                    "answered", "late", "lost", "pending", "refused", "send_failed", "unreachable"
                ],
            )
            show(probe.seq, probe.rtt, probe.reply, probe.sent_at, probe.kernel_rtt, probe.flow)
            show(probe.guessed)
        assert_type(client.next_batch(10, timeout=0.0), list[udpulse.Probe])
    show(client.host, client.port, client.server, client.running, client.events_dropped)
    assert_type(client.last_send_error, OSError | None)
    show(client.count, client.timeout, client.interval, client.schedule, client.duration)
    show(client.seed, client.size, client.keep, client.timestamps, client.precise, client.source)
    assert_type(client.fill, bytes | Literal["random"])
    show(client.interface, client.ttl, client.dscp, client.dont_fragment, client.flows)
    show(client.family, client.resolve_every, client.wait_out, client.outage_after)
    show(client.linger)
    use_report(client.report())
    use_fit(client.report())
    show(udpulse.mesh(["127.0.0.1", "127.0.0.2"], count=1, rate=1000).causes)
    client.start()
    client.stop()
    use_report(udpulse.ping(*address, count=2) + udpulse.ping(*address, count=2, size=64))
    many = udpulse.ping_many([address], count=2, rate=1000.0, timeout=1.0, size=64)
    assert_type(many, list[udpulse.PingReport])
    more = udpulse.ping_many([address], interval=0.01, keep="all", flows=2, family=4)
    show(sum(more), more[0].flows)


def use_outages(address: Address) -> None:
    """A ping that also yields outages."""
    client = udpulse.PingClient(*address, count=2, outage_after=1, revisions=True)
    show(client.revisions)
    for event in client:
        assert_type(event, events.PingEvent)
        match event:
            case udpulse.Probe():
                show(event.verdict)
            case events.Revised(probe=probe):
                show(probe.verdict)
            case events.OutageStarted(start=start, lost=lost, flow=flow):
                show(start, lost, flow)
            case events.OutageEnded(start=start, end=end, lost=lost, flow=flow):
                show(start, end, lost, flow)
            case _:
                assert_never(event)
    assert_type(client.next_batch(timeout=0.0), list[events.PingEvent])


def use_sweep(address: Address) -> None:
    """A sweep of two rounds."""
    with udpulse.PingSweep([address], count=2, rounds=2, rate=1000.0, keep=10) as sweep:
        for report in sweep:
            assert_type(report, udpulse.PingReport)
        assert_type(sweep.next_batch(10, timeout=0.0), list[udpulse.PingReport])
    assert_type(sweep.reports(), list[udpulse.PingReport])
    assert_type(sweep.targets, tuple[Address, ...])
    show(sweep.count, sweep.rounds, sweep.rate, sweep.interval, sweep.timeout, sweep.size)
    show(sweep.keep, sweep.flows, sweep.family, sweep.resolve_every, sweep.address, sweep.running)


def use_fit(report: udpulse.PingReport) -> None:
    """A fit of a report and of its columns."""
    fit = udpulse.fit(report, simulations=19, seed=1)
    assert_type(udpulse.fit(report.columns()).link, impair.Link)
    if fit.loss.per_packet is not None:
        assert_type(fit.loss.per_packet.p.interval, tuple[float, float])
    if fit.loss.timed is not None:
        assert_type(fit.loss.timed.model, impair.TimedGilbertElliott)
    show(fit.loss.model, fit.warnings, fit.netem)


def use_stamp() -> None:
    """A session with a reflector, and the directions of its report."""
    with udpulse.StampReflector(port=0) as reflector:
        sender = udpulse.StampSender(
            *reflector.address,
            count=3,
            size=48,
            fill="random",
            ssid=7,
            timestamp_format="ntp",
            synchronized=False,
            clock_error=16.0,
            ttl=255,
        )
        assert_type(sender, udpulse.StampSender[udpulse.Probe])
        for probe in sender:
            assert_type(probe, udpulse.Probe)
        show(sender.ssid, sender.timestamp_format, sender.synchronized, sender.clock_error)
        report = udpulse.stamp(*reflector.address, count=3)
    assert_type(report, udpulse.PingReport)
    for direction in (report.forward, report.reverse):
        assert_type(direction, reports.Direction)
        assert_type(direction.lost, int | None)
        show(direction.lost_seqs, direction.unknown, direction.duplicates, direction.reordered)
        show(direction.reorder_ratio, direction.reorder_extent, direction.ipdv_abs_mean)
        show(direction.pdv_median, direction.pdv_p95, direction.pdv_max)
        show(direction.route_changes)
        assert_type(direction.delay, tuple[float, float] | None)
    show(report.unattributed, report.residence.median)
    clock = report.clock
    assert_type(clock, reports.ReflectorClock)
    show(clock.offset, clock.offset_assuming_symmetry, clock.skew_ppm, clock.steps)
    show(clock.step_total, clock.claim)
    traits = report.reflector
    assert_type(traits, reports.ReflectorTraits)
    show(traits.mode, traits.timestamp_format, traits.ttl, traits.quirks)
    show(traits.min_reply_size, traits.max_reply_size)


def use_report(report: udpulse.PingReport) -> None:
    """All fields of a report."""
    assert_type(report.flows, tuple[udpulse.PingReport, ...])
    assert_type(report.to_dict(), dict[str, Any])
    assert_type(report.hint, str | None)
    show(sum(report.flows, udpulse.PingReport()), sum([report, report]))
    built = udpulse.Probe(seq=1, verdict="answered", rtt=0.1, sent_at=1.0)
    assert_type(udpulse.PingReport.from_probes([built], size=64), udpulse.PingReport)
    show(reports.Distribution([0.1, 0.2]), built.to_dict())
    show(report.sent, report.answered, report.late, report.lost, report.refused)
    assert_type(report.reasons, dict[tuple[int, int, str | None], int])
    show(report.unreachable, report.send_errors, report.foreign_sources, report.path_mtu)
    show(report.target, report.address, report.unresolved, report.change_count)
    for field in (report.reply_ttl, report.reply_tos):
        assert_type(field, reports.HeaderField | None)
        show(field and (field.min, field.max, field.changes))
    for change in report.changes:
        assert_type(change, reports.AddressChange)
        show(change.time, change.end, change.before, change.after)
    show(report.send_failed, report.pending, report.received, report.duplicates, report.corrupt)
    show(report.guessed)
    show(report.foreign, report.loss, report.missed, report.timestamps, report.receive_drops)
    assert_type(report.loss_interval, tuple[float, float] | None)
    show(report.outage_count, report.outage_total)
    for outage in report.outages:
        assert_type(outage, reports.Outage)
        show(outage.start, outage.end, outage.lost)
    for pause in report.pauses:
        assert_type(pause, reports.Pause)
        show(pause.start, pause.end)
    settled = report.settled
    assert_type(settled, reports.PingCounters)
    show(settled.sent, settled.answered, settled.late, settled.lost, settled.refused)
    show(settled.unreachable, settled.send_failed)
    for runs in (report.loss_bursts, report.loss_gaps):
        assert_type(runs, reports.Runs)
        show(runs.count, runs.mean, runs.max)
    for spread in (report.rtt, report.kernel_rtt, report.overhead, report.schedule_error):
        assert_type(spread, reports.Distribution)
        show(spread.count, spread.min, spread.mean, spread.median, spread.p99, spread.max)
        assert_type(spread.percentile(99.9), float | None)
        assert_type(spread.percentile_interval(99.9), tuple[float, float] | None)
        assert_type(spread.columns(), dict[str, NDArray[Any]])
        show(spread.stddev)
    show(report.ipdv_abs_mean, report.rfc3550_jitter, report.pdv_p95)
    show(report.reordered, report.reorder_ratio, report.reorder_extent)
    show(report.wall_steps, report.wall_step_total, report.paused, report.paused_total)
    show(report.started_at, report.rows_dropped)
    show(report.plot)  # matplotlib may be missing
    columns = report.columns()
    assert_type(columns, dict[str, NDArray[Any]])
    show(udpulse.VERDICTS[int(columns["verdict"][0])], float(np.nanmean(columns["rtt_ns"])))
    table = report.table()
    assert_type(table, reports.Table)
    table.write_csv(io.StringIO())
    show(len(table), table.__arrow_c_stream__(), report.__arrow_c_stream__(None))


def use_echo_server(server: udpulse.EchoServer) -> None:
    """An echo server's settings, counters and truth."""
    show(server.host, server.port, server.loss, server.uplink, server.downlink, server.seed)
    show(server.transform, server.max_size, server.max_rate, server.threads, server.delay)
    show(server.keep, server.rows_dropped, server.events_dropped)
    show(server.capture, server.capture_snaplen, server.capture_limit, server.capture_dropped)
    assert_type(server.capture_error, OSError | None)
    counters = server.counters
    assert_type(counters, reports.EchoCounters)
    show(counters.received, counters.replied, counters.dropped, counters.send_failed)
    truth = server.truth
    assert_type(truth, reports.EchoTruth)
    show(truth.replies, truth.pending, truth.delayed, truth.unanswerable, truth.limited)
    show(truth.unauthenticated, truth.unknown_key, truth.bad_tag, truth.replayed)
    show(truth.delay_line_full, truth.crowded, truth.receive_drops)
    for way in (truth.uplink, truth.downlink):
        assert_type(way, reports.LinkCounters)
        show(way.lost, way.duplicated, way.corrupted, way.held, way.queue_full, way.outage)
        show(way.too_big)
    fates = server.fates()
    assert_type(fates, list[udpulse.Fate])
    for fate in fates:
        show(fate.received_at, fate.client, fate.dropped, fate.answer, fate.size, fate.number)
        show(fate.outcome, fate.uplink, fate.downlink, fate.replies, fate.corrupted, fate.sent_at)
        assert_type(fate.uplink_rule, int | None)
        show(fate.downlink_rule)
        for copy in fate.copies:
            assert_type(copy, reports.Reply)
            show(copy.number, copy.sent_at, copy.uplink_bit, copy.downlink_bit, copy.corrupted)
    assert_type(server.next_batch(timeout=0.0), list[udpulse.Fate])
    assert_type(server.columns(), dict[str, NDArray[Any]])
    assert_type(server.columns("copies"), dict[str, NDArray[Any]])
    assert_type(server.table("copies"), reports.Table)
    assert_type(server.clients, list[Address])
    assert_type(server.started_at, float | None)
    server.uplink, server.downlink = impair.Link(mtu=1500, max_burst=3), None
    server.set_links(("127.0.0.1", 5000), uplink=impair.Link())
    with server.outage(1.0, mode="hold", way="uplink") as outage:
        assert_type(outage, impair.LinkOutage)
        outage.end()


def use_steps(relay: udpulse.Relay | udpulse.EchoServer) -> None:
    """The steps of a timeline."""
    assert_type(relay.timeline, tuple[impair.Step, ...])
    step = impair.Step("outage", at=1, duration=0.5, mode="hold", way="uplink")
    show(step.action, step.at, step.at_packet, step.client, step.uplink, step.downlink)
    show(step.duration, step.mode, step.way)
    with relay:
        assert_type(relay.add_step(step), int)
        assert_type(relay.add_step({"action": "set", "uplink": {"loss": 0.1}}), int)
    for done in relay.steps():
        assert_type(done, reports.StepDone)
        assert_type(done.clients, int | None)
        show(done.number, done.index, done.round, done.action, done.time, done.received)


def use_relay() -> None:
    """A relay's settings, counters and truth."""
    relay = udpulse.Relay(
        "127.0.0.1",
        9,
        listen=("127.0.0.1", 0),
        uplink=impair.Link(loss=0.1),
        downlink=None,
        per_client=[(impair.Link(), None)],
        seed=1,
        idle=None,
        max_clients=2,
        ttl=255,
        timeline=[impair.Step("loop", at_packet=9)],
        keep="all",
    )
    use_steps(relay)
    show(relay.host, relay.port, relay.listen, relay.uplink, relay.downlink, relay.per_client)
    show(relay.seed, relay.idle, relay.max_clients, relay.ttl, relay.keep)
    with relay:
        assert_type(relay.upstream, Address)
        assert_type(relay.sessions, list[Address])
        assert_type(relay.rebind(), int)
        relay.uplink, relay.downlink = None, impair.Link()
        relay.set_links(("127.0.0.1", 5000), uplink=impair.Link())
        assert_type(relay.outage(1.0, mode="hold"), impair.LinkOutage)
        for event in relay:
            assert_type(event, events.RelayEvent)
            match event:
                case events.SessionEnded(client=client, reason=reason):
                    show(client, reason, event.time, event.uplink, event.downlink)
                case udpulse.Fate():
                    assert_type(event.way, Literal["both", "uplink", "downlink"])
    counters = relay.counters
    assert_type(counters, reports.RelayCounters)
    show(counters.received, counters.relayed, counters.dropped, counters.send_failed)
    truth = relay.truth
    assert_type(truth, reports.RelayTruth)
    show(truth.uplink, truth.downlink, truth.sent, truth.pending, truth.delayed, truth.refused)
    show(truth.hops, truth.delay_line_full, truth.expired, truth.sessions, truth.idle)
    show(truth.evicted, truth.receive_drops, relay.rows_dropped, relay.events_dropped)
    assert_type(relay.fates(), list[udpulse.Fate])
    show([fate.way for fate in relay.fates()])
    assert_type(relay.next_batch(timeout=0.0), list[events.RelayEvent])
    assert_type(relay.columns(), dict[str, NDArray[Any]])
    assert_type(relay.table("copies"), reports.Table)
    assert_type(relay.clients, list[Address])
    assert_type(relay.started_at, float | None)


def use_heartbeat() -> None:
    """A heartbeat client and its server."""
    with udpulse.HeartbeatServer(
        "127.0.0.1",
        0,
        timeout=None,
        detector="multiple",
        suspect=3.0,
        down=5.0,
        by_host=False,
        reply=True,
        max_peers=100,
        every_beat=True,
        old_beats="ignore",
        numbers="counting",
        opaque=False,
        max_multiplier=100,
        max_grace=86400.0,
    ) as server:
        client = udpulse.HeartbeatClient(
            *server.address,
            also=[server.address],
            interval=0.01,
            spread=0.1,
            name="typed",
            stall_after=1.0,
            multiplier=3.0,
            grace=1.0,
            resolve_every=None,
            broadcast=False,
            unheard_after=None,
            count=None,
            goodbye=True,
            fail_at=None,
            fail_chance=0.0,
            loss=0.0,
            seed=7,
            format=None,
        )
        with client:
            progress = client.progress()
            assert_type(progress, reports.Progress)
            with progress:
                pass
            assert_type(next(client), events.ClientEvent)
            assert_type(client.progress("poll").finish(), None)
            show(client.next_batch(timeout=0.0), add_one(client)(1))
            show(client.host, client.port, client.also, client.interval, client.spread)
            show(client.multiplier, client.grace)
            show(client.name, client.stall_after, client.count, client.fail_at, client.fail_chance)
            show(client.loss, client.seed, client.format, client.server, client.goodbye)
            client.busy(until=2e9)
            for heard in client:
                assert_type(heard, udpulse.Beat | events.Unheard)
                if isinstance(heard, events.Unheard):
                    show(heard.server, heard.time, heard.silence, heard.to_dict())
                    continue
                assert_type(heard.outcome, Literal["failed", "send_failed", "sent", "skipped"])
                show(heard.seq, heard.time)
                break
            assert_type(client.unresolved, dict[Address, str])
            assert_type(client.heard_at, float | None)
            show(client.resolve_every, client.broadcast, client.unheard_after)
            use_peers(server)
            client.stop(goodbye=True, failure=None)
        for event in server:
            assert_type(event, events.Event)
            use_event(event)
            if isinstance(event, events.Stopped):
                break
        sent = client.counters
        assert_type(sent, reports.HeartbeatClientCounters)
        show(
            sent.sent,
            sent.skipped,
            sent.send_failed,
            sent.refused,
            sent.received,
            sent.unauthenticated,
        )


def add_one(client: udpulse.HeartbeatClient) -> Any:
    """A function that marks progress whenever it is called, with its type kept."""

    @client.progress()
    def add(number: int) -> int:
        return number + 1

    assert_type(add(1), int)
    return add


def use_peers(server: udpulse.HeartbeatServer) -> None:
    """A heartbeat server's settings, counters and table."""
    show(server.host, server.port, server.timeout, server.detector, server.suspect, server.down)
    assert_type(server.keys, udpulse.Keys | None)
    assert_type(server.unauthenticated, Literal["refuse", "accept"])
    show(server.by_host, server.reply, server.max_peers, server.every_beat, server.old_beats)
    show(server.numbers, server.opaque, server.max_multiplier, server.max_grace)
    heard = server.counters
    assert_type(heard, reports.HeartbeatServerCounters)
    show(heard.received, heard.beats, heard.late_beats, heard.duplicates, heard.stale)
    show(heard.ignored, heard.rejected, heard.receive_drops, heard.replied, heard.send_failed)
    show(heard.goodbyes, heard.unproven, heard.overlong_names)
    show(heard.unauthenticated, heard.unknown_keys, heard.bad_tags, heard.replays, heard.old_boots)
    assert_type(server.peer("api"), udpulse.Peer | None)
    assert_type(server.missing, list[str])
    assert_type(server.expect, tuple[str, ...])
    show(server.grace)
    for peer in server.peers():
        assert_type(peer, udpulse.Peer)
        show(peer.address, peer.state, peer.last_received_at, peer.seq, peer.received)
        show(peer.expected, peer.name, peer.reordered, peer.duplicates, peer.interval)
        show(peer.timeout, peer.delay, peer.difference, peer.boot, peer.status, peer.progress_age)
        show(peer.task, peer.failures, peer.error, peer.key)
    assert_type(server.columns(), dict[str, NDArray[Any]])
    assert_type(server.started_at, float | None)


def use_event(event: events.Event) -> None:
    """Every kind of event, with all its fields."""
    show(event.address, event.time)
    match event:
        case events.Up(seq=seq, name=name):
            show(seq, name)
        case events.Heard(seq=seq, difference=difference, payload=payload, name=name):
            show(seq, difference, payload, name)
        case events.LateBeat(seq=seq, name=name):
            show(seq, name)
        case events.Lost(first=first, last=last, excused=excused, name=name):
            show(first, last, excused, name)
        case events.Ignored(payload=payload, name=name):
            show(payload, name)
        case events.Suspect(silence=silence, timeout=timeout, last_seq=seq):
            show(silence, timeout, seq, event.received, event.expected, event.name)
        case events.TooOften(interval=interval, gap=gap, name=name):
            show(interval, gap, name)
        case events.Down(cause=cause, silence=silence, timeout=timeout):
            assert_type(
                cause,
                Literal["silence", "old_beats", "busy_over", "mass_silence", "short_timeout"],
            )
            show(silence, timeout, event.seq, event.received, event.expected, event.name)
        case events.Stopped(last_seq=seq, received=received, expected=expected, name=name):
            show(seq, received, expected, name)
        case events.Failed(error=error, last_seq=seq):
            show(error, seq, event.received, event.expected, event.name)
        case events.Stalled(age=age, task=task, last_seq=seq):
            show(age, task, seq, event.received, event.expected, event.name)
        case events.Busy(duration=duration, last_seq=seq):
            show(duration, seq, event.received, event.expected, event.name)
        case events.Recovered(state=state, duration=duration, timeout=timeout):
            assert_type(state, Literal["suspect", "down", "stopped", "busy", "stalled", "failed"])
            show(duration, timeout, event.seq, event.name)
        case events.Restarted(cause=why, last_seq=seq):
            assert_type(why, Literal["boot", "sequence"])
            show(seq, event.seq, event.received, event.expected, event.name)
        case events.Missing(name=name):
            assert_type(name, str)
        case events.Moved(old=old, name=name):
            show(old, name)
        case events.Conflict(boots=boots, addresses=addresses, name=name):
            show(boots, addresses, name)
        case events.ClockStepped(step=step, name=name):
            show(step, name)
        case events.Paused(duration=duration, name=name):
            show(duration, name)
        case events.MassSilence(silent=silent, alive=alive, listed=listed, name=name):
            show(silent, alive, listed, name)
        case _:
            assert_never(event)


async def use_asyncio(address: Address) -> None:
    """The same in an event loop."""
    assert_type(await udpulse.async_ping(*address, count=2), udpulse.PingReport)
    assert_type(await udpulse.async_ping_many([address], count=2), list[udpulse.PingReport])
    sent = await udpulse.async_stamp(*address, count=1, timeout=0.001)
    assert_type(sent, udpulse.PingReport)
    async with udpulse.PingClient(*address, count=2) as client:
        async for probe in client:
            assert_type(probe, udpulse.Probe)
    async for report in udpulse.PingSweep([address], count=1):
        assert_type(report, udpulse.PingReport)
    async with udpulse.EchoServer(port=0) as echo, udpulse.HeartbeatServer(port=0) as server:
        assert_type(echo, udpulse.EchoServer)
        async with udpulse.HeartbeatClient(*server.address) as beats:
            assert_type(beats, udpulse.HeartbeatClient)
            async for event in server:
                assert_type(event, events.Event)
                break


def use_reflector() -> None:
    """A reflector's settings, counters, records and sessions."""
    with udpulse.StampReflector(
        "127.0.0.1",
        0,
        stateful=True,
        twamp_light=False,
        allow=["127.0.0.0/8"],
        max_rate=None,
        max_sessions=100,
        timestamp_format="ntp",
        synchronized=False,
        clock_error=0.1,
        threads=1,
        uplink=impair.Link(loss=0.1),
        downlink=None,
        per_client=[(None, impair.Link(delay=0.001))],
        seed=7,
        timeline=[],
        keep="all",
    ) as reflector:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(bytes(44), reflector.address)
        for one in reflector:
            assert_type(one, events.ReflectorEvent)
            if not isinstance(one, reports.Reflected):
                continue
            show(one.received_at, one.client, one.outcome, one.size, one.ssid, one.seq)
            show(one.reflector_seq, one.ttl, one.tos, one.sent_at)
            break
        assert_type(reflector.reflected(), list[reports.Reflected])
        assert_type(reflector.columns(), dict[str, NDArray[Any]])
        assert_type(reflector.table("copies"), reports.Table)
        assert_type(reflector.fates(), list[udpulse.Fate])
        show(reflector.__arrow_c_stream__())
        reflector.downlink = impair.Link(delay=0.001)
        reflector.outage(0.001, way="uplink").end()
        for session in reflector.sessions():
            assert_type(session, reports.StampSession)
            show(session.client, session.ssid, session.received, session.replied)
            show(session.last_received_at)
    show(reflector.stateful, reflector.twamp_light, reflector.allow, reflector.max_sessions)
    show(reflector.timestamp_format, reflector.synchronized, reflector.clock_error)
    show(reflector.keys, reflector.unauthenticated)
    truth = reflector.truth
    assert_type(truth, reports.StampReflectorTruth)
    assert_type(truth.uplink, reports.LinkCounters)
    show(truth.pending, truth.delayed, truth.delay_line_full, truth.crowded)
    show(reflector.per_client, reflector.seed, reflector.timeline, reflector.clients)
    counters = reflector.counters
    assert_type(counters, reports.StampReflectorCounters)
    show(counters.received, counters.replied, counters.dropped, counters.send_failed)
    show(counters.unanswerable, counters.looped, counters.not_allowed, counters.limited)
    show(counters.short, counters.unauthenticated, counters.bad_tag, counters.replayed)
    show(counters.queue_full)
    show(counters.stateless_answers, counters.receive_drops)


def use_keys() -> None:
    """Keys are made of bytes, bound to a client, and kept in a file."""
    keys = udpulse.Keys({"a": bytes(range(32))})
    assert_type(keys.client("api"), udpulse.Keys)
    assert_type(keys.ids, list[str])
    assert_type(keys.names, list[str | None])
    with tempfile.TemporaryDirectory() as folder:
        keys.write(f"{folder}/keys")
        show(udpulse.Keys.read(f"{folder}/keys"))


def use_errors() -> None:
    """An object that has not run has no address."""
    try:
        show(udpulse.EchoServer().address)
    except udpulse.NotStartedError as error:
        base: udpulse.UdpulseError = error
        show(base)


def show(*values: object) -> None:
    """Print values, as a program would."""
    print(udpulse.__version__, *values)


def main() -> None:
    """Use everything."""
    for link in models():
        show_parameters(link)
    with udpulse.EchoServer(
        "127.0.0.1",
        0,
        loss=0.0,
        delay=0.0,
        uplink=None,
        downlink=impair.Link(delay=0.001),
        seed=7,
        transform="echo",
        max_size=65_507,
        max_rate=None,
        keys=None,
        unauthenticated="refuse",
        threads=1,
        keep=100,
    ) as server:
        use_ping(server.address)
        use_outages(server.address)
        use_sweep(server.address)
        use_echo_server(server)
        asyncio.run(use_asyncio(server.address))
    use_heartbeat()
    use_reflector()
    use_stamp()
    use_keys()
    use_errors()
