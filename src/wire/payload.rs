//! Payloads as they are, whatever they say.

/// The most bytes of a payload that an event or a fate keeps: queues are bounded in bytes, too.
pub const MAX_SHOWN: usize = 1024;

/// Copies the first [`MAX_SHOWN`] bytes of `payload`.
pub(crate) fn shown(payload: &[u8]) -> Box<[u8]> {
    payload[..payload.len().min(MAX_SHOWN)].into()
}

/// Writes the answer of the lab's server over `out`: `payload` with its ASCII letters in upper case.
pub(crate) fn upper(payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend(payload.iter().map(u8::to_ascii_uppercase));
}
