//! Attacks on authenticated clients.

use std::sync::Arc;

use super::*;
use crate::ReplayWindow;
use crate::wire::Keys;
use crate::wire::beat::Status;
use crate::wire::signed::Signer;

const OLD: &str = "old 000102030405060708090a0b0c0d0e0f\n";
const NEW: &str = "new 0f0e0d0c0b0a09080706050403020100\n";

fn keys(text: &str) -> Arc<Keys> {
    Arc::new(Keys::parse(text).unwrap())
}

fn keyed() -> ServerConfig {
    ServerConfig { keys: Some(keys(OLD)), ..multiple() }
}

/// A client of a name with a key.
#[derive(Clone)]
struct Sender {
    signer: Signer,
    name: &'static str,
    boot: u64,
    nonce: u64,
}

impl Sender {
    fn new(text: &str, name: &'static str) -> Self {
        let signer = Signer::new(&keys(text), name.as_bytes()).unwrap();
        Self { signer, name, boot: 10, nonce: 0 }
    }

    /// Returns the beat of the number and second `seq`.
    fn beat(&self, seq: i64) -> String {
        self.at(seq, seq, None)
    }

    fn goodbye(&self, seq: i64) -> String {
        self.at(seq, seq, Some(Status::Bye))
    }

    fn at(&self, seq: i64, second: i64, status: Option<Status>) -> String {
        let beat = Beat {
            interval_ns: Some(SECOND),
            boot: Some(self.boot),
            name: Some(self.name.as_bytes()),
            status,
            ..Beat::default()
        };
        let mut out = Vec::new();
        let (seq, wall_ns) = (seq.cast_unsigned(), (WALL_S + second) * SECOND);
        self.signer.write(&beat, self.nonce, seq, wall_ns, &mut out);
        String::from_utf8(out).unwrap()
    }
}

/// A server that has heard `seconds` beats of `api`, and their sender.
fn known(config: ServerConfig, seconds: i64) -> (Driven, Sender) {
    let (mut server, api) = (Driven::new(config), Sender::new(OLD, "api"));
    server.beats(0, seconds, |second| api.beat(second));
    server.events();
    (server, api)
}

/// Hears a datagram that must only be counted by `counter`.
fn assert_refused(
    server: &mut Driven,
    from: u16,
    text: &str,
    counter: impl Fn(&mut ServerCounters) -> &mut u64,
) {
    let (now_ns, mut expected) = (server.0.heard_ns, server.0.counters());
    let before: Vec<_> = server.0.peers(now_ns).collect();
    arrive(&mut server.0, stamp(now_ns), client(from), text.as_bytes());
    expected.received += 1;
    *counter(&mut expected) += 1;
    assert_eq!(server.0.counters(), expected, "{text}");
    assert_eq!(server.0.peers(now_ns).collect::<Vec<_>>(), before, "{text}");
    assert_eq!(server.events(), [], "{text}");
    assert_adds_up(server.0.counters());
}

#[test]
fn authentic_beats_count() {
    let (mut server, api) = known(keyed(), 3);
    server.hear(4 * SECOND, client(1), &api.at(5, 4, None));
    server.hear(4 * SECOND, client(1), &api.at(4, 3, None));
    for second in 5..8 {
        // All goodbyes of an end have the same number.
        server.hear(second * SECOND, client(2), &api.at(6, second, Some(Status::Bye)));
    }
    let expected = [
        Change::Lost { first: 3, last: 4, excused: 0 },
        Change::LateBeat { seq: 4 },
        Change::Moved { from: client(1) },
        Change::Stopped,
    ];
    assert_eq!(server.changes(), expected, "an authentic goodbye counts from any address");
    let counters = server.0.counters();
    assert_eq!((counters.beats, counters.late_beats, counters.goodbyes), (5, 1, 3));
    assert_eq!(server.peer(8 * SECOND).key.as_deref(), Some("old"));
    assert_adds_up(counters);
}

