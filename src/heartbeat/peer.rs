//! What the server knows of one client.

use std::net::SocketAddr;

use crate::Stamp;
use crate::heartbeat::{Arrival, Sequence};

/// One client.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where its last beat came from.
    pub address: SocketAddr,
    /// When its last beat came that was news: no duplicate, none from the past.
    pub fresh: Stamp,
    /// Whether it is taken for stopped.
    pub down: bool,
    /// Its numbers, where its beats carry any.
    pub sequence: Option<Sequence>,
    /// Beats without a number.
    pub unnumbered: u64,
}

impl Peer {
    /// A client whose first beat came at `at`, with `seq` and the send time, where it has them.
    #[must_use]
    pub fn new(address: SocketAddr, at: Stamp, seq: Option<u64>, sent_ns: Option<i64>) -> Self {
        Self {
            address,
            fresh: at,
            down: false,
            sequence: seq.map(|seq| Sequence::new(seq, sent_ns)),
            unnumbered: u64::from(seq.is_none()),
        }
    }

    /// Takes a further beat.
    pub fn observe(&mut self, seq: Option<u64>, sent_ns: Option<i64>) -> Arrival {
        match (seq, &mut self.sequence) {
            (Some(seq), Some(sequence)) => sequence.observe(seq, sent_ns),
            (Some(seq), none) => {
                *none = Some(Sequence::new(seq, sent_ns));
                Arrival::Next
            }
            (None, _) => {
                self.unnumbered += 1;
                Arrival::Next
            }
        }
    }

    /// Whether a beat sent at `sent_ns` says that the client lives now, whatever its number says.
    #[must_use]
    pub fn may_be_newer(&self, sent_ns: Option<i64>) -> bool {
        self.sequence.as_ref().is_none_or(|sequence| sequence.may_be_newer(sent_ns))
    }

    /// How many of its beats came, each counted once.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.sequence.as_ref().map_or(self.unnumbered, Sequence::received)
    }

    /// How many should have come, where its beats carry numbers.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.sequence.as_ref().map(Sequence::expected)
    }

    /// The highest number heard, where its beats carry any.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.sequence.as_ref().map(Sequence::highest)
    }
}
