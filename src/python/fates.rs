//! Ground truth: `Fate`, `Reply` and their columns.

use std::collections::HashMap;
use std::net::SocketAddr;

use pyo3::prelude::*;

use crate::impair::Flags;
use crate::path::{self, Outcome, Route};
use crate::python::args::{Word, Words};
use crate::python::table::{Table, indices, times, words};
use crate::python::value::{Address, address, value};
use crate::seconds;

value! {
    /// The fate of a packet at an EchoServer or a Relay.
    ///
    /// uplink and downlink name its impairments on the way in and on the way back, any of "lost",
    /// "duplicated", "corrupted", "held" (back, so that others overtake it), "queue_full",
    /// "outage" (it entered during one) and "too_big" (for the MTU). If a Rule of the link did it,
    /// uplink_rule or downlink_rule is the rule's index.
    Fate in "udpulse" {
        *,
        /// The receive time, in seconds since the Unix epoch, by the kernel's timestamp if there is
        /// one.
        received_at: f64,
        /// The (host, port) of its sender.
        client: Address,
        /// Its number among the packets of its client, from 1; 0 if it was dropped before it entered
        /// a link.
        number: u64,
        /// "replied" or, at a Relay, "relayed"; otherwise the reason for its drop: "lost",
        /// "unanswerable" (an answer could have started a loop), "limited" (max_rate),
        /// "unauthenticated" (it had no tag), "unknown_key" or "bad_tag" (of a key that the server
        /// lacks, or wrong), "replayed" (its tag is right, but it came before), "delay_line_full"
        /// (the delay line had no room), "refused" (by the upstream), "expired" (its client's session
        /// ended before it left) or "hops" (none left).
        outcome: Word<Outcome>,
        /// Whether it was dropped: the outcome is neither "replied" nor "relayed".
        dropped: bool = None or !matches!(outcome.0, Outcome::Replied | Outcome::Relayed),
        /// The links of its route: "both" at an EchoServer, "uplink" or "downlink" at a Relay.
        way: Word<Route> = "both",
        /// The unimpaired answer, or at a Relay the payload, cut to 1024 bytes; also if nothing was
        /// sent.
        answer: Vec<u8>,
        /// The length of its payload as received, in bytes.
        size: usize = None or answer.len(),
        /// Its impairments on the way in.
        uplink: Flags = (),
        /// Its impairments on the way back, of any of its copies.
        downlink: Flags = (),
        /// The index of the Rule among the uplink's that acted on it; None if none did.
        uplink_rule: Option<u32> = None,
        /// The index of the Rule among the downlink's.
        downlink_rule: Option<u32> = None,
        /// The replies in order of sending.
        copies: Vec<Reply> = (),
        /// The number of replies sent.
        replies: usize = None or copies.len(),
        /// The number of replies that differ from the unimpaired answer.
        corrupted: usize = None or copies.iter().filter(|reply| reply.corrupted).count(),
        /// The send time of the first reply, in seconds since the Unix epoch; None without replies.
        sent_at: Option<f64> = None or copies.first().map(|reply| reply.sent_at),
    }
}

value! {
    /// A reply that an EchoServer sent.
    Reply in "udpulse.reports" {
        *,
        /// Its number among all replies of the server, from 1, in order of sending.
        number: u64,
        /// The send time, in seconds since the Unix epoch.
        sent_at: f64,
        /// The bit of the payload flipped on the way in, counted from the lowest bit of the first
        /// byte; None if none was.
        uplink_bit: Option<u32> = None,
        /// The bit flipped on the way back.
        downlink_bit: Option<u32> = None,
        /// Whether it differs from the unimpaired answer.
        corrupted: bool = None or uplink_bit.or(downlink_bit).is_some(),
    }
}

impl From<&path::Reply> for Reply {
    fn from(reply: &path::Reply) -> Self {
        let path::Reply { number, sent_ns, damage } = *reply;
        let [uplink_bit, downlink_bit] = damage.flipped;
        let corrupted = damage.corrupted;
        Self { number, sent_at: seconds(sent_ns), uplink_bit, downlink_bit, corrupted }
    }
}

impl From<path::Fate> for Fate {
    fn from(fate: path::Fate) -> Self {
        Self::from(&fate)
    }
}

impl From<&path::Fate> for Fate {
    fn from(fate: &path::Fate) -> Self {
        let copies: Vec<_> = fate.replies().map(Reply::from).collect();
        let [uplink_rule, downlink_rule] = fate.rules.map(|rule| rule.map(u32::from));
        Self {
            received_at: seconds(fate.at.wall_ns),
            client: address(fate.client),
            number: fate.number,
            outcome: Word(fate.outcome),
            dropped: fate.dropped(),
            way: Word(fate.route),
            answer: fate.answer.to_vec(),
            size: fate.size,
            uplink: fate.uplink,
            downlink: fate.downlink,
            uplink_rule,
            downlink_rule,
            replies: copies.len(),
            corrupted: copies.iter().filter(|reply| reply.corrupted).count(),
            sent_at: copies.first().map(|reply| reply.sent_at),
            copies,
        }
    }
}

