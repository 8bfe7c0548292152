//! States of clients and the events that report their changes.

use std::net::SocketAddr;

use crate::Stamp;

/// State of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Heard once.
    Unknown,
    /// Heard more than once, but its interval is not known yet.
    Learning,
    /// Alive.
    Up,
    /// Alive, with a beat overdue by half an interval; only shown, never stored.
    Overdue,
    /// Silent beyond the suspect timeout.
    Suspect,
    /// Silent beyond the down timeout.
    Down,
    /// Said goodbye.
    Stopped,
    /// Beating, but reports that its application makes no progress.
    Stalled,
    /// Announced a silence.
    Busy,
    /// Said that it failed.
    Failed,
}

impl State {
    /// All of them by name.
    pub const ALL: [(&str, Self); 10] = [
        ("unknown", Self::Unknown),
        ("learning", Self::Learning),
        ("up", Self::Up),
        ("overdue", Self::Overdue),
        ("suspect", Self::Suspect),
        ("down", Self::Down),
        ("stopped", Self::Stopped),
        ("stalled", Self::Stalled),
        ("busy", Self::Busy),
        ("failed", Self::Failed),
    ];

    /// Returns whether no more beats are expected.
    pub(super) fn is_end(self) -> bool {
        self == Self::Down || self.is_said()
    }

    /// Returns whether the client itself said that it ended.
    pub(super) fn is_said(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// Cause of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No beat came.
    Silence,
    /// Only beats sent long before came: a queue is draining, and the sender may be gone.
    OldBeats,
    /// An announced silence ran out.
    BusyOver,
    /// Part of a mass silence, and still silent after the extra timeout.
    MassSilence,
    /// No beat came, but the server's timeout is not longer than the client's declared interval.
    ShortTimeout,
    /// The boot id changed.
    Boot,
    /// The sequence numbers started over.
    Sequence,
}

impl Cause {
    /// All of them by name.
    pub const ALL: [(&str, Self); 7] = [
        ("silence", Self::Silence),
        ("old_beats", Self::OldBeats),
        ("busy_over", Self::BusyOver),
        ("mass_silence", Self::MassSilence),
        ("short_timeout", Self::ShortTimeout),
        ("boot", Self::Boot),
        ("sequence", Self::Sequence),
    ];
}

/// Something that happened to a client or to the server's own host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The client's address; unspecified if the event is about the server's own host.
    pub address: SocketAddr,
    /// Its name, if it declares one.
    pub name: Option<Box<[u8]>>,
    /// When the server saw it.
    pub at: Stamp,
    /// The client's counts at that time; if it restarted, those from before.
    pub before: Snapshot,
    /// The change.
    pub change: Change,
}

/// A client's counts at the time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest number received.
    pub seq: Option<u64>,
    /// Beats received, each counted once.
    pub received: u64,
    /// Beats expected.
    pub expected: Option<u64>,
    /// Timeout for down.
    pub timeout_ns: i64,
}

/// Change that an event reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The client announced a silence.
    Busy {
        /// Length of the silence.
        for_ns: i64,
    },
    /// A clock stepped: the client's, or this host's if the address is unspecified.
    ClockStepped {
        /// Size of the step; positive if the clock went forward.
        by_ns: i64,
    },
    /// Several senders are alive under one name or, without names, at one address.
    Conflict {
        /// Their boot ids, that of the followed one first; none if they declare none.
        boots: Box<[u64]>,
        /// Their addresses, in the same order.
        addresses: Box<[SocketAddr]>,
    },
    /// The client was marked down.
    Down {
        /// The cause.
        cause: Cause,
        /// Time since the last new beat.
        silence_ns: i64,
    },
    /// The client said that it failed.
    Failed {
        /// The type of the exception.
        error: Option<Box<[u8]>>,
    },
    /// A beat was received.
    Heard {
        /// Its number.
        seq: Option<u64>,
        /// Receive time minus the send time in the beat; includes the clock offset.
        difference_ns: Option<i64>,
        /// Its payload, at most [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes of it.
        payload: Box<[u8]>,
    },
    /// A datagram was received that is not a heartbeat.
    Ignored {
        /// Its payload, at most [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes of it.
        payload: Box<[u8]>,
    },
    /// A beat was received that had been reported lost.
    LateBeat {
        /// Its number.
        seq: u64,
    },
    /// Numbers were skipped, and their beats count as lost.
    Lost {
        /// The first lost number.
        first: u64,
        /// The last lost number.
        last: u64,
        /// How many of them are not lost: the client's own host refused to send them, or this host
        /// was paused.
        excused: u64,
    },
    /// Many clients fell silent together: more likely this host or its network than all of them.
    MassSilence {
        /// Number of silent clients.
        silent: usize,
        /// Number of clients that had not ended, including the silent ones.
        alive: usize,
        /// Addresses of the silent clients, at most 1024.
        listed: Box<[SocketAddr]>,
    },
    /// An expected client was not heard in time.
    Missing,
    /// The client's address changed.
    Moved {
        /// The previous address.
        from: SocketAddr,
    },
    /// The server itself was paused; the pause does not count as any client's silence.
    Paused {
        /// Length of the pause.
        for_ns: i64,
    },
    /// The client recovered from a state other than up.
    Recovered {
        /// The previous state.
        from: State,
        /// How long that state, or the silence, lasted.
        for_ns: i64,
        /// The number of the beat that ended it.
        seq: Option<u64>,
    },
    /// The client restarted, and its counts start over.
    Restarted {
        /// How the restart was detected.
        cause: Cause,
        /// Number of its first beat.
        seq: Option<u64>,
    },
    /// The client reports that its application makes no progress.
    Stalled {
        /// Time since the last progress.
        age_ns: Option<i64>,
        /// The task that makes none, if tasks are named.
        task: Option<Box<[u8]>>,
    },
    /// The client said goodbye.
    Stopped,
    /// The client has been silent beyond the suspect timeout.
    Suspect {
        /// Time since the last new beat.
        silence_ns: i64,
    },
    /// The client beats far more often than it declares.
    TooOften {
        /// The declared interval.
        interval_ns: i64,
        /// The time since the beat before.
        gap_ns: i64,
    },
    /// The first beat of a client was received.
    Up {
        /// The beat's number.
        seq: Option<u64>,
    },
}

/// Maximum number of clients that a [`Change::MassSilence`] lists.
pub(super) const MAX_LISTED: usize = 1024;
