//! Events as lines of JSON, formatted without Python objects.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyBlockingIOError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::echo::Echo;
use crate::heartbeat::{self, Change, ClientEvent, Server};
use crate::impair::Flags;
use crate::path::{self, DOWNLINK, Ended, UPLINK};
use crate::ping::{self, Event, Flows, MIN_TOKEN_SIZE, Sweep, SweepEvent, Verdict};
use crate::python::args::{Word, Words};
use crate::python::json::{Items, Json, Members, Object, Raw};
use crate::python::ping_report::PingReport;
use crate::python::report_line::add_outage;
use crate::relay::Relay;
use crate::stamp::{Reflected, Reflector};
use crate::stats::Distribution;
use crate::{Observed, Stamp};

/// A machine whose events become lines.
pub(super) trait Recorded: Observed {
    /// Returns the moment from which times count: the start of the `worker`, unless the machine
    /// has a start of its own.
    fn start(&self, worker: Stamp) -> Stamp {
        worker
    }

    /// Appends the line of an event.
    fn write(event: Self::Event, start: Stamp, lines: &mut Pending);

    /// Appends the lines of probes that are not decided.
    fn write_rest(&self, _start: Stamp, _lines: &mut Pending) {}
}

/// Lines on their way to a file.
#[derive(Default)]
pub(super) struct Pending {
    out: Vec<u8>,
    /// Whether there was a first line.
    begun: bool,
    /// The number of probes among all lines so far.
    probes: u64,
    tally: Tally,
}

/// Counts of lines since the last interval.
#[derive(Default)]
struct Tally {
    verdicts: [u64; Verdict::ALL.len()],
    revised: u64,
    rtt: Distribution,
}

impl Pending {
    /// Adds the line of an event, whose other members `add` adds.
    fn line(&mut self, event: &str, add: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::begin(&mut self.out);
        add(object.add("event", event));
        object.end();
        self.out.push(b'\n');
    }
}

/// Lines of JSON on their way to a file. The next write adds the rest of an interrupted one.
#[pyclass(frozen, name = "_Lines", module = "udpulse._core")]
pub(super) struct Lines {
    /// Writes bytes and returns how many it wrote.
    write: Py<PyAny>,
    /// Waits until it can write again.
    wait: Py<PyAny>,
    pending: Mutex<Pending>,
}

impl Lines {
    /// Never locked while Python code runs.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the lines of `events`, whose times count from `start`.
    pub(super) fn add<M: Recorded>(&self, events: Vec<M::Event>, start: Stamp) {
        let mut pending = self.pending();
        for event in events {
            M::write(event, start, &mut pending);
        }
    }

    /// Adds the lines of probes that are not decided.
    pub(super) fn add_rest(&self, machine: &impl Recorded, start: Stamp) {
        machine.write_rest(start, &mut self.pending());
    }
}

#[pymethods]
impl Lines {
    #[new]
    fn new(write: Py<PyAny>, wait: Py<PyAny>) -> Self {
        Self { write, wait, pending: Mutex::default() }
    }

    /// The number of probes among the lines so far.
    #[getter]
    fn probes(&self) -> u64 {
        self.pending().probes
    }

    /// Adds the first line, unless there was one.
    fn begin(&self, line: &[u8]) {
        let is_first = !std::mem::replace(&mut self.pending().begun, true);
        if is_first {
            self.put(line);
        }
    }

    /// Adds a line.
    fn put(&self, line: &[u8]) {
        let mut pending = self.pending();
        pending.out.extend_from_slice(line);
        pending.out.push(b'\n');
    }