#[test]
fn a_forged_goodbye_is_refused() {
    let (mut server, api) = known(keyed(), 3);
    let unsigned = "hb;b=a;id=api;s=bye 3 1486420003.0";
    assert_refused(&mut server, 1, unsigned, |counters| &mut counters.unauthenticated);
    let altered = api.beat(3).replace(";id=", ";s=bye;id=");
    assert_refused(&mut server, 1, &altered, |counters| &mut counters.bad_tags);
    let other = Sender::new(&NEW.replace("new", "old"), "api").goodbye(3);
    assert_refused(&mut server, 1, &other, |counters| &mut counters.bad_tags);
    server.hear(3 * SECOND, client(1), &api.goodbye(3));
    assert_eq!(server.changes(), [Change::Stopped]);
}

#[test]
fn nobody_beats_under_anothers_name() {
    let (mut server, _) = known(keyed(), 3);
    let own = Keys::parse(OLD).unwrap().of_client(b"db").unwrap().text();
    let db = Sender::new(&own, "db");
    let as_api = Sender { name: "api", boot: 11, ..db.clone() };
    assert_refused(&mut server, 1, &as_api.beat(3), |counters| &mut counters.bad_tags);
    server.hear(3 * SECOND, client(2), &db.beat(3));
    assert_eq!(server.changes(), [Change::Up { seq: Some(3) }], "its own name is its own");
    // A key that is bound to a client is for nobody else at the server, either.
    let mut server = Driven::new(ServerConfig { keys: Some(keys(&own)), ..multiple() });
    let api = Sender::new(&own.replace("db", "api"), "api");
    assert_refused(&mut server, 1, &api.beat(3), |counters| &mut counters.bad_tags);
    server.hear(3 * SECOND, client(2), &db.beat(3));
    assert_eq!(server.changes(), [Change::Up { seq: Some(3) }]);
}

#[test]
fn a_replay_is_refused_within_and_beyond_the_window() {
    let span = ReplayWindow::SPAN.cast_signed();
    let (mut server, api) = known(keyed(), span + 100);
    let highest = span + 99;
    for seq in [0, 1, 98, 99, 100, highest - 1, highest] {
        for from in [1, 2] {
            assert_refused(&mut server, from, &api.beat(seq), |counters| &mut counters.replays);
        }
    }
    let counters = server.0.counters();
    assert_eq!((counters.beats, counters.duplicates), (highest.cast_unsigned() + 1, 0));
}

#[test]
fn a_replayed_goodbye_stops_no_later_boot() {
    let (mut server, mut api) = known(keyed(), 3);
    let goodbye = api.goodbye(3);
    server.hear(3 * SECOND, client(1), &goodbye);
    api.boot += 1;
    server.hear(4 * SECOND, client(1), &api.beat(4));
    assert!(matches!(server.changes()[..], [Change::Stopped, Change::Restarted { .. }]));
    assert_refused(&mut server, 1, &goodbye, |counters| &mut counters.old_boots);
}

#[test]
fn a_truncated_tag_is_refused() {
    let (mut server, api) = known(keyed(), 3);
    let beat = api.beat(3);
    let tag = beat.find(";m=").unwrap() + 3;
    for digits in (0..32).rev() {
        let mut text = beat.clone();
        text.replace_range(tag + digits..tag + 32, "");
        assert_refused(&mut server, 1, &text, |counters| &mut counters.unauthenticated);
    }
    for more in ["0", ";", ";m=00", "z"] {
        let mut text = beat.clone();
        text.insert_str(tag + 32, more);
        assert_refused(&mut server, 1, &text, |counters| &mut counters.unauthenticated);
    }
    server.hear(3 * SECOND, client(1), &beat);
    assert_eq!(server.0.counters().beats, 4);
}

