//! What may happen to a client.

use std::net::SocketAddr;

use crate::Stamp;

/// How a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Heard once.
    Unknown,
    /// Heard, and its interval is being learned.
    Learning,
    /// Alive.
    Up,
    /// Alive, with a beat overdue by half an interval; only shown, never stored.
    Overdue,
    /// Silent for long enough to say so.
    Suspect,
    /// Silent for the timeout.
    Down,
    /// It said goodbye.
    Stopped,
    /// It beats, but says that its application gets nowhere.
    Stalled,
    /// It announced silence.
    Busy,
}

impl State {
    /// How many there are.
    pub(super) const COUNT: usize = 9;

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Learning => "learning",
            Self::Up => "up",
            Self::Overdue => "overdue",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Stalled => "stalled",
            Self::Busy => "busy",
        }
    }

    /// Whether nothing more is expected of the client.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Down | Self::Stopped)
    }
}

/// Why something was judged so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing came.
    Silence,
    /// Only beats came that had been sent long before: a queue drains, the sender may be gone.
    OldBeats,
    /// The announced silence is over.
    BusyOver,
    /// Nothing came, of many others neither, and it was waited out whether they come back.
    MassSilence,
    /// Another boot id.
    Boot,
    /// The numbers began again.
    Sequence,
}

impl Cause {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::OldBeats => "old_beats",
            Self::BusyOver => "busy_over",
            Self::MassSilence => "mass_silence",
            Self::Boot => "boot",
            Self::Sequence => "sequence",
        }
    }
}

/// Something that happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The client's address.
    pub address: SocketAddr,
    /// Its name, where it declares one.
    pub name: Option<Box<[u8]>>,
    /// When the server saw it.
    pub at: Stamp,
    /// What had come of the client by then.
    pub before: Snapshot,
    /// What it was.
    pub change: Change,
}

/// A client's counts when an event happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest number heard.
    pub seq: Option<u64>,
    /// How many of its beats came, each counted once.
    pub received: u64,
    /// How many should have come.
    pub expected: Option<u64>,
    /// After how long a silence it is taken for down.
    pub timeout_ns: i64,
}

/// What an event reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It announces silence for so long.
    Busy {
        /// How long.
        for_ns: i64,
    },
    /// A clock stepped: its own, or with the server's own address this host's.
    ClockStepped {
        /// By how much, forward where above 0.
        by_ns: i64,
    },
    /// Two are alive under its name.
    Conflict {
        /// The boot that was taken for over.
        boot: u64,
    },
    /// It is taken for down.
    Down {
        /// Why.
        cause: Cause,
        /// How long nothing new had come.
        silence_ns: i64,
    },
    /// A beat came.
    Heard {
        /// Its number.
        seq: Option<u64>,
        /// The receive time minus the time in the beat; includes the difference of the clocks.
        difference_ns: Option<i64>,
        /// Its payload, at most [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes of it.
        payload: Box<[u8]>,
    },
    /// A datagram came that is no heartbeat.
    Ignored {
        /// Its payload, at most [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes of it.
        payload: Box<[u8]>,
    },
    /// A beat came that had been reported lost.
    LateBeat {
        /// Its number.
        seq: u64,
    },
    /// Beats were passed over and are taken for lost.
    Lost {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Many fell silent at once: it is more likely this host or its network than all of them.
    MassSilence {
        /// How many are silent.
        silent: usize,
        /// Of how many that were alive.
        alive: usize,
        /// Their addresses, at most 1024.
        listed: Box<[SocketAddr]>,
    },
    /// It has another address.
    Moved {
        /// The one before.
        from: SocketAddr,
    },
    /// The server itself did not run for so long; the time does not count as anybody's silence.
    Paused {
        /// How long.
        for_ns: i64,
    },
    /// A state other than up is over.
    Recovered {
        /// Which.
        from: State,
        /// How long it, or the silence, lasted.
        for_ns: i64,
        /// The number of the beat that ended it.
        seq: Option<u64>,
    },
    /// It has started again and counts afresh.
    Restarted {
        /// How that was seen.
        cause: Cause,
        /// The number it began with.
        seq: Option<u64>,
    },
    /// It says that its application gets nowhere.
    Stalled {
        /// For how long.
        age_ns: Option<i64>,
    },
    /// It said goodbye.
    Stopped,
    /// It has been silent for long enough to say so.
    Suspect {
        /// How long.
        silence_ns: i64,
    },
    /// Its first beat came.
    Up {
        /// The beat's number.
        seq: Option<u64>,
    },
}

/// How many silent clients a [`Change::MassSilence`] lists.
pub(super) const MAX_LISTED: usize = 1024;
