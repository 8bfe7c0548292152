//! Choices and values from fuzzed bytes.

/// The bytes left to read; behind their end all choices are 0.
#[derive(Clone, Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.take(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    /// Returns the next `length` bytes, or fewer at the end.
    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Returns a datagram: up to 255 bytes behind their length.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn uint(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(super) fn int(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    /// Returns a number below `end`, at most 256.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(super) fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    pub(super) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    /// Returns a list of at most `most` values.
    pub(super) fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// Returns a number from 0 to 1, both included.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(self.byte()) / 255.0
    }

    /// Returns any float.
    pub(super) fn float(&mut self) -> f64 {
        f64::from_bits(self.uint())
    }

    /// Returns a number from 0 to 2^63 - 1 of any length in bits.
    pub(super) fn natural(&mut self) -> i64 {
        let [bits, high, low] = self.array();
        let digits = u64::from(u16::from_be_bytes([high, low])) << 47 | 1 << 63;
        digits.checked_shr(64 - u32::from(bits) % 64).unwrap_or(0).cast_signed()
    }

    /// Returns a number of nanoseconds from 1 to 2^63 - 1.
    pub(super) fn duration(&mut self) -> i64 {
        self.natural().max(1)
    }
}
