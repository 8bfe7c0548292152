//! The heartbeat client: beats on an absolute schedule, with optional simulated faults.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::heartbeat::progress::{Progress, Summary};
use crate::machine::Outgoing;
use crate::wire::beat::Status;
use crate::wire::{self, Template};
use crate::{Arrival, Events, Icmp, Machine, Random, Stamp, Transmit};

/// Number of goodbyes, because any one may be lost, and the time between them.
const GOODBYES: u32 = 3;
const APART: Duration = Duration::from_millis(20);

/// Minimum gap before a beat sent out of turn, however often the application has news.
const APART_NS: i64 = 20_000_000;

/// Settings of a heartbeat client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Every beat is sent to each of these.
    pub servers: Vec<SocketAddr>,
    /// Time between beats.
    pub interval_ns: i64,
    /// Random shift of each beat, as a fraction of the interval (0 to 0.5), so that many clients do
    /// not beat in step.
    pub spread: f64,
    /// Number of beats; unlimited if `None`.
    pub count: Option<u64>,
    /// Number of the beat at which to simulate a crash.
    pub fail_at: Option<u64>,
    /// Probability of a simulated crash at each beat.
    pub fail_chance: f64,
    /// Probability that a beat is skipped on purpose.
    pub loss: f64,
    /// Whether an orderly end says goodbye.
    pub goodbye: bool,
    /// Seed of these random choices; drawn by the system if `None`.
    pub seed: Option<u64>,
    /// Format of the beats.
    pub format: BeatFormat,
    /// Local time minus UTC, for messages that contain local time.
    pub utc_offset_ns: i64,
    /// Number of most recent beats kept for a reader.
    pub events: usize,
}

/// Format of a client's beats.
#[derive(Clone, Debug)]
pub enum BeatFormat {
    /// The user's own text, which declares nothing.
    Template(Template),
    /// The lab's number and time, preceded by declarations about the sender.
    Declared {
        /// The sender's name.
        name: Option<Box<[u8]>>,
        /// The application's progress.
        progress: Arc<Progress>,
        /// Time without progress after which the sender declares the application stalled.
        stall_after_ns: Option<i64>,
    },
}

/// Counters of a heartbeat client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Beats handed to the system.
    pub sent: u64,
    /// Beats skipped on purpose.
    pub skipped: u64,
    /// Beats that this host failed to send.
    pub send_failed: u64,
    /// ICMP port-unreachable messages.
    pub refused: u64,
    /// Datagrams received.
    pub received: u64,
}

/// A beat that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Sequence number, starting at 1.
    pub seq: u64,
    /// When the client acted on it.
    pub at: Stamp,
    /// The client's action.
    pub outcome: Outcome,
}

/// Action of a client when a beat was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Simulated a crash: sent neither this beat nor any later one.
    Failed,
    /// Sent the beat.
    Sent,
    /// Skipped the beat on purpose.
    Skipped,
}

impl Outcome {
    /// All of them by name.
    pub const ALL: [(&str, Self); 3] =
        [("failed", Self::Failed), ("sent", Self::Sent), ("skipped", Self::Skipped)];
}

/// The end of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An orderly one.
    Orderly,
    /// An exception, with its type if that can be written in a beat.
    Failed(Option<Box<[u8]>>),
}

/// The heartbeat client as a state machine.
///
/// It falls silent if it is stopped, unless [`end`](Self::end) was called before.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    random: Random,
    /// Separate generator, so that the spread does not change the other choices.
    spread: Random,
    /// Boot id, drawn at the first beat: milliseconds of the start in the upper bits, random bits
    /// below.
    boot: Option<u64>,
    counters: ClientCounters,
    seq: u64,
    /// The next beat's slot in the schedule, and the time to send it, shifted by the spread.
    slot_ns: i64,
    next_ns: i64,
    /// When the last beat was handled.
    last_ns: i64,
    /// The end to report, if there is one to report.
    ending: Option<Ending>,
    goodbyes: u32,
    /// Whether the last beat was handled, so that only the farewell is left.
    over: bool,
    /// Index of the next server to send the current beat to.
    next_server: usize,
    done: bool,
    outgoing: Outgoing,
    events: Events<Beat>,
}

