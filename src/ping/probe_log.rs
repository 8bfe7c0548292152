//! The log of a session's probes, in columns.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::packed::{Packed, Reader, put_int, put_uint};
use crate::ping::Verdict;

/// Rows that snapshots share once they are full.
const CHUNK: usize = 4096;

/// Marks a missing time: no reply, or no kernel timestamp.
const NONE: i64 = -1;

/// The probes of a report in send order: 36 bytes per row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// The number of the probe in its flow, from 1.
    pub seq: Vec<u64>,
    /// The flow of the probe.
    pub flow: Vec<u8>,
    /// The time of sending in nanoseconds since the Unix epoch, on a clock that does not step
    /// after the start.
    pub sent_ns: Vec<i64>,
    /// The round-trip time as the program saw it.
    pub rtt_ns: Vec<Option<i64>>,
    /// The round-trip time to the kernel's receive timestamp.
    pub kernel_rtt_ns: Vec<Option<i64>>,
    /// The number of the [`Verdict`].
    pub verdict: Vec<u8>,
    /// The payload in bytes.
    pub size: Vec<u16>,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number in its flow, from 1.
    pub seq: u64,
    /// The time of sending in nanoseconds since the Unix epoch.
    pub sent_ns: i64,
    /// The round-trip time as the program saw it.
    pub rtt_ns: Option<i64>,
    /// The round-trip time to the kernel's receive timestamp.
    pub kernel_rtt_ns: Option<i64>,
    /// The verdict.
    pub verdict: Verdict,
    /// The payload in bytes.
    pub size: u16,
}

/// A row as stored, in 36 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, packed(4))]
struct Stored {
    seq: u64,
    sent_ns: i64,
    rtt_ns: i64,
    kernel_rtt_ns: i64,
    verdict: u8,
    size: u16,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            sent_ns: row.sent_ns,
            rtt_ns: row.rtt_ns.unwrap_or(NONE),
            kernel_rtt_ns: row.kernel_rtt_ns.unwrap_or(NONE),
            verdict: row.verdict as u8,
            size: row.size,
        }
    }
}

/// The rows of one flow, from index `from`.
#[derive(Clone, Debug)]
struct Chunk {
    flow: u8,
    from: usize,
    rows: Arc<Vec<Stored>>,
}

/// The last rows, or all. Clones share the full chunks.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeLog {
    /// The number of rows to keep; all if `None`.
    limit: Option<usize>,
    chunks: VecDeque<Chunk>,
    /// The flow of the open rows.
    flow: u8,
    /// The last rows, fewer than a chunk.
    open: Vec<Stored>,
}

impl ProbeLog {
    /// Creates a log that keeps the last `limit` rows, or all.
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Returns whether any row is kept.
    pub(super) fn wanted(&self) -> bool {
        self.limit != Some(0)
    }

    /// Makes room for `count` more rows.
    pub(super) fn reserve(&mut self, count: usize) {
        self.open.reserve_exact(count.min(CHUNK - self.open.len()));
    }

    pub(super) fn push(&mut self, row: Row) {
        if !self.wanted() {
            return;
        }
        self.open.push(row.into());
        if self.open.len() == CHUNK {
            self.close();
            // Drop a chunk once the later ones alone reach the limit.
            if self.limit.is_some_and(|limit| (self.chunks.len() - 1) * CHUNK >= limit) {
                self.chunks.pop_front();
            }
        }
    }

    fn close(&mut self) {
        let rows = Arc::new(std::mem::take(&mut self.open));
        self.chunks.push_back(Chunk { flow: self.flow, from: 0, rows });
    }

    /// Ends the log: no more rows are added, and rows beyond the limit are hidden.
    pub(super) fn end(&mut self, flow: u8) {
        let mut surplus = self.limit.map_or(0, |limit| self.len().saturating_sub(limit));
        for chunk in &mut self.chunks {
            chunk.flow = flow;
            chunk.from = surplus.min(chunk.rows.len());
            surplus -= chunk.from;
        }
        self.chunks.retain(|chunk| chunk.from < chunk.rows.len());
        self.open.drain(..surplus);
        (self.flow, self.limit) = (flow, None);
    }

