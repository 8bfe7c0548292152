use std::collections::VecDeque;

use super::*;
use crate::heartbeat::Task;
use crate::machine::by_hand::{self, arrive, transmit};
use proptest::prelude::*;

const SECOND: i64 = crate::NS_PER_SECOND;

fn config() -> ClientConfig {
    ClientConfig {
        servers: vec![Target::from(server(1))],
        interval_ns: 100,
        spread: 0.0,
        count: None,
        fail_at: None,
        fail_chance: 0.0,
        loss: 0.0,
        goodbye: true,
        broadcast: false,
        unheard_after: Some(3),
        seed: Some(1),
        format: BeatFormat::Template(Template::heartbeat()),
        zone: Zone::default(),
        events: 1000,
    }
}

fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, 0, last], 12000))
}

fn at(ns: i64) -> Stamp {
    Stamp { mono_ns: ns, wall_ns: 2_000_000_000 }
}

/// Advances to `ns` as the driver does. Returns the datagrams that leave.
fn run(client: &mut Client, ns: i64) -> Vec<(SocketAddr, String)> {
    by_hand::tick(client, at(ns));
    let mut sent = Vec::new();
    while let Some((to, text)) = transmit(client) {
        sent.push((to, String::from_utf8(text.to_vec()).unwrap()));
    }
    by_hand::tick(client, at(ns));
    sent
}

/// Like [`run`], for one datagram.
fn tick(client: &mut Client, ns: i64) -> Option<String> {
    run(client, ns).pop().map(|(_, text)| text)
}

fn events(client: &mut Client) -> Vec<ClientEvent> {
    std::iter::from_fn(|| client.events.pop()).collect()
}

/// Returns the outcomes of the beats so far.
fn outcomes(client: &mut Client) -> Vec<Outcome> {
    let outcome = |event| match event {
        ClientEvent::Beat(beat) => Some(beat.outcome),
        ClientEvent::Unheard(_) => None,
    };
    events(client).into_iter().filter_map(outcome).collect()
}

#[test]
fn beats_keep_to_the_schedule() {
    let mut client = Client::new(config());
    assert_eq!(tick(&mut client, 1000).unwrap(), "Heartbeat 1 2.000000");
    assert_eq!(client.deadline(0), Some(1100));
    assert_eq!(tick(&mut client, 1099), None);
    assert_eq!(tick(&mut client, 1130).unwrap(), "Heartbeat 2 2.000000");
    assert_eq!(client.deadline(0), Some(1200), "a late beat delays no other");
    assert!(tick(&mut client, 5050).unwrap().starts_with("Heartbeat 3 "));
    assert_eq!(client.deadline(0), Some(5100), "a stall is followed by one beat");
}

#[test]
fn it_fails_at_the_given_beat() {
    let mut client = Client::new(ClientConfig { fail_at: Some(2), ..config() });
    assert!(tick(&mut client, 0).is_some() && !client.is_done(0));
    assert!(tick(&mut client, 100).is_none() && client.is_done(0));
    assert_eq!(outcomes(&mut client), [Outcome::Sent, Outcome::Failed]);
    assert_eq!(client.counters(), ClientCounters { sent: 1, ..Default::default() });
}

#[test]
fn it_ends_after_count_beats() {
    let mut client = Client::new(ClientConfig { count: Some(2), ..config() });
    tick(&mut client, 0);
    assert!(!client.is_done(0));
    assert!(tick(&mut client, 100).is_some() && client.is_done(0));
    assert!(tick(&mut client, 200).is_none());
}

#[test]
fn random_faults_are_repeatable() {
    let run = || {
        let mut client = Client::new(ClientConfig { loss: 0.5, fail_chance: 0.01, ..config() });
        for beat in 0..1000 {
            tick(&mut client, beat * 100);
        }
        client.counters()
    };
    let counters = run();
    assert!(counters.sent > 0 && counters.skipped > 0);
    assert!(counters.sent + counters.skipped < 999, "it failed at some beat");
    assert_eq!(run(), counters);
}

fn declared(progress: &Arc<Progress>) -> ClientConfig {
    let (progress, name) = (Arc::clone(progress), Some(b"api".as_slice().into()));
    let format = BeatFormat::Declared {
        name,
        progress,
        stall_after_ns: Some(500),
        down_millionths: None,
        grace_ns: None,
        signer: None,
    };
    ClientConfig { format, interval_ns: 1_000_000, ..config() }
}

