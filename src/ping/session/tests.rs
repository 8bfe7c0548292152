//! Tests of the session, driven by hand.

use super::*;
use crate::machine::by_hand::{arrive, port_unreachable, tick, transmit};
use crate::packed::{pack, unpack};
use crate::ping::Pause;
use crate::ping::report::Settled;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn target() -> SocketAddr {
    "127.0.0.1:12000".parse().unwrap()
}

fn session(count: u64) -> Session {
    Session::new(config(count))
}

fn config(count: u64) -> Config {
    Config {
        target: target(),
        count: Some(count),
        duration_ns: None,
        schedule: Schedule::StopAndWait,
        start: None,
        offset_ns: 0,
        timeout_ns: 1000 * MS,
        wait_out: false,
        protocol: Protocol::Echo,
        size: 0,
        fill: Fill::default(),
        key: None,
        keep: None,
        outage_after: None,
        revisions: false,
        linger_ns: Some(0),
        events: 9,
        capture: false,
    }
}

fn at(ms: i64) -> Stamp {
    Stamp { mono_ns: ms * MS, wall_ns: 1_486_420_330_837_133_000 + ms * MS }
}

fn sent(session: &mut Session, ms: i64) -> Option<String> {
    tick(session, at(ms));
    transmit(session).map(|(_, datagram)| String::from_utf8(datagram.to_vec()).unwrap())
}

fn stamped(
    session: &mut Session,
    read: Stamp,
    kernel_ns: Option<i64>,
    from: SocketAddr,
    text: &[u8],
) {
    let mut text = text.to_vec();
    let kernel = kernel_ns.map(|mono_ns| Stamp { mono_ns, ..read });
    session.on_datagram(0, &mut Arrival { kernel, ..Arrival::new(read, from, &mut text) });
}

/// Reports that the last probe could not be sent.
fn send_failed(session: &mut Session) {
    let probe = session.outgoing.datagram().to_vec();
    session.on_send_failed(0, target(), &probe, None);
}

fn verdicts(session: &mut Session) -> Vec<(u64, Verdict)> {
    let events = std::iter::from_fn(|| session.events.pop());
    let verdict = |event| match event {
        Event::Probe(probe) => Some((probe.seq, probe.verdict)),
        Event::Revised(_) | Event::Outage(_) => None,
    };
    events.filter_map(verdict).collect()
}

#[test]
fn the_next_probe_waits_for_the_reply_or_the_timeout() {
    let mut session = session(3);
    assert_eq!(sent(&mut session, 0).unwrap(), "Ping 1 1486420330.837133");
    assert_eq!(sent(&mut session, 1), None);
    arrive(&mut session, at(2), target(), b"PING 1 1486420330.837133");
    assert_eq!(sent(&mut session, 2).unwrap(), "Ping 2 1486420330.839133");
    assert_eq!(session.deadline(0), Some(1002 * MS));
    assert_eq!(sent(&mut session, 1001), None);
    assert!(sent(&mut session, 1002).unwrap().starts_with("Ping 3 "));
    arrive(&mut session, at(1003), target(), b"pong");
    assert!(sent(&mut session, 1003).is_none() && session.is_done(0));
    let rtt = session.report().rtt;
    assert_eq!((rtt.min_ns(), rtt.max_ns()), (Some(MS), Some(2 * MS)));
    let expected = [(1, Verdict::Answered), (2, Verdict::Lost), (3, Verdict::Answered)];
    assert_eq!(verdicts(&mut session), expected);
}

#[test]
fn a_late_reply_belongs_to_its_own_probe() {
    let mut session = session(2);
    sent(&mut session, 0);
    sent(&mut session, 1000);
    arrive(&mut session, at(1500), target(), b"PING 1 x");
    let counters = session.report().counters;
    assert_eq!((counters.late, counters.pending, counters.answered), (1, 1, 0));
    arrive(&mut session, at(1600), target(), b"PING 2 x");
    assert_eq!(session.report().rtt.max_ns(), Some(600 * MS));
    assert_eq!(session.report().counters.loss(), Some(0.5));
}

#[test]
fn duplicates_and_strangers_answer_nothing() {
    let mut session = session(2);
    sent(&mut session, 0);
    arrive(&mut session, at(1), target(), b"PING 1 x");
    sent(&mut session, 1);
    arrive(&mut session, at(2), target(), b"PING 1 x");
    arrive(&mut session, at(3), "127.0.0.1:1".parse().unwrap(), b"PING 2 x");
    arrive(&mut session, at(4), target(), b"PING 7 x");
    let counters = session.report().counters;
    assert_eq!((counters.duplicates, counters.foreign, counters.pending), (1, 2, 1));
    assert_eq!(session.deadline(0), Some(1001 * MS), "strangers do not extend the wait");
}

#[test]
fn an_icmp_error_decides_its_probe_without_causing_a_flood() {
    let mut session = session(2);
    sent(&mut session, 0);
    session.on_icmp(0, &port_unreachable(target(), &[]));
    assert_eq!(verdicts(&mut session), [(1, Verdict::Refused)]);
    assert_eq!(sent(&mut session, 5), None);
    assert_eq!(session.deadline(0), Some(105 * MS));
    assert!(sent(&mut session, 105).is_some());
    session.on_icmp(0, &Icmp { kind: 11, code: 0, ..port_unreachable(target(), &[]) });
    assert_eq!(verdicts(&mut session), [(2, Verdict::Unreachable)]);
    assert!(session.is_done(0));
    let report = session.report();
    assert_eq!((report.counters.refused, report.counters.unreachable), (1, 1));
    assert_eq!((report.loss_runs.bursts.total, report.path.troubles.reasons.len()), (2, 2));
}

#[test]
fn an_old_icmp_error_does_not_count_as_a_pause() {
    let mut session = session(3);
    sent(&mut session, 0);
    session.on_icmp(0, &port_unreachable(target(), &[]));
    assert!(sent(&mut session, 5).is_none() && sent(&mut session, 105).is_some());
    arrive(&mut session, at(900), target(), b"pong");
    assert!(sent(&mut session, 900).is_some());
    assert_eq!(session.report().pauses.count, 0);
}

