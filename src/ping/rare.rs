//! Parts that few sessions need.

use std::ops::{AddAssign, Deref};

use crate::packed::{Packed, Reader};

/// A part that stays blank in most of the thousands of sessions of a sweep: it takes memory once it
/// is changed.
#[derive(Clone, Debug, Default)]
pub struct Rare<T>(Option<Box<T>>);

/// A part that can be blank.
pub trait Blank: Default + PartialEq + 'static {
    /// Returns what it is before it is changed.
    fn blank() -> &'static Self;
}

impl<T: Blank> Rare<T> {
    /// Returns the part to change it.
    pub(super) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// Returns the part if it was changed.
    pub(super) fn made(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Blank> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::blank())
    }
}

impl<T: Blank> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Blank + for<'a> AddAssign<&'a T>> AddAssign<&Self> for Rare<T> {
    fn add_assign(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            *self.make() += &**other;
        }
    }
}

impl<T: Blank + Packed> Packed for Rare<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        from.read().map(T::into)
    }
}

impl<T: Blank> From<T> for Rare<T> {
    fn from(part: T) -> Self {
        Self((part != *T::blank()).then(|| Box::new(part)))
    }
}
