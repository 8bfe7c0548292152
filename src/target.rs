//! The address of a server, and when to look up the name that it was given by.

use std::net::SocketAddr;

use crate::NS_PER_SECOND;

/// The pause before the name of a silent server is looked up again; it doubles with each lookup
/// that changes nothing.
const FIRST_PAUSE_NS: i64 = NS_PER_SECOND;

/// The longest such pause.
const LAST_PAUSE_NS: i64 = 60 * NS_PER_SECOND;

/// A server that is asked or reported to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: Option<SocketAddr>,
    /// Boxed because most of many targets are literal addresses.
    name: Option<Box<Name>>,
}

/// The lookups of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    every_ns: Option<i64>,
    last_ns: i64,
    pause_ns: i64,
    /// Whether the server was silent after the last lookup.
    silent: bool,
    /// Whether a lookup is in progress.
    busy: bool,
    /// The resolver's reason if the last lookup failed.
    reason: Option<Box<str>>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address), name: None }
    }
}

impl Target {
    /// Creates a server whose name was looked up at `now_ns`, and will be every `every_ns` and
    /// while the server is silent. `found` is its address or the resolver's reason.
    #[must_use]
    pub fn named(found: Result<SocketAddr, &str>, every_ns: Option<i64>, now_ns: i64) -> Self {
        let name = Name {
            every_ns,
            last_ns: now_ns,
            pause_ns: FIRST_PAUSE_NS,
            silent: found.is_err(),
            busy: false,
            reason: found.err().map(Box::from),
        };
        Self { address: found.ok(), name: Some(Box::new(name)) }
    }

    /// Creates a server whose name was not looked up yet, and will be now, every `every_ns`, and
    /// while the server is silent.
    #[must_use]
    pub fn unknown(every_ns: Option<i64>) -> Self {
        let mut target = Self::named(Err(""), every_ns, i64::MIN);
        if let Some(name) = &mut target.name {
            name.reason = None;
        }
        target
    }