#[test]
fn a_reply_revises_the_verdict_of_an_icmp_error() {
    let limits = Config { size: 64, linger_ns: Some(2000 * MS), ..config(2) };
    let mut session = Session::new(limits);
    let first = sent(&mut session, 0).unwrap();
    session.on_icmp(0, &port_unreachable(target(), &[]));
    tick(&mut session, at(1));
    arrive(&mut session, at(20), target(), first.as_bytes());
    let second = sent(&mut session, 200).unwrap();
    session.on_icmp(0, &port_unreachable(target(), second.as_bytes()));
    tick(&mut session, at(1200));
    arrive(&mut session, at(1201), target(), second.as_bytes());
    let Report { counters, loss_runs, .. } = session.report();
    assert_eq!((counters.answered, counters.late, counters.refused), (1, 1, 0));
    assert_eq!((loss_runs.bursts.total, loss_runs.gaps.total), (1, 1));
}

#[test]
fn the_lab_waits_out_its_timeout() {
    let mut session = Session::new(Config { wait_out: true, ..config(2) });
    sent(&mut session, 0);
    session.on_icmp(0, &port_unreachable(target(), &[]));
    assert_eq!((session.deadline(0), verdicts(&mut session).len()), (Some(1000 * MS), 0));
    assert!(sent(&mut session, 1000).is_some());
    assert_eq!(verdicts(&mut session), [(1, Verdict::Refused)]);
}

#[test]
fn an_unsent_probe_waits_for_the_timeout() {
    let mut session = session(1);
    sent(&mut session, 0);
    send_failed(&mut session);
    assert_eq!((session.deadline(0), sent(&mut session, 1000)), (Some(1000 * MS), None));
    assert_eq!(verdicts(&mut session), [(1, Verdict::SendFailed)]);
    assert!(session.is_done(0));
}

#[test]
fn replies_do_not_delay_sends_and_missed_slots_are_skipped() {
    let schedule = Schedule::Periodic { interval_ns: 10 * MS };
    let mut session = Session::new(Config { schedule, ..config(4) });
    assert!(sent(&mut session, 0).is_some());
    assert_eq!((sent(&mut session, 9), session.deadline(0)), (None, Some(10 * MS)));
    assert!(sent(&mut session, 10).unwrap().starts_with("Ping 2 "));
    assert!(sent(&mut session, 43).unwrap().starts_with("Ping 3 "));
    arrive(&mut session, at(44), target(), b"PING 1 x");
    arrive(&mut session, at(45), target(), b"pong");
    assert!(sent(&mut session, 50).is_some());
    assert_eq!(session.deadline(0), Some(1010 * MS));
    tick(&mut session, at(1050));
    let report = session.report();
    assert_eq!((report.missed, report.schedule_error.max_ns()), (2, Some(3 * MS)));
    let Counters { answered, lost, foreign, .. } = report.counters;
    assert_eq!((answered, lost, foreign), (1, 3, 1), "a reply without a number fits two");
    assert!(session.is_done(0));
}

#[test]
fn a_duration_ends_the_sending() {
    let schedule = Schedule::Periodic { interval_ns: 10 * MS };
    let limits = Config { schedule, duration_ns: Some(25 * MS), count: None, ..config(1) };
    let mut session = Session::new(limits);
    let numbers: Vec<_> = (0..40).filter_map(|ms| sent(&mut session, ms)).collect();
    assert_eq!(numbers.len(), 3);
    assert_eq!((session.deadline(0), session.is_done(0)), (Some(1000 * MS), false));
    tick(&mut session, at(1020));
    assert!(session.is_done(0));
}

#[test]
fn a_reply_that_arrived_in_time_counts_even_if_read_late() {
    let mut session = session(1);
    sent(&mut session, 0);
    stamped(&mut session, at(1500), Some(300 * MS), target(), b"PING 1 x");
    let report = session.report();
    assert_eq!((report.counters.answered, report.counters.late), (1, 0));
    assert_eq!(report.kernel_rtt.max_ns(), Some(300 * MS));
    assert_eq!(report.overhead.max_ns(), Some(1200 * MS));
}

#[test]
fn a_pause_of_this_process_is_told_and_prolongs_no_round_trip() {
    let schedule = Schedule::Periodic { interval_ns: 10 * MS };
    let mut session = Session::new(Config { schedule, size: 64, ..config(4) });
    let texts: Vec<_> = [0, 10].map(|ms| sent(&mut session, ms).unwrap()).into();
    stamped(&mut session, at(25), Some(20 * MS), target(), texts[0].as_bytes());
    // Stopped from now on: a slot is due at 20 ms, a reply arrives at 30 ms.
    let [read, again] = [at(3020), at(3021)];
    session.on_time(0, read, i64::MIN);
    stamped(&mut session, again, Some(30 * MS), target(), texts[1].as_bytes());
    let text = transmit(&mut session).map(|(_, datagram)| datagram.to_vec()).unwrap();
    stamped(&mut session, at(3030), Some(3025 * MS), target(), &text);
    tick(&mut session, at(3030));
    let report = session.report();
    assert_eq!((report.counters.answered, report.counters.late), (3, 0));
    assert_eq!((report.pauses.count, report.pauses.total_ns), (1, 3001 * MS));
    let start_ns = report.started_ns.unwrap() + 20 * MS;
    assert_eq!(report.pauses.listed, [Pause { start_ns, end_ns: start_ns + 3001 * MS }]);
    assert_eq!(report.rtt.max_ns(), Some(25 * MS), "the first was read 5 ms late");
    assert_eq!(report.columns().rtt_ns[..3], [25, 20, 10].map(|ms| Some(ms * MS)));
    assert_eq!(report.overhead.max_ns(), Some(2991 * MS), "what it took to read the second");
}

