//! Which probe a datagram replies to.

use std::net::SocketAddr;

use crate::ping::Verdict;
use crate::ping::message::{Message, numbers_after, searched};
use crate::ping::session::{Record, Session};
use crate::wire;

/// How many recent probes a damaged reply without a token is compared with.
const COMPARED: u64 = 64;

/// The match of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// A reply to this probe.
    Reply(u64),
    /// An answer without a number while only this probe is pending.
    Guess(u64),
    /// A reply whose content differs from its probe's.
    Corrupt,
    /// A reply from another address than the probes go to.
    Elsewhere,
    /// Any other datagram.
    Foreign,
}

/// Whether the numbers in a server's own words are those of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    /// None was seen.
    #[default]
    Unknown,
    /// The first was the number of an unanswered probe.
    Plausible,
    /// So was the second, which differs from the first.
    Trusted,
    /// The first or the second was not.
    Distrusted,
}

impl Numbers {
    /// Adds a number, which is that of an unanswered probe or not.
    fn add(&mut self, of_unanswered: bool) {
        *self = match (*self, of_unanswered) {
            (Self::Unknown, true) => Self::Plausible,
            (Self::Plausible, true) => Self::Trusted,
            (Self::Unknown | Self::Plausible, false) => Self::Distrusted,
            (decided, _) => decided,
        };
    }
}

impl Session {
    /// Returns the match of a datagram.
    pub(super) fn judge(&mut self, from: SocketAddr, datagram: &[u8]) -> Match {
        let echoed = self.echoed(datagram);
        if !self.is_target(from) {
            let is_reply = matches!(echoed, Some(Match::Reply(_))) || self.is_ours(datagram);
            return if is_reply { Match::Elsewhere } else { Match::Foreign };
        }
        echoed.unwrap_or_else(|| match self.token() {
            Some(_) if self.is_ours(datagram) => Match::Corrupt,
            Some(_) => Match::Foreign,
            None => self.judge_words(datagram),
        })
    }

    /// Returns whether a datagram carries our token, or nearly.
    fn is_ours(&self, datagram: &[u8]) -> bool {
        matches!(&self.message, Message::Text(text) if text.is_ours(datagram))
    }

    /// Returns the match of a datagram as a reply of a Session-Reflector.
    fn reflected(&mut self, datagram: &[u8]) -> Match {
        let Message::Packet(packet) = &self.message else { return Match::Foreign };
        let seq = packet.answered(datagram, self.report.counters.sent);
        let probe = seq.and_then(|seq| Some((seq, *self.remembered(seq)?)));
        let (Some((seq, Record { at, verdict, .. })), Message::Packet(packet)) =
            (probe, &mut self.message)
        else {
            return Match::Foreign;
        };
        match packet.read(datagram, seq, at.wall_ns) {
            Some(_) if verdict == Verdict::SendFailed => Match::Foreign,
            Some(_) if packet.is_signed(datagram) => Match::Reply(seq),
            _ => Match::Corrupt,
        }
    }

    /// Returns the match of a datagram that repeats a probe, or names one that is forgotten.
    fn echoed(&mut self, datagram: &[u8]) -> Option<Match> {
        if matches!(self.message, Message::Packet(_)) {
            return Some(self.reflected(datagram));
        }
        for (index, seq) in numbers_after(b"Ping ", datagram) {
            if (1..=self.forgotten()).contains(&seq) {
                return Some(Match::Foreign);
            }
            let Some(&mut Record { at, verdict, .. }) = self.remembered(seq) else { continue };
            if let Message::Text(text) = &mut self.message
                && text.is_echo(datagram, index, seq, at.wall_ns)
            {
                let left = verdict != Verdict::SendFailed;
                return Some(if left { Match::Reply(seq) } else { Match::Foreign });
            }
        }
        None
    }

    /// Returns the match of a datagram that echoes no probe, in a session without a token.
    fn judge_words(&mut self, datagram: &[u8]) -> Match {
        let named = |word| numbers_after(word, datagram).next().map(|(_, seq)| seq);
        let (ping, own_word) = (named(b"Ping "), named(b"Pong "));
        let number = wire::read(searched(datagram)).seq;
        if own_word.is_none() && self.is_damaged(datagram, number) {
            return Match::Corrupt;
        }
        // The number after one of these words is the probe's; any other may be anything.
        if let Some(seq) = ping.or(own_word) {
            return self.answerable(seq).map_or(Match::Foreign, |_| Match::Reply(seq));
        }
        if let Some(seq) = number {
            let verdict = self.answerable(seq);
            let replied = matches!(verdict, Some(Verdict::Answered | Verdict::Late));
            self.numbers.add(verdict.is_some() && !replied);
            if self.numbers != Numbers::Distrusted {
                return verdict.map_or(Match::Foreign, |_| Match::Reply(seq));
            }
        }
        match self.report.counters.pending {
            1 => self.pending().next().map_or(Match::Foreign, |(seq, _)| Match::Guess(seq)),
            _ => Match::Foreign,
        }
    }

    /// Returns whether a datagram has the length of a probe and either calls itself that probe or
    /// differs from it in a few bytes. The candidates are the recent probes and probe `number`.
    fn is_damaged(&mut self, datagram: &[u8], number: Option<u64>) -> bool {
        let named = datagram.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"Ping "));
        let sent = self.report.counters.sent;
        let recent = sent.saturating_sub(COMPARED) + 1..=sent;
        number.into_iter().chain(recent).any(|seq| {
            let Some(&mut Record { at, size, .. }) = self.remembered(seq) else { return false };
            let Message::Text(text) = &mut self.message else { return false };
            datagram.len() == usize::from(size)
                && (named && number == Some(seq) || text.is_nearly(datagram, seq, at.wall_ns))
        })
    }

    /// Returns the verdict on a remembered probe that left.
    fn answerable(&mut self, seq: u64) -> Option<Verdict> {
        let verdict = self.remembered(seq)?.verdict;
        (verdict != Verdict::SendFailed).then_some(verdict)
    }
}
