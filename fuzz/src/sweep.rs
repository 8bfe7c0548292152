//! Sweeps over many targets.

use udpulse::ping::{Sweep, SweepConfig, SweepEvent};
use udpulse::{Machine, Target};

use super::input::Input;
use super::report::{assert_adds_up, check};
use super::world::{World, any_address};

/// The most probes per second: few are due in the time that a sweep catches up with.
const MAX_RATE: f64 = 10_000.0;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let targets: Vec<_> = (0..=input.below(4)).map(|_| target(&mut input)).collect();
    let (count, flows) = (1 + input.below(4), 1 + input.below(2));
    let (groups, flows) = (1 + input.below(2), flows.min(count));
    let rounds = input.maybe(|input| u64::from(input.byte()) + 1);
    let config = SweepConfig {
        targets,
        dual: input.flag(),
        count: count as u64,
        rounds,
        rate: (input.share() * MAX_RATE).max(1e-6),
        timeout_ns: input.duration(),
        size: 64,
        key: None,
        flows: u32::try_from(flows).expect("two at most"),
        keep: input.maybe(|input| input.byte().into()),
        probes: input.flag(),
        events: 1000,
    };
    let count = config.targets.len();
    let mut finished = vec![0; count];
    let mut world = World::new(Sweep::new(config, groups), flows * groups, input);
    while world.step(|_, _, _| {}) {
        for target in 0..count {
            let reports = world.machine.reports(target, false);
            assert!(reports.len() == 1 || reports.len() == flows);
            reports.iter().map(|report| &report.counters).for_each(assert_adds_up);
        }
        for event in world.events() {
            let SweepEvent::Finished { target, reports } = event else { continue };
            finished[target] += 1;
            reports.iter().for_each(check);
            assert!(reports.iter().all(|report| report.counters.pending == 0));
        }
        assert!(rounds.is_none_or(|rounds| finished.iter().all(|count| *count <= rounds)));
    }
    let pending = world.machine.undecided().count() as u64;
    let probes: u64 = (0..count)
        .flat_map(|target| world.machine.reports(target, false))
        .map(|report| report.counters.pending)
        .sum();
    assert!(pending >= probes);
    for target in 0..count {
        world.machine.take_reports(target).iter().for_each(check);
    }
    assert!(world.machine.deadline(0).is_some());
}

fn target(input: &mut Input<'_>) -> (String, u16, Target) {
    let address = any_address(input);
    let target = match input.byte() % 4 {
        0 => Target::named(Ok(address), input.maybe(Input::duration), input.natural()),
        1 => Target::unknown(input.maybe(Input::duration)),
        _ => Target::from(address),
    };
    (address.ip().to_string(), address.port(), target)
}
