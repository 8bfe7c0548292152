//! The echo's decision and its log of what it did.

use std::net::SocketAddr;

use crate::events::shown;
use crate::impair::{Loss, Random};
use crate::machine::Outgoing;
use crate::wire::MAX_DATAGRAM;
use crate::{Events, Machine, Stamp};

/// How the server treats what comes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which packets it does not answer.
    pub loss: Loss,
    /// The seed of that choice; the system chooses one where `None`.
    pub seed: Option<u64>,
    /// A longer datagram is cut to this.
    pub max_size: usize,
    /// How many of the last fates are kept for a reader.
    pub log: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { loss: Loss::Never, seed: None, max_size: MAX_DATAGRAM, log: 0 }
    }
}

/// How many packets met which fate: `received = replied + dropped + send_failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub received: u64,
    /// Packets answered.
    pub replied: u64,
    /// Packets lost on purpose.
    pub dropped: u64,
    /// Packets whose answer this host could not send.
    pub send_failed: u64,
}

/// What the server did to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When it came.
    pub at: Stamp,
    /// Where it came from.
    pub client: SocketAddr,
    /// Whether it was lost on purpose.
    pub dropped: bool,
    /// Its payload in upper case: what the answer is, or would have been, at most
    /// [`MAX_SHOWN`](crate::MAX_SHOWN) bytes of it.
    pub message: Box<[u8]>,
}

/// The echo server as a state machine.
#[derive(Debug)]
pub struct Echo {
    config: Config,
    random: Random,
    counters: Counters,
    outgoing: Outgoing,
    log: Events<Fate>,
}

impl Echo {
    /// A server that has seen nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            counters: Counters::default(),
            outgoing: Outgoing::default(),
            log: Events::new(config.log),
            config,
        }
    }

    /// How many packets met which fate so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

impl Machine for Echo {
    type Event = Fate;

    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        let datagram = &datagram[..datagram.len().min(self.config.max_size)];
        let dropped = self.config.loss.loses(&mut self.random);
        self.counters.received += 1;
        if dropped {
            self.counters.dropped += 1;
        } else {
            self.counters.replied += 1;
            self.outgoing.put_upper(from, datagram);
        }
        if self.log.wanted() {
            let message = shown(datagram).to_ascii_uppercase().into();
            self.log.push(Fate { at, client: from, dropped, message });
        }
    }

    fn on_refused(&mut self) {}

    fn on_time(&mut self, _: Stamp) {}

    fn deadline(&self) -> Option<i64> {
        None
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        self.counters.replied -= 1;
        self.counters.send_failed += 1;
    }

    fn events(&mut self) -> &mut Events<Fate> {
        &mut self.log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> SocketAddr {
        "127.0.0.1:5000".parse().unwrap()
    }

    fn answer(echo: &mut Echo, datagram: &[u8]) -> Option<Vec<u8>> {
        echo.on_datagram(Stamp::default(), client(), datagram);
        echo.transmit().map(|(to, reply)| {
            assert_eq!(to, client());
            reply.to_vec()
        })
    }

    #[test]
    fn only_ascii_letters_are_raised() {
        let mut echo = Echo::new(Config::default());
        let raised = answer(&mut echo, "Ping 1 straße\n\0\u{e9}".as_bytes()).unwrap();
        assert_eq!(raised, "PING 1 STRAßE\n\0\u{e9}".as_bytes());
        assert_eq!(answer(&mut echo, b"").unwrap(), b"");
    }

    #[test]
    fn a_long_datagram_is_cut() {
        let mut echo = Echo::new(Config { max_size: 1024, ..Config::default() });
        assert_eq!(answer(&mut echo, &[b'a'; 1025]).unwrap(), [b'A'; 1024]);
    }

    #[test]
    fn the_log_and_the_counters_tell_the_same() {
        let config = Config { loss: Loss::Lab, seed: Some(3), log: 100, ..Config::default() };
        let mut echo = Echo::new(config);
        let answers = (0..100).filter_map(|_| answer(&mut echo, b"x")).count() as u64;
        let fates: Vec<_> = std::iter::from_fn(|| echo.log.pop()).collect();
        let dropped = fates.iter().filter(|fate| fate.dropped).count() as u64;
        let expected = Counters { received: 100, replied: answers, dropped, send_failed: 0 };
        assert_eq!(echo.counters(), expected);
        assert!(dropped > 0 && fates.len() == 100);
    }

    #[test]
    fn a_failed_answer_is_no_answer() {
        let mut echo = Echo::new(Config::default());
        answer(&mut echo, b"x");
        echo.on_send_failed();
        let expected = Counters { received: 1, send_failed: 1, ..Counters::default() };
        assert_eq!(echo.counters(), expected);
    }
}
