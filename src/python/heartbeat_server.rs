//! `HeartbeatServer`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::driver;
use crate::heartbeat::{
    self, Detector, Kind, Numbers, OldBeats, Server, ServerConfig, ServerCounters, State,
};
use crate::net::{Endpoint, now};
use crate::python::args::{Int, LocalHost, LocalPort, Names, Seconds, Word, Words};
use crate::python::events::Event;
use crate::python::handle::{Handle, running_object};
use crate::python::keys::{self, Keys};
use crate::python::options::options;
use crate::python::table::{Table, arrow_stream, durations, times, words};
use crate::python::value::{Address, address, text, value, zone};
use crate::wire::Unauthenticated;
use crate::wire::beat::Status;
use crate::{Error, Result, Zone, seconds};

/// Maximum number of events that wait for an iterating reader.
const UNREAD: usize = 65_536;

/// The number of clients that are read while the server is locked.
const PART: usize = 1024;

value! {
    /// Datagram counts of a HeartbeatServer:
    /// received = beats + goodbyes + duplicates + stale + unproven + ignored + rejected
    /// + unauthenticated + unknown_keys + bad_tags + replays + old_boots.
    HeartbeatServerCounters in "udpulse.reports" {
        *,
        /// Datagrams received.
        received: u64 = 0,
        /// Heartbeats, each counted once.
        beats: u64 = 0,
        /// Heartbeats among `beats` that had been reported lost.
        late_beats: u64 = 0,
        /// Goodbyes, after a failure or not; a client sends several, because one may be lost.
        goodbyes: u64 = 0,
        /// Heartbeats received before.
        duplicates: u64 = 0,
        /// Heartbeats too old to tell whether they are duplicates, or from a client's previous
        /// start.
        stale: u64 = 0,
        /// Heartbeats and goodbyes that do not prove to be from the client they name: without the
        /// boot id that it has sent, or a goodbye from an address that it has not beaten from.
        unproven: u64 = 0,
        /// Datagrams that are not heartbeats: they carry neither a number nor a time.
        ignored: u64 = 0,
        /// Datagrams of new clients that found the table full.
        rejected: u64 = 0,
        /// With keys: beats without a whole signature, refused.
        unauthenticated: u64 = 0,
        /// With keys: beats signed with a key that is not in the set.
        unknown_keys: u64 = 0,
        /// With keys: beats with a wrong tag: forged, altered, or signed with another client's key.
        bad_tags: u64 = 0,
        /// With keys: authentic beats whose number was received before, or is more than 959 below the
        /// highest; recordings or copies made by the network.
        replays: u64 = 0,
        /// With keys: authentic beats of a boot that is not newer than the client's last one or, as
        /// its first, was sent more than 60 s before or after its arrival; recordings, or hosts whose
        /// clock is wrong.
        old_boots: u64 = 0,
        /// Datagrams among `received` whose name is longer than 255 bytes and was therefore not
        /// read.
        overlong_names: u64 = 0,
        /// Datagrams that this host dropped because the server did not read them in time; not
        /// included in `received`.
        receive_drops: u64 = 0,
        /// Answers sent.
        replied: u64 = 0,
        /// Answers that this host could not send.
        send_failed: u64 = 0,
    }
}

