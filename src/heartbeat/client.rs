//! The client: beats on an absolute grid, and the faults of the lab on purpose.

use std::net::SocketAddr;

use crate::impair::Random;
use crate::machine::Outgoing;
use crate::wire::Template;
use crate::{Events, Machine, Stamp};

/// What a client is to do.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the beats go.
    pub server: SocketAddr,
    /// The time from one beat to the next.
    pub interval_ns: i64,
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
    /// The message.
    pub message: Template,
    /// How many of the last beats are kept for a reader.
    pub events: usize,
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
    counters: ClientCounters,
    seq: u64,
    next_ns: i64,
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
            counters: ClientCounters::default(),
            seq: 0,
            next_ns: i64::MIN,
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

    fn on_datagram(&mut self, _: Stamp, _: SocketAddr, _: &[u8]) {
        self.counters.received += 1;
    }

    fn on_refused(&mut self) {
        self.counters.refused += 1;
    }

    fn on_time(&mut self, now: Stamp) {
        if self.done || now.mono_ns < self.next_ns {
            return;
        }
        self.seq += 1;
        let interval_ns = self.config.interval_ns;
        self.next_ns = if self.seq == 1 { now.mono_ns } else { self.next_ns };
        // After a stall the beats that were missed stay away: one beat, not a burst.
        let missed = (now.mono_ns - self.next_ns) / interval_ns;
        self.next_ns = self.next_ns.saturating_add(interval_ns.saturating_mul(missed + 1));

        let outcome = self.outcome();
        match outcome {
            Outcome::Failed => {}
            Outcome::Skipped => self.counters.skipped += 1,
            Outcome::Sent => {
                self.counters.sent += 1;
                let ClientConfig { server, message, .. } = &self.config;
                self.outgoing.put(*server, |out| message.write(self.seq, now.wall_ns, out));
            }
        }
        self.done = outcome == Outcome::Failed || self.config.count == Some(self.seq);
        self.events.push(Beat { seq: self.seq, at: now, outcome });
    }

    fn deadline(&self) -> Option<i64> {
        Some(self.next_ns)
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        self.counters.sent -= 1;
        self.counters.send_failed += 1;
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn events(&mut self) -> &mut Events<Beat> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ClientConfig {
        ClientConfig {
            server: "127.0.0.1:12000".parse().unwrap(),
            interval_ns: 100,
            count: None,
            fail_at: None,
            fail_chance: 0.0,
            loss: 0.0,
            seed: Some(1),
            message: Template::heartbeat(),
            events: 1000,
        }
    }

    fn tick(client: &mut Client, ns: i64) -> Option<String> {
        client.on_time(Stamp { mono_ns: ns, wall_ns: 2_000_000_000 });
        client.transmit().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn beats_keep_to_the_grid() {
        let mut client = Client::new(config());
        assert_eq!(tick(&mut client, 1000).unwrap(), "Heartbeat 1 2.000000");
        assert_eq!(client.deadline(), Some(1100));
        assert_eq!(tick(&mut client, 1099), None);
        assert_eq!(tick(&mut client, 1130).unwrap(), "Heartbeat 2 2.000000");
        assert_eq!(client.deadline(), Some(1200), "a late beat delays no other");
        assert!(tick(&mut client, 5050).unwrap().starts_with("Heartbeat 3 "));
        assert_eq!(client.deadline(), Some(5100), "a stall is followed by one beat");
    }

    #[test]
    fn the_client_fails_at_the_beat_given() {
        let mut client = Client::new(ClientConfig { fail_at: Some(2), ..config() });
        assert!(tick(&mut client, 0).is_some() && !client.is_done());
        assert!(tick(&mut client, 100).is_none() && client.is_done());
        let outcomes: Vec<_> = std::iter::from_fn(|| client.events.pop()).collect();
        assert_eq!(outcomes[1].outcome, Outcome::Failed);
        assert_eq!(client.counters(), ClientCounters { sent: 1, ..Default::default() });
    }

    #[test]
    fn the_count_ends_it() {
        let mut client = Client::new(ClientConfig { count: Some(2), ..config() });
        tick(&mut client, 0);
        assert!(!client.is_done());
        assert!(tick(&mut client, 100).is_some() && client.is_done());
        assert!(tick(&mut client, 200).is_none());
    }

    #[test]
    fn chances_are_taken_and_repeatable() {
        let run = || {
            let mut client = Client::new(ClientConfig { loss: 0.5, fail_chance: 0.01, ..config() });
            for beat in 0..1000 {
                tick(&mut client, beat * 100);
            }
            client.counters()
        };
        let counters = run();
        assert!(counters.sent > 0 && counters.skipped > 0);
        assert!(counters.sent + counters.skipped < 999, "it failed at some beat");
        assert_eq!(run(), counters);
    }
}
