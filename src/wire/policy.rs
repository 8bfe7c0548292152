//! Datagrams without a tag.

/// The treatment of unauthenticated datagrams by a server with keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// They are dropped.
    #[default]
    Refuse,
    /// They are served, too.
    Accept,
}