    /// Adds the rows of `other`. Both must have ended.
    pub(super) fn append(&mut self, other: &Self) {
        if !self.open.is_empty() {
            self.close();
        }
        self.chunks.extend(other.chunks.iter().cloned());
        (self.flow, self.open) = (other.flow, other.open.clone());
    }

    /// Returns the rows in parts, each with its flow.
    fn parts(&self) -> impl Iterator<Item = (u8, &[Stored])> {
        let chunks = self.chunks.iter().map(|chunk| (chunk.flow, &chunk.rows[chunk.from..]));
        let open = Some((self.flow, &self.open[..])).filter(|_| !self.open.is_empty());
        chunks.chain(open)
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.parts().map(|(_, rows)| rows.len()).sum()
    }

    /// Returns the rows in send order.
    pub(super) fn columns(&self) -> Columns {
        let optional = |ns: i64| (ns != NONE).then_some(ns);
        let order = self.order();
        let order = order.as_deref();
        Columns {
            seq: self.column(order, |_, row| row.seq),
            flow: self.column(order, |flow, _| flow),
            sent_ns: self.column(order, |_, row| row.sent_ns),
            rtt_ns: self.column(order, |_, row| optional(row.rtt_ns)),
            kernel_rtt_ns: self.column(order, |_, row| optional(row.kernel_rtt_ns)),
            verdict: self.column(order, |_, row| row.verdict),
            size: self.column(order, |_, row| row.size),
        }
    }

    /// Returns the indices of the rows in send order; `None` if they are already ordered.
    fn order(&self) -> Option<Vec<usize>> {
        let sent_ns = self.column(None, |_, row| row.sent_ns);
        let mut order: Vec<_> = (0..sent_ns.len()).collect();
        order.sort_by_key(|index| sent_ns[*index]);
        (!sent_ns.is_sorted()).then_some(order)
    }

    /// Returns one value per row, in `order`.
    fn column<T: Copy>(&self, order: Option<&[usize]>, of: impl Fn(u8, &Stored) -> T) -> Vec<T> {
        let mut column = Vec::with_capacity(self.len());
        for (flow, rows) in self.parts() {
            column.extend(rows.iter().map(|row| of(flow, row)));
        }
        match order {
            None => column,
            Some(order) => order.iter().map(|index| column[*index]).collect(),
        }
    }
}

/// Logs are equal if their rows are, regardless of chunks.
impl PartialEq for ProbeLog {
    fn eq(&self, other: &Self) -> bool {
        let rows = |log: &Self| log.column(log.order().as_deref(), |flow, row| (flow, *row));
        self.len() == other.len() && rows(self) == rows(other)
    }
}

impl Packed for ProbeLog {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(self.parts().count() as u64, out);
        self.parts().for_each(|(flow, rows)| pack_rows(flow, rows, out));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let chunks: Vec<Chunk> = from.read()?;
        Some(Self { chunks: chunks.into(), ..Self::default() })
    }
}

/// Packs the rows of a flow: numbers and times as differences to the previous row.
fn pack_rows(flow: u8, rows: &[Stored], out: &mut Vec<u8>) {
    out.push(flow);
    put_uint(rows.len() as u64, out);
    let (mut seq, mut sent_ns): (u64, i64) = (0, 0);
    for row in rows {
        put_int(row.seq.wrapping_sub(seq).cast_signed(), out);
        put_int(row.sent_ns.wrapping_sub(sent_ns), out);
        // 0 stands for a missing time.
        put_uint(row.rtt_ns.wrapping_add(1).cast_unsigned(), out);
        put_uint(row.kernel_rtt_ns.wrapping_add(1).cast_unsigned(), out);
        out.push(row.verdict);
        put_uint(row.size.into(), out);
        (seq, sent_ns) = (row.seq, row.sent_ns);
    }
}

