//! The heartbeat client.

use std::sync::Arc;

use udpulse::heartbeat::{
    BeatFormat, Client, ClientConfig, ClientCounters, ClientEvent, Ending, Progress, Task,
};
use udpulse::wire::signed::{Signer, answer};
use udpulse::wire::{Keys, Template};
use udpulse::{Machine, Stamp, Target, Zone};

use super::input::Input;
use super::world::{World, any_address};

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let progress = Arc::new(Progress::default());
    let keys = Keys::parse("a 000102030405060708090a0b0c0d0e0f").expect("a file of keys");
    let config = config(&mut input, &progress, &keys);
    let mut world = World::new(Client::new(config), 1, input);
    let key = keys.first().of_client(b"api").expect("a master key");
    let mut nonce = 0;
    world.set_reply(move |_, beat| {
        nonce += 1;
        answer(beat, &key, nonce);
    });
    while world.step(|client, input, now| change(client, &progress, input, now)) {
        let ClientCounters { sent, send_failed, received, unauthenticated, .. } =
            world.machine.counters();
        assert_eq!(received, world.counts.received);
        assert!(unauthenticated <= received && send_failed <= sent);
        // Each datagram is in the backlog, has left, or counts as failed.
        let left = world.output.len() as u64;
        assert_eq!(sent, left + send_failed + world.waiting());
    }
    let seqs = world.events().into_iter().filter_map(|event| match event {
        ClientEvent::Beat(beat) => Some(beat.seq),
        ClientEvent::Unheard(_) => None,
    });
    assert!(seqs.collect::<Vec<_>>().windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let ends = (0..10).any(|_| world.machine.farewell(world.now).is_none());
    assert!(ends, "it says goodbye forever");
}

fn config(input: &mut Input<'_>, progress: &Arc<Progress>, keys: &Keys) -> ClientConfig {
    ClientConfig {
        servers: (0..=input.below(3)).map(|_| target(input)).collect(),
        interval_ns: input.duration(),
        spread: input.share() / 2.0,
        count: input.maybe(|input| u64::from(input.byte()) + 1),
        fail_at: input.maybe(|input| input.byte().into()),
        fail_chance: input.share() / 64.0,
        loss: input.share(),
        goodbye: input.flag(),
        broadcast: input.flag(),
        seed: Some(input.uint()),
        unheard_after: input.maybe(|input| u64::from(input.byte()) + 1),
        format: format(input, progress, keys),
        zone: zone(input),
        events: 1 << 16,
    }
}

fn format(input: &mut Input<'_>, progress: &Arc<Progress>, keys: &Keys) -> BeatFormat {
    if input.flag() {
        return BeatFormat::Template(Template::heartbeat());
    }
    BeatFormat::Declared {
        name: Some((*b"api").into()),
        progress: Arc::clone(progress),
        stall_after_ns: input.maybe(Input::duration),
        down_millionths: input.maybe(Input::duration),
        grace_ns: input.maybe(Input::natural),
        signer: input.maybe(|_| Signer::new(keys, b"api").map(Box::new)).flatten(),
    }
}

/// Returns a server with an address or a name.
fn target(input: &mut Input<'_>) -> Target {
    match input.byte() % 4 {
        0 => Target::named(Ok(any_address(input)), input.maybe(Input::duration), input.natural()),
        1 => Target::unknown(input.maybe(Input::duration)),
        _ => Target::from(any_address(input)),
    }
}

/// Returns a local time.
pub(super) fn zone(input: &mut Input<'_>) -> Zone {
    let mut changes = input.list(2, |input| (input.int(), input.int()));
    changes.sort_unstable();
    Zone::new(changes)
}

/// The application says something.
fn change(client: &mut Client, progress: &Progress, input: &mut Input<'_>, now: Stamp) {
    let name = [(); 2].map(|()| b'a' + input.byte() % 26);
    let task = input.maybe(|_| Task::Named(name.into())).unwrap_or(Task::Application);
    match input.byte() % 8 {
        0 | 1 => {
            if let Some(mark) = progress.mark(&task, now.mono_ns).filter(|_| input.flag()) {
                progress.withdraw(&task, mark);
            }
        }
        2 => progress.forget(&task, now.mono_ns),
        3 => progress.fail(),
        4 => progress.announce_silence(now.mono_ns.saturating_add(input.natural())),
        5 => progress.restart(now.mono_ns),
        6 => client.end(Ending::Orderly),
        _ => client.end(Ending::Failed(input.maybe(|_| (*b"ValueError").into()))),
    }
}
