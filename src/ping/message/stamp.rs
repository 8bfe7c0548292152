//! Test packets of STAMP, and the facts in a reply.

use std::ops::Range;

use crate::Random;
use crate::ping::message::{Fill, Signer};
use crate::wire::TAG;
use crate::wire::stamp::{
    ErrorEstimate, Format, Mode, Reply, Request, Timestamp, Tlv, is_signed, sign,
};

/// The length of a TLV's header.
const HEADER: usize = 4;

/// The length of the TLV that holds the tag of the others.
const TAG_TLV: usize = HEADER + TAG;

/// The flags and the type of an Extra Padding TLV in a request (RFC 8972 section 4.1).
const PADDING: [u8; 2] = [0x80, 1];

/// The first probes have the numbers 0 and 1, and those after it their own from 3 on: a stateful
/// reflector counts over the number left out, a stateless one repeats it.
const BEFORE_GAP: u64 = 2;

/// Writes the test packets of a session and reads their replies.
#[derive(Debug)]
pub(in crate::ping) struct Packet {
    ssid: u16,
    format: Format,
    error: ErrorEstimate,
    size: usize,
    fill: Fill,
    secret: u64,
    /// The key of an authenticated session.
    key: Option<Signer>,
    /// A buffer for a probe.
    said: Vec<u8>,
}

/// The facts in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// The reply's number: a stateful reflector's own, or the request's.
    pub number: u32,
    /// The number of the request.
    pub sender_number: u32,
    /// T2, in nanoseconds since the Unix epoch by the reflector's clock.
    pub received_ns: i64,
    /// T3, likewise.
    pub sent_ns: i64,
    /// The error estimate of T2 and T3.
    pub error: ErrorEstimate,
    /// The TTL of the request on arrival, if the reflector reports it.
    pub ttl: Option<u8>,
    /// The format of T2 and T3.
    pub format: Format,
    /// The length of the reply, in bytes.
    pub size: usize,
    /// Whether the reply repeats the session identifier.
    pub has_ssid: bool,
    /// Whether T1 and T3 are in each other's place.
    pub swapped: bool,
}

/// Returns the number of a probe in its packet.
fn number_in_packet(seq: u64) -> u64 {
    if seq > BEFORE_GAP { seq } else { seq.saturating_sub(1) }
}

/// Returns the probe that has a number in its packet, the nearest one up to `sent`.
fn probe_of(number: u32, sent: u64) -> Option<u64> {
    let last = number_in_packet(sent);
    #[expect(clippy::cast_possible_truncation, reason = "numbers wrap")]
    let behind = (last as u32).wrapping_sub(number);
    match last.checked_sub(behind.into())? {
        BEFORE_GAP => None,
        number if number < BEFORE_GAP => Some(number + 1),
        number => Some(number),
    }
}

/// Returns the number of a probe whose end may be missing.
pub(super) fn quoted_number(probe: &[u8], sent: u64) -> Option<u64> {
    probe_of(u32::from_be_bytes(*probe.first_chunk()?), sent)
}

/// Returns whether a quote too short for a number begins this probe.
pub(super) fn is_start(quote: &[u8], seq: u64) -> bool {
    number_in_packet(seq).to_be_bytes()[4..].starts_with(quote)
}

impl Packet {
    /// Creates packets of `size` bytes, or of the least if that is less, authenticated with `key`.
    /// `fill` is the value of an Extra Padding TLV; with a key, another TLV holds its tag.
    pub(super) fn new(
        (ssid, format, error): (u16, Format, ErrorEstimate),
        size: usize,
        fill: Fill,
        secret: u64,
        key: Option<Signer>,
    ) -> Self {
        Self { ssid, format, error, size, fill, secret, key, said: Vec::new() }
    }

    fn mode(&self) -> Mode {
        if self.key.is_some() { Mode::Authenticated } else { Mode::Open }
    }

