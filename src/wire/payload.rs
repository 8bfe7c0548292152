//! Raw payloads.

/// Maximum bytes of a payload kept in an event or a fate: queues are bounded in bytes, too.
pub const MAX_SHOWN: usize = 1024;

/// Copies the first [`MAX_SHOWN`] bytes of `payload`.
pub(crate) fn shown(payload: &[u8]) -> Box<[u8]> {
    payload[..payload.len().min(MAX_SHOWN)].into()
}