fn beat(text: &str) -> wire::Beat<'_> {
    wire::Beat::read(text.as_bytes())
}

#[test]
fn a_declared_beat_asks_for_a_timeout() {
    let format = BeatFormat::Declared {
        name: None,
        progress: Arc::new(Progress::default()),
        stall_after_ns: None,
        down_millionths: Some(2_500_000),
        grace_ns: Some(1_500_000),
        signer: None,
    };
    let text = tick(&mut Client::new(ClientConfig { format, ..config() }), 0).unwrap();
    assert!(text.contains(";x=2.5;g=1.5 1 "), "{text}");
}

#[test]
fn a_declared_beat_carries_the_application_status() {
    let progress = Arc::new(Progress::default());
    let mut client = Client::new(declared(&progress));
    let first = tick(&mut client, 0).unwrap();
    let boot = beat(&first).boot.unwrap();
    assert_eq!(first, format!("Heartbeat;i=1;b={boot:x};id=api;a=0 1 2.000000"));
    assert_eq!(boot >> 16, 2000, "the time of the start in milliseconds");
    progress.mark(&Task::Application, 999_900);
    let text = tick(&mut client, 1_000_000).unwrap();
    assert_eq!((beat(&text).age_ns, beat(&text).status), (Some(100), None));
    let text = tick(&mut client, 2_000_000).unwrap();
    assert_eq!((beat(&text).age_ns, beat(&text).status), (Some(1_000_100), Some(Status::Stalled)));
    progress.announce_silence(3_500_000);
    let text = tick(&mut client, 3_000_000).unwrap();
    assert_eq!((beat(&text).busy_ns, beat(&text).status), (Some(500_000), Some(Status::Busy)));
    assert!(progress.mark(&Task::Application, 3_400_000).unwrap().ended_silence());
    progress.fail();
    let text = tick(&mut client, 4_000_000).unwrap();
    assert_eq!((beat(&text).busy_ns, beat(&text).boot), (None, Some(boot)));
    assert_eq!((beat(&text).failures, beat(&text).task), (Some(1), None));
    progress.mark(&Task::Application, 4_900_000);
    progress.mark(&Task::Named(b"poll".as_slice().into()), 4_800_000);
    let text = tick(&mut client, 5_000_000).unwrap();
    assert_eq!((beat(&text).age_ns, beat(&text).task), (Some(200_000), Some(&b"poll"[..])));
}

#[test]
fn an_application_that_never_makes_progress_is_stalled() {
    let progress = Arc::new(Progress::default());
    let mut client = Client::new(declared(&progress));
    progress.restart(0);
    let text = tick(&mut client, 500).unwrap();
    assert_eq!((beat(&text).age_ns, beat(&text).status), (Some(500), None));
    let text = tick(&mut client, 1_000_500).unwrap();
    assert_eq!((beat(&text).age_ns, beat(&text).status), (Some(1_000_500), Some(Status::Stalled)));
}

#[test]
fn an_announced_silence_and_its_end_are_sent_early_but_rate_limited() {
    let progress = Arc::new(Progress::default());
    let mut client = Client::new(ClientConfig { interval_ns: SECOND, ..declared(&progress) });
    tick(&mut client, 0);
    progress.announce_silence(10 * SECOND);
    assert_eq!(client.deadline(0), Some(APART_NS));
    assert_eq!(tick(&mut client, APART_NS - 1), None);
    let text = tick(&mut client, SECOND / 2).unwrap();
    assert_eq!((beat(&text).reading.seq, beat(&text).status), (Some(2), Some(Status::Busy)));
    assert_eq!(client.deadline(0), Some(SECOND), "the schedule is unchanged");
    assert!(progress.mark(&Task::Application, SECOND / 2 + 1).unwrap().ended_silence());
    assert!(
        !progress.mark(&Task::Application, SECOND / 2 + 2).unwrap().ended_silence(),
        "it is over, which is not news"
    );
    assert_eq!(client.deadline(0), Some(SECOND / 2 + 1 + APART_NS), "it may be withdrawn");
    let text = tick(&mut client, SECOND / 2 + 1 + APART_NS).unwrap();
    assert_eq!((beat(&text).reading.seq, beat(&text).busy_ns), (Some(3), None));
    assert_eq!(client.deadline(0), Some(SECOND));
    // A silence that has already run out needs no extra beat.
    progress.announce_silence(SECOND);
    tick(&mut client, SECOND);
    assert!(!progress.mark(&Task::Application, SECOND + 1).unwrap().ended_silence());
    assert_eq!(client.deadline(0), Some(2 * SECOND));
}