impl Client {
    /// Creates a client whose first beat is due immediately.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            random: Random::new(config.seed),
            spread: Random::new(config.seed),
            boot: None,
            counters: ClientCounters::default(),
            seq: 0,
            slot_ns: i64::MIN,
            next_ns: i64::MIN,
            last_ns: i64::MIN,
            ending: None,
            goodbyes: 0,
            over: false,
            next_server: config.servers.len(),
            done: false,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    /// Returns the first server, or `None` if there are none.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        let mut first = *self.config.servers.first()?;
        // Show an IPv4-mapped address as IPv4.
        if let IpAddr::V4(ip) = first.ip().to_canonical() {
            first.set_ip(ip.into());
        }
        Some(first)
    }

    /// Chooses the farewell, unless one was chosen before.
    pub fn end(&mut self, ending: Ending) {
        if self.config.goodbye || ending != Ending::Orderly {
            self.ending.get_or_insert(ending);
        }
    }

    /// Returns whether there is a farewell to say: beats were sent and declared, and the end is to
    /// be reported.
    fn has_farewell(&self) -> bool {
        let declares = matches!(self.config.format, BeatFormat::Declared { .. });
        declares && self.seq > 0 && !self.done && self.ending.is_some() && self.goodbyes < GOODBYES
    }

    /// Writes the current beat or goodbye and queues it for all servers.
    fn write(&mut self, now: Stamp) {
        let Self { config, boot, outgoing, seq, ending, goodbyes, .. } = self;
        let farewell = ending.as_ref().filter(|_| *goodbyes > 0);
        let Some(first) = config.servers.first() else { return };
        outgoing.put(*first, |out| match &config.format {
            BeatFormat::Template(template) => {
                template.write(*seq, now.wall_ns, config.utc_offset_ns, out);
            }
            BeatFormat::Declared { name, progress, stall_after_ns } => {
                let boot = *boot.get_or_insert_with(|| {
                    let ms = now.wall_ns.max(0).cast_unsigned() / 1_000_000;
                    ms << 16 | Random::new(None).below(1 << 16)
                });
                let Summary { age_ns, task, failures, busy_ns } =
                    progress.summary(now.mono_ns, stall_after_ns.is_some());
                let status = match (farewell, busy_ns, age_ns.zip(*stall_after_ns)) {
                    (Some(Ending::Orderly), ..) => Some(Status::Bye),
                    (Some(Ending::Failed(_)), ..) => Some(Status::Failed),
                    (_, Some(_), _) => Some(Status::Busy),
                    (.., Some((age_ns, after_ns))) if age_ns > after_ns => Some(Status::Stalled),
                    _ => None,
                };
                let error = match farewell {
                    Some(Ending::Failed(Some(error))) => Some(&**error),
                    _ => None,
                };
                let beat = wire::Beat {
                    interval_ns: Some(config.interval_ns),
                    boot: Some(boot),
                    name: name.as_deref(),
                    status,
                    error,
                    age_ns,
                    task: task.as_deref(),
                    failures: Some(failures).filter(|failures| *failures > 0),
                    busy_ns: busy_ns.filter(|_| farewell.is_none()),
                    ..wire::Beat::default()
                };
                beat.write(*seq, now.wall_ns, out);
            }
        });
        self.next_server = 0;
    }

    /// Returns when the next beat is due: in its slot, or sooner if the application has news.
    fn due_ns(&self) -> i64 {
        match &self.config.format {
            BeatFormat::Declared { progress, .. } if progress.has_news() && !self.over => {
                self.next_ns.min(self.last_ns.saturating_add(APART_NS))
            }
            _ => self.next_ns,
        }
    }

    /// Advances to the first slot after `now` and schedules its beat.
    fn schedule(&mut self, now: Stamp) {
        let ClientConfig { interval_ns, spread, .. } = self.config;
        if self.seq == 1 {
            self.slot_ns = now.mono_ns;
        }
        // After a stall, send one beat, not a burst. A beat sent early because of its spread missed
        // no slot.
        let missed = now.mono_ns.saturating_sub(self.slot_ns).max(0) / interval_ns;
        self.slot_ns =
            self.slot_ns.saturating_add(interval_ns.saturating_mul(missed.saturating_add(1)));
        self.next_ns = self.slot_ns;
        if spread > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "a random shift need not be exact"
            )]
            let most_ns = (interval_ns as f64 * spread) as i64;
            let drawn = self.spread.below(2 * most_ns.unsigned_abs() + 1);
            self.next_ns = self.next_ns.saturating_add(drawn.cast_signed() - most_ns);
        }
    }

    /// Records that a beat counted as sent did not leave.
    fn count_failure(&mut self) {
        self.counters.sent -= 1;
        self.counters.send_failed += 1;
    }

    fn outcome(&mut self) -> Outcome {
        let ClientConfig { fail_at, fail_chance, loss, .. } = self.config;
        // Draw both every time, so that one setting does not change the other's choices.
        let fails = self.random.chance(fail_chance);
        let skips = self.random.chance(loss);
        if fails || fail_at == Some(self.seq) {
            Outcome::Failed
        } else if skips {
            Outcome::Skipped
        } else {
            Outcome::Sent
        }
    }
}