/// A table of fates and their copies.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rows {
    Fates,
    Copies,
}

impl Words for Rows {
    const WORDS: &'static [(&'static str, Self)] =
        &[("fates", Self::Fates), ("copies", Self::Copies)];
}

/// The columns of both tables.
#[derive(Default)]
pub(super) struct Columns {
    received_ns: Vec<i64>,
    sent_ns: Vec<Option<i64>>,
    client: Vec<u32>,
    number: Vec<u64>,
    size: Vec<u32>,
    outcome: Vec<Outcome>,
    uplink: Vec<u8>,
    downlink: Vec<u8>,
    rules: [Vec<Option<u32>>; 2],
    replies: Vec<u8>,
    corrupted: Vec<u8>,
    copies: Vec<(u32, path::Reply)>,
    has_ways: bool,
    way: Vec<u8>,
    clients: Vec<SocketAddr>,
}

impl Columns {
    pub(super) fn of<'a>(fates: impl Iterator<Item = &'a path::Fate>) -> Self {
        let mut columns = Self::default();
        let mut indexes = HashMap::new();
        for (row, fate) in (0..).zip(fates) {
            let clients = &mut columns.clients;
            let client = *indexes.entry(fate.client).or_insert_with(|| {
                clients.push(fate.client);
                u32::try_from(clients.len() - 1).unwrap_or(u32::MAX)
            });
            columns.received_ns.push(fate.at.wall_ns);
            columns.sent_ns.push(fate.first.map(|reply| reply.sent_ns));
            columns.client.push(client);
            columns.way.push(u8::from(fate.route == Route::Down));
            columns.number.push(fate.number);
            columns.size.push(u32::try_from(fate.size).unwrap_or(u32::MAX));
            columns.outcome.push(fate.outcome);
            columns.uplink.push(fate.uplink.0);
            columns.downlink.push(fate.downlink.0);
            for (column, rule) in columns.rules.iter_mut().zip(fate.rules) {
                column.push(rule.map(u32::from));
            }
            let (mut replies, mut corrupted) = (0, 0);
            for reply in fate.replies() {
                replies += 1;
                corrupted += u8::from(reply.damage.corrupted);
                columns.copies.push((row, *reply));
            }
            columns.replies.push(replies);
            columns.corrupted.push(corrupted);
        }
        columns.copies.sort_unstable_by_key(|(_, reply)| reply.number);
        columns
    }

    /// Adds the column of ways, which differ at a relay only.
    pub(super) fn with_ways(mut self) -> Self {
        self.has_ways = true;
        self
    }

    /// Returns the clients in order of their first rows.
    pub(super) fn clients(&self) -> Vec<Address> {
        self.clients.iter().copied().map(address).collect()
    }

    /// Returns one of the tables.
    pub(super) fn table(self, rows: Rows, started_ns: i64) -> Table {
        if rows == Rows::Fates {
            let clients = self.clients.iter().map(SocketAddr::to_string).collect();
            let mut table = Table::new(self.client.len(), started_ns);
            table.add("client", indices(self.client, clients));
            table.add("number", self.number);
            table.add("size", self.size);
            if self.has_ways {
                table.add("way", self.way);
            }
            table.add("received_at", times(self.received_ns));
            table.add_optional("sent_at", times(self.sent_ns));
            table.add("outcome", words(self.outcome.into_iter()));
            table.add("uplink", self.uplink);
            table.add("downlink", self.downlink);
            let [uplink_rule, downlink_rule] = self.rules;
            table.add_optional("uplink_rule", uplink_rule);
            table.add_optional("downlink_rule", downlink_rule);
            table.add("replies", self.replies);
            table.add("corrupted", self.corrupted);
            return table;
        }
        let mut table = Table::new(self.copies.len(), started_ns);
        let (fates, replies): (Vec<_>, Vec<_>) = self.copies.into_iter().unzip();
        let bits = |way: usize| {
            replies.iter().map(|reply| reply.damage.flipped[way]).collect::<Vec<Option<u32>>>()
        };
        let sent_ns: Vec<_> = replies.iter().map(|reply| reply.sent_ns).collect();
        table.add("fate", fates);
        table.add("number", replies.iter().map(|reply| reply.number).collect::<Vec<_>>());
        table.add("sent_at", times(sent_ns));
        table.add_optional("uplink_bit", bits(0));
        table.add_optional("downlink_bit", bits(1));
        let corrupted = replies.iter().map(|reply| reply.damage.corrupted);
        table.add("corrupted", corrupted.collect::<Vec<_>>());
        table
    }
}