#[test]
fn an_answer_is_not_a_beat() {
    // Upper case does not change its id.
    let key = OLD.replace("old", "1");
    let config = ServerConfig { reply: true, keys: Some(keys(&key)), ..multiple() };
    let (mut server, api) = (Driven::new(config), Sender::new(&key, "api"));
    server.beats(0, 3, |second| api.beat(second));
    server.events();
    let answer = arrive(&mut server.0, stamp(3 * SECOND), client(1), api.beat(3).as_bytes());
    let answer = String::from_utf8(answer.unwrap()).unwrap();
    assert_refused(&mut server, 1, &answer, |counters| &mut counters.bad_tags);
}

#[test]
fn a_key_that_was_rotated_out_is_refused() {
    let both = ServerConfig { keys: Some(keys(&[NEW, OLD].concat())), ..multiple() };
    let (mut server, old) = known(both, 3);
    let new = Sender { boot: 11, ..Sender::new(NEW, "api") };
    server.hear(3 * SECOND, client(1), &new.beat(3));
    assert_eq!(server.peer(3 * SECOND).key.as_deref(), Some("new"));
    assert!(matches!(server.changes()[..], [Change::Restarted { .. }]));
    assert_refused(&mut server, 1, &old.beat(3), |counters| &mut counters.old_boots);
    let mut server = Driven::new(ServerConfig { keys: Some(keys(NEW)), ..multiple() });
    assert_refused(&mut server, 1, &old.beat(0), |counters| &mut counters.unknown_keys);
    server.hear(SECOND, client(1), &new.beat(1));
    assert_eq!(server.changes(), [Change::Up { seq: Some(1) }]);
}

#[test]
fn of_two_boots_only_the_newer_counts() {
    let (mut server, old) = known(keyed(), 3);
    let new = Sender { boot: 11, ..old.clone() };
    server.hear(3 * SECOND, client(2), &new.beat(1));
    let restarted = Change::Restarted { cause: Cause::Boot, seq: Some(1) };
    assert_eq!(server.changes(), [restarted], "one authentic beat is proof");
    assert_eq!(server.peer(3 * SECOND).address, client(2));
    for boot in [0, 9, 10] {
        let text = Sender { boot, ..old.clone() }.beat(4);
        assert_refused(&mut server, 1, &text, |counters| &mut counters.old_boots);
    }
}

/// Hears a beat, and returns the nonce in its answer.
fn nonce(server: &mut Driven, second: i64, sender: &Sender, text: &str) -> u64 {
    server.run_until(second * SECOND);
    let answer = arrive(&mut server.0, at(second), client(1), text.as_bytes());
    sender.signer.verify(&answer.unwrap()).unwrap()
}

#[test]
fn a_boot_of_a_host_without_a_clock_proves_to_be_live() {
    let (mut server, old) = known(ServerConfig { reply: true, ..keyed() }, 3);
    let mut new = Sender { boot: 2, ..old.clone() };
    let mut nonces = vec![0];
    for second in 3..6 {
        new.nonce = nonce(&mut server, second, &new, &new.at(second - 2, 0, None));
        nonces.push(new.nonce);
    }
    assert_eq!(server.0.counters().old_boots, 1, "its first beat");
    assert_ne!(nonces[1], nonces[2], "the nonce was used up");
    assert_eq!(nonces[2], nonces[3]);
    let restarted = Change::Restarted { cause: Cause::Boot, seq: Some(2) };
    assert_eq!(server.changes(), [restarted]);
    // A recording of another boot proves nothing, whatever nonce it has had.
    for nonce in &nonces[..2] {
        let text = Sender { nonce: *nonce, boot: 1, ..old.clone() }.beat(6);
        arrive(&mut server.0, at(6), client(1), text.as_bytes());
    }
    assert_eq!(server.0.counters().old_boots, 3);
    assert_eq!(server.peer(6 * SECOND).boot, Some(2));
    assert_eq!(server.changes(), []);
}