impl Machine for Client {
    type Event = Beat;

    fn on_datagram(&mut self, _: usize, _: &mut Arrival<'_>) -> Option<usize> {
        self.counters.received += 1;
        None
    }

    fn on_icmp(&mut self, _: usize, error: &Icmp<'_>) {
        self.counters.refused += u64::from(error.is_port_unreachable());
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        if self.done || now.mono_ns < self.due_ns() {
            return;
        }
        if self.over {
            match self.farewell(now) {
                Some(_) => self.next_ns = now.mono_ns.saturating_add(APART_NS),
                None => self.done = true,
            }
            return;
        }
        self.seq += 1;
        self.last_ns = now.mono_ns;
        if now.mono_ns >= self.next_ns {
            self.schedule(now);
        }
        if let BeatFormat::Declared { progress, .. } = &self.config.format {
            progress.clear_news();
        }

        let outcome = self.outcome();
        match outcome {
            Outcome::Failed => {}
            Outcome::Skipped => self.counters.skipped += 1,
            Outcome::Sent => {
                self.write(now);
            }
        }
        self.done = outcome == Outcome::Failed;
        if self.config.count == Some(self.seq) {
            self.end(Ending::Orderly);
            self.over = true;
            self.done |= !self.has_farewell();
            self.next_ns = now.mono_ns.saturating_add(APART_NS);
        }
        self.events.push(Beat { seq: self.seq, at: now, outcome });
    }

    fn deadline(&self, _: usize) -> Option<i64> {
        Some(self.due_ns())
    }

    fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
        let to = *self.config.servers.get(self.next_server)?;
        self.next_server += 1;
        self.counters.sent += 1;
        Some(Transmit { to, from: None, datagram: self.outgoing.datagram() })
    }

    fn on_unblocked(&mut self, _: usize, _: Stamp, _: SocketAddr, beat: &mut Vec<u8>) -> bool {
        // Once the socket is writable again, send only the newest beat, not a burst.
        let is_latest = beat == self.outgoing.datagram();
        if !is_latest {
            self.count_failure();
        }
        is_latest
    }

    fn farewell(&mut self, now: Stamp) -> Option<Duration> {
        if !self.has_farewell() {
            return None;
        }
        // All goodbyes carry the number that the next beat would have had.
        self.seq += u64::from(self.goodbyes == 0);
        self.goodbyes += 1;
        self.write(now);
        Some(if self.goodbyes < GOODBYES { APART } else { Duration::ZERO })
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        self.count_failure();
    }

    fn is_done(&self, _: usize) -> bool {
        self.done
    }

    fn events(&mut self) -> &mut Events<Beat> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests;