    /// Returns the place of the padding, if there is any.
    fn padding(&self) -> Option<Range<usize>> {
        let start = self.mode().base() + HEADER;
        let end = self.size.checked_sub(if self.key.is_some() { TAG_TLV } else { 0 })?;
        (start <= end).then_some(start..end)
    }

    /// Writes the probe with this number into `out`, replacing its content.
    pub(super) fn write(&self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        self.compose(seq, wall_ns, out);
        if let Some((_, key)) = self.key.as_deref() {
            if self.padding().is_some() {
                Tlv::append_tag(out, self.mode().base(), key);
            }
            sign(out, key);
        }
    }

    /// Writes the probe without tags.
    fn compose(&self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        let (mode, base) = (self.mode(), self.mode().base());
        out.clear();
        out.resize(base, 0);
        #[expect(clippy::cast_possible_truncation, reason = "numbers wrap")]
        let request = Request {
            seq: number_in_packet(seq) as u32,
            sent: Timestamp::new(self.format, wall_ns),
            error: self.error,
            ssid: self.ssid,
        };
        request.write(mode, out);
        if let Some(padding) = self.padding() {
            out.extend_from_slice(&PADDING);
            out.extend_from_slice(&u16::try_from(padding.len()).unwrap_or(u16::MAX).to_be_bytes());
            self.fill.pad(padding.end, || Random::stream(self.secret, &[seq]), out);
        }
    }

    /// Returns the number of the probe that a datagram claims to reply to; `sent` is the last
    /// number.
    pub(in crate::ping) fn answered(&self, datagram: &[u8], sent: u64) -> Option<u64> {
        probe_of(Reply::read(self.mode(), datagram)?.sender_seq, sent)
    }

    /// Returns whether a reply is signed with the session's key, if there is one.
    pub(in crate::ping) fn is_signed(&self, datagram: &[u8]) -> bool {
        self.key.as_ref().is_none_or(|signer| is_signed(datagram, &signer.1))
    }

