//! Memory for datagrams.

use std::ops::{Deref, DerefMut};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use memmap2::{Advice, MmapMut};

/// Memory for datagrams.
#[derive(Debug)]
pub(super) enum Memory {
    /// For one.
    Heap(Vec<u8>),
    /// For a batch. It goes back to the system; an allocator may keep as much for each thread.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    Mapped(MmapMut),
}

impl Memory {
    /// Makes room for one datagram of this length.
    pub(super) fn hold(&mut self, length: usize) {
        if self.len() < length {
            *self = Self::Heap(vec![0; length]);
        }
    }

    /// Returns cleared memory for slots, in huge pages if the system has them: a batch uses a page of
    /// each slot. Returns `None` if the system has too little.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(super) fn mapped(size: usize) -> Option<Self> {
        let memory = MmapMut::map_anon(size).ok()?;
        // If the system does not follow it, the memory is the same but slower.
        let _ = memory.advise(Advice::HugePage);
        Some(Self::Mapped(memory))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(memory) => memory,
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            Self::Mapped(memory) => memory,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(memory) => memory,
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            Self::Mapped(memory) => memory,
        }
    }
}