/// Returns the farewell of a client that is stopped, and the pauses after its datagrams.
fn farewell(client: &mut Client) -> Vec<(String, Duration)> {
    let at = Stamp { mono_ns: 50, wall_ns: 2_000_000_000 };
    let mut said = Vec::new();
    while let Some(pause) = client.farewell(at) {
        let (_, text) = transmit(client).unwrap();
        said.push((String::from_utf8(text.to_vec()).unwrap(), pause));
    }
    said
}

#[test]
fn an_end_is_told_three_times() {
    let error = |name: &str| Ending::Failed(Some(name.as_bytes().into()));
    for (ending, status, e) in [
        (Ending::Orderly, Status::Bye, None),
        (error("KeyError"), Status::Failed, Some(&b"KeyError"[..])),
        (Ending::Failed(None), Status::Failed, None),
    ] {
        let mut client = Client::new(declared(&Arc::default()));
        tick(&mut client, 0);
        client.end(ending);
        client.end(Ending::Orderly);
        let said = farewell(&mut client);
        assert_eq!(
            said.iter().map(|(_, pause)| *pause).collect::<Vec<_>>(),
            [APART, APART, Duration::ZERO]
        );
        for (text, _) in said {
            let beat = beat(&text);
            assert_eq!((beat.reading.seq, beat.status, beat.error), (Some(2), Some(status), e));
        }
    }
}

#[test]
fn only_an_end_that_is_known_and_declared_is_told() {
    let told = |config: ClientConfig, beats: i64, ending: Option<Ending>| {
        let mut client = Client::new(config);
        for beat in 0..beats {
            tick(&mut client, beat * 1_000_000);
        }
        if let Some(ending) = ending {
            client.end(ending);
        }
        farewell(&mut client).len()
    };
    let config = || declared(&Arc::default());
    let (orderly, failed) = (Some(Ending::Orderly), Some(Ending::Failed(None)));
    assert_eq!(told(config(), 1, None), 0, "dropped");
    assert_eq!(told(config(), 0, orderly.clone()), 0, "no beat was sent");
    assert_eq!(told(super::tests::config(), 1, failed.clone()), 0, "its beats declare nothing");
    assert_eq!(told(ClientConfig { fail_at: Some(2), ..config() }, 2, failed.clone()), 0);
    let silent = || ClientConfig { goodbye: false, ..config() };
    assert_eq!((told(silent(), 1, orderly.clone()), told(silent(), 1, failed)), (0, 3));
    assert_eq!((told(config(), 1, Some(Ending::Silent)), told(config(), 1, orderly)), (0, 3));
}

#[test]
fn a_silent_end_overrules_the_goodbye_after_the_last_beat() {
    let config = ClientConfig { count: Some(1), ..declared(&Arc::default()) };
    for told in 0..=2 {
        let mut client = Client::new(config.clone());
        for time in 0..=told {
            assert!(tick(&mut client, time * APART_NS).is_some());
        }
        client.end(Ending::Silent);
        client.end(Ending::Failed(None));
        assert_eq!(farewell(&mut client), []);
    }
}

#[test]
fn a_client_that_has_sent_its_last_beat_says_goodbye() {
    let config = || ClientConfig { count: Some(1), ..declared(&Arc::default()) };
    let mut client = Client::new(config());
    assert!(tick(&mut client, 0).is_some());
    for again in 1..=3 {
        let due_ns = client.deadline(0).unwrap();
        assert_eq!((due_ns, client.is_done(0)), (again * APART_NS, false));
        let text = tick(&mut client, due_ns).unwrap();
        assert_eq!((beat(&text).reading.seq, beat(&text).status), (Some(2), Some(Status::Bye)));
    }
    assert_eq!((tick(&mut client, 4 * APART_NS), client.is_done(0)), (None, true));
    assert_eq!(farewell(&mut client), [], "only once");
    let mut silent = Client::new(ClientConfig { goodbye: false, ..config() });
    assert!(tick(&mut silent, 0).is_some() && silent.is_done(0));
}

fn of_two() -> ClientConfig {
    let servers = vec![Target::from(server(1)), Target::from(server(2))];
    ClientConfig { servers, ..declared(&Arc::default()) }
}

