//! What a `HeartbeatServer` tells, one class per thing that may happen.

use pyo3::prelude::*;

use crate::heartbeat::{self, Cause, Change, Snapshot, State};
use crate::python::args::Word;
use crate::python::value::{Address, address, text, value};
use crate::seconds;

value! {
    /// A client announces silence.
    Busy in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// For how long, in seconds.
        duration: f64,
        /// The highest number heard before; None without numbers.
        last_seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A clock stepped: that of a client, or with the host "0.0.0.0" the server's own.
    ///
    /// It changes no verdict; delays are counted on from the new time.
    ClockStepped in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// By how much, in seconds; forward where above 0.
        step: f64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Two clients are alive under one name; the one heard before is passed over until the other falls
    /// silent or says goodbye: then it is Restarted.
    Conflict in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The boot id of the one that is passed over.
        boot: u64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client has been silent for the timeout and is taken for stopped.
    Down in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The number of the first beat that never came; None where beats carry no numbers.
        seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// Why: "silence"; "old_beats" (only beats came that had been sent long before);
        /// "busy_over" (an announced silence is over); "mass_silence" (many fell silent at once, and
        /// it did not come back as long again).
        cause: Word<Cause>,
        /// For how long no new beat had come, in seconds.
        silence: f64,
        /// The effective timeout: after how long a silence it is taken for down, in seconds.
        timeout: f64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A beat came that is neither a LateBeat nor a goodbye. A duplicate is one only if
    /// `old_beats="accept"` was given.
    Heard in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64> = None,
        /// The receive time minus the time in the beat, in seconds; includes the difference of the
        /// two hosts' clocks. None where the beat has no time.
        difference: Option<f64> = None,
        /// Its payload, at most 1024 bytes of it.
        payload: Vec<u8>,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A datagram came that is no heartbeat: neither a number nor a time is in it.
    Ignored in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// Its payload, at most 1024 bytes of it.
        payload: Vec<u8>,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A beat came that had been reported lost; it is no longer counted as such.
    LateBeat in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// Its number.
        seq: u64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Beats were passed over: a higher number came.
    Lost in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The first number lost.
        first: u64,
        /// The last number lost.
        last: u64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// Many clients fell silent at once: it is more likely the server's host or network than all of
    /// them. They have as long again as their timeout to come back before each is Down.
    MassSilence in "udpulse.events" {
        *,
        /// ("0.0.0.0", 0): it is the server's own event.
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// How many are silent.
        silent: usize,
        /// Of how many that were alive.
        alive: usize,
        /// The (host, port) of each silent client, of at most 1024.
        listed: Vec<Address> = (),
    }
}

value! {
    /// A client with a name has another address.
    Moved in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The (host, port) before.
        old: Address,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// The server itself did not run: its process was stopped, suspended or starved. The time does
    /// not count as anybody's silence.
    Paused in "udpulse.events" {
        *,
        /// ("0.0.0.0", 0): it is the server's own event.
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// For how long, in seconds.
        duration: f64,
    }
}

value! {
    /// A beat ended what had been reported of a client.
    Recovered in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64> = None,
        /// What is over: "suspect", "down", "stopped", "busy" or "stalled".
        state: Word<State>,
        /// How long the silence lasted, or the state, in seconds.
        duration: f64,
        /// The effective timeout: after how long a silence it is taken for down, in seconds.
        timeout: f64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client has started again; its numbers count afresh.
    Restarted in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The number it began with; None where it has none.
        seq: Option<u64> = None,
        /// How it was seen: "boot" (another boot id) or "sequence" (the numbers began again).
        cause: Word<Cause>,
        /// The highest number heard before; None without numbers.
        last_seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client beats, but says that its application gets nowhere.
    Stalled in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// How long ago the application last did, in seconds; None where it does not say.
        age: Option<f64> = None,
        /// The highest number heard before; None without numbers.
        last_seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client said goodbye.
    Stopped in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The highest number heard before; None without numbers.
        last_seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// A client has been silent for long enough to say so.
    Suspect in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// For how long, in seconds.
        silence: f64,
        /// The highest number heard before; None without numbers.
        last_seq: Option<u64> = None,
        /// How many of its beats had come, each counted once.
        received: u64 = 0,
        /// How many should have, from the first heard to the highest; None without numbers.
        expected: Option<u64> = None,
        /// The effective timeout: after how long a silence it is taken for down, in seconds.
        timeout: f64,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

value! {
    /// The first beat of a client came.
    Up in "udpulse.events" {
        *,
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64> = None,
        /// The client's name; None where it declares none.
        name: Option<String> = None,
    }
}

/// Any of the classes above.
#[derive(IntoPyObject)]
pub(super) enum Event {
    Busy(Busy),
    ClockStepped(ClockStepped),
    Conflict(Conflict),
    Down(Down),
    Heard(Heard),
    Ignored(Ignored),
    LateBeat(LateBeat),
    Lost(Lost),
    MassSilence(MassSilence),
    Moved(Moved),
    Paused(Paused),
    Recovered(Recovered),
    Restarted(Restarted),
    Stalled(Stalled),
    Stopped(Stopped),
    Suspect(Suspect),
    Up(Up),
}

impl From<heartbeat::Event> for Event {
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
            Change::Conflict { boot } => Self::Conflict(Conflict { address, time, boot, name }),
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
            Change::Lost { first, last } => Self::Lost(Lost { address, time, first, last, name }),
            Change::MassSilence { silent, alive, listed } => Self::MassSilence(MassSilence {
                address,
                time,
                silent,
                alive,
                listed: listed.iter().copied().map(self::address).collect(),
            }),
            Change::Moved { from } => {
                Self::Moved(Moved { address, time, old: self::address(from), name })
            }
            Change::Paused { for_ns } => {
                Self::Paused(Paused { address, time, duration: seconds(for_ns) })
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
            Change::Stalled { age_ns } => Self::Stalled(Stalled {
                address,
                time,
                age: age_ns.map(seconds),
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
            Change::Up { seq } => Self::Up(Up { address, time, seq, name }),
        }
    }
}
