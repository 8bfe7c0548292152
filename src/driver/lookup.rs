//! Lookups of names while a machine runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread;

use crate::driver::worker::Shared;
use crate::error::reason;
use crate::net::{Endpoint, destination, now, resolve_all};
use crate::{Error, Machine, Result, on_ipv6};

/// The most threads that look up the names of one machine.
const MAX_THREADS: usize = 16;

/// The servers of a machine as the user named them, by number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Those with names to look up, with the family of the machine's socket.
    pub endpoints: BTreeMap<usize, Endpoint>,
    /// Whether the machine has an IPv6 socket for both families.
    pub dual: bool,
}

impl Names {
    fn resolve(&self, server: usize) -> Result<Vec<SocketAddr>> {
        let found = self.endpoints.get(&server).map(resolve_all).transpose()?.unwrap_or_default();
        let found = found.into_iter().map(destination);
        Ok(if self.dual { found.map(on_ipv6).collect() } else { found.collect() })
    }
}

/// Looks up the names of `servers` on threads of their own: the system's resolver may take minutes
/// and cannot be interrupted.
pub(super) fn look_up<M: Machine>(
    shared: &Weak<Shared<M>>,
    names: &Arc<Names>,
    mut servers: Vec<usize>,
) {
    let share = servers.len().div_ceil(MAX_THREADS);
    while !servers.is_empty() {
        let part = servers.split_off(servers.len().saturating_sub(share));
        let (owner, names, ours) = (shared.clone(), Arc::clone(names), part.clone());
        let run = move || {
            for server in ours {
                let found = names.resolve(server);
                let Some(shared) = owner.upgrade() else { return };
                hand_over(&shared, server, &found);
            }
        };
        let spawned = thread::Builder::new().name("udpulse".to_owned()).spawn(run);
        if let (Err(error), Some(shared)) = (spawned, shared.upgrade()) {
            let failed = Err(Error::io("start a thread to resolve", "a name")(error));
            for server in part {
                hand_over(&shared, server, &failed);
            }
        }
    }
}

/// Hands the result of a lookup to the machine.
fn hand_over<M: Machine>(shared: &Shared<M>, server: usize, found: &Result<Vec<SocketAddr>>) {
    let mut machine = shared.lock();
    match found {
        Ok(addresses) => machine.on_resolved(server, now(), Ok(addresses)),
        Err(error) => machine.on_resolved(server, now(), Err(&why(error))),
    }
    let has_news = machine.events().take_news();
    drop(machine);
    shared.prompt();
    if has_news {
        shared.wake();
    }
}

/// Returns the reason of a failed lookup without the name.
#[must_use]
pub fn why(error: &Error) -> String {
    match error {
        Error::Resolve { reason, .. } => reason.clone(),
        Error::Io { source, .. } => reason(source),
        Error::Argument { .. } => error.to_string(),
    }
}