    /// Adds the line of an interval of probes.
    fn put_interval(&self, from_ns: i64, until_ns: i64) {
        let mut pending = self.pending();
        let Tally { verdicts, revised, rtt } = std::mem::take(&mut pending.tally);
        let counters = ping::Counters {
            sent: verdicts.iter().sum(),
            answered: verdicts[Verdict::Answered as usize],
            ..ping::Counters::default()
        };
        pending.line("interval", |line| {
            line.add("from_ns", from_ns).add("until_ns", until_ns).add("decided", counters.sent);
            for (word, verdict) in Verdict::ALL {
                if !matches!(verdict, Verdict::Late | Verdict::Pending) {
                    line.add(word, verdicts[verdict as usize]);
                }
            }
            line.add("revised", revised).add("loss", counters.loss()).add("rtt", &rtt);
        });
    }

    /// Adds the last line about a target. `state` is JSON.
    fn put_summary(
        &self,
        target_index: usize,
        report: &PingReport,
        start_ns: i64,
        events_dropped: u64,
        state: &str,
    ) {
        self.pending().line("summary", |line| {
            line.add("target_index", target_index);
            report.describe(start_ns, line);
            line.add("events_dropped", events_dropped).add("state", Raw(state));
        });
    }

    /// Writes all lines.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        loop {
            let bytes = {
                let pending = self.pending();
                if pending.out.is_empty() {
                    return Ok(());
                }
                PyBytes::new(py, &pending.out)
            };
            let written = match self.write.call1(py, (bytes,)) {
                Ok(written) => written.extract::<usize>(py)?,
                Err(error) if error.is_instance_of::<PyBlockingIOError>(py) => {
                    self.wait.call0(py)?;
                    0
                }
                Err(error) => return Err(error),
            };
            {
                let out = &mut self.pending().out;
                out.drain(..written.min(out.len()));
            }
            // A signal that cut the write short: otherwise nobody could end it.
            py.check_signals()?;
        }
    }
}

/// Returns the word for a value.
fn word<T: Words>(value: T) -> Option<&'static str> {
    Word(value).word()
}

/// The place of a probe: target, round and flow.
#[derive(Clone, Copy)]
struct Place(usize, u64, usize);

impl Place {
    fn add_to<'a, 'b>(self, line: &'a mut Object<'b>) -> &'a mut Object<'b> {
        let Self(target, round, flow) = self;
        line.add("target_index", target).add("round", round).add("flow", flow)
    }
}

fn write_probe(event: &str, place: Place, probe: &ping::Probe, start: Stamp, lines: &mut Pending) {
    if event == "revised" {
        lines.tally.revised += 1;
    } else {
        lines.probes += 1;
        lines.tally.verdicts[probe.verdict as usize] +=
            u64::from(probe.verdict != Verdict::Pending);
        probe.rtt_ns.iter().for_each(|ns| lines.tally.rtt.add(*ns));
    }
    // With a token the reply is the probe.
    let reply = probe.reply.as_deref().filter(|_| usize::from(probe.size) < MIN_TOKEN_SIZE);
    lines.line(event, |line| {
        place
            .add_to(line)
            .add("seq", probe.seq)
            .add("verdict", word(probe.verdict))
            .add("sent_at_ns", probe.sent_at.mono_ns.saturating_sub(start.mono_ns))
            .add("rtt_ns", probe.rtt_ns)
            .add("kernel_rtt_ns", probe.kernel_rtt_ns)
            .add("size", probe.size)
            .add("guessed", probe.guessed)
            .add_bytes("reply", reply);
    });
}

fn write_ping(event: &Event, place: Place, start: Stamp, lines: &mut Pending) {
    match event {
        Event::Probe(probe) => write_probe("probe", place, probe, start, lines),
        Event::Revised(probe) => write_probe("revised", place, probe, start, lines),
        Event::Outage(outage) => lines.line("outage", |line| {
            add_outage(outage, start.wall_ns, place.add_to(line));
        }),
    }
}

impl Recorded for Flows {
    fn start(&self, _: Stamp) -> Stamp {
        Flows::start(self)
    }

    fn write((flow, event): Self::Event, start: Stamp, lines: &mut Pending) {
        write_ping(&event, Place(0, 0, flow), start, lines);
    }

