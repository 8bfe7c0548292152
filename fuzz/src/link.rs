//! Links and changes of paths.

use std::net::SocketAddr;

use udpulse::Stamp;
use udpulse::impair::{
    Action, Bytes, Corruption, Delay, GilbertElliott, Link, Loss, Nth, Pattern, Quantiles, Rate,
    Reordering, Rule, TimedGilbertElliott, TraceRate,
};
use udpulse::path::{self, Changeable, OutageMode, Step, Timeline, When};

use super::input::Input;
use super::world::any_address;

/// Returns a link that Python could make.
pub(super) fn any(input: &mut Input<'_>) -> Link {
    let parts = input.byte();
    let has = |part: u8| parts >> part & 1 == 1;
    let mut link = Link { keep_order: has(0), ..Link::default() };
    if has(1) {
        link.loss = loss(input);
        link.max_burst = input.maybe(|input| input.byte().into());
    }
    if has(2) {
        link.delay = delay(input);
    }
    if has(3) {
        link.duplication = input.share();
        link.corruption = Corruption::new(input.share()).unwrap_or_default();
    }
    if has(4) {
        link.reordering = Reordering::new(input.share(), input.duration()).unwrap_or_default();
    }
    if has(5) {
        link.rate = Rate::new(input.natural().unsigned_abs(), word(input)).ok();
    }
    if has(6) {
        let opportunities = input.list(8, |input| input.byte().into());
        link.trace = TraceRate::new(opportunities, word(input), word(input)).ok();
        link.mtu = input.maybe(|input| 28 + u32::from(input.byte()));
    }
    if has(7) {
        let rules = input.list(3, rule);
        link.rules = rules.into_iter().flatten().collect();
    }
    link
}

fn word(input: &mut Input<'_>) -> u32 {
    u32::try_from(input.natural()).unwrap_or(u32::MAX)
}

fn loss(input: &mut Input<'_>) -> Loss {
    let mut share = || input.share();
    let shares = [share(), share(), share(), share()];
    let [p, r, bad_loss, good_loss] = shares;
    match input.byte() % 5 {
        0 => Loss::Bernoulli(p),
        1 => Loss::Lab,
        2 => {
            GilbertElliott::new(p, r, bad_loss, good_loss).map_or(Loss::Never, Loss::GilbertElliott)
        }
        3 => {
            let (good_ns, bad_ns, delay_ns) = (input.float(), input.float(), nanoseconds(input));
            TimedGilbertElliott::new(good_ns, bad_ns, bad_loss, good_loss, delay_ns)
                .map_or(Loss::Never, Loss::Timed)
        }
        _ => Pattern::new(input.list(20, Input::flag)).map_or(Loss::Never, Loss::Pattern),
    }
}

fn delay(input: &mut Input<'_>) -> Delay {
    let (one, other) = (nanoseconds(input), nanoseconds(input));
    let delay = match input.byte() % 6 {
        0 => Delay::Fixed(one),
        1 => Delay::Uniform(one.min(other), one.max(other)),
        2 => Delay::Normal(one, other),
        3 => Delay::Exponential(one),
        4 => Delay::Pareto(one, input.float()),
        _ => {
            let mut table = input.list(8, nanoseconds);
            table.sort_by(f64::total_cmp);
            let spacing_ns = input.maybe(Input::float);
            Quantiles::new(table, input.share(), spacing_ns).map_or(Delay::None, Delay::Quantiles)
        }
    };
    delay.checked().unwrap_or_default()
}

/// Returns a delay from 0 to a few hours.
#[expect(clippy::cast_precision_loss, reason = "any number will do")]
fn nanoseconds(input: &mut Input<'_>) -> f64 {
    (input.natural() >> 20) as f64
}

fn rule(input: &mut Input<'_>) -> Option<Rule> {
    let action = match input.byte() % 4 {
        0 => Action::Drop,
        1 => Action::Delay(input.natural()),
        2 => Action::Duplicate,
        _ => Action::Corrupt(input.byte().into()),
    };
    let bytes = input.maybe(|input| {
        let (offset, value) = (input.byte().into(), input.bytes());
        Bytes { offset, mask: vec![0xff; value.len()].into(), value: value.into() }
    });
    let least = input.byte().into();
    let nth = match input.byte() % 3 {
        0 => Nth::Every,
        1 => Nth::Range(input.byte().into(), input.uint(), input.byte().into()),
        _ => Nth::list(input.list(5, |input| input.byte().into())),
    };
    Rule::new(action, bytes, least..=Rule::MAX_SIZE, nth).ok()
}

/// Returns a plan of changes.
pub(super) fn timeline(input: &mut Input<'_>) -> Timeline {
    let (steps, logged) = (input.list(4, step), input.flag());
    Timeline { steps, start_ns: input.natural(), logged }
}

fn step(input: &mut Input<'_>) -> Step {
    let when = match input.maybe(Input::byte) {
        Some(packet) => When::Packet(packet.into()),
        None => When::Time(input.natural()),
    };
    let client = |input: &mut Input<'_>| input.maybe(any_address);
    let action = match input.byte() % 4 {
        0 => {
            let links = [input.maybe(any), input.maybe(any)];
            path::Action::Set { links: Box::new(links), client: client(input) }
        }
        1 => {
            let (ways, mode) = outage(input);
            path::Action::Outage { ways, mode, duration_ns: input.maybe(Input::natural) }
        }
        2 => path::Action::Rebind { client: client(input) },
        _ => path::Action::Loop,
    };
    Step { when, action }
}

fn outage(input: &mut Input<'_>) -> ([bool; 2], OutageMode) {
    let ways = [input.flag(), input.flag()];
    (ways, *input.pick(&[OutageMode::Drop, OutageMode::Hold, OutageMode::Refuse]))
}

/// Changes a path now.
pub(super) fn change(machine: &mut impl Changeable, input: &mut Input<'_>, now: Stamp) {
    let client: Option<SocketAddr> = input.maybe(any_address);
    match input.byte() % 5 {
        0 => drop(machine.set_link(input.below(2), &any(input), client, now)),
        1 => {
            let (ways, mode) = outage(input);
            let end_ns = now.mono_ns.saturating_add(input.natural());
            machine.start_outage(ways, mode, now, end_ns);
        }
        2 => machine.end_outage(input.byte().into(), now),
        3 => drop(machine.rebind(client)),
        _ => drop(machine.add_step(step(input), now)),
    }
}