    /// Returns the facts in a reply to the probe with this number, which was sent at `at_ns`;
    /// `None` if it does not repeat T1 and the padding, has the session identifier of another
    /// session, or is the probe itself.
    ///
    /// T1 serves as a token: nobody else knows its nanoseconds.
    pub(in crate::ping) fn read(
        &mut self,
        datagram: &[u8],
        seq: u64,
        at_ns: i64,
    ) -> Option<Reflection> {
        let reply = Reply::read(self.mode(), datagram)?;
        let t1 = Timestamp::new(self.format, at_ns);
        // Some reflectors have their own time in the place of T1, and T1 in the place of T3.
        let swapped = reply.sender_sent != t1;
        let (t3, echoed) =
            if swapped { (reply.sender_sent, reply.sent) } else { (reply.sent, reply.sender_sent) };
        // A reflector of TWAMP-Light knows no session identifier. A probe has no T2.
        let is_ours = reply.ssid == self.ssid || reply.ssid == 0;
        if echoed != t1 || !is_ours || reply.received == Timestamp::default() {
            return None;
        }
        if let Some(Range { start, end }) = self.padding()
            && datagram.len() > start
        {
            let mut said = std::mem::take(&mut self.said);
            self.compose(seq, at_ns, &mut said);
            let end = end.min(datagram.len());
            let is_same = said[start..end] == datagram[start..end];
            self.said = said;
            if !is_same {
                return None;
            }
        }
        let (format, received_ns) = reply.received.nearest(at_ns);
        Some(Reflection {
            number: reply.seq,
            sender_number: reply.sender_seq,
            received_ns,
            sent_ns: t3.ns(format, received_ns)?,
            error: reply.error,
            ttl: reply.ttl,
            format,
            size: datagram.len(),
            has_ssid: reply.ssid == self.ssid,
            swapped,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::Key;
    use proptest::prelude::*;

    const AT_NS: i64 = 1_795_670_999_123_456_789;

    fn packet(size: usize, format: Format) -> Packet {
        Packet::new((7, format, ErrorEstimate(1)), size, Fill::Random, 9, None)
    }

    fn key() -> Key {
        Key::new(&[7; 32]).unwrap()
    }

    fn authenticated(size: usize) -> Packet {
        let signer = Some(Arc::new((String::new(), key())));
        Packet::new((7, Format::Ntp, ErrorEstimate(1)), size, Fill::Random, 9, signer)
    }

    fn written(packet: &Packet, seq: u64) -> Vec<u8> {
        let mut out = vec![1; 5];
        packet.write(seq, AT_NS, &mut out);
        out
    }

    /// The reply of a reflector that copies the rest of the request.
    fn reflected(request: &[u8], reply: Reply) -> Vec<u8> {
        reflected_in(Mode::Open, request, reply)
    }

    fn reflected_in(mode: Mode, request: &[u8], reply: Reply) -> Vec<u8> {
        let mut datagram = request.to_vec();
        let request = Request::read(mode, request).unwrap();
        let echo = Reply {
            sender_seq: request.seq,
            sender_sent: request.sent,
            sender_error: request.error,
            ssid: request.ssid,
            ..reply
        };
        echo.write(mode, &mut datagram);
        datagram
    }

    #[test]
    fn one_number_is_left_out() {
        let packet = packet(44, Format::Ntp);
        let numbers = (1..6).map(|seq| {
            let out = written(&packet, seq);
            assert_eq!(out.len(), 44);
            assert_eq!(quoted_number(&out, 5), Some(seq));
            Request::read(Mode::Open, &out).unwrap().seq
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
        assert_eq!(probe_of(2, 5), None);
        assert_eq!(probe_of(6, 5), None, "not sent yet");
    }

    #[test]
    fn an_authenticated_packet_has_two_tags() {
        for (size, length) in [(0, 112), (44, 112), (112, 112), (136, 136), (200, 200)] {
            let mut packet = authenticated(size);
            let request = written(&packet, 1);
            assert_eq!((request.len(), packet.is_signed(&request)), (length, true));
            if length > 112 {
                let padding = u8::try_from(length - 136).unwrap();
                assert_eq!(request[112..116], [0x80, 1, 0, padding]);
                let tag = key().tag([&request[..4], &request[112..length - 20]]);
                assert_eq!(request[length - 20..], [&[0x80, 8, 0, 16][..], &tag].concat());
            }
            let at = |ns| Timestamp::new(Format::Ntp, AT_NS + ns);
            let reply = Reply { received: at(5), sent: at(9), ..Reply::default() };
            let mut reply = reflected_in(Mode::Authenticated, &request, reply);
            assert_eq!(packet.answered(&reply, 1), Some(1));
            assert_eq!(packet.read(&reply, 1, AT_NS).unwrap().sent_ns, AT_NS + 9);
            assert!(!packet.is_signed(&reply));
            sign(&mut reply, &key());
            assert!(packet.is_signed(&reply) && !packet.is_signed(&reply[..111]));
        }
    }

    #[test]
    fn a_request_that_comes_back_is_no_reply() {
        // The first one has the number 0, as the empty place of a sender's number.
        for mut packet in [packet(44, Format::Ntp), authenticated(0), authenticated(200)] {
            let request = written(&packet, 1);
            assert_eq!(packet.answered(&request, 1), Some(1));
            assert_eq!(packet.read(&request, 1, AT_NS), None);
        }
    }

    #[test]
    fn a_longer_packet_has_one_tlv() {
        let out = written(&packet(60, Format::Ntp), 1);
        assert_eq!((out.len(), &out[44..48]), (60, &[0x80, 1, 0, 12][..]));
        assert!(out[16..44].iter().all(|byte| *byte == 0), "some reflectors insist on zeros");
    }

    #[test]
    fn a_reply_repeats_the_time() {
        let mut packet = packet(60, Format::Ntp);
        let request = written(&packet, 4);
        let reply = Reply {
            seq: 3,
            received: Timestamp::new(Format::Ntp, AT_NS + 5000),
            sent: Timestamp::new(Format::Ntp, AT_NS + 7000),
            ttl: Some(250),
            ..Reply::default()
        };
        let datagram = reflected(&request, reply);
        assert_eq!(packet.answered(&datagram, 9), Some(4));
        let reflection = packet.read(&datagram, 4, AT_NS).unwrap();
        assert_eq!((reflection.number, reflection.ttl), (3, Some(250)));
        assert_eq!(reflection.received_ns - AT_NS, 5000);
        assert_eq!(reflection.sent_ns - AT_NS, 7000);
        assert!(reflection.has_ssid && !reflection.swapped);
        for length in [38, 41, 44, 60] {
            assert!(packet.read(&datagram[..length], 4, AT_NS).is_some(), "{length}");
        }
        assert!(packet.read(&[&datagram[..], &[0; 20]].concat(), 4, AT_NS).is_some());
        assert_eq!(packet.read(&datagram, 4, AT_NS + 1), None);
        for bit in [14 * 8, 30 * 8, 59 * 8] {
            let mut damaged = datagram.clone();
            damaged[bit / 8] ^= 1;
            assert_eq!(packet.read(&damaged, 4, AT_NS), None, "{bit}");
        }
    }

    #[test]
    fn the_format_is_that_of_the_nearest_reading() {
        let mut packet = packet(44, Format::Ntp);
        let request = written(&packet, 1);
        for format in [Format::Ntp, Format::Ptp] {
            for claimed in [Format::Ntp, Format::Ptp] {
                let at = |ns| Timestamp::new(format, AT_NS + ns);
                let error = ErrorEstimate::new(false, claimed, 1);
                let reply = Reply { received: at(1), sent: at(2), error, ..Reply::default() };
                let reflection = packet.read(&reflected(&request, reply), 1, AT_NS).unwrap();
                assert_eq!((reflection.received_ns, reflection.format), (AT_NS + 1, format));
                assert_eq!((reflection.sent_ns, reflection.error), (AT_NS + 2, error));
            }
        }
    }

    #[test]
    fn exchanged_times_are_put_right() {
        let mut packet = packet(44, Format::Ntp);
        let request = written(&packet, 1);
        let at = |ns| Timestamp::new(Format::Ntp, AT_NS + ns);
        let mut datagram =
            reflected(&request, Reply { received: at(5), sent: at(9), ..Reply::default() });
        let (t1, t3) = (datagram[28..36].to_vec(), datagram[4..12].to_vec());
        datagram[28..36].copy_from_slice(&t3);
        datagram[4..12].copy_from_slice(&t1);
        let reflection = packet.read(&datagram, 1, AT_NS).unwrap();
        assert!(reflection.swapped);
        assert_eq!((reflection.received_ns, reflection.sent_ns), (AT_NS + 5, AT_NS + 9));
    }

    proptest! {
        #[test]
        fn numbers_wrap(sent in 1..1_u64 << 40, behind in 0..1_u64 << 31) {
            let seq = sent.saturating_sub(behind).max(1);
            #[expect(clippy::cast_possible_truncation, reason = "numbers wrap")]
            let number = number_in_packet(seq) as u32;
            prop_assert_eq!(probe_of(number, sent), Some(seq));
        }

        #[test]
        fn any_bytes_can_be_read(
            size in 40..70_usize, bytes in prop::collection::vec(any::<u8>(), 0..80), seq: u64,
            at_ns: i64, sent: u64,
        ) {
            let _ = (quoted_number(&bytes, sent), is_start(&bytes, seq));
            for mut packet in [packet(size, Format::Ptp), authenticated(3 * size)] {
                let _ = (packet.answered(&bytes, sent), packet.read(&bytes, seq, at_ns >> 1));
                prop_assert!(packet.key.is_none() || !packet.is_signed(&bytes));
            }
        }
    }
}