value! {
    /// The state of a client of a HeartbeatServer.
    Peer in "udpulse" {
        *,
        /// The (host, port) of its last beat.
        address: Address,
        /// "unknown" (heard once), "learning" (its interval is not known yet), "up", "overdue" (a
        /// beat is overdue by half an interval), "suspect", "down", "stopped" (it said goodbye),
        /// "stalled" (it beats, but its application makes no progress), "busy" (it announced a
        /// silence) or "failed" (it said that it failed).
        state: Word<State>,
        /// The receive time of its last new beat, in seconds since the Unix epoch.
        last_received_at: f64,
        /// The highest number received; None without numbers.
        seq: Option<u64> = None,
        /// The number of beats received since it started, each counted once. Goodbyes do not count,
        /// nor do beats without a number if others carry one.
        received: u64 = 0,
        /// The number of beats due, from the first received to the highest; None without numbers.
        expected: Option<u64> = None,
        /// Its name; None if it declares none.
        name: Option<String> = None,
        /// The number of its beats that arrived after one with a higher number (RFC 4737).
        reordered: u64 = 0,
        /// The number of duplicates of its beats.
        duplicates: u64 = 0,
        /// Its interval, declared or learned, in seconds; None if not known.
        interval: Option<f64> = None,
        /// The effective timeout: the silence after which it is down, in seconds.
        timeout: f64,
        /// The one-way delay of its last beat minus that of its fastest, in seconds, which cancels
        /// the offset of the two clocks. None if its beats carry no times.
        delay: Option<f64> = None,
        /// The receive time minus the send time of its last beat, in seconds; includes the offset
        /// of the two clocks. None if it carries no time.
        difference: Option<f64> = None,
        /// Its boot id; None if it declares none.
        boot: Option<u64> = None,
        /// Its declared status: "starting", "ok", "degraded", "stalled", "busy", "bye" or
        /// "failed"; None if it declares none.
        status: Option<Word<Status>> = None,
        /// The time from its application's last progress to its last beat, in seconds; None if not
        /// reported.
        progress_age: Option<f64> = None,
        /// The task of that progress, the one that has made none for longest; None if tasks are not
        /// named.
        task: Option<String> = None,
        /// The number of its application's failures since its start; None if not reported.
        failures: Option<u64> = None,
        /// The type of the exception that ended it, if it is "failed" and told.
        error: Option<String> = None,
        /// The id of the key that signed its last beat; None if it is not authenticated.
        key: Option<String> = None,
    }
}

/// Returns one number of a client.
type Read<T> = fn(&heartbeat::Peer) -> T;

macro_rules! server_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6).
        host: LocalHost = "127.0.0.1",
        /// the port, 0 to 65535; 0 for any free one, see `address`.
        port: LocalPort = 12000,
        *,
        /// the silence, in seconds, after which any client is down, instead of a detector. It holds
        /// exactly: no Suspect comes first, and MassSilence does not postpone it. If a client
        /// declares an interval that is not shorter, its first Down says so. None to use a detector.
        timeout: Option<Seconds> = None,
        /// the failure detector, applied to each client's own beats: "multiple" (the default;
        /// levels in intervals), "chen" (Chen, Toueg, Aguilera 2002, NFD-E; intervals),
        /// "two_window" (Tomsic et al. 2015, 2W-FD; intervals), "bertier" (Bertier, Marin, Sens
        /// 2002; levels of its phi), "phi" (Hayashibara et al. 2004; levels of phi), "phi_exp" (phi
        /// over exponential gaps, as in Cassandra; levels of phi) or "fixed" (seconds).
        detector: Option<Word<Kind>> = None,
        /// the detector's level for Suspect; None for its default ("multiple": 3 intervals).
        suspect: Option<f64> = None,
        /// the detector's level for Down; None for its default ("multiple": 5 intervals).
        down: Option<f64> = None,
        /// whether to identify clients by their IP addresses alone, not by address and port.
        by_host: bool = False,
        /// the rule that finds a beat's sequence number: "counting" believes a number with a label
        /// ("seq", "sequence", "n" or "#"; also a key of JSON or of key=value), a number beside a
        /// time and at most one word, as in the lab, and any other once it has risen by one three
        /// times in a row; "first" believes the first whole number, as the lab's server does.
        numbers: Word<Numbers> = "counting",
        /// whether any datagram is a beat, also one without a number, a time or a declaration: its
        /// sender is a client without sequence numbers.
        opaque: bool = False,
        /// whether to answer each beat with its text in upper case.
        reply: bool = False,
        /// the keys that authenticate clients: Keys or the path of a file of them. Each beat must be
        /// signed with the key of its name. None for no authentication.
        keys: Option<Keys> = None,
        /// the treatment of beats without a signature, if there are keys: "refuse" only counts them,
        /// "accept" treats them like beats without keys, but not if an authenticated client has the
        /// name.
        unauthenticated: Word<Unauthenticated> = "refuse",
        /// the largest multiplier of its interval that a client may ask for as its timeout, 1 or
        /// more; without a grace it is at least 2. With `timeout` or "fixed" clients have no say.
        max_multiplier: Int<u32, 1, { u32::MAX as u64 }> = 100,
        /// the longest grace, in seconds, that a client may ask for in addition.
        max_grace: Seconds = 86400.0,
        /// the names of clients that must be heard, for Missing.
        expect: Names = (),
        /// the time after the start, in seconds, in which they must be heard.
        grace: Seconds = 60.0,
        /// the maximum number of clients, 1 or more; others are rejected and counted. New clients
        /// replace those that have stopped, those heard only once, more than 60 s ago, and those
        /// silent for 60 s and for twice as long as they were known before, whatever they declared.
        max_peers: Int<usize, 1, { u32::MAX as u64 }> = 65536,
        /// whether to report each datagram (Heard, Ignored), not only changes.
        every_beat: bool = False,
        /// the treatment of a beat with a number or time that is not newer than earlier ones:
        /// "ignore" does not count it as a sign of life if it is a duplicate or was sent long
        /// before, "accept" counts every beat, regardless of its number and time.
        old_beats: Word<OldBeats> = "ignore",
    } };
}

