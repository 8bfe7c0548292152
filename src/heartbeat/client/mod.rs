//! The client: beats on an absolute grid, and the faults of the lab on purpose.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::heartbeat::Progress;
use crate::machine::Outgoing;
use crate::wire::beat::Status;
use crate::wire::{self, Template};
use crate::{Arrival, Events, Machine, Random, Stamp, Transmit};

/// How often a goodbye is sent, because any one may be lost, and how far apart.
const GOODBYES: u32 = 3;
const APART: Duration = Duration::from_millis(20);

/// A beat out of turn comes no sooner after the one before, however often there is news.
const APART_NS: i64 = 20_000_000;

/// What a client is to do.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the beats go; each goes to all.
    pub servers: Vec<SocketAddr>,
    /// The time from one beat to the next.
    pub interval_ns: i64,
    /// By how much of the interval, 0 to 0.5, a beat is earlier or later at random than its slot
    /// in the schedule, so that many clients do not beat as one.
    pub spread: f64,
    /// How many beats; without end where `None`.
    pub count: Option<u64>,
    /// The beat at which a crash is simulated.
    pub fail_at: Option<u64>,
    /// The probability of a simulated crash at each beat.
    pub fail_chance: f64,
    /// The probability that a beat is not sent on purpose.
    pub loss: f64,
    /// The seed of these choices; the system chooses one where `None`.
    pub seed: Option<u64>,
    /// The form of the beats.
    pub format: BeatFormat,
    /// How far local time is ahead of UTC, for messages that hold it.
    pub utc_offset_ns: i64,
    /// How many of the last beats are kept for a reader.
    pub events: usize,
}

/// Form of a client's beats.
#[derive(Clone, Debug)]
pub enum BeatFormat {
    /// The user's own text, which declares nothing.
    Template(Template),
    /// The number and the time in the lab's form, and what the sender declares before them.
    Declared {
        /// The sender's name.
        name: Option<Box<[u8]>>,
        /// The application's progress.
        progress: Arc<Progress>,
        /// After how long without progress the sender says that the application is stalled.
        stall_after_ns: Option<i64>,
    },
}

/// How many beats met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Beats handed to the system.
    pub sent: u64,
    /// Beats not sent on purpose.
    pub skipped: u64,
    /// Beats that this host could not send.
    pub send_failed: u64,
    /// Times the host said that nothing listens on the port.
    pub refused: u64,
    /// Answers that came in.
    pub received: u64,
}

/// A beat that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was due.
    pub at: Stamp,
    /// What was done.
    pub outcome: Outcome,
}

/// What a client did when a beat was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It simulated a crash: this beat and all that follow stay away.
    Failed,
    /// It sent the beat.
    Sent,
    /// It did not send the beat, on purpose.
    Skipped,
}

/// The heartbeat client as a state machine.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    random: Random,
    /// Of the spread alone, so that it does not change the other choices.
    spread: Random,
    /// Told from all other starts by its time, and its upper bits are in the order of time.
    boot: Option<u64>,
    counters: ClientCounters,
    seq: u64,
    /// The next beat's slot in the schedule, and when it is sent.
    slot_ns: i64,
    next_ns: i64,
    /// When the last beat was due.
    last_ns: i64,
    goodbyes: u32,
    /// The index of the next server to send the last beat to.
    next_server: usize,
    done: bool,
    outgoing: Outgoing,
    events: Events<Beat>,
}

