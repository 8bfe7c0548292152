//! Messages of any program.

use udpulse::wire::{self, SentAt, Template};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let reading = wire::read(data);
    if let Some(time) = reading.time {
        let _ = (time.until_ns(i64::MIN, i64::MAX), time.until_ns(i64::MAX, i64::MIN));
    }
    // A message of the lab is read whatever the numbers are, as long as they look like the lab's.
    let mut input = Input::new(data);
    let (seq, wall_ns) =
        (input.uint() % 1_000_000_000, 1_000_000_000_000_000_000 + input.natural() / 2);
    let mut message = Vec::new();
    for template in [Template::ping(), Template::heartbeat()] {
        template.write(seq, wall_ns, 0, &mut message);
        let reading = wire::read(&message);
        assert_eq!(reading.seq, Some(seq));
        assert_eq!(reading.time, Some(SentAt::Unix(wall_ns / 1000 * 1000)));
    }
}