#[test]
fn each_beat_goes_to_all_servers() {
    let mut client = Client::new(of_two());
    let sent = run(&mut client, 0);
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [server(1), server(2)]);
    assert_eq!(sent[0].1, sent[1].1);
    assert_eq!(client.counters().sent, 2);
    assert_eq!(outcomes(&mut client), [Outcome::Sent]);
}

/// Sends a beat to both servers; this host refuses `refused`. Returns the texts.
fn refuse(client: &mut Client, ns: i64, refused: &[SocketAddr]) -> Vec<String> {
    by_hand::tick(client, at(ns));
    let mut texts = Vec::new();
    while let Some((to, text)) = transmit(client) {
        texts.push((to, text.to_vec()));
    }
    for (to, text) in &texts {
        if refused.contains(to) {
            client.on_send_failed(0, *to, text, Some(101));
        }
    }
    by_hand::tick(client, at(ns));
    texts.into_iter().map(|(_, text)| String::from_utf8(text).unwrap()).collect()
}

#[test]
fn a_beat_that_this_host_refuses_is_not_sent_and_the_next_one_says_so() {
    let mut client = Client::new(of_two());
    let step = 1_000_000;
    refuse(&mut client, 0, &[server(1), server(2)]);
    refuse(&mut client, step, &[server(1)]);
    let texts = refuse(&mut client, 2 * step, &[]);
    let counts: Vec<_> = texts.iter().map(|text| beat(text).send_failed).collect();
    assert_eq!(counts, [Some(2), Some(1)], "each server learns of its own");
    assert_eq!(outcomes(&mut client), [Outcome::SendFailed, Outcome::Sent, Outcome::Sent]);
    let ClientCounters { sent, send_failed, .. } = client.counters();
    assert_eq!((sent, send_failed), (6, 3));
}

#[test]
fn the_outcome_of_a_blocked_beat_is_known_once_there_is_room_or_it_is_replaced() {
    let mut client = Client::new(config());
    let block = |client: &mut Client, ns| {
        by_hand::tick(client, at(ns));
        let text = transmit(client).unwrap().1.to_vec();
        client.on_blocked(0, &text);
        by_hand::tick(client, at(ns));
        assert_eq!(client.deadline(0), Some(ns + 100), "nothing to do until then");
        text
    };
    let mut first = block(&mut client, 0);
    assert_eq!(outcomes(&mut client), []);
    let mut second = block(&mut client, 100);
    assert_eq!(outcomes(&mut client), [Outcome::SendFailed]);
    assert!(!client.on_unblocked(0, at(150), server(1), &mut first));
    assert!(client.on_unblocked(0, at(150), server(1), &mut second));
    by_hand::tick(&mut client, at(150));
    assert_eq!(outcomes(&mut client), [Outcome::Sent]);
    let ClientCounters { sent, send_failed, .. } = client.counters();
    assert_eq!((sent, send_failed), (2, 1));
}

#[test]
fn a_beat_is_not_lost_to_the_reader_if_the_client_stops() {
    let mut client = Client::new(config());
    by_hand::tick(&mut client, at(0));
    assert!(transmit(&mut client).is_some());
    assert_eq!(client.farewell(at(1)), None);
    assert_eq!(outcomes(&mut client), [Outcome::Sent]);
}

#[test]
fn a_client_of_a_name_beats_once_it_has_an_address() {
    let servers = vec![Target::unknown(None)];
    let mut client = Client::new(ClientConfig { servers, interval_ns: SECOND, ..config() });
    assert_eq!(run(&mut client, 0), []);
    assert_eq!((client.lookups(at(0)), client.lookups(at(0))), (vec![0], vec![]));
    assert_eq!(run(&mut client, 5 * SECOND), [], "the resolver may take long");
    assert_eq!(client.server(), None);
    client.on_resolved(0, at(5 * SECOND), Err("no name servers"));
    assert_eq!(client.unresolved(), [(0, "no name servers".to_owned())]);
    assert_eq!(run(&mut client, 5 * SECOND), []);
    assert_eq!(outcomes(&mut client), [Outcome::SendFailed], "beats go on");
    assert_eq!(client.lookups(at(10 * SECOND)), [0]);
    client.on_resolved(0, at(10 * SECOND), Ok(&[server(1)]));
    let sent = run(&mut client, 10 * SECOND);
    assert_eq!((sent[0].0, sent[0].1.as_str()), (server(1), "Heartbeat 2 2.000000"));
    assert_eq!((client.server(), client.unresolved()), (Some(server(1)), vec![]));
    assert_eq!(outcomes(&mut client), [Outcome::Sent]);
}

