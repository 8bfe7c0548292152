//! What is remembered of each probe, in columns.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ping::Verdict;

/// Rows that are shared between snapshots once they are full.
const CHUNK: usize = 4096;

/// Columns of probes: 35 bytes per row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The probe's number, from 1.
    pub seq: Vec<u64>,
    /// When it was sent, in nanoseconds since the Unix epoch on a clock that does not step after
    /// the session's start.
    pub sent_ns: Vec<i64>,
    /// The round-trip time that the program saw; -1 without a reply.
    pub rtt_ns: Vec<i64>,
    /// The round-trip time to the kernel's receive stamp; -1 without one.
    pub kernel_rtt_ns: Vec<i64>,
    /// The [`Verdict`] as its number.
    pub verdict: Vec<u8>,
    /// Its payload in bytes.
    pub size: Vec<u16>,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) sent_ns: i64,
    pub(super) rtt_ns: Option<i64>,
    pub(super) kernel_rtt_ns: Option<i64>,
    pub(super) verdict: Verdict,
    pub(super) size: u16,
}

impl Columns {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seq.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }

    fn push(&mut self, row: Row) {
        self.seq.push(row.seq);
        self.sent_ns.push(row.sent_ns);
        self.rtt_ns.push(row.rtt_ns.unwrap_or(-1));
        self.kernel_rtt_ns.push(row.kernel_rtt_ns.unwrap_or(-1));
        self.verdict.push(row.verdict as u8);
        self.size.push(row.size);
    }

    fn extend(&mut self, other: &Self, from: usize) {
        self.seq.extend_from_slice(&other.seq[from..]);
        self.sent_ns.extend_from_slice(&other.sent_ns[from..]);
        self.rtt_ns.extend_from_slice(&other.rtt_ns[from..]);
        self.kernel_rtt_ns.extend_from_slice(&other.kernel_rtt_ns[from..]);
        self.verdict.extend_from_slice(&other.verdict[from..]);
        self.size.extend_from_slice(&other.size[from..]);
    }
}

/// The last rows, or all. A copy shares the full chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeLog {
    /// How many; all where `None`.
    limit: Option<usize>,
    full: VecDeque<Arc<Columns>>,
    open: Columns,
}

impl ProbeLog {
    /// Keeps the last `limit` rows, or all.
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether any row is kept.
    pub(super) fn wanted(&self) -> bool {
        self.limit != Some(0)
    }

    pub(super) fn push(&mut self, row: Row) {
        if !self.wanted() {
            return;
        }
        self.open.push(row);
        if self.open.len() == CHUNK {
            self.full.push_back(Arc::new(std::mem::take(&mut self.open)));
            // What can no longer be among the last rows goes.
            if self.limit.is_some_and(|limit| (self.full.len() - 1) * CHUNK >= limit) {
                self.full.pop_front();
            }
        }
    }

    /// The rows in one piece.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let chunks = self.full.iter().map(|chunk| &**chunk).chain([&self.open]);
        let rows: usize = chunks.clone().map(Columns::len).sum();
        let mut surplus = self.limit.map_or(0, |limit| rows.saturating_sub(limit));
        let mut columns = Columns::default();
        for chunk in chunks {
            let from = surplus.min(chunk.len());
            columns.extend(chunk, from);
            surplus -= from;
        }
        columns
    }

    /// The rows of both.
    pub(super) fn append(&mut self, other: &Self) {
        let mut both = self.columns();
        both.extend(&other.columns(), 0);
        *self = Self { limit: None, full: VecDeque::from([Arc::new(both)]), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(seq: u64) -> Row {
        Row {
            seq,
            sent_ns: 5,
            rtt_ns: None,
            kernel_rtt_ns: Some(3),
            verdict: Verdict::Lost,
            size: 24,
        }
    }

    proptest! {
        #[test]
        fn the_last_rows_are_kept(limit in prop::option::of(0..9000_usize), rows in 0..20_000_u64) {
            let mut log = ProbeLog::new(limit);
            (0..rows).for_each(|seq| log.push(row(seq)));
            let number = limit.map_or(rows, |limit| rows.min(limit as u64));
            let columns = log.columns();
            prop_assert_eq!(&columns.seq, &(rows - number..rows).collect::<Vec<_>>());
            prop_assert_eq!(columns.size.len(), columns.len());
            prop_assert!(log.full.len() * CHUNK <= limit.unwrap_or(usize::MAX / 2) + CHUNK);
        }
    }

    #[test]
    fn nothing_is_not_zero() {
        let mut log = ProbeLog::new(None);
        log.push(row(1));
        let mut both = log.clone();
        both.append(&log);
        let columns = both.columns();
        assert_eq!((columns.seq, columns.rtt_ns), (vec![1, 1], vec![-1, -1]));
        assert_eq!((columns.kernel_rtt_ns, columns.verdict), (vec![3, 3], vec![2, 2]));
    }
}