    fn write_rest(&self, start: Stamp, lines: &mut Pending) {
        for (flow, probe) in self.undecided() {
            write_probe("probe", Place(0, 0, flow), &probe, start, lines);
        }
    }
}

impl Recorded for Sweep {
    fn write(event: SweepEvent, start: Stamp, lines: &mut Pending) {
        // Reports of rounds follow from their probes.
        if let SweepEvent::Probe { target, round, flow, event } = event {
            write_ping(&event, Place(target, round, flow), start, lines);
        }
    }

    fn write_rest(&self, start: Stamp, lines: &mut Pending) {
        for ((target, round, flow), probe) in self.undecided() {
            let place = Place(target, round, flow);
            write_probe("probe", place, &probe, start, lines);
        }
    }
}

impl Recorded for Echo {
    fn write(event: path::Event, start: Stamp, lines: &mut Pending) {
        write_path(event, start, lines, |never, _, _| match never {});
    }
}

impl Recorded for Reflector {
    fn write(event: path::Event<Reflected>, start: Stamp, lines: &mut Pending) {
        write_path(event, start, lines, write_reflected);
    }
}

fn write_reflected(reflected: Reflected, start: Stamp, lines: &mut Pending) {
    let Reflected { at, client, outcome, size, ttl, tos, numbers, sent_ns } = reflected;
    let since = |ns: i64| ns.saturating_sub(start.wall_ns);
    lines.line("reflected", |line| {
        line.add("client", client)
            .add("outcome", word(outcome))
            .add("received_at_ns", since(at.wall_ns))
            .add("sent_at_ns", sent_ns.map(since))
            .add("size", size)
            .add("ssid", numbers.map(|numbers| numbers.ssid))
            .add("seq", numbers.map(|numbers| numbers.seq))
            .add("reflector_seq", numbers.map(|numbers| numbers.reflector_seq))
            .add("ttl", ttl)
            .add("tos", tos);
    });
}

impl Recorded for Relay {
    fn write(event: path::Event, start: Stamp, lines: &mut Pending) {
        write_path(event, start, lines, |never, _, _| match never {});
    }
}

fn write_path<R>(
    event: path::Event<R>,
    start: Stamp,
    lines: &mut Pending,
    write_record: impl FnOnce(R, Stamp, &mut Pending),
) {
    match event {
        path::Event::Record(record) => write_record(record, start, lines),
        path::Event::Fate(fate) => write_fate(&fate, start, lines),
        path::Event::Step(done) => {
            let path::Done { number, index, round, kind, at, received, clients } = done;
            lines.line("step", |line| {
                line.add("number", number)
                    .add("index", index)
                    .add("round", round)
                    .add("action", word(kind))
                    .add("at_ns", at.wall_ns.saturating_sub(start.wall_ns))
                    .add("received", received)
                    .add("clients", clients);
            });
        }
        path::Event::Ended(Ended { at, client, reason, packets: [uplink, downlink] }) => {
            lines.line("session_ended", |line| {
                line.add("client", client)
                    .add("at_ns", at.wall_ns.saturating_sub(start.wall_ns))
                    .add("reason", word(reason))
                    .add("uplink", uplink)
                    .add("downlink", downlink);
            });
        }
    }
}

fn write_fate(fate: &path::Fate, start: Stamp, lines: &mut Pending) {
    let since = |ns: i64| ns.saturating_sub(start.wall_ns);
    let copy = |reply: &path::Reply| {
        let path::Reply { number, sent_ns, damage } = *reply;
        let [uplink_bit, downlink_bit] = damage.flipped;
        Members(move |copy: &mut Object<'_>| {
            copy.add("number", number)
                .add("sent_at_ns", since(sent_ns))
                .add("uplink_bit", uplink_bit)
                .add("downlink_bit", downlink_bit)
                .add("corrupted", damage.corrupted);
        })
    };
    let copies: Vec<_> = fate.replies().map(copy).collect();
    lines.line("fate", |line| {
        line.add("client", fate.client)
            .add("number", fate.number)
            .add("way", word(fate.route))
            .add("outcome", word(fate.outcome))
            .add("received_at_ns", since(fate.at.wall_ns))
            .add("sent_at_ns", fate.first.map(|reply| since(reply.sent_ns)))
            .add("size", fate.size)
            .add_bytes("answer", Some(&fate.answer))
            .add("uplink", words(fate.uplink))
            .add("downlink", words(fate.downlink))
            .add("uplink_rule", fate.rules[UPLINK])
            .add("downlink_rule", fate.rules[DOWNLINK])
            .add("copies", &copies[..]);
    });
}