impl Client {
    /// A client whose first beat is due at once.
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
            goodbyes: 0,
            next_server: config.servers.len(),
            done: false,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// How many beats met which fate so far.
    #[must_use]
    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    /// The first server that the beats go to.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        let mut first = *self.config.servers.first()?;
        // Not as a socket of IPv6 has it.
        if let IpAddr::V4(ip) = first.ip().to_canonical() {
            first.set_ip(ip.into());
        }
        Some(first)
    }

    /// Writes the beat with the current number, to be sent to all servers.
    fn write(&mut self, now: Stamp, goodbye: bool) {
        let Self { config, boot, outgoing, seq, .. } = self;
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
                let age_ns = progress.age_ns(now.mono_ns);
                let busy_ns = progress.busy_ns(now.mono_ns);
                let status = match (goodbye, busy_ns, age_ns.zip(*stall_after_ns)) {
                    (true, ..) => Some(Status::Bye),
                    (_, Some(_), _) => Some(Status::Busy),
                    (.., Some((age_ns, after_ns))) if age_ns > after_ns => Some(Status::Stalled),
                    _ => None,
                };
                let beat = wire::Beat {
                    interval_ns: Some(config.interval_ns),
                    boot: Some(boot),
                    name: name.as_deref(),
                    status,
                    age_ns,
                    busy_ns: busy_ns.filter(|_| !goodbye),
                    ..wire::Beat::default()
                };
                beat.write(*seq, now.wall_ns, out);
            }
        });
        self.next_server = 0;
    }

    /// When the next beat is due: in its turn, or sooner where the application has news.
    fn due_ns(&self) -> i64 {
        match &self.config.format {
            BeatFormat::Declared { progress, .. } if progress.has_news() => {
                self.next_ns.min(self.last_ns.saturating_add(APART_NS))
            }
            _ => self.next_ns,
        }
    }

    /// Finds the next slot of the schedule that is not over, and the time of its beat.
    fn schedule(&mut self, now: Stamp) {
        let ClientConfig { interval_ns, spread, .. } = self.config;
        if self.seq == 1 {
            self.slot_ns = now.mono_ns;
        }
        // After a stall the beats that were missed stay away: one beat, not a burst. A beat that is
        // early by its spread has missed none.
        let missed = now.mono_ns.saturating_sub(self.slot_ns).max(0) / interval_ns;
        self.slot_ns =
            self.slot_ns.saturating_add(interval_ns.saturating_mul(missed.saturating_add(1)));
        self.next_ns = self.slot_ns;
        if spread > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "a random part"
            )]
            let most_ns = (interval_ns as f64 * spread) as i64;
            let drawn = self.spread.below(2 * most_ns.unsigned_abs() + 1);
            self.next_ns = self.next_ns.saturating_add(drawn.cast_signed() - most_ns);
        }
    }

    /// Counts a beat that was given out and did not leave.
    fn count_failure(&mut self) {
        self.counters.sent -= 1;
        self.counters.send_failed += 1;
    }

    fn outcome(&mut self) -> Outcome {
        let ClientConfig { fail_at, fail_chance, loss, .. } = self.config;
        // Both are drawn each time, so that one setting does not change the other's choices.
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

    fn on_refused(&mut self, _: usize, _: Option<&[u8]>) {
        self.counters.refused += 1;
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        if self.done || now.mono_ns < self.due_ns() {
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
                self.write(now, false);
            }
        }
        self.done = outcome == Outcome::Failed || self.config.count == Some(self.seq);
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

    fn on_unblocked(&mut self, _: usize, _: Stamp, beat: &mut Vec<u8>) -> bool {
        // After a jam comes one beat, not a burst.
        let is_latest = beat == self.outgoing.datagram();
        if !is_latest {
            self.count_failure();
        }
        is_latest
    }

    fn farewell(&mut self, now: Stamp) -> Option<Duration> {
        let declares = matches!(self.config.format, BeatFormat::Declared { .. });
        if !declares || self.seq == 0 || self.done || self.goodbyes == GOODBYES {
            return None;
        }
        // All carry one number: that of the beat that would have come next.
        self.seq += u64::from(self.goodbyes == 0);
        self.goodbyes += 1;
        self.write(now, true);
        (self.goodbyes < GOODBYES).then_some(APART)
    }

    fn on_send_failed(&mut self, _: usize, _beat: &[u8]) {
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
