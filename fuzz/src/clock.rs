//! The clock of a Session-Reflector.

use udpulse::stats::{Claim, Clock, Exchange, steps, stretches};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let claim = input.maybe(|input| Claim { error_ns: input.natural(), ahead_ns: input.natural() });
    let (mut exchanges, mut sent_ns) = (Vec::new(), input.int() / 2);
    while !input.is_empty() && exchanges.len() < 200 {
        sent_ns = sent_ns.saturating_add(input.natural() / 1024);
        let (forward_ns, reverse_ns) = (input.int() / 4, input.int() / 4);
        let arrived_ns = sent_ns.saturating_add(input.natural() / 1024);
        exchanges.push(Exchange { sent_ns, arrived_ns, forward_ns, reverse_ns });
    }
    let found = steps(&exchanges);
    let parts = stretches(exchanges.len(), found.iter().map(|(place, _)| place.clone()));
    assert!(parts.iter().all(|part| part.end <= exchanges.len()));
    for part in parts {
        let part = &exchanges[part];
        let clock = Clock::of(part, claim);
        let _ = (clock.skew(), clock.is_claim_possible());
        for one in part {
            let _ = (clock.offset(one.sent_ns), clock.forward(one), clock.reverse(one));
            let _ = clock.variation(one);
        }
    }
}