/// Returns the words for impairments.
fn words(flags: Flags) -> impl Json {
    let has = move |(_, flag): &(&str, Flags)| flags.0 & flag.0 != 0;
    Items(Flags::ALL.into_iter().filter(has).map(|(word, _)| word))
}

impl Recorded for heartbeat::Client {
    fn write(event: ClientEvent, start: Stamp, lines: &mut Pending) {
        let since = |at: Stamp| at.wall_ns.saturating_sub(start.wall_ns);
        match event {
            ClientEvent::Beat(heartbeat::Beat { seq, at, outcome }) => {
                lines.line("beat", |line| {
                    line.add("seq", seq).add("outcome", word(outcome)).add("at_ns", since(at));
                });
            }
            ClientEvent::Unheard(heartbeat::Unheard { server, at, silence_ns }) => {
                lines.line("unheard", |line| {
                    line.add("server", server)
                        .add("at_ns", since(at))
                        .add("silence_ns", silence_ns);
                });
            }
        }
    }
}

/// The details of a server's event: each kind has some of them.
#[derive(Default)]
struct Details {
    seq: Option<u64>,
    before: Option<heartbeat::Snapshot>,
    cause: Option<heartbeat::Cause>,
    state: Option<heartbeat::State>,
    silence_ns: Option<i64>,
    timeout_ns: Option<i64>,
    duration_ns: Option<i64>,
    difference_ns: Option<i64>,
    payload: Option<Box<[u8]>>,
    lost: Option<(u64, u64, u64)>,
    step_ns: Option<i64>,
    error: Option<Box<[u8]>>,
    task: Option<Box<[u8]>>,
    age_ns: Option<i64>,
    interval_ns: Option<i64>,
    gap_ns: Option<i64>,
    old: Option<SocketAddr>,
    boots: Option<Box<[u64]>>,
    addresses: Option<Box<[SocketAddr]>>,
    silent: Option<(usize, usize)>,
    listed: Option<Box<[SocketAddr]>>,
}