#[test]
fn a_recording_is_not_a_first_beat() {
    for reply in [false, true] {
        let mut server = Driven::new(ServerConfig { reply, ..keyed() });
        let mut api = Sender::new(OLD, "api");
        server.run_until(61 * SECOND + 500_000_000);
        let recording = api.beat(0);
        let answer = arrive(&mut server.0, at(62), client(1), recording.as_bytes());
        assert_eq!((answer.is_some(), server.0.peer_count()), (reply, 0));
        assert_eq!(server.0.counters().old_boots, 1);
        if let Some(answer) = answer {
            api.nonce = api.signer.verify(&answer).unwrap();
        }
        // A minute is near enough; a nonce serves a host without a clock.
        let text = if reply { api.at(1, 0, None) } else { api.at(1, 3, None) };
        server.hear(62 * SECOND, client(1), &text);
        assert_eq!(server.changes(), [Change::Up { seq: Some(1) }]);
        assert_eq!(server.0.counters().old_boots, 1);
    }
}

#[test]
fn a_flood_of_bad_tags_changes_no_state() {
    let (mut server, api) = known(ServerConfig { every_beat: true, ..keyed() }, 10);
    let wrong = NEW.replace("new", "old");
    for round in 0..100 {
        let (name, boot) = if round % 2 == 0 { ("api", round) } else { ("new", 9) };
        let forger = Sender { boot, ..Sender::new(&wrong, name) };
        let text = forger.beat(10 + round.cast_signed());
        assert_refused(&mut server, 1, &text, |counters| &mut counters.bad_tags);
    }
    server.hear(10 * SECOND, client(1), &api.beat(10));
    assert!(matches!(server.changes()[..], [Change::Heard { seq: Some(10), .. }]));
    assert_eq!(server.0.counters().beats, 11);
}

#[test]
fn unsigned_beats_are_accepted_beside_authenticated_clients() {
    let unauthenticated = Unauthenticated::Accept;
    let (mut server, api) = known(ServerConfig { unauthenticated, ..keyed() }, 3);
    let unsigned = |second| format!("hb;i=1000;id=db {second} {}.0", WALL_S + second);
    (2..5).for_each(|second| server.hear(second * SECOND, client(2), &unsigned(second)));
    assert_eq!(server.changes(), [Change::Up { seq: Some(2) }]);
    assert_eq!(server.0.named(b"db", 0).unwrap().key, None);
    for text in
        ["hb;id=api;s=bye 4", "hb;b=f;id=api 4 1486420005.0", &api.beat(5).replace("k=", "q=")]
    {
        assert_refused(&mut server, 1, text, |counters| &mut counters.unauthenticated);
    }
    // The first authentic beat of a name starts afresh.
    let db = Sender { boot: 1, ..Sender::new(OLD, "db") };
    server.hear(4 * SECOND, client(3), &db.at(1, 4, None));
    assert_eq!(server.changes(), [Change::Up { seq: Some(1) }]);
    let peer = server.0.named(b"db", 0).unwrap();
    assert_eq!((peer.key.as_deref(), peer.sequence.received()), (Some("old"), 1));
    assert_eq!(server.0.peer_count(), 2);
    assert_refused(&mut server, 2, &unsigned(5), |counters| &mut counters.unauthenticated);
}

proptest! {
    /// No change of a signed beat passes, but that of a digit's case in the tag.
    #[test]
    fn altered_beats_are_refused(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        moved: bool,
    ) {
        let (mut server, api) = known(keyed(), 2);
        let mut text = api.beat(2).into_bytes();
        let whole = text.clone();
        for (at, bits) in flips {
            let at = at.index(text.len());
            text[at] ^= bits;
        }
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        if moved {
            let at = whole.windows(3).position(|part| part == b";m=").unwrap();
            text = whole.clone();
            let tag: Vec<_> = text.drain(at..at + 35).collect();
            let to = cut.map_or(0, |cut| cut.index(text.len()));
            text.splice(to..to, tag);
        }
        arrive(&mut server.0, at(2), client(1), &text);
        let same = text.eq_ignore_ascii_case(&whole);
        prop_assert!(same || server.0.counters().beats == 2, "{}", String::from_utf8_lossy(&text));
        assert_adds_up(server.0.counters());
    }
}
