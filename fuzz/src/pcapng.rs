//! Captures.

use udpulse::wire::pcapng::{Packet, header, interface, packet, statistics};
use udpulse::{Headers, Point};

use super::input::Input;
use super::world::any_address;

const POINT: Point = Point { name: "in", description: "requests", outbound: false };

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut capture, mut blocks) = (Vec::new(), 3);
    header(&mut capture, &String::from_utf8_lossy(input.bytes()));
    let snaplen = input.byte().into();
    interface(&mut capture, &POINT, snaplen);
    while !input.is_empty() {
        let (from, to) = (any_address(&mut input), any_address(&mut input));
        let headers = Headers { ttl: input.maybe(Input::byte), tos: input.maybe(Input::byte) };
        let comment = String::from_utf8_lossy(input.bytes());
        let (at_ns, outbound, payload) = (input.int(), input.flag(), input.bytes());
        let one =
            Packet { point: 0, at_ns, from, to, headers, payload, outbound, comment: &comment };
        packet(&mut capture, &one, snaplen);
        blocks += 1;
    }
    statistics(&mut capture, 0, i64::MAX, 1, u64::MAX);
    // Each block ends with its length, and nothing follows the last.
    let mut rest = &capture[..];
    while !rest.is_empty() {
        let number = |at: usize| {
            let bytes = rest[at..].first_chunk().expect("a number");
            usize::try_from(u32::from_le_bytes(*bytes)).expect("a length")
        };
        let length = number(4);
        assert!(length >= 12 && length.is_multiple_of(4) && number(length - 4) == length);
        rest = &rest[length..];
        blocks -= 1;
    }
    assert_eq!(blocks, 0);
}
