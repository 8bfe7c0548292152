//! A compact binary form of measurements, for storage. Reading validates everything.
//!
//! Unsigned integers take as many bytes as they need (LEB128), signed ones are zigzag-coded, floats
//! take eight bytes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The largest count accepted; sums of thousands of reports stay far from an overflow.
const MAX_COUNT: u64 = 1 << 48;

/// A measurement that can be stored.
pub trait Packed: Sized {
    /// Appends the value to `out`.
    fn pack(&self, out: &mut Vec<u8>);

    /// Reads a value; `None` if it is damaged or inconsistent.
    fn unpack(from: &mut Reader<'_>) -> Option<Self>;
}

/// Returns the bytes of `value`.
pub fn pack(value: &impl Packed) -> Vec<u8> {
    let mut out = Vec::new();
    value.pack(&mut out);
    out
}

/// Reads a value from all of `bytes`.
#[must_use]
pub fn unpack<T: Packed>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader(bytes);
    let value = T::unpack(&mut reader)?;
    reader.0.is_empty().then_some(value)
}

/// Appends an unsigned integer.
pub(crate) fn put_uint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed integer.
pub(crate) fn put_int(value: i64, out: &mut Vec<u8>) {
    put_uint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// Appends a float.
pub(crate) fn put_float(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The bytes left to read. Each method consumes some, and returns `None` if they are invalid.
pub struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Reads the next value.
    pub(crate) fn read<T: Packed>(&mut self) -> Option<T> {
        T::unpack(self)
    }

    /// Reads the next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Reads an unsigned integer.
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a signed integer.
    pub(crate) fn int(&mut self) -> Option<i64> {
        let value = self.uint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Reads a count.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.uint().filter(|count| *count <= MAX_COUNT)
    }

    /// Reads a duration in nanoseconds, 0 or more.
    pub(crate) fn duration(&mut self) -> Option<i64> {
        i64::try_from(self.uint()?).ok()
    }

    /// Reads a finite float.
    pub(crate) fn float(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes)).filter(|value| value.is_finite())
    }

    /// Reads a boolean.
    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// A flag, followed by the value if there is one.
impl<T: Packed> Packed for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        if from.bool()? { from.read().map(Some) } else { Some(None) }
    }
}

impl Packed for u64 {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(*self, out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        from.count()
    }
}

impl Packed for i64 {
    fn pack(&self, out: &mut Vec<u8>) {
        put_int(*self, out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        from.int()
    }
}

/// A count, followed by the values.
impl<T: Packed> Packed for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(self.len() as u64, out);
        for value in self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        // Allocate as values arrive; the count may be forged.
        (0..from.count()?).map(|_| from.read()).collect()
    }
}

/// The keys in order, each with its value.
impl<K: Packed + Ord, V: Packed> Packed for BTreeMap<K, V> {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(self.len() as u64, out);
        for (key, value) in self {
            key.pack(out);
            value.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        (0..from.count()?).map(|_| Some((from.read()?, from.read()?))).collect()
    }
}

impl Packed for u8 {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        from.byte()
    }
}

impl Packed for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        from.bool()
    }
}

impl Packed for i32 {
    fn pack(&self, out: &mut Vec<u8>) {
        i64::from(*self).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(from.int()?).ok()
    }
}

impl Packed for String {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(self.len() as u64, out);
        out.extend_from_slice(self.as_bytes());
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let bytes: Vec<u8> = from.read()?;
        Self::from_utf8(bytes).ok()
    }
}

/// The octets, after their number.
impl Packed for IpAddr {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(ip) => ip.octets().to_vec().pack(out),
            Self::V6(ip) => ip.octets().to_vec().pack(out),
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let octets: Vec<u8> = from.read()?;
        let v4 = <[u8; 4]>::try_from(&octets[..]).map(Self::from).ok();
        v4.or_else(|| <[u8; 16]>::try_from(&octets[..]).map(Self::from).ok())
    }
}

impl Packed for SocketAddr {
    fn pack(&self, out: &mut Vec<u8>) {
        self.ip().pack(out);
        self.port().pack(out);
        if let Self::V6(v6) = self {
            put_uint(v6.flowinfo().into(), out);
            put_uint(v6.scope_id().into(), out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (ip, port) = (from.read()?, from.read()?);
        Some(match ip {
            IpAddr::V4(_) => Self::new(ip, port),
            IpAddr::V6(ip) => {
                let mut uint = || u32::try_from(from.uint()?).ok();
                SocketAddrV6::new(ip, port, uint()?, uint()?).into()
            }
        })
    }
}

impl Packed for u16 {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint((*self).into(), out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(from.uint()?).ok()
    }
}

impl<A: Packed, B: Packed> Packed for (A, B) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some((from.read()?, from.read()?))
    }
}

impl<A: Packed, B: Packed, C: Packed> Packed for (A, B, C) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
        self.2.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some((from.read()?, from.read()?, from.read()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive_packing(uint: u64, int: i64, float in any::<f64>()) {
            let mut out = Vec::new();
            put_uint(uint, &mut out);
            put_int(int, &mut out);
            put_float(float, &mut out);
            let mut reader = Reader(&out);
            prop_assert_eq!((reader.uint(), reader.int()), (Some(uint), Some(int)));
            prop_assert_eq!(reader.float(), Some(float).filter(|float| float.is_finite()));
            prop_assert_eq!(reader.byte(), None);
        }

        #[test]
        fn addresses_and_maps_survive_packing(
            addresses: Vec<(IpAddr, u16)>, scope: u32, words: Vec<String>,
        ) {
            let scoped = |(ip, port)| match SocketAddr::new(ip, port) {
                SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), port, 0, scope).into(),
                v4 @ SocketAddr::V4(_) => v4,
            };
            let addresses: BTreeMap<_, _> = addresses
                .into_iter()
                .zip(words)
                .map(|(address, word)| (scoped(address), word))
                .collect();
            prop_assert_eq!(unpack(&pack(&addresses)), Some(addresses));
        }

        #[test]
        fn reading_ends_for_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader(&bytes);
            while reader.uint().is_some() {}
            let _ = unpack::<Vec<Option<i64>>>(&bytes);
        }
    }

    #[test]
    fn an_absurd_count_is_refused() {
        let mut out = Vec::new();
        put_uint(MAX_COUNT + 1, &mut out);
        assert_eq!(unpack::<u64>(&out), None);
    }
}
