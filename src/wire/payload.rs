//! Raw payloads.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Maximum bytes of a payload kept in an event or a fate: queues are bounded in bytes, too.
pub const MAX_SHOWN: usize = 1024;

/// The longest payload that [`Shown`] holds without another allocation; probes usually have 64 bytes.
const IN_PLACE: usize = 70;

/// Copies the first [`MAX_SHOWN`] bytes of `payload`.
pub(crate) fn shown(payload: &[u8]) -> Box<[u8]> {
    payload[..payload.len().min(MAX_SHOWN)].into()
}

/// The first [`MAX_SHOWN`] bytes of a payload.
#[derive(Clone)]
pub struct Shown(Bytes);

#[derive(Clone)]
enum Bytes {
    Short { length: u8, bytes: [u8; IN_PLACE] },
    Long(Box<[u8]>),
}

impl Shown {
    /// Copies the start of `payload`.
    pub(crate) fn of(payload: &[u8]) -> Self {
        let mut bytes = [0; IN_PLACE];
        match (bytes.get_mut(..payload.len()), u8::try_from(payload.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(payload);
                Self(Bytes::Short { length, bytes })
            }
            _ => Self(Bytes::Long(shown(payload))),
        }
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self(Bytes::Short { length: 0, bytes: [0; IN_PLACE] })
    }
}

impl Deref for Shown {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl DerefMut for Shown {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Bytes::Short { length, bytes } => &mut bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Shown {}

impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_any_length_is_kept_up_to_the_limit() {
        let payload: Vec<_> = (0..2 * MAX_SHOWN).map(|byte| byte.to_le_bytes()[0]).collect();
        for length in 0..payload.len() {
            let payload = &payload[..length];
            let mut kept = Shown::of(payload);
            assert_eq!((&kept[..], kept.clone()), (&shown(payload)[..], kept.clone()));
            kept.make_ascii_uppercase();
            assert_eq!(kept[..], shown(payload).to_ascii_uppercase());
        }
    }
}
