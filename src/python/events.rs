//! Events of a `HeartbeatServer`, one class per kind.

use pyo3::prelude::*;

use crate::heartbeat::{self, Cause, Change, Snapshot, State};
use crate::python::args::Word;
use crate::python::value::{Address, address, text, value};
use crate::seconds;

value! {
    /// A client announced a silence.
    Busy in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The announced length, in seconds.
        duration: f64,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A step of a clock: the client's, or the server's own if the host is "0.0.0.0".
    ///
    /// No verdict depends on it; delays are measured from the new time on.
    ClockStepped in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The size of the step, in seconds; above 0 if the clock went forward.
        step: f64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Several senders are alive under one name or, if they have none, at one address, or at one
    /// host with `by_host`. The server follows one of them, and another one only if that falls
    /// silent; then it reports Restarted.
    Conflict in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// Their boot ids, that of the followed one first; empty if they declare none.
        boots: Vec<u64> = (),
        /// The (host, port) of each, in the same order.
        addresses: Vec<Address> = (),
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client was silent for its timeout and is assumed to have ended.
    Down in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The number of the first missing beat; None without numbers.
        seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The cause: "silence"; "old_beats" (only beats sent long before arrived); "busy_over" (an
        /// announced silence ran out); "mass_silence" (many fell silent together, and it did not
        /// return within a second timeout); "short_timeout" (the server's timeout is not longer
        /// than the client's declared interval; reported once, since from then on the client is
        /// down after five intervals).
        cause: Word<Cause>,
        /// The time since its last new beat, in seconds.
        silence: f64,
        /// The effective timeout: the silence after which the client is down, in seconds.
        timeout: f64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client said that it failed: an exception ended its program.
    Failed in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The type of the exception; None if it is not told.
        error: Option<String> = None,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A beat that is neither a LateBeat nor a goodbye. Duplicates are reported only with
    /// `old_beats="accept"`.
    Heard in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None if it carries none.
        seq: Option<u64> = None,
        /// The receive time minus the time in the beat, in seconds; includes the offset between the
        /// two hosts' clocks. None if the beat carries no time.
        difference: Option<f64> = None,
        /// Its payload, cut to 1024 bytes.
        payload: Vec<u8>,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A datagram that is not a heartbeat: it carries neither a number nor a time.
    Ignored in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// Its payload, cut to 1024 bytes.
        payload: Vec<u8>,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// The arrival of a beat that had been reported as Lost; it no longer counts as lost.
    LateBeat in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// Its number.
        seq: u64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Beats counted lost, because a higher number arrived first.
    Lost in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The first lost number.
        first: u64,
        /// The last lost number.
        last: u64,
        /// How many of these are not lost after all: the client's own host refused to send them, or
        /// this host was paused.
        excused: u64 = 0,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Many clients fell silent together, so the server's own host or network is the likelier
    /// cause. Each has a second timeout to return before it is Down.
    MassSilence in "udpulse.events" {
        *,
        /// ("0.0.0.0", 0): the event is about the server itself.
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The number of silent clients.
        silent: usize,
        /// The number of clients that had not ended, the silent ones included.
        alive: usize,
        /// The (host, port) of each silent client, at most 1024.
        listed: Vec<Address> = (),
        /// None: the event is about the server itself.
        name: Option<String> = None,
    }
}

value! {
    /// A client of `expect` was not heard within `grace`.
    Missing in "udpulse.events" {
        *,
        /// ("0.0.0.0", 0): no address of the client is known.
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The client's name.
        name: String,
    }
}

value! {
    /// The address of a client with a name or a boot id changed. It is not reported again before
    /// the client has stayed at one address for a minute, or its timeout if that is longer.
    Moved in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The previous (host, port).
        old: Address,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A pause of the server itself: its process was stopped, suspended or starved. The pause does
    /// not count as any client's silence.
    Paused in "udpulse.events" {
        *,
        /// ("0.0.0.0", 0): the event is about the server itself.
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The length of the pause, in seconds.
        duration: f64,
        /// None: the event is about the server itself.
        name: Option<String> = None,
    }
}

value! {
    /// A beat ended a state of a client that had been reported.
    Recovered in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The number of that beat; None if it carries none.
        seq: Option<u64> = None,
        /// The state that ended: "suspect", "down", "stopped", "busy", "stalled" or
        /// "failed".
        state: Word<State>,
        /// How long that state, or the silence, lasted, in seconds.
        duration: f64,
        /// The effective timeout: the silence after which the client is down, in seconds.
        timeout: f64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client restarted; its counts start over.
    Restarted in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The number of its first beat; None if it carries none.
        seq: Option<u64> = None,
        /// The evidence: "boot" (another boot id) or "sequence" (the numbers started over).
        cause: Word<Cause>,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client beats, but reports that its application makes no progress.
    Stalled in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The time since the application's last progress, in seconds; None if not reported.
        age: Option<f64> = None,
        /// The task that makes none; None if tasks are not named.
        task: Option<String> = None,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client said goodbye.
    Stopped in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client has been silent for longer than the suspect timeout, but is not Down yet.
    Suspect in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The time since its last new beat, in seconds.
        silence: f64,
        /// The highest number received before; None without numbers.
        last_seq: Option<u64> = None,
        /// The number of its beats received before, each counted once.
        received: u64 = 0,
        /// The number of beats due before, from the first received to the highest; None without
        /// numbers.
        expected: Option<u64> = None,
        /// The effective timeout: the silence after which the client is down, in seconds.
        timeout: f64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client beats far more often than it declares: five times in a row within a quarter of its
    /// interval.
    TooOften in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The declared interval, in seconds.
        interval: f64,
        /// The time between its last two beats, in seconds.
        gap: f64,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// The first beat of a client arrived.
    Up in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// The time at which the server noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The number of that beat; None if it carries none.
        seq: Option<u64> = None,
        /// The client's name; None if it declares none.
        name: Option<String> = None,
    }
}

