use super::*;
use crate::heartbeat::Task;
use crate::machine::by_hand::{self, arrive, transmit};
use proptest::prelude::*;

const SECOND: i64 = crate::NS_PER_SECOND;

fn config() -> ClientConfig {
    ClientConfig {
        servers: vec!["127.0.0.1:12000".parse().unwrap()],
        interval_ns: 100,
        spread: 0.0,
        count: None,
        fail_at: None,
        fail_chance: 0.0,
        loss: 0.0,
        goodbye: true,
        seed: Some(1),
        format: BeatFormat::Template(Template::heartbeat()),
        utc_offset_ns: 0,
        events: 1000,
    }
}

fn tick(client: &mut Client, ns: i64) -> Option<String> {
    by_hand::tick(client, Stamp { mono_ns: ns, wall_ns: 2_000_000_000 });
    transmit(client).map(|(_, text)| String::from_utf8(text.to_vec()).unwrap())
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
    let outcomes: Vec<_> = std::iter::from_fn(|| client.events.pop()).collect();
    assert_eq!(outcomes[1].outcome, Outcome::Failed);
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
    let format = BeatFormat::Declared { name, progress, stall_after_ns: Some(500) };
    ClientConfig { format, interval_ns: 1_000_000, ..config() }
}

fn beat(text: &str) -> wire::Beat<'_> {
    wire::Beat::read(text.as_bytes())
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
    assert!(progress.end_silence(3_400_000));
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
    assert!(progress.end_silence(SECOND / 2 + 1));
    assert!(!progress.end_silence(SECOND / 2 + 2), "it is over, which is not news");
    assert_eq!(client.deadline(0), Some(SECOND / 2 + APART_NS));
    let text = tick(&mut client, SECOND / 2 + APART_NS).unwrap();
    assert_eq!((beat(&text).reading.seq, beat(&text).busy_ns), (Some(3), None));
    assert_eq!(client.deadline(0), Some(SECOND));
    // A silence that has already run out needs no extra beat.
    progress.announce_silence(SECOND);
    tick(&mut client, SECOND);
    assert!(!progress.end_silence(SECOND + 1));
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
    assert_eq!((told(silent(), 1, orderly), told(silent(), 1, failed)), (0, 3));
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

#[test]
fn each_beat_goes_to_all_servers() {
    let servers = ["127.0.0.1:1", "127.0.0.1:2"].map(|server| server.parse().unwrap());
    let mut client = Client::new(ClientConfig { servers: servers.to_vec(), ..config() });
    by_hand::tick(&mut client, Stamp { mono_ns: 0, wall_ns: 0 });
    let mut sent = Vec::new();
    while let Some((to, text)) = transmit(&mut client) {
        sent.push((to, text.to_vec()));
    }
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), servers);
    assert_eq!(sent[0].1, sent[1].1);
    assert_eq!(client.counters().sent, 2);
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