server_options!(settings);

impl Words for Kind {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Numbers {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for OldBeats {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

#[doc = server_options!(signature HeartbeatServer)]
/// A server that follows clients by their heartbeats and reports which are alive.
///
#[doc = server_options!(docs)]
/// A beat is any datagram with a declaration, a whole number or a time: Unix time in seconds,
/// milli-, micro- or nanoseconds, an ISO date and time, C's ctime, or H:M:S.
///
/// Iterating yields the events of clients (Up, Lost, LateBeat, Suspect, Down, Recovered, Restarted,
/// Moved, Conflict, Stalled, Busy, Stopped, Failed, TooOften, ClockStepped) and of
/// the server (Paused, MassSilence).
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct HeartbeatServer {
    settings: Settings,
    endpoint: Endpoint,
    pub(super) config: ServerConfig,
    pub(super) handle: Handle<Server>,
}

server_options!(class HeartbeatServer);
running_object!(HeartbeatServer: Event);
arrow_stream!(HeartbeatServer);

impl HeartbeatServer {
    fn make(settings: Settings) -> PyResult<Self> {
        let config = ServerConfig {
            detector: settings.judge()?,
            old_beats: settings.old_beats.0,
            by_host: settings.by_host,
            numbers: settings.numbers.0,
            opaque: settings.opaque,
            reply: settings.reply,
            keys: settings.keys.as_ref().map(|keys| Arc::clone(&keys.0)),
            unauthenticated: keys::policy(settings.keys.as_ref(), settings.unauthenticated)?,
            max_multiplier: settings.max_multiplier.0,
            max_grace_ns: settings.max_grace.ns(),
            expect: settings.expect.0.iter().map(|name| name.as_bytes().into()).collect(),
            expect_within_ns: settings.grace.ns(),
            max_peers: settings.max_peers.0,
            zone: Zone::default(),
            every_beat: settings.every_beat,
            events: UNREAD,
        };
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        Ok(Self { settings, endpoint, config, handle: Handle::new("HeartbeatServer") })
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let config = ServerConfig { zone: zone(py)?, ..self.config.clone() };
        self.handle.launch(py, self.endpoints(), |addresses| {
            driver::heartbeat::start(addresses[0], config)
        })
    }

    /// Returns what `read` reads of each client; of some it may do so twice. The server is locked for
    /// a part of them at a time, so that it goes on receiving, and nobody needs memory for all.
    pub(super) fn peers_as<T>(
        &self,
        py: Python<'_>,
        mut read: impl FnMut(heartbeat::Peer) -> T,
    ) -> Vec<T> {
        in_parts(|place, most| {
            let (removals, peers) = self.handle.look(py, |server| {
                let peers = server.peers_from(place, now().mono_ns).take(most);
                (server.removals(), peers.collect::<Vec<_>>())
            });
            (removals, peers.into_iter().map(&mut read).collect())
        })
    }

