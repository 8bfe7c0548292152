//! Outages: long runs of probes without an answer in time.

use std::collections::VecDeque;
use std::ops::AddAssign;

use crate::packed::{Packed, Reader, put_uint};
use crate::ping::{Blank, Rare};

/// The number of consecutive probes without an answer that makes an outage, unless the user gives
/// one.
pub(super) const OUTAGE_AFTER: u64 = 3;

/// The number of recent outages that a report lists.
const LISTED: usize = 1000;

/// A run of probes without an answer in time. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first of them was sent.
    pub start_ns: i64,
    /// When the next answered probe was sent; `None` while the outage lasts.
    pub end_ns: Option<i64>,
    /// The number of probes so far.
    pub lost: u64,
}

/// All outages of a session, and the last of them as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// The last ones, by their starts.
    pub listed: VecDeque<Outage>,
    /// The number of outages.
    pub count: u64,
    /// The sum of their durations; of one that lasts, up to its last probe.
    pub total_ns: i64,
    /// The current run of losses, and the time up to which it is in the sum.
    run: Option<(Outage, i64)>,
}

impl Blank for Outages {
    fn blank() -> &'static Self {
        const { &Self { listed: VecDeque::new(), count: 0, total_ns: 0, run: None } }
    }
}

impl Rare<Outages> {
    /// Adds the next probe like [`Outages::add`].
    pub(super) fn add(&mut self, sent_ns: i64, answered: bool, after: u64) -> Option<Outage> {
        // An answer changes nothing before the first loss.
        if answered {
            self.made()?.add(sent_ns, true, after)
        } else {
            self.make().add(sent_ns, false, after)
        }
    }
}

impl Outages {
    /// Adds the next probe in sending order; `after` losses in a row make an outage. Returns the
    /// outage that began or ended with the probe.
    pub(super) fn add(&mut self, sent_ns: i64, answered: bool, after: u64) -> Option<Outage> {
        let (mut outage, summed_ns) = match self.run.take() {
            Some(run) => run,
            None if answered => return None,
            None => (Outage { start_ns: sent_ns, end_ns: None, lost: 0 }, sent_ns),
        };
        if answered {
            outage.end_ns = Some(sent_ns);
        } else {
            outage.lost += 1;
        }
        if outage.lost < after {
            self.run = (!answered).then_some((outage, summed_ns));
            return None;
        }
        self.total_ns = self.total_ns.saturating_add(sent_ns.saturating_sub(summed_ns).max(0));
        let begins = outage.lost == after && !answered;
        if begins {
            self.count += 1;
            self.listed.push_back(outage);
            self.forget();
        } else if let Some(last) = self.listed.back_mut() {
            *last = outage;
        }
        self.run = (!answered).then_some((outage, sent_ns));
        (begins || answered).then_some(outage)
    }

    /// Ends the session: an outage that lasts keeps no end.
    pub(super) fn end(&mut self) {
        self.run = None;
    }

    fn forget(&mut self) {
        let surplus = self.listed.len().saturating_sub(LISTED);
        self.listed.drain(..surplus);
    }
}

impl AddAssign<&Self> for Outages {
    fn add_assign(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.listed.extend(&other.listed);
        self.listed.make_contiguous().sort_by_key(|outage| outage.start_ns);
        self.forget();
        self.run = None;
    }
}

impl Packed for Outage {
    fn pack(&self, out: &mut Vec<u8>) {
        self.start_ns.pack(out);
        self.end_ns.pack(out);
        self.lost.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { start_ns: from.read()?, end_ns: from.read()?, lost: from.read()? })
    }
}

impl Packed for Outages {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        put_uint(self.total_ns.unsigned_abs(), out);
        self.listed.iter().copied().collect::<Vec<_>>().pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (count, total_ns, listed) = (from.read()?, from.duration()?, from.read::<Vec<_>>()?);
        let sound = listed.len() <= LISTED && listed.len() as u64 <= count;
        sound.then_some(Self { listed: listed.into(), count, total_ns, run: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{pack, unpack};
    use proptest::prelude::*;

    fn of(answered: &[bool]) -> (Outages, Vec<Outage>) {
        let mut outages = Outages::default();
        let told = (0..).zip(answered).filter_map(|(at, answered)| outages.add(at, *answered, 3));
        let told = told.collect();
        (outages, told)
    }

    #[test]
    fn an_outage_lasts_from_its_first_loss_to_the_next_answer() {
        let (mut outages, told) =
            of(&"..xx.xxxx..xxx".bytes().map(|b| b == b'.').collect::<Vec<_>>());
        let first = Outage { start_ns: 5, end_ns: Some(9), lost: 4 };
        let second = Outage { start_ns: 11, end_ns: None, lost: 3 };
        assert_eq!(outages.listed, [first, second]);
        assert_eq!((outages.count, outages.total_ns), (2, 4 + 2));
        assert_eq!(told, [Outage { end_ns: None, lost: 3, ..first }, first, second]);
        assert_eq!(outages.add(14, false, 3), None);
        assert_eq!((outages.total_ns, outages.listed[1].lost), (7, 4));
        outages.end();
        assert_eq!(unpack(&pack(&outages)), Some(outages.clone()));
        assert_eq!(outages.add(15, true, 3), None, "another session");
        outages += &outages.clone();
        assert_eq!(outages.listed.iter().map(|o| o.start_ns).collect::<Vec<_>>(), [5, 5, 11, 11]);
    }

    proptest! {
        #[test]
        fn the_sums_only_grow(answered in prop::collection::vec(any::<bool>(), 0..12_000)) {
            let (mut outages, mut before) = (Outages::default(), (0, 0));
            for (at, answered) in (0..).zip(answered) {
                outages.add(at, answered, 3);
                let now = (outages.count, outages.total_ns);
                prop_assert!(now.0 >= before.0 && now.1 >= before.1);
                before = now;
            }
            prop_assert!(outages.listed.len() as u64 == outages.count.min(LISTED as u64));
            if outages.count <= LISTED as u64 {
                let ended = outages.listed.iter().filter_map(|o| Some(o.end_ns? - o.start_ns));
                let lasting = outages.listed.iter().filter(|o| o.end_ns.is_none());
                let lasting = lasting.map(|o| i64::try_from(o.lost).unwrap() - 1).sum::<i64>();
                prop_assert_eq!(outages.total_ns, ended.sum::<i64>() + lasting);
            }
        }
    }
}
