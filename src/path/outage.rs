//! Outages: times at which a link carries nothing.

/// The effect of an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutageMode {
    /// Packets that enter are lost. Those inside arrive.
    #[default]
    Drop,
    /// Nothing leaves. All packets leave together at the end.
    Hold,
    /// Packets are lost, and the system refuses new ones.
    Refuse,
}

/// An outage of one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) mode: OutageMode,
    pub(super) start_ns: i64,
    /// `i64::MAX` if nobody knows its end yet.
    pub(super) end_ns: i64,
    /// Its number among all outages.
    pub(super) number: u64,
}

impl Outage {
    fn includes(&self, at_ns: i64) -> bool {
        (self.start_ns..self.end_ns).contains(&at_ns)
    }

    /// Returns whether a packet that enters at `at_ns` is lost.
    pub(super) fn drops(&self, at_ns: i64) -> bool {
        self.mode != OutageMode::Hold && self.includes(at_ns)
    }

    /// Returns until when nothing leaves that would leave at `at_ns`.
    pub(super) fn holds_until(&self, at_ns: i64) -> Option<i64> {
        (self.mode == OutageMode::Hold && self.includes(at_ns)).then_some(self.end_ns)
    }

    /// Returns whether the system must refuse packets at `at_ns`.
    pub(super) fn refuses(&self, at_ns: i64) -> bool {
        self.mode == OutageMode::Refuse && self.includes(at_ns)
    }
}