/// Any of these events.
#[derive(IntoPyObject)]
pub(super) enum Event {
    Busy(Busy),
    ClockStepped(ClockStepped),
    Conflict(Conflict),
    Down(Down),
    Failed(Failed),
    Heard(Heard),
    Ignored(Ignored),
    LateBeat(LateBeat),
    Lost(Lost),
    MassSilence(MassSilence),
    Missing(Missing),
    Moved(Moved),
    Paused(Paused),
    Recovered(Recovered),
    Restarted(Restarted),
    Stalled(Stalled),
    Stopped(Stopped),
    Suspect(Suspect),
    TooOften(TooOften),
    Up(Up),
}

impl From<heartbeat::Event> for Event {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of event")]
    fn from(event: heartbeat::Event) -> Self {
        let address = address(event.address);
        let time = seconds(event.at.wall_ns);
        let name = event.name.as_deref().map(text);
        let Snapshot { seq: last_seq, received, expected, timeout_ns } = event.before;
        let timeout = seconds(timeout_ns);
        match event.change {
            Change::Busy { for_ns } => Self::Busy(Busy {
                address,
                time,
                duration: seconds(for_ns),
                last_seq,
                received,
                expected,
                name,
            }),
            Change::ClockStepped { by_ns } => {
                Self::ClockStepped(ClockStepped { address, time, step: seconds(by_ns), name })
            }
            Change::Conflict { boots, addresses } => Self::Conflict(Conflict {
                address,
                time,
                boots: boots.into(),
                addresses: addresses.iter().copied().map(self::address).collect(),
                name,
            }),
            Change::Down { cause, silence_ns } => Self::Down(Down {
                address,
                time,
                seq: last_seq.map(|last_seq| last_seq.saturating_add(1)),
                received,
                expected,
                cause: Word(cause),
                silence: seconds(silence_ns),
                timeout,
                name,
            }),
            Change::Failed { error } => Self::Failed(Failed {
                address,
                time,
                error: error.as_deref().map(text),
                last_seq,
                received,
                expected,
                name,
            }),
            Change::Heard { seq, difference_ns, payload } => Self::Heard(Heard {
                address,
                time,
                seq,
                difference: difference_ns.map(seconds),
                payload: payload.into(),
                name,
            }),
            Change::Ignored { payload } => {
                Self::Ignored(Ignored { address, time, payload: payload.into(), name })
            }
            Change::LateBeat { seq } => Self::LateBeat(LateBeat { address, time, seq, name }),
            Change::Lost { first, last, excused } => {
                Self::Lost(Lost { address, time, first, last, excused, name })
            }
            Change::MassSilence { silent, alive, listed } => Self::MassSilence(MassSilence {
                address,
                time,
                silent,
                alive,
                listed: listed.iter().copied().map(self::address).collect(),
                name,
            }),
            Change::Missing => {
                Self::Missing(Missing { address, time, name: name.unwrap_or_default() })
            }
            Change::Moved { from } => {
                Self::Moved(Moved { address, time, old: self::address(from), name })
            }
            Change::Paused { for_ns } => {
                Self::Paused(Paused { address, time, duration: seconds(for_ns), name })
            }
            Change::Recovered { from, for_ns, seq } => Self::Recovered(Recovered {
                address,
                time,
                seq,
                state: Word(from),
                duration: seconds(for_ns),
                timeout,
                name,
            }),
            Change::Restarted { cause, seq } => Self::Restarted(Restarted {
                address,
                time,
                seq,
                cause: Word(cause),
                last_seq,
                received,
                expected,
                name,
            }),
            Change::Stalled { age_ns, task } => Self::Stalled(Stalled {
                address,
                time,
                age: age_ns.map(seconds),
                task: task.as_deref().map(text),
                last_seq,
                received,
                expected,
                name,
            }),
            Change::Stopped => {
                Self::Stopped(Stopped { address, time, last_seq, received, expected, name })
            }
            Change::Suspect { silence_ns } => Self::Suspect(Suspect {
                address,
                time,
                silence: seconds(silence_ns),
                last_seq,
                received,
                expected,
                timeout,
                name,
            }),
            Change::TooOften { interval_ns, gap_ns } => Self::TooOften(TooOften {
                address,
                time,
                interval: seconds(interval_ns),
                gap: seconds(gap_ns),
                name,
            }),
            Change::Up { seq } => Self::Up(Up { address, time, seq, name }),
        }
    }
}