#[test]
fn a_pause_shows_without_kernel_stamps_if_a_timeout_passes() {
    let mut session = session(2);
    sent(&mut session, 0);
    arrive(&mut session, at(3000), target(), b"pong 1");
    tick(&mut session, at(3000));
    let report = session.report();
    assert_eq!((report.counters.late, report.pauses.count), (1, 1));
    assert_eq!(report.pauses.total_ns, 2000 * MS);
}

#[test]
fn a_kernel_stamp_spoiled_by_a_clock_step_is_ignored() {
    let mut session = session(1);
    sent(&mut session, 500);
    stamped(&mut session, at(600), Some(100 * MS), target(), b"PING 1 x");
    let report = session.report();
    assert_eq!((report.rtt.max_ns(), report.kernel_rtt.count()), (Some(100 * MS), 0));
}

#[test]
fn a_step_of_the_clock_changes_no_verdict() {
    let wide = Config { schedule: Schedule::Periodic { interval_ns: MS }, ..config(2) };
    // If the clock is set back an hour, the arrival seems to lie an hour ahead; if forward, an hour
    // ago.
    for (stamp_ms, read_ms, verdict) in [
        (3_600_000, 10, Verdict::Answered),
        (-3_600_000, 10, Verdict::Answered),
        (-3_600_000, 1500, Verdict::Late),
    ] {
        let mut session = Session::new(wide.clone());
        let texts: Vec<_> = (0..2).filter_map(|ms| sent(&mut session, ms)).collect();
        stamped(&mut session, at(read_ms), Some(stamp_ms * MS), target(), texts[1].as_bytes());
        let mut report = session.report();
        assert_eq!(*report.counters.of(verdict), 1, "{stamp_ms} {read_ms}");
        assert_eq!(report.counters.pending, u64::from(verdict == Verdict::Answered));
    }
}

#[test]
fn a_reply_with_our_token_to_an_unsent_probe_is_corrupt() {
    let mut session = Session::new(Config { size: 64, ..config(9) });
    let probe = sent(&mut session, 0).unwrap();
    for number in ["0", "3", "99999999999999999999"] {
        let reply = probe.replacen('1', number, 1);
        arrive(&mut session, at(1), target(), reply.as_bytes());
    }
    arrive(&mut session, at(1), target(), b"Ping 3 1486420330.837133");
    let counters = session.report().counters;
    assert_eq!((counters.corrupt, counters.foreign, counters.pending), (3, 1, 1));
}

#[test]
fn a_wrong_text_is_corrupt_and_answers_nothing() {
    let mut session = Session::new(Config { size: 100, ..config(1) });
    let mut echo = sent(&mut session, 0).unwrap().into_bytes();
    echo[90] ^= 1;
    arrive(&mut session, at(1), target(), &echo);
    arrive(&mut session, at(1), target(), &echo[..60]);
    arrive(&mut session, at(1), target(), b"PING 1 1486420330.837133");
    let counters = session.report().counters;
    assert_eq!((counters.corrupt, counters.foreign, counters.pending), (2, 1, 1));
    echo[90] ^= 1;
    arrive(&mut session, at(2), target(), &echo);
    assert_eq!(session.report().counters.answered, 1);
}

#[test]
fn only_upper_case_of_the_whole_is_accepted() {
    for size in [0, 64] {
        let mut session = Session::new(Config { size, ..config(2) });
        let echo = sent(&mut session, 0).unwrap();
        for wrong in [echo.to_lowercase(), echo.replace("Ping", "PinG"), echo.replace('.', ",")] {
            arrive(&mut session, at(1), target(), wrong.as_bytes());
        }
        let counters = session.report().counters;
        assert_eq!((counters.corrupt, counters.pending), (3, 1), "{size}");
        arrive(&mut session, at(1), target(), echo.to_uppercase().as_bytes());
        let echo = sent(&mut session, 1).unwrap();
        arrive(&mut session, at(2), target(), echo.as_bytes());
        assert_eq!(session.report().counters.answered, 2);
    }
}

#[test]
fn a_flipped_bit_is_never_an_answer() {
    let schedule = Schedule::Periodic { interval_ns: MS };
    // The last probe of the first is the only pending one; of the second, all are pending.
    for (size, answered) in [(0, 1233), (0, 1000), (64, 1233)] {
        let mut session = Session::new(Config { schedule, size, ..config(1234) });
        let mut probe = String::new();
        for ms in 0..1234 {
            probe = sent(&mut session, ms).unwrap();
            if ms < answered {
                arrive(&mut session, at(ms), target(), probe.as_bytes());
            }
        }
        let before = session.report().counters;
        for echo in [probe.clone(), probe.to_uppercase()] {
            for bit in 0..8 * echo.len() {
                let mut echo = echo.clone().into_bytes();
                echo[bit / 8] ^= 1 << (bit % 8);
                arrive(&mut session, at(1234), target(), &echo);
            }
        }
        let bits = 16 * probe.len() as u64;
        let expected = Counters { received: before.received + bits, corrupt: bits, ..before };
        assert_eq!(session.report().counters, expected, "{size} {answered}");
    }
}

#[test]
fn words_around_the_message_do_not_matter() {
    let schedule = Schedule::Periodic { interval_ns: MS };
    let mut session = Session::new(Config { schedule, ..config(3) });
    let echoes: Vec<_> = (0..3).filter_map(|ms| sent(&mut session, ms)).collect();
    arrive(&mut session, at(4), target(), format!("1: you said '{}'", echoes[2]).as_bytes());
    arrive(&mut session, at(5), target(), format!("{} ok", echoes[0].to_lowercase()).as_bytes());
    arrive(&mut session, at(6), target(), format!("Ping 3: {}", echoes[1]).as_bytes());
    let columns = session.report().columns();
    assert_eq!(columns.rtt_ns, [5, 5, 2].map(|ms| Some(ms * MS)));
    assert_eq!(session.report().counters.guessed, 0);
}