impl Details {
    /// Returns the kind of a change and its details.
    fn of(change: Change, before: heartbeat::Snapshot) -> (&'static str, Self) {
        let none = Self::default;
        let counts = || Self { before: Some(before), ..none() };
        let timeout_ns = Some(before.timeout_ns);
        match change {
            Change::Busy { for_ns } => ("busy", Self { duration_ns: Some(for_ns), ..counts() }),
            Change::ClockStepped { by_ns } => {
                ("clock_stepped", Self { step_ns: Some(by_ns), ..none() })
            }
            Change::Conflict { boots, addresses } => {
                ("conflict", Self { boots: Some(boots), addresses: Some(addresses), ..none() })
            }
            Change::Down { cause, silence_ns } => {
                let (cause, silence_ns) = (Some(cause), Some(silence_ns));
                let seq = before.seq.map(|seq| seq.saturating_add(1));
                ("down", Self { seq, cause, silence_ns, timeout_ns, ..counts() })
            }
            Change::Failed { error } => ("failed", Self { error, ..counts() }),
            Change::Heard { seq, difference_ns, payload } => {
                ("heard", Self { seq, difference_ns, payload: Some(payload), ..none() })
            }
            Change::Ignored { payload } => ("ignored", Self { payload: Some(payload), ..none() }),
            Change::LateBeat { seq } => ("late_beat", Self { seq: Some(seq), ..none() }),
            Change::Lost { first, last, excused } => {
                ("lost", Self { lost: Some((first, last, excused)), ..none() })
            }
            Change::MassSilence { silent, alive, listed } => {
                let silent = Some((silent, alive));
                ("mass_silence", Self { silent, listed: Some(listed), ..none() })
            }
            Change::Missing => ("missing", none()),
            Change::Moved { from } => ("moved", Self { old: Some(from), ..none() }),
            Change::Paused { for_ns } => ("paused", Self { duration_ns: Some(for_ns), ..none() }),
            Change::Recovered { from, for_ns, seq } => {
                let (state, duration_ns) = (Some(from), Some(for_ns));
                ("recovered", Self { seq, state, timeout_ns, duration_ns, ..none() })
            }
            Change::Restarted { cause, seq } => {
                ("restarted", Self { seq, cause: Some(cause), ..counts() })
            }
            Change::Stalled { age_ns, task } => ("stalled", Self { task, age_ns, ..counts() }),
            Change::Stopped => ("stopped", counts()),
            Change::Suspect { silence_ns } => {
                ("suspect", Self { silence_ns: Some(silence_ns), timeout_ns, ..counts() })
            }
            Change::TooOften { interval_ns, gap_ns } => {
                let (interval_ns, gap_ns) = (Some(interval_ns), Some(gap_ns));
                ("too_often", Self { interval_ns, gap_ns, ..none() })
            }
            Change::Up { seq } => ("up", Self { seq, ..none() }),
        }
    }
}

impl Recorded for Server {
    fn write(event: heartbeat::Event, start: Stamp, lines: &mut Pending) {
        let heartbeat::Event { address, name, at, before, change } = event;
        let (kind, details) = Details::of(change, before);
        // The server itself has no address.
        let address = Some(address).filter(|address| address.port() > 0);
        // JavaScript rounds numbers above 2^53.
        let boots = details.boots.as_deref().map(|boots| Items(boots.iter().map(u64::to_string)));
        let counts = details.before;
        lines.line("peer", |line| {
            line.add("kind", kind)
                .add("at_ns", at.wall_ns.saturating_sub(start.wall_ns))
                .add("address", address)
                .add("name", text(name.as_deref()))
                .add("seq", details.seq)
                .add("last_seq", counts.and_then(|counts| counts.seq))
                .add("received", counts.map(|counts| counts.received))
                .add("expected", counts.and_then(|counts| counts.expected))
                .add("cause", details.cause.map(word))
                .add("state", details.state.map(word))
                .add("silence_ns", details.silence_ns)
                .add("timeout_ns", details.timeout_ns)
                .add("duration_ns", details.duration_ns)
                .add("difference_ns", details.difference_ns)
                .add_bytes("payload", details.payload.as_deref())
                .add("first", details.lost.map(|(first, ..)| first))
                .add("last", details.lost.map(|(_, last, _)| last))
                .add("excused", details.lost.map(|(.., excused)| excused))
                .add("step_ns", details.step_ns)
                .add("error", text(details.error.as_deref()))
                .add("task", text(details.task.as_deref()))
                .add("age_ns", details.age_ns)
                .add("interval_ns", details.interval_ns)
                .add("gap_ns", details.gap_ns)
                .add("old", details.old)
                .add("boots", boots)
                .add("addresses", details.addresses.as_deref())
                .add("silent", details.silent.map(|(silent, _)| silent))
                .add("alive", details.silent.map(|(_, alive)| alive))
                .add("listed", details.listed.as_deref());
        });
    }
}

/// Returns bytes as text; replaces invalid UTF-8, as events in Python do.
fn text(bytes: Option<&[u8]>) -> Option<Cow<'_, str>> {
    bytes.map(String::from_utf8_lossy)
}