#[test]
fn a_slow_lookup_delays_the_beats_to_others_by_a_second() {
    let servers = vec![Target::unknown(None), Target::from(server(2))];
    let mut client = Client::new(ClientConfig { servers, ..declared(&Arc::default()) });
    assert_eq!(run(&mut client, 0), []);
    client.lookups(at(0));
    assert_eq!(client.deadline(0), Some(FIRST_LOOKUP_NS));
    assert_eq!(run(&mut client, FIRST_LOOKUP_NS).len(), 1);
    client.on_resolved(0, at(SECOND), Ok(&[server(1)]));
    let sent = run(&mut client, 2 * SECOND);
    assert_eq!(sent.len(), 2);
    assert_eq!([&sent[0].1, &sent[1].1].map(|text| beat(text).send_failed), [Some(1), None]);
}

#[test]
fn a_server_that_cannot_be_reached_is_looked_up_again() {
    let reached = || {
        let servers = vec![Target::named(Ok(server(1)), None, 0)];
        Client::new(ClientConfig { servers, ..declared(&Arc::default()) })
    };
    let mut client = reached();
    run(&mut client, 0);
    assert!(client.lookups(at(100 * SECOND)).is_empty(), "there is no reason");
    refuse(&mut client, 100 * SECOND, &[server(1)]);
    assert_eq!(client.lookups(at(100 * SECOND)), [0]);
    let mut client = reached();
    run(&mut client, 0);
    client.on_icmp(0, &by_hand::port_unreachable(server(1), &[]));
    assert_eq!(client.lookups(at(100 * SECOND)), [0]);
    client.on_resolved(0, at(100 * SECOND), Ok(&[server(2)]));
    assert_eq!(run(&mut client, 100 * SECOND)[0].0, server(2));
}

#[test]
fn a_server_that_stops_replying_is_reported_once() {
    let mut client = Client::new(of_two());
    let step = 1_000_000;
    let reply = |client: &mut Client, ns: i64, from: SocketAddr| {
        let text = run(client, ns).pop().unwrap().1;
        arrive(client, at(ns + 10), from, text.to_ascii_uppercase().as_bytes());
    };
    reply(&mut client, 0, server(1));
    arrive(&mut client, at(20), server(2), b"Heartbeat;b=1 1");
    arrive(&mut client, at(20), server(3), b"x");
    assert_eq!(client.heard(), Some(at(10)));
    let unheard = |client: &mut Client| {
        let beats = |event: &ClientEvent| matches!(event, ClientEvent::Unheard(_));
        events(client).into_iter().filter(beats).collect::<Vec<_>>()
    };
    for beat in 1..=3 {
        run(&mut client, beat * step);
        assert_eq!(unheard(&mut client), [], "the third has not had its interval yet");
    }
    run(&mut client, 4 * step);
    let silence_ns = 4 * step - 10;
    let event = Unheard { server: server(1), at: at(4 * step), silence_ns };
    assert_eq!(unheard(&mut client), [ClientEvent::Unheard(event)]);
    for beat in 5..20 {
        run(&mut client, beat * step);
    }
    assert_eq!(unheard(&mut client), [], "once");
    reply(&mut client, 20 * step, server(1));
    for beat in 21..=24 {
        run(&mut client, beat * step);
    }
    assert_eq!(unheard(&mut client).len(), 1, "again");
}

