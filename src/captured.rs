//! Packets at points of a path, for captures.

use std::net::SocketAddr;

use crate::{Headers, Local};

/// A point of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub name: &'static str,
    /// The packets that are there.
    pub description: &'static str,
    /// Whether this host has sent them, not received.
    pub outbound: bool,
}

/// A packet at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The number of the point.
    pub point: usize,
    /// When it was there (wall clock); `None` for now.
    pub at_ns: Option<i64>,
    /// Its address at the far end; `None` for the upstream's.
    pub remote: Option<SocketAddr>,
    /// This host's address, if it has several.
    pub local: Option<Local>,
    /// The number of its session, if its far end is the upstream.
    pub session: u32,
    /// The fields of its header, as far as they are known.
    pub headers: Headers,
    /// The whole payload.
    pub payload: Box<[u8]>,
    /// The verdict.
    pub comment: String,
}