/// Sends three probes and answers each before the next with `reply`.
fn answers(reply: impl Fn(u64) -> String) -> (Session, Counters) {
    let mut session = session(3);
    for seq in 1..=3 {
        let ms = i64::try_from(seq).unwrap() * 100;
        sent(&mut session, ms);
        arrive(&mut session, at(ms + 20), target(), reply(seq).as_bytes());
    }
    let counters = session.report().counters;
    (session, counters)
}

#[test]
fn a_number_is_believed_if_it_could_be_right() {
    for reply in ["Ping # received", "Pong #", "ACK #", "Reply # 1486420331.2 1486420331.3"] {
        let (_, counters) = answers(|seq| reply.replace('#', &seq.to_string()));
        assert_eq!((counters.answered, counters.guessed), (3, 0), "{reply}");
    }
    for reply in ["", "pong", "received 24 bytes", "HTTP/1.1 200 OK", "0", "pong 0.5 ms"] {
        let (mut session, counters) = answers(|_| reply.to_owned());
        assert_eq!((counters.answered, counters.guessed), (3, 3), "{reply}");
        let guessed = |event| matches!(event, Event::Probe(Probe { guessed: true, .. }));
        assert!(std::iter::from_fn(|| session.events.pop()).all(guessed));
    }
    let (_, counters) = answers(|seq| format!("ACK {}", seq + 1));
    assert_eq!((counters.answered, counters.guessed), (3, 3));
    let (_, counters) = answers(|_| "Hello client 1".to_owned());
    assert_eq!((counters.answered, counters.guessed), (3, 2), "the first number was right");
}

#[test]
fn two_right_numbers_make_all_later_ones_credible() {
    let mut session = session(9);
    for (ms, reply) in [(0, "ACK 1"), (10, "ACK 2"), (20, "ACK 2"), (21, "ACK 7"), (22, "ACK 3")] {
        sent(&mut session, ms);
        arrive(&mut session, at(ms + 1), target(), reply.as_bytes());
    }
    let counters = session.report().counters;
    assert_eq!((counters.answered, counters.guessed), (3, 0));
    assert_eq!((counters.duplicates, counters.foreign), (1, 1));
}

#[test]
fn the_number_of_another_ping_is_no_reply() {
    let mut session = session(2);
    sent(&mut session, 0);
    arrive(&mut session, at(1), target(), b"Pong 2");
    sent(&mut session, 1000);
    arrive(&mut session, at(1001), target(), b"Pong 3");
    arrive(&mut session, at(1002), target(), b"Pong 1");
    let counters = session.report().counters;
    assert_eq!((counters.foreign, counters.late, counters.pending), (2, 1, 1));
}

#[test]
fn a_server_may_say_pong_instead_of_ping() {
    let mut session = session(1);
    let probe = sent(&mut session, 0).unwrap();
    arrive(&mut session, at(1), target(), probe.replace("Ping", "Pong").as_bytes());
    assert_eq!(session.report().counters.answered, 1);
}

#[test]
fn a_late_answer_without_a_number_shows_as_a_guess() {
    let mut session = session(3);
    for (ms, replies) in [(0, &[20][..]), (100, &[]), (1100, &[1112, 1120])] {
        sent(&mut session, ms);
        for reply_ms in replies {
            arrive(&mut session, at(*reply_ms), target(), b"pong");
        }
    }
    let report = session.report();
    assert_eq!((report.counters.answered, report.counters.guessed), (2, 2));
    assert_eq!((report.counters.lost, report.counters.foreign), (1, 1));
    assert_eq!(report.rtt.min_ns(), Some(12 * MS));
}