#[test]
fn a_reply_of_a_member_is_one_of_its_group() {
    let member = server(9);
    for (group, broadcast, heard) in [
        ("239.1.2.3:12000", false, true),
        ("[ff05::1:3]:12000", false, true),
        ("198.18.0.255:12000", true, true),
        ("198.18.0.255:12000", false, false),
        ("198.18.0.254:12000", true, false),
        ("198.18.0.255:12001", true, false),
    ] {
        let servers = vec![Target::from(group.parse::<SocketAddr>().unwrap())];
        let config = ClientConfig { servers, broadcast, ..declared(&Arc::default()) };
        let mut client = Client::new(config);
        let text = tick(&mut client, 0).unwrap();
        arrive(&mut client, at(10), member, b"HEARTBEAT;B=1 1");
        assert_eq!(client.heard(), None, "the boot id is another's");
        arrive(&mut client, at(20), member, text.as_bytes());
        assert_eq!(client.heard().is_some(), heard, "{group}");
    }
    let servers = vec![Target::from(server(255)), Target::from(member)];
    let both = ClientConfig { servers, broadcast: true, ..declared(&Arc::default()) };
    let mut client = Client::new(both);
    let text = tick(&mut client, 0).unwrap();
    arrive(&mut client, at(20), member, text.as_bytes());
    assert_eq!((client.servers[0].heard, client.servers[1].heard), (None, Some(at(20))));
    let format = BeatFormat::Template(Template::heartbeat());
    let servers = vec![Target::from(server(255))];
    let mut lab = Client::new(ClientConfig { servers, broadcast: true, format, ..config() });
    let text = tick(&mut lab, 0).unwrap();
    arrive(&mut lab, at(20), member, text.as_bytes());
    assert_eq!(lab.heard(), None, "nothing shows that a stranger has read its beats");
}

proptest! {
    /// The upper bound of the interval is the longest that Python accepts.
    #[test]
    fn any_clock_and_any_datagram_are_handled(
        interval_ns in prop_oneof![1..1000_i64, 1..9_200_000_000 * SECOND],
        spread in 0.0..=0.5,
        story in prop::collection::vec((any::<(i64, i64)>(), any::<Vec<u8>>()), 1..30),
    ) {
        let format = declared(&Arc::default()).format;
        let mut client = Client::new(ClientConfig { interval_ns, spread, format, ..config() });
        let mut datagrams = 0;
        for ((mono_ns, wall_ns), datagram) in story {
            let now = Stamp { mono_ns, wall_ns };
            let server = SocketAddr::from(([127, 0, 0, 1], 1));
            arrive(&mut client, now, server, &datagram);
            client.on_icmp(0, &by_hand::port_unreachable(server, &[]));
            by_hand::tick(&mut client, now);
            while transmit(&mut client).is_some() {}
            datagrams += 1;
            prop_assert_eq!((client.counters().received, client.counters().refused), (datagrams, datagrams));
            prop_assert!(client.deadline(0).is_some());
        }
        client.end(Ending::Orderly);
        client.farewell(Stamp { mono_ns: i64::MIN, wall_ns: i64::MIN });
    }
}

/// What becomes of a datagram that was sent, or of the oldest that waits.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Leaves,
    Fails,
    Waits,
}