    fn rows(&self, py: Python<'_>) -> Table {
        let peers = self.peers_as(py, |peer| peer);
        let started_ns = self.handle.started_ns().unwrap_or_default();
        let counts = |of: Read<u64>| peers.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: Read<Option<u64>>| peers.iter().map(of).collect::<Vec<_>>();
        let optional = |of: Read<Option<i64>>| durations(peers.iter().map(of).collect::<Vec<_>>());
        let ns = |of: Read<i64>| peers.iter().map(of).collect::<Vec<_>>();
        let mut table = Table::new(peers.len(), started_ns);
        let hosts = peers.iter().map(|peer| address(peer.address).0);
        table.add("address", hosts.collect::<Vec<_>>());
        let ports = peers.iter().map(|peer| peer.address.port());
        table.add("port", ports.collect::<Vec<_>>());
        let names = peers.iter().map(|peer| peer.name.as_deref().map(text));
        table.add_optional("name", names.collect::<Vec<_>>());
        table.add("state", words(peers.iter().map(|peer| peer.state)));
        table.add("last_received_at", times(ns(|peer| peer.last_received_ns)));
        table.add_optional("seq", numbers(|peer| peer.sequence.highest()));
        table.add("received", counts(|peer| peer.sequence.received()));
        table.add_optional("expected", numbers(|peer| peer.sequence.expected()));
        table.add("reordered", counts(|peer| peer.sequence.reordered()));
        table.add("duplicates", counts(|peer| peer.sequence.duplicates()));
        table.add_optional("interval", optional(|peer| peer.interval_ns));
        table.add("timeout", durations(ns(|peer| peer.timeout_ns)));
        table.add_optional("delay", optional(|peer| peer.delay_ns));
        table.add_optional("difference", optional(|peer| peer.difference_ns));
        table.add_optional("boot", numbers(|peer| peer.boot));
        table.add_optional("failures", numbers(|peer| peer.failures));
        table.add_optional("progress_age", optional(|peer| peer.progress_age_ns));
        let keys = peers.iter().map(|peer| peer.key.as_deref().map(str::to_owned));
        table.add_optional("key", keys.collect::<Vec<_>>());
        table
    }
}

#[pymethods]
impl HeartbeatServer {
    /// Datagram counts since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> HeartbeatServerCounters {
        let counters = self.handle.look(py, |server| server.counters());
        let ServerCounters {
            received,
            beats,
            late_beats,
            goodbyes,
            duplicates,
            stale,
            unproven,
            ignored,
            rejected,
            unauthenticated,
            unknown_keys,
            bad_tags,
            replays,
            old_boots,
            overlong_names,
            receive_drops,
            replied,
            send_failed,
        } = counters;
        HeartbeatServerCounters {
            received,
            beats,
            late_beats,
            goodbyes,
            duplicates,
            stale,
            unproven,
            ignored,
            rejected,
            unauthenticated,
            unknown_keys,
            bad_tags,
            replays,
            old_boots,
            overlong_names,
            receive_drops,
            replied,
            send_failed,
        }
    }

    /// Returns a list of the clients heard since the last start and not replaced, in no order.
    fn peers(&self, py: Python<'_>) -> PyResult<Vec<Py<Peer>>> {
        self.peers_as(py, |each| Py::new(py, peer(&each))).into_iter().collect()
    }

    /// The names among `expect` that have not been heard since the last start, sorted.
    #[getter]
    fn missing(&self, py: Python<'_>) -> Vec<String> {
        self.handle.look(py, |server| server.missing().map(text).collect())
    }

    /// Returns the client that declares `name`; None if none was heard since the last start.
    ///
    /// name: a name as in `Peer.name`.
    #[pyo3(signature = (name), text_signature = "($self, name)")]
    fn peer(&self, py: Python<'_>, name: &str) -> Option<Peer> {
        let named = |server: &mut Server| server.named(name.as_bytes(), now().mono_ns);
        self.handle.look(py, named).as_ref().map(peer)
    }

    /// Returns the clients as a dict of read-only NumPy arrays of shape (n,), one row per client.
    ///
    /// address, name, state, key: object (str; name None if the client declares none, key if it is not
    /// authenticated).
    /// port: uint16.
    /// last_received_at_ns: int64, nanoseconds since `started_at`.
    /// received, reordered, duplicates: uint64.
    /// seq, expected, boot, failures: float64, exact up to 2**53; NaN if there is none.
    /// timeout_ns: int64, nanoseconds.
    /// interval_ns, delay_ns, difference_ns, progress_age_ns: float64, nanoseconds; NaN if there is
    /// none.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.rows(py).into_numpy(py)
    }