#[test]
fn revisions_are_reported_if_asked_for() {
    for revisions in [true, false] {
        let mut session = Session::new(Config { revisions, linger_ns: None, ..config(2) });
        let first = sent(&mut session, 0).unwrap();
        session.on_icmp(0, &port_unreachable(target(), first.as_bytes()));
        tick(&mut session, at(1));
        arrive(&mut session, at(5), target(), first.as_bytes());
        let second = sent(&mut session, 200).unwrap();
        tick(&mut session, at(1300));
        arrive(&mut session, at(1500), target(), second.as_bytes());
        arrive(&mut session, at(1501), target(), second.as_bytes());
        let events = std::iter::from_fn(|| session.events.pop());
        let revised = events.filter_map(|event| match event {
            Event::Revised(probe) => Some((probe.seq, probe.verdict, probe.rtt_ns)),
            Event::Probe(_) | Event::Outage(_) => None,
        });
        let both = [(1, Verdict::Answered, Some(5 * MS)), (2, Verdict::Late, Some(1300 * MS))];
        let expected = if revisions { &both[..] } else { &[] };
        assert_eq!(revised.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_refused_probe_is_identified_by_its_text() {
    let schedule = Schedule::Periodic { interval_ns: MS };
    let mut session = Session::new(Config { schedule, ..config(3) });
    let texts: Vec<_> = (0..3).filter_map(|ms| sent(&mut session, ms)).collect();
    session.on_icmp(0, &port_unreachable(target(), texts[1].as_bytes()));
    tick(&mut session, at(2000));
    let expected = [(2, Verdict::Refused), (1, Verdict::Lost), (3, Verdict::Lost)];
    assert_eq!(verdicts(&mut session), expected);
}

#[test]
fn an_icmp_error_about_anything_but_a_probe_is_ignored() {
    let schedule = Schedule::Periodic { interval_ns: MS };
    let mut session = Session::new(Config { schedule, size: 64, ..config(3) });
    let texts: Vec<_> = (0..3).filter_map(|ms| sent(&mut session, ms)).collect();
    let (first, second) = (&texts[0], &texts[1]);
    let stranger = "127.0.0.9:12000".parse().unwrap();
    for quote in [first.as_bytes(), &[]] {
        session.on_icmp(0, &port_unreachable(stranger, quote));
    }
    for quote in ["Ping 4 ", "Ping 1 1486420330.000000 ", &first.replace('.', "_"), "x"] {
        session.on_icmp(0, &port_unreachable(target(), quote.as_bytes()));
    }
    assert!(verdicts(&mut session).is_empty() && session.report().path.troubles.reasons.is_empty());
    let padded = [second.as_bytes(), &[0; 64]].concat();
    for quote in [&b"Ping 3"[..], &padded, &[]] {
        session.on_icmp(0, &port_unreachable(target(), quote));
    }
    let refused = |seq| (seq, Verdict::Refused);
    assert_eq!(verdicts(&mut session), [3, 2, 1].map(refused));
}

#[test]
fn an_icmp_error_for_a_mapped_address_names_the_ipv4_address() {
    let mapped = "[::ffff:127.0.0.1]:12000".parse().unwrap();
    let mut session = Session::new(Config { target: mapped, ..config(1) });
    sent(&mut session, 0);
    session.on_icmp(0, &port_unreachable(target(), &[]));
    assert_eq!(verdicts(&mut session), [(1, Verdict::Refused)]);
}

#[test]
fn columns_hold_the_kept_probes() {
    let mut session = Session::new(Config { keep: Some(2), ..config(3) });
    for ms in [0, 10, 20] {
        let echo = sent(&mut session, ms).unwrap();
        arrive(&mut session, at(ms + 3), target(), echo.as_bytes());
    }
    let report = session.report();
    assert_eq!((report.started_ns, report.rows_dropped()), (Some(at(0).wall_ns), 1));
    let columns = report.columns();
    assert_eq!((columns.seq, columns.rtt_ns), (vec![2, 3], vec![Some(3 * MS); 2]));
    assert_eq!((columns.sent_ns, columns.flow), (vec![at(10).wall_ns, at(20).wall_ns], vec![0, 0]));
    assert_eq!((columns.verdict, columns.size), (vec![0, 0], vec![24, 24]));
}

#[test]
fn a_probe_that_waits_for_room_is_stamped_when_it_leaves() {
    let mut session = session(1);
    let mut probe = sent(&mut session, 0).unwrap().into_bytes();
    session.on_blocked(0, &probe);
    assert!(session.on_unblocked(0, at(600), target(), &mut probe));
    assert_eq!(probe, b"Ping 1 1486420331.437133");
    assert_eq!(session.deadline(0), Some(1600 * MS));
    arrive(&mut session, at(610), target(), &probe);
    assert_eq!(session.report().rtt.max_ns(), Some(10 * MS));
}

#[test]
fn a_probe_that_cannot_leave_in_time_is_not_sent() {
    let mut session = session(1);
    let mut probe = sent(&mut session, 0).unwrap().into_bytes();
    session.on_blocked(0, &probe);
    assert!(!session.on_unblocked(0, at(1000), target(), &mut probe));
    tick(&mut session, at(1000));
    assert_eq!(verdicts(&mut session), [(1, Verdict::SendFailed)]);
    assert!(!session.on_unblocked(0, at(1001), target(), &mut b"Ping 2 x".to_vec()));
}

#[test]
fn tries_to_leave_do_not_prolong_the_timeout() {
    let mut session = session(1);
    let mut probe = sent(&mut session, 0).unwrap().into_bytes();
    session.on_blocked(0, &probe);
    assert!(session.on_unblocked(0, at(900), target(), &mut probe));
    session.on_blocked(0, &probe);
    assert_eq!(session.deadline(0), Some(1000 * MS));
    assert!(!session.on_unblocked(0, at(1000), target(), &mut probe));
    tick(&mut session, at(1000));
    assert_eq!(verdicts(&mut session), [(1, Verdict::SendFailed)]);
}

#[test]
fn memory_is_bounded() {
    let schedule = Schedule::Periodic { interval_ns: MS };
    let limits = Config { schedule, count: None, keep: Some(0), ..config(1) };
    let mut session = Session::new(limits);
    for ms in 0..50_000 {
        tick(&mut session, at(ms));
    }
    assert_eq!((session.probes.len(), session.report().counters.lost), (16_384, 49_000));
}

/// Returns the outages that the reader is told of.
fn told_outages(session: &mut Session) -> Vec<Outage> {
    let events = std::iter::from_fn(|| session.events.pop());
    let outage = |event| match event {
        Event::Outage(outage) => Some(outage),
        Event::Probe(_) | Event::Revised(_) => None,
    };
    events.filter_map(outage).collect()
}

#[test]
fn outages_are_told_if_asked_for() {
    for outage_after in [None, Some(2)] {
        let schedule = Schedule::Periodic { interval_ns: 10 * MS };
        let mut session = Session::new(Config { schedule, outage_after, events: 99, ..config(7) });
        let texts: Vec<_> = (0..7).filter_map(|n| sent(&mut session, n * 10)).collect();
        for answered in [0, 4, 5] {
            arrive(&mut session, at(100), target(), texts[answered].as_bytes());
        }
        assert!(told_outages(&mut session).is_empty(), "replies in time may still arrive");
        tick(&mut session, at(2000));
        arrive(&mut session, at(2001), target(), texts[2].as_bytes());
        let [start, end] = [10, 40].map(|ms| at(ms).wall_ns);
        let outage = Outage { start_ns: start, end_ns: Some(end), lost: 3 };
        let first = Outage { end_ns: None, lost: 2, ..outage };
        let expected = if outage_after.is_some() { vec![first, outage] } else { Vec::new() };
        assert_eq!(told_outages(&mut session), expected);
        let outages = session.report().outages;
        assert_eq!((outages.count, outages.total_ns), (1, 30 * MS), "late is no answer in time");
        assert_eq!(outages.listed, [outage]);
    }
}

#[test]
fn a_settled_probe_is_revised_no_more() {
    let schedule = Schedule::Periodic { interval_ns: 10_000 * MS };
    let mut session = Session::new(Config { schedule, count: None, ..config(1) });
    let text = sent(&mut session, 0).unwrap();
    for ms in [10_000, 20_000, 30_000] {
        let echo = sent(&mut session, ms).unwrap();
        arrive(&mut session, at(ms + 1), target(), echo.as_bytes());
    }
    tick(&mut session, at(30_999));
    assert_eq!(session.report().settled, Settled::default());
    tick(&mut session, at(31_000));
    let settled = |report: &Report| Verdict::ALL.map(|(_, v)| report.settled[v as usize]);
    assert_eq!(settled(&session.report())[..3], [0, 0, 1]);
    arrive(&mut session, at(31_001), target(), text.as_bytes());
    let report = session.report();
    assert_eq!((report.counters.lost, report.counters.late, report.counters.foreign), (1, 0, 1));
    assert_eq!(settled(&session.flow_report(0, true))[..3], [3, 0, 1]);
}

#[test]
fn a_session_listens_for_a_timeout_if_a_probe_is_lost() {
    for (linger_ns, ends_ms) in [(None, 3000), (Some(0), 2000), (Some(9000 * MS), 11_000)] {
        let mut session = Session::new(Config { linger_ns, ..config(2) });
        for ms in [0, 1000] {
            sent(&mut session, ms);
        }
        tick(&mut session, at(2000));
        while !session.is_done(0) {
            let deadline_ns = session.deadline(0).unwrap();
            tick(
                &mut session,
                Stamp { mono_ns: deadline_ns, wall_ns: at(0).wall_ns + deadline_ns },
            );
            assert_eq!((session.done, deadline_ns), (true, ends_ms * MS));
        }
        assert_eq!(session.report().settled.iter().sum::<u64>(), 2);
    }
    // Nothing is left to hear once the last lost probe was answered.
    let mut session = Session::new(Config { linger_ns: None, ..config(1) });
    let text = sent(&mut session, 0).unwrap();
    tick(&mut session, at(1000));
    assert!(!session.is_done(0));
    arrive(&mut session, at(1100), target(), text.as_bytes());
    tick(&mut session, at(1100));
    assert!(session.is_done(0));
    assert_eq!(session.report().counters.late, 1);
}

/// Returns the outages that follow from the verdicts of the probes up to `decided`.
fn outages_of(report: &Report, decided: u64, after: u64) -> Vec<Outage> {
    let (columns, decided) = (report.columns(), usize::try_from(decided).unwrap());
    // Rows are by send time, which a probe that waited for room changes; outages are by number.
    let mut rows: Vec<_> = (0..columns.seq.len()).collect();
    rows.sort_by_key(|row| columns.seq[*row]);
    let answered = |row: &usize| columns.verdict[*row] == Verdict::Answered as u8;
    let runs = rows[..decided].chunk_by(|one, other| answered(one) == answered(other));
    let runs: Vec<_> = runs.collect();
    let sent_ns = |run: &[usize]| columns.sent_ns[run[0]];
    let outage = |(index, run): (usize, &&[usize])| Outage {
        start_ns: sent_ns(run),
        end_ns: runs.get(index + 1).map(|next| sent_ns(next)),
        lost: run.len() as u64,
    };
    let outages = runs.iter().enumerate().map(outage).zip(&runs);
    let outages = outages.filter(|(one, run)| !answered(&run[0]) && one.lost >= after);
    outages.map(|(one, _)| one).collect()
}

#[derive(Clone, Debug)]
enum Happens {
    /// The echo of a probe, maybe with a flipped bit, maybe among words of the server.
    Echo {
        ago: u64,
        flipped: Option<prop::sample::Index>,
        quoted: bool,
        kernel_ms: Option<i64>,
    },
    Datagram {
        text: Vec<u8>,
        of_target: bool,
    },
    /// An answer in the server's own words. `#` is the number of a probe.
    Words {
        text: &'static str,
        ago: u64,
        of_target: bool,
    },
    Icmp {
        ago: Option<u64>,
        kind: u8,
    },
    SendFailed,
    Blocked {
        ago: u64,
    },
    Unblocked {
        ago: u64,
    },
    WallStep(i64),
    Departed {
        ago: u64,
        before_ms: i64,
    },
    Slot,
    Time,
    /// Stop and restart.
    Stop,
}

const WORDS: [&str; 9] = [
    "PONG #",
    "Pong # 1486420330.837133",
    "ping # x",
    "ACK #",
    "Hello client 1",
    "received 24 bytes",
    "HTTP/1.1 200 OK",
    "pong",
    "",
];

fn happens() -> impl Strategy<Value = Happens> {
    let index = prop::option::weighted(0.2, any::<prop::sample::Index>());
    prop_oneof![
        8 => (0..8_u64, index, prop::bool::weighted(0.1), prop::option::of(-5..700_i64)).prop_map(
            |(ago, flipped, quoted, kernel_ms)| Happens::Echo { ago, flipped, quoted, kernel_ms }
        ),
        2 => (prop::collection::vec(any::<u8>(), 0..40), any::<bool>())
            .prop_map(|(text, of_target)| Happens::Datagram { text, of_target }),
        4 => (prop::sample::select(WORDS.to_vec()), 0..8_u64, any::<bool>())
            .prop_map(|(text, ago, of_target)| Happens::Words { text, ago, of_target }),
        1 => (prop::option::of(0..8_u64), prop::sample::select(vec![3, 11]))
            .prop_map(|(ago, kind)| Happens::Icmp { ago, kind }),
        1 => Just(Happens::SendFailed),
        1 => (0..8_u64).prop_map(|ago| Happens::Blocked { ago }),
        1 => (0..8_u64).prop_map(|ago| Happens::Unblocked { ago }),
        1 => (-4_000_000..4_000_000_i64).prop_map(Happens::WallStep),
        2 => (0..8_u64, -5..300_i64)
            .prop_map(|(ago, before_ms)| Happens::Departed { ago, before_ms }),
        2 => Just(Happens::Slot),
        8 => Just(Happens::Time),
        1 => Just(Happens::Stop),
    ]
}

/// Returns whether each decided probe was reported exactly once.
fn reported_once(session: &mut Session) -> bool {
    let told: Vec<_> = verdicts(session).into_iter().map(|(seq, _)| seq).collect();
    let unique: std::collections::HashSet<_> = told.iter().collect();
    let Counters { sent, pending, .. } = session.report.counters;
    told.len() == unique.len() && told.len() as u64 == sent - pending
}

/// Milliseconds between two happenings; long enough for some probes to be settled.
fn passing() -> impl Strategy<Value = i64> {
    prop_oneof![40 => 0..300_i64, 1 => 10_000..40_000_i64]
}

fn schedules() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        Just(Schedule::StopAndWait),
        (1..500_i64).prop_map(|ms| Schedule::Periodic { interval_ns: ms * MS }),
        (1..500_i64, any::<u64>())
            .prop_map(|(ms, seed)| Schedule::Poisson { mean_ns: ms * MS, seed: Some(seed) }),
    ]
}

proptest! {
    #[test]
    fn numbers_add_up_at_every_moment(
        schedule in schedules(),
        size in prop::sample::select(vec![0_usize, 64, 200]),
        duration_ms in prop::option::of(1..30_000_i64),
        outage_after in prop::option::of(1..5_u64),
        story in prop::collection::vec((passing(), happens()), 0..200),
    ) {
        let duration_ns = duration_ms.map(|ms| ms * MS);
        let limits =
            Config { schedule, size, duration_ns, outage_after, events: 1000, ..config(60) };
        let mut session = Session::new(limits.clone());
        // The sum of the stopped sessions, and the number of probes that they sent.
        let (mut before, mut stopped_at) = (Report::default(), 0);
        let mut last = Report::default();
        let (mut ms, mut step_ms, mut texts) = (0, 0, Vec::<Vec<u8>>::new());
        for (passed, event) in story {
            ms += passed;
            let mut now = at(ms);
            now.wall_ns += step_ms * MS;
            let back = |ago: u64| texts.len().checked_sub(usize::try_from(ago).unwrap() + 1);
            let from = |of_target| {
                if of_target { target() } else { "127.0.0.1:1".parse().unwrap() }
            };
            match event {
                Happens::Echo { ago, flipped, quoted, kernel_ms } => {
                    let Some(index) = back(ago) else { continue };
                    let mut text = texts[index].to_ascii_uppercase();
                    if let Some(bit) = flipped {
                        let bit = bit.index(8 * text.len());
                        text[bit / 8] ^= 1 << (bit % 8);
                    }
                    if quoted {
                        text = [b"You said: ", &text[..], b"!"].concat();
                    }
                    let kernel_ns = kernel_ms.map(|before| (ms - before) * MS);
                    let answers = |session: &Session| {
                        let Counters { answered, late, .. } = session.report.counters;
                        answered + late
                    };
                    let before = answers(&session);
                    stamped(&mut session, now, kernel_ns, target(), &text);
                    let damaged = flipped.is_some() && !quoted && index >= stopped_at;
                    prop_assert!(!damaged || answers(&session) == before);
                }
                Happens::Datagram { text, of_target } => {
                    arrive(&mut session, now, from(of_target), &text);
                }
                Happens::Words { text, ago, of_target } => {
                    let seq = session.report.counters.sent.saturating_sub(ago);
                    let text = text.replace('#', &seq.to_string());
                    arrive(&mut session, now, from(of_target), text.as_bytes());
                }
                Happens::Icmp { ago, kind } => {
                    let quoted = ago.and_then(back).map_or(&[][..], |index| &texts[index]);
                    session.on_icmp(0, &Icmp { kind, ..port_unreachable(target(), quoted) });
                }
                Happens::Blocked { ago } => {
                    let Some(index) = back(ago) else { continue };
                    session.on_blocked(0, &texts[index]);
                }
                Happens::Unblocked { ago } => {
                    let Some(index) = back(ago).filter(|index| *index >= stopped_at) else {
                        continue;
                    };
                    session.on_unblocked(0, now, target(), &mut texts[index]);
                }
                Happens::SendFailed => send_failed(&mut session),
                Happens::WallStep(by_ms) => step_ms += by_ms,
                Happens::Departed { ago, before_ms } => {
                    let Some(index) = back(ago) else { continue };
                    session.on_departed(0, &texts[index], (ms - before_ms) * MS);
                }
                Happens::Slot => session.on_time(0, now, i64::MIN),
                Happens::Time => tick(&mut session, now),
                Happens::Stop => {
                    let report = session.flow_report(0, true);
                    let Counters { sent, pending, .. } = report.counters;
                    prop_assert_eq!(report.settled.iter().sum::<u64>(), sent - pending);
                    prop_assert!(report.outages.count >= last.outages.count);
                    prop_assert!(report.outages.total_ns >= last.outages.total_ns);
                    before += &report;
                    last = Report::default();
                    prop_assert!(reported_once(&mut session));
                    session = Session::new(limits.clone());
                    // Replies to the old probes may still arrive.
                    stopped_at = texts.len();
                }
            }
            while let Some((_, datagram)) = transmit(&mut session) {
                texts.push(datagram.to_vec());
            }
            let report = session.report();
            let mut total = before.clone();
            total += &report;
            for (c, sent) in [
                (report.counters, texts.len() - stopped_at),
                (total.counters, texts.len()),
            ] {
                let failed = c.lost + c.refused + c.unreachable + c.send_failed;
                prop_assert_eq!(c.sent, c.answered + c.late + failed + c.pending);
                prop_assert_eq!(c.sent, sent as u64);
                let known = c.answered + c.late + c.duplicates + c.corrupt;
                prop_assert_eq!(c.received, known + c.foreign);
                prop_assert!(c.guessed <= c.answered && (size == 0 || c.guessed == 0));
            }
            prop_assert_eq!(total.counters.answered, total.rtt.count());
            let c = report.counters;
            prop_assert_eq!(c.answered, report.rtt.count());
            prop_assert_eq!(report.kernel_rtt.count(), report.overhead.count());
            // Round trips are measured on the monotonic clock alone.
            prop_assert!(report.rtt.max_ns().is_none_or(|rtt_ns| rtt_ns <= ms * MS));
            prop_assert!(report.kernel_rtt.max_ns() <= report.rtt.max_ns());
            let runs = report.loss_runs;
            let decided = session.decided..=c.sent - c.pending;
            prop_assert!(decided.contains(&(runs.bursts.total + runs.gaps.total)));
            // These only grow, and are never more than are decided.
            for (now, then) in report.settled.iter().zip(last.settled) {
                prop_assert!(*now >= then);
            }
            for (now, then) in [
                (report.outages.count, last.outages.count),
                (report.outages.total_ns.unsigned_abs(), last.outages.total_ns.unsigned_abs()),
                (report.pauses.count, last.pauses.count),
                (report.pauses.total_ns.unsigned_abs(), last.pauses.total_ns.unsigned_abs()),
                (c.sent, last.counters.sent),
                (c.answered, last.counters.answered),
                (c.guessed, last.counters.guessed),
                (c.late, last.counters.late),
                (c.send_failed, last.counters.send_failed),
                (c.received, last.counters.received),
                (c.duplicates, last.counters.duplicates),
                (c.corrupt, last.counters.corrupt),
                (c.foreign, last.counters.foreign),
                (report.missed, last.missed),
            ] {
                prop_assert!(now >= then);
            }
            let outages = outages_of(&report, session.decided, outage_after.unwrap_or(3));
            prop_assert_eq!(&report.outages.listed, &outages);
            prop_assert_eq!(report.outages.count, outages.len() as u64);
            last = report.clone();
            for report in [&report, &total] {
                prop_assert!(unpack::<Report>(&pack(report)).is_some_and(|read| read == *report));
            }
            let columns = report.columns();
            for verdict in [Verdict::Answered, Verdict::Late, Verdict::Pending] {
                let rows = columns.verdict.iter().filter(|v| **v == verdict as u8);
                prop_assert_eq!(rows.map(|_| 1).sum::<u64>(), *session.report.counters.of(verdict));
            }
        }
        prop_assert!(reported_once(&mut session));
    }

    #[test]
    fn a_sum_is_the_report_of_both_runs(
        runs in prop::collection::vec(
            prop::collection::vec((prop::option::of(0..40_i64), 0..5_i64), 0..30), 2,
        ),
    ) {
        let schedule = Schedule::Periodic { interval_ns: 10 * MS };
        // For each probe: the delay of its reply, if there is one, and its lateness in its slot.
        let run = |story: &[(Option<i64>, i64)]| {
            let mut session = Session::new(Config { schedule, ..config(1 + story.len() as u64) });
            let (mut texts, mut replies) = (Vec::new(), Vec::new());
            tick(&mut session, at(0));
            transmit(&mut session);
            for (slot, (delay, late)) in (2..).step_by(2).zip(story) {
                texts.extend(sent(&mut session, slot * 10 + late));
                replies.extend(delay.map(|delay| (slot * 10 + late + delay, texts.len() - 1)));
            }
            replies.sort_unstable();
            for (ms, index) in &replies {
                arrive(&mut session, at(*ms), target(), texts[*index].as_bytes());
            }
            session.on_receive_drops(0, story.len() as u64);
            tick(&mut session, at(5000));
            session.report()
        };
        let reports: Vec<_> = runs.iter().map(|story| run(story)).collect();
        let mut sum = reports[0].clone();
        sum += &reports[1];
        let both = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
        // The outcomes of each run in sending order; neither loss runs nor pairs span the two.
        let outcomes = runs.iter().map(|story| {
            [None].into_iter().chain(story.iter().map(|(delay, _)| *delay)).collect::<Vec<_>>()
        });
        let (mut bursts, mut pairs) = (Vec::new(), Vec::new());
        for outcomes in outcomes {
            let same = outcomes.chunk_by(|one, other| one.is_none() == other.is_none());
            bursts.extend(same.filter(|run| run[0].is_none()).map(<[_]>::len));
            let neighbours = outcomes.windows(2).filter_map(|pair| pair[0].zip(pair[1]));
            pairs.extend(neighbours.map(|(one, other)| one.abs_diff(other) * MS.unsigned_abs()));
        }
        prop_assert_eq!(sum.counters.sent, both(|report| report.counters.sent));
        prop_assert_eq!(sum.counters.lost, bursts.iter().sum::<usize>() as u64);
        prop_assert_eq!(sum.loss_runs.bursts.count, bursts.len() as u64);
        prop_assert_eq!(sum.loss_runs.bursts.max, bursts.iter().max().map(|max| *max as u64));
        #[expect(clippy::cast_precision_loss)]
        let mean = pairs.iter().sum::<u64>() as f64 / pairs.len() as f64;
        prop_assert_eq!(sum.variation.ipdv_abs_mean_ns(), (!pairs.is_empty()).then_some(mean));
        prop_assert_eq!(sum.reordering.reordered(), both(|report| report.reordering.reordered()));
        prop_assert_eq!(
            sum.reordering.max_extent(),
            reports.iter().filter_map(|report| report.reordering.max_extent()).max()
        );
        prop_assert_eq!(sum.missed, both(|report| report.missed));
        prop_assert_eq!(sum.schedule_error.count(), sum.counters.sent);
        prop_assert_eq!(sum.receive_drops, both(|report| report.receive_drops));
        let mut rtts: Vec<_> = runs.iter().flatten().filter_map(|(delay, _)| *delay).collect();
        rtts.sort_unstable();
        let median = (!rtts.is_empty()).then(|| rtts[(rtts.len() - 1) / 2] * MS);
        prop_assert_eq!((sum.rtt.count(), sum.rtt.percentile_ns(50.0)), (rtts.len() as u64, median));
        let columns = reports.iter().map(Report::columns);
        let rows = columns.flat_map(|columns| columns.sent_ns.into_iter().zip(columns.seq));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(sent_ns, _)| *sent_ns);
        let columns = sum.columns();
        prop_assert_eq!(rows, columns.sent_ns.into_iter().zip(columns.seq).collect::<Vec<_>>());
    }
}