/// Where each datagram has gone.
#[derive(Default)]
struct Account {
    left: u64,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Account {
    fn send(&mut self, client: &mut Client, to: SocketAddr, text: Vec<u8>, sent: Sent) {
        match sent {
            Sent::Leaves => self.left += 1,
            Sent::Fails => client.on_send_failed(0, to, &text, Some(101)),
            Sent::Waits => {
                client.on_blocked(0, &text);
                self.waiting.push_back((to, text));
            }
        }
    }
}

proptest! {
    /// Whatever the system does with the datagrams, each is counted once, and each beat is reported
    /// once, in order.
    #[test]
    fn the_account_of_beats_balances(
        story in prop::collection::vec((0..250_i64, any::<bool>(), prop::sample::select(
            vec![Sent::Leaves, Sent::Fails, Sent::Waits]), any::<bool>()), 1..60),
    ) {
        let mut servers = of_two().servers;
        servers.push(Target::unknown(None));
        let mut client = Client::new(ClientConfig { servers, interval_ns: 100, ..of_two() });
        let (mut account, mut ns) = (Account::default(), 0);
        for (step_ns, drains, sent, resolves) in story {
            ns += step_ns;
            by_hand::tick(&mut client, at(ns));
            if resolves && !client.lookups(at(ns)).is_empty() {
                client.on_resolved(2, at(ns), Ok(&[server(3)]));
            }
            if drains && let Some((to, mut text)) = account.waiting.pop_front()
                && client.on_unblocked(0, at(ns), to, &mut text)
            {
                account.send(&mut client, to, text, sent);
            }
            let mut texts = Vec::new();
            while let Some((to, text)) = transmit(&mut client) {
                texts.push((to, text.to_vec()));
            }
            for (to, text) in texts {
                account.send(&mut client, to, text, sent);
            }
            let waiting = account.waiting.len() as u64;
            let ClientCounters { sent, send_failed, .. } = client.counters();
            prop_assert_eq!(sent, account.left + send_failed + waiting);
        }
        client.farewell(at(ns));
        let seqs: Vec<_> = events(&mut client).into_iter().filter_map(|event| match event {
            ClientEvent::Beat(beat) => Some(beat.seq),
            ClientEvent::Unheard(_) => None,
        }).collect();
        prop_assert_eq!(seqs, (1..=client.seq).collect::<Vec<_>>());
    }
}

#[test]
fn spread_beats_stay_near_the_schedule() {
    let mut client = Client::new(ClientConfig { spread: 0.25, interval_ns: 1000, ..config() });
    let mut off = Vec::new();
    tick(&mut client, 0);
    for beat in 1..=1000 {
        let due_ns = client.deadline(0).unwrap();
        off.push(due_ns - beat * 1000);
        assert!(tick(&mut client, due_ns).is_some());
    }
    assert!(off.iter().all(|off| (-250..=250).contains(off)));
    assert!(off.iter().any(|off| *off < -200) && off.iter().any(|off| *off > 200));
}

/// Returns a client with keys.
fn signing() -> Client {
    let keys = wire::Keys::parse("a 000102030405060708090a0b0c0d0e0f").unwrap();
    let format = match declared(&Arc::new(Progress::default())).format {
        BeatFormat::Declared { name, progress, .. } => BeatFormat::Declared {
            signer: Signer::new(&keys, b"api").map(Box::new),
            name,
            progress,
            stall_after_ns: None,
            down_millionths: None,
            grace_ns: None,
        },
        format @ BeatFormat::Template(_) => format,
    };
    Client::new(ClientConfig { format, ..config() })
}

/// Returns the answer to a beat of [`signing`].
fn signed_answer(beat: &str, nonce: u64) -> Vec<u8> {
    let keys = wire::Keys::parse("a 000102030405060708090a0b0c0d0e0f").unwrap();
    let mut answer = beat.as_bytes().to_vec();
    wire::signed::answer(&mut answer, &keys.first().of_client(b"api").unwrap(), nonce);
    answer
}

#[test]
fn a_reflected_request_is_not_an_answer() {
    let mut client = signing();
    let beat = tick(&mut client, 0).unwrap();
    let upper = beat.to_ascii_uppercase();
    let mut altered = signed_answer(&beat, 7);
    altered.pop();
    for wrong in [beat.as_bytes(), upper.as_bytes(), &altered] {
        arrive(&mut client, at(10), server(1), wrong);
    }
    assert_eq!((client.heard(), client.counters().unauthenticated), (None, 3));
    arrive(&mut client, at(20), server(1), &signed_answer(&beat, 7));
    assert_eq!(client.heard(), Some(at(20)));
}

#[test]
fn an_answer_counts_once_and_its_nonce_is_repeated() {
    let mut client = signing();
    let first = tick(&mut client, 0).unwrap();
    assert!(first.contains(";id=api;n=0000000000000000;k=a;m="), "{first}");
    let second = tick(&mut client, 100).unwrap();
    for (beat, nonce) in [(&second, 0xabc), (&second, 1), (&first, 2)] {
        arrive(&mut client, at(110), server(1), &signed_answer(beat, nonce));
    }
    let third = tick(&mut client, 200).unwrap();
    assert!(third.contains(";n=0000000000000abc;"), "{third}");
    for ns in 201..250 {
        arrive(&mut client, at(ns), server(1), &signed_answer(&second, 1));
    }
    assert_eq!(client.heard(), Some(at(110)), "a recording does not count");
    assert_eq!(client.counters().unauthenticated, 0);
}

#[test]
fn local_times_follow_a_change_to_summer_time() {
    let zone = Zone::new([(0, 0), (SECOND, 3600 * SECOND)]);
    let format = BeatFormat::Template(Template::parse("format", "{datetime}").unwrap());
    let mut client = Client::new(ClientConfig { format, zone, interval_ns: SECOND, ..config() });
    for (second, text) in [(0, "1970-01-01 00:00:00.000000"), (1, "1970-01-01 01:00:01.000000")] {
        let now = Stamp { mono_ns: second * SECOND, wall_ns: second * SECOND };
        by_hand::tick(&mut client, now);
        assert_eq!(transmit(&mut client).unwrap().1, text.as_bytes());
    }
}
