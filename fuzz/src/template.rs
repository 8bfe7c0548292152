//! Templates of messages.

use udpulse::wire::{self, Template};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (seq, wall_ns, offset_ns) = (input.uint(), input.int(), input.int());
    let _ = wire::utc(wall_ns);
    let text = String::from_utf8_lossy(input.take(2000));
    let Ok(template) = Template::parse("format", &text) else { return };
    let mut message = Vec::new();
    template.write(seq, wall_ns, offset_ns, &mut message);
    assert!(message.len() <= 16 * text.len(), "{text} became {} bytes", message.len());
    assert_eq!(template, Template::parse("format", &text).expect("as before"));
    let _ = wire::read(&message);
}