    /// Returns whether no lookup has ended.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.address.is_none() && self.unresolved().is_none()
    }

    /// Returns the address that was found last.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns the resolver's reason if the last lookup failed.
    #[must_use]
    pub fn unresolved(&self) -> Option<&str> {
        self.name.as_ref()?.reason.as_deref()
    }

    /// The server answered.
    pub fn on_answer(&mut self) {
        if let Some(name) = &mut self.name {
            name.silent = name.reason.is_some();
        }
    }

    /// The server did not answer: its name may have another address by now.
    pub fn on_silence(&mut self) {
        if let Some(name) = &mut self.name {
            name.silent = true;
        }
    }

    /// Returns when the name must be looked up next.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        let name = self.name.as_ref().filter(|name| !name.busy)?;
        let pause_ns = name.silent.then_some(name.pause_ns);
        let wait_ns = pause_ns.into_iter().chain(name.every_ns).min()?;
        Some(name.last_ns.saturating_add(wait_ns))
    }

    /// Returns whether the name must be looked up now; the caller does it.
    pub fn is_due(&mut self, now_ns: i64) -> bool {
        let due = self.deadline().is_some_and(|at_ns| at_ns <= now_ns);
        if let Some(name) = self.name.as_mut().filter(|_| due) {
            name.busy = true;
        }
        due
    }

    /// Handles the result of a lookup: addresses or the resolver's reason. Returns whether the
    /// address has changed. The present one is kept as long as the name has it.
    pub fn on_resolved(&mut self, now_ns: i64, found: Result<&[SocketAddr], &str>) -> bool {
        let Some(name) = &mut self.name else { return false };
        let first = found.ok().and_then(|found| found.first().copied());
        let known =
            self.address.is_some_and(|address| found.is_ok_and(|all| all.contains(&address)));
        let changed = first.is_some() && !known;
        let recently = now_ns.saturating_sub(name.last_ns) <= LAST_PAUSE_NS;
        name.last_ns = now_ns;
        name.busy = false;
        name.reason = found.err().map(Box::from);
        name.silent |= found.is_err();
        // An answer does not shorten the pause, so that a path that loses some probes does not cause
        // a lookup per second.
        name.pause_ns = if name.silent && recently {
            (2 * name.pause_ns).min(LAST_PAUSE_NS)
        } else {
            FIRST_PAUSE_NS
        };
        if changed {
            self.address = first;
            (name.silent, name.pause_ns) = (false, FIRST_PAUSE_NS);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = NS_PER_SECOND;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([198, 18, 0, last], 12000))
    }

    fn named(every: Option<i64>) -> Target {
        Target::named(Ok(address(1)), every.map(|every| every * SECOND), 0)
    }

    #[test]
    fn an_address_is_never_looked_up() {
        let mut target = Target::from(address(1));
        target.on_silence();
        assert!(!target.is_due(i64::MAX) && !target.on_resolved(0, Ok(&[address(2)])));
        assert_eq!((target.deadline(), target.address()), (None, Some(address(1))));
    }

    #[test]
    fn a_name_is_looked_up_on_schedule_and_while_its_server_is_silent() {
        let mut target = named(Some(60));
        assert_eq!(target.deadline(), Some(60 * SECOND));
        target.on_silence();
        assert!(!target.is_due(SECOND - 1) && target.is_due(SECOND));
        assert!(!target.is_due(99 * SECOND), "one lookup at a time");
        assert!(!target.on_resolved(5 * SECOND, Ok(&[address(1)])));
        assert_eq!(target.deadline(), Some(7 * SECOND), "the pause doubles");
        target.on_answer();
        assert_eq!(target.deadline(), Some(65 * SECOND));
        assert_eq!(named(None).deadline(), None);
    }

    #[test]
    fn an_unknown_name_is_looked_up_now() {
        let mut target = Target::unknown(None);
        assert!(target.is_unknown() && target.is_due(i64::MIN / 2));
        target.on_resolved(0, Err("no name servers"));
        assert!(!target.is_unknown() && !target.is_due(SECOND - 1) && target.is_due(SECOND));
        target.on_resolved(2 * SECOND, Ok(&[address(1)]));
        assert_eq!((target.is_unknown(), target.address()), (false, Some(address(1))));
    }

    #[test]
    fn some_losses_cause_few_lookups() {
        let mut target = named(None);
        let mut lookups = 0;
        for second in 1..=600 {
            target.on_silence();
            if target.is_due(second * SECOND) {
                lookups += 1;
                target.on_resolved(second * SECOND, Ok(&[address(1)]));
            }
            target.on_answer();
        }
        assert_eq!(lookups, 6 + 8, "after 1, 2, 4 to 32 s, then every 60 s");
        target.on_silence();
        assert!(target.is_due(1000 * SECOND) && !target.on_resolved(1000 * SECOND, Ok(&[])));
        assert_eq!(target.deadline(), Some(1001 * SECOND), "after a long rest it is asked soon");
    }

    #[test]
    fn pauses_are_bounded() {
        let mut target = named(None);
        target.on_silence();
        for _ in 0..100 {
            target.on_resolved(0, Err("no name servers"));
        }
        assert_eq!(target.deadline(), Some(60 * SECOND));
        assert_eq!(target.unresolved(), Some("no name servers"));
    }

    #[test]
    fn the_present_address_is_kept_as_long_as_the_name_has_it() {
        let mut target = named(None);
        assert!(!target.on_resolved(0, Ok(&[address(2), address(1)])));
        assert!(!target.on_resolved(0, Err("it has no address")));
        assert_eq!(target.address(), Some(address(1)));
        assert!(target.on_resolved(0, Ok(&[address(2), address(3)])));
        assert_eq!((target.address(), target.unresolved()), (Some(address(2)), None));
    }

    #[test]
    fn an_unknown_name_is_looked_up_until_it_has_an_address() {
        let mut target = Target::named(Err("unknown"), None, 0);
        assert_eq!((target.address(), target.deadline()), (None, Some(SECOND)));
        target.on_answer();
        assert!(target.is_due(SECOND) && target.on_resolved(SECOND, Ok(&[address(4)])));
        assert_eq!((target.address(), target.deadline()), (Some(address(4)), None));
    }
}