    /// Returns the clients as a Table, for polars, pandas and others, or for CSV: the rows and
    /// columns of `columns()`. Texts are strings, `state` is a dictionary of them, times are
    /// timestamp[ns, UTC], durations are duration[ns], and other numbers are uint64; null stands
    /// for NaN and None.
    #[pyo3(signature = (), text_signature = "($self)")]
    fn table(&self, py: Python<'_>) -> Table {
        self.rows(py)
    }

    /// The time of the last start, in seconds since the Unix epoch; None before the first.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.handle.started_ns().map(seconds)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let peers = self.handle.look(py, |server| server.peer_count());
        let HeartbeatServerCounters { beats, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(Some(&self.endpoint)), self.changed(py)?);
        Ok(format!("{what}{changed}, peers={peers}, beats={beats})"))
    }
}

/// Returns all entries of a table. `read` returns those from a place on, at most that many, and the
/// number of removals so far, after which another entry may have a place.
fn in_parts<T>(mut read: impl FnMut(usize, usize) -> (u64, Vec<T>)) -> Vec<T> {
    let (mut all, mut most, mut before) = (Vec::new(), PART, None);
    loop {
        let (removals, part) = read(all.len(), most);
        if before.is_some_and(|before| before != removals) {
            // Start again, with larger parts: one of them is the whole.
            (most, before) = (most.saturating_mul(PART), None);
            all.clear();
            continue;
        }
        before = Some(removals);
        let is_last = part.len() < most;
        all.extend(part);
        if is_last {
            return all;
        }
    }
}

fn peer(peer: &heartbeat::Peer) -> Peer {
    Peer {
        address: address(peer.address),
        state: Word(peer.state),
        last_received_at: seconds(peer.last_received_ns),
        seq: peer.sequence.highest(),
        received: peer.sequence.received(),
        expected: peer.sequence.expected(),
        name: peer.name.as_deref().map(text),
        reordered: peer.sequence.reordered(),
        duplicates: peer.sequence.duplicates(),
        interval: peer.interval_ns.map(seconds),
        timeout: seconds(peer.timeout_ns),
        delay: peer.delay_ns.map(seconds),
        difference: peer.difference_ns.map(seconds),
        boot: peer.boot,
        status: peer.status.map(Word),
        progress_age: peer.progress_age_ns.map(seconds),
        task: peer.task.as_deref().map(text),
        failures: peer.failures,
        error: peer.error.as_deref().map(text),
        key: peer.key.as_deref().map(str::to_owned),
    }
}

impl Settings {
    fn judge(&self) -> Result<Detector> {
        let (detector, suspect, down) = (self.detector, self.suspect, self.down);
        if let Some(timeout) = self.timeout {
            if detector.is_some() || suspect.is_some() || down.is_some() {
                let allowed = "None beside detector, suspect or down";
                return Err(Error::number("timeout", timeout.0, allowed));
            }
            return Ok(Detector::fixed(timeout.ns()));
        }
        let kind = detector.map_or(Kind::Multiple, |detector| detector.0);
        let (default_suspect, default_down) = kind.default_levels();
        let down = down.unwrap_or(default_down);
        Detector::new(kind, suspect.unwrap_or(default_suspect.min(down)), down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_missed_or_doubled_while_others_make_room() {
        let mut table: Vec<_> = (0..3 * PART).collect();
        let mut parts = 0;
        let all = in_parts(|place, most| {
            parts += 1;
            if parts == 2 {
                table.swap_remove(0);
                table.push(3 * PART);
            }
            (u64::from(parts > 1), table[place..].iter().take(most).copied().collect())
        });
        assert_eq!((&all, parts), (&table, 3));
    }

    #[test]
    fn a_table_of_whole_parts_ends() {
        let table = [0; 2 * PART];
        assert_eq!(
            in_parts(|place, most| (0, table[place..].iter().take(most).collect())).len(),
            2 * PART
        );
    }
}