impl Packed for Chunk {
    fn pack(&self, out: &mut Vec<u8>) {
        pack_rows(self.flow, &self.rows[self.from..], out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (flow, count) = (from.byte()?, from.count()?);
        let (mut rows, mut seq, mut sent_ns) = (Vec::new(), 0_u64, 0_i64);
        for _ in 0..count {
            seq = seq.wrapping_add(from.int()?.cast_unsigned());
            sent_ns = sent_ns.wrapping_add(from.int()?);
            rows.push(Stored {
                seq,
                sent_ns,
                rtt_ns: from.duration()? - 1,
                kernel_rtt_ns: from.duration()? - 1,
                verdict: from.byte().filter(|code| usize::from(*code) < Verdict::ALL.len())?,
                size: u16::try_from(from.uint()?).ok()?,
            });
        }
        Some(Self { flow, from: 0, rows: Arc::new(rows) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{pack, unpack};
    use proptest::prelude::*;

    fn row(seq: u64, sent_ns: i64) -> Row {
        Row { seq, sent_ns, rtt_ns: None, kernel_rtt_ns: Some(3), verdict: Verdict::Lost, size: 24 }
    }

    fn ended(flow: u8, times_ns: impl IntoIterator<Item = i64>) -> ProbeLog {
        let mut log = ProbeLog::new(None);
        (1..).zip(times_ns).for_each(|(seq, sent_ns)| log.push(row(seq, sent_ns)));
        log.end(flow);
        log
    }

    proptest! {
        #[test]
        fn the_last_rows_are_kept(limit in prop::option::of(0..9000_usize), rows in 0..20_000_u64) {
            let mut log = ProbeLog::new(limit);
            (0..rows).for_each(|seq| log.push(row(seq, 5)));
            prop_assert!(log.chunks.len() * CHUNK <= limit.unwrap_or(usize::MAX / 2) + CHUNK);
            log.end(0);
            let number = limit.map_or(rows, |limit| rows.min(limit as u64));
            let columns = log.columns();
            prop_assert_eq!(&columns.seq, &(rows - number..rows).collect::<Vec<_>>());
            prop_assert_eq!(columns.size.len(), log.len());
            prop_assert_eq!(unpack::<ProbeLog>(&pack(&log)), Some(log));
        }

        #[test]
        fn rows_of_several_logs_are_in_send_order(
            times_ns in prop::collection::vec(prop::collection::vec(0..99_i64, 0..9), 1..5),
        ) {
            let mut sum = ProbeLog::default();
            for (flow, times_ns) in (0..).zip(times_ns) {
                sum.append(&ended(flow, times_ns));
            }
            let columns = sum.columns();
            prop_assert!(columns.sent_ns.is_sorted());
            prop_assert_eq!(columns.flow.len(), sum.len());
            prop_assert_eq!(unpack::<ProbeLog>(&pack(&sum)), Some(sum));
        }

        #[test]
        fn damage_is_refused_or_read(at in 0..60_usize, byte: u8) {
            let mut bytes = pack(&ended(3, [5, 7, 9]));
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = unpack::<ProbeLog>(&bytes);
        }
    }

    #[test]
    fn a_row_takes_36_bytes() {
        assert_eq!(size_of::<Stored>(), 36);
    }

    #[test]
    fn a_missing_reply_has_no_time() {
        let columns = ended(0, [100, 200]).columns();
        assert_eq!((columns.sent_ns, columns.rtt_ns), (vec![100, 200], vec![None, None]));
        assert_eq!((columns.kernel_rtt_ns, columns.verdict), (vec![Some(3); 2], vec![2, 2]));
    }

    #[test]
    fn logs_are_compared_by_their_rows() {
        let (one, other) = (ended(0, [1, 2]), ended(0, [3]));
        let mut sum = one.clone();
        sum.append(&other);
        assert_ne!(sum, ended(0, [1, 2, 3]), "numbers begin again");
        assert_ne!(one, ended(1, [1, 2]));
        let mut reverse = other;
        reverse.append(&one);
        assert_eq!(sum, reverse);
    }
}
