//! Tests of the batch socket, on each platform.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use super::{Batch, BatchSocket, Options, Outbox, Port, Wake, now};

fn bound(options: Options) -> BatchSocket {
    BatchSocket::bind("127.0.0.1:0".parse().unwrap(), options).unwrap()
}

fn client(server: &BatchSocket) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

/// Receives `count` datagrams and sends them back unchanged.
fn echo(server: &mut BatchSocket, count: usize) {
    let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
    let mut left = count;
    while left > 0 {
        assert_eq!(server.receive(&mut batch, None, false), Wake::Datagrams);
        for arrival in batch.arrivals() {
            let at = arrival.offset..arrival.offset + arrival.datagram.len();
            outbox.push(arrival.from, arrival.to, at);
            left -= 1;
        }
        server.send(&mut outbox, batch.memory(), |unsent| panic!("{unsent:?}"));
        assert!(outbox.is_empty());
    }
}

#[test]
fn a_wake_up_ends_a_wait() {
    let mut server = bound(Options::default());
    let (waker, mut batch) = (server.waker(), Batch::default());
    for deadline in [None, Some(i64::MAX)] {
        let waker = waker.clone();
        let thread = thread::spawn(move || waker.wake());
        assert_eq!(server.receive(&mut batch, deadline, false), Wake::Idle);
        thread.join().unwrap();
    }
    assert!(batch.is_empty());
}

#[test]
fn a_refusing_socket_keeps_its_port() {
    let mut server = bound(Options::default());
    let client = client(&server);
    for _ in 0..2 {
        server.refuse(true);
        // The first finds a closed port; the kernel reports that to the next call.
        let refused = || client.send(b"x").and_then(|_| client.recv(&mut [0; 9]));
        assert_eq!(refused().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        server.refuse(false);
        client.send(b"x").unwrap();
        echo(&mut server, 1);
        assert_eq!(client.recv(&mut [0; 9]).unwrap(), 1);
    }
}

#[test]
fn mixed_lengths_of_many_clients_come_back_whole_and_in_order() {
    for offload in [false, true] {
        let mut server = bound(Options { offload, kernel_stamps: true, ..Options::default() });
        let clients: Vec<_> = (0..7).map(|_| client(&server)).collect();
        let datagram = |client: usize, i: usize| {
            // Zero, equal and falling lengths, and some longer ones.
            let length = [0, 40, 40, 40, 7, 1400, 1400, 3000][i % 8];
            vec![u8::try_from(client * 30 + i).unwrap(); length]
        };
        for eight in 0..3 {
            for i in 0..8 {
                for (number, client) in clients.iter().enumerate() {
                    client.send(&datagram(number, 8 * eight + i)).unwrap();
                }
            }
            // No more than a small receive buffer holds.
            echo(&mut server, 7 * 8);
        }
        let mut buffer = vec![0; 65_536];
        for (number, client) in clients.iter().enumerate() {
            for i in 0..24 {
                let length = client.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..length], datagram(number, i), "{number} {i}");
            }
        }
        let drops = server.interrupter().drop_gauge().read();
        assert_eq!(drops.unwrap_or_default(), 0);
    }
}

#[test]
fn arrivals_are_stamped_in_order_between_sending_and_reading() {
    for kernel_stamps in [false, true] {
        let mut server = bound(Options { kernel_stamps, ..Options::default() });
        let client = client(&server);
        let before = now();
        for _ in 0..10 {
            client.send(b"x").unwrap();
        }
        let (mut batch, mut stamps) = (Batch::default(), Vec::new());
        while stamps.len() < 10 {
            assert_eq!(server.receive(&mut batch, None, false), Wake::Datagrams);
            stamps.extend(batch.arrivals().map(|arrival| arrival.at()));
        }
        assert!(stamps.is_sorted_by_key(|at| at.mono_ns));
        // The kernel's stamps are converted with an error up to the time between two readings.
        let doubt = 1_000_000;
        assert!(stamps[0].mono_ns >= before.mono_ns - doubt);
        assert!(stamps[9].mono_ns <= now().mono_ns);
    }
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut server = bound(Options::default());
    let mut batch = Batch::default();
    assert_eq!(server.receive(&mut batch, Some(now().mono_ns), false), Wake::Idle);
    let deadline = now().mono_ns + 1_000_000;
    assert_eq!(server.receive(&mut batch, Some(deadline), false), Wake::Idle);
    assert!(now().mono_ns >= deadline);
    client(&server).send(b"x").unwrap();
    assert_eq!(server.receive(&mut batch, Some(i64::MAX), false), Wake::Datagrams);
}

#[test]
fn an_interruption_ends_all_waits() {
    for deadline in [None, Some(i64::MAX)] {
        let mut server = bound(Options::default());
        let interrupter = server.interrupter();
        let thread = thread::spawn(move || {
            let mut batch = Batch::default();
            [(); 2].map(|()| server.receive(&mut batch, deadline, false))
        });
        interrupter.interrupt();
        assert_eq!(thread.join().unwrap(), [Wake::Interrupted; 2]);
    }
}

#[test]
fn unsent_datagrams_are_reported() {
    let mut server = bound(Options::default());
    let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut outbox = Outbox::default();
    outbox.push(nowhere, None, 0..2);
    outbox.push(client.local_addr().unwrap(), None, 2..4);
    outbox.push(nowhere, None, 4..6);
    let mut failed = Vec::new();
    server.send(&mut outbox, b"abcdef", |unsent| failed.push(unsent.at));
    assert_eq!(failed, [0..2, 4..6]);
    let mut buffer = [0; 8];
    assert_eq!(client.recv(&mut buffer).unwrap(), 2);
    assert_eq!(&buffer[..2], b"cd");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = bound(Options::default());
    let error = BatchSocket::bind(taken.local_address(), Options::default()).unwrap_err();
    let expected = format!("cannot bind {}: Address already in use", taken.local_address());
    assert_eq!(error.to_string(), expected);
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux {
    use super::*;
    use crate::Local;

    #[test]
    fn answers_leave_from_the_address_that_was_asked() {
        for (any, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.2")] {
            let options = Options { answers: true, ..Options::default() };
            let mut server = BatchSocket::bind(any.parse().unwrap(), options).unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let asked: SocketAddr =
                format!("{asked}:{}", server.local_address().port()).parse().unwrap();
            for length in [1, 5, 5] {
                client.send_to(&vec![7; length], asked).unwrap();
            }
            echo(&mut server, 3);
            for length in [1, 5, 5] {
                let mut buffer = [0; 8];
                assert_eq!(client.recv_from(&mut buffer).unwrap(), (length, asked));
            }
        }
    }

    #[test]
    fn each_datagram_is_received_or_counted_as_dropped() {
        // More than the queue holds.
        const COUNT: u64 = 30_000;
        let mut server = bound(Options::default());
        let (client, gauge) = (client(&server), server.interrupter().drop_gauge());
        assert_eq!(gauge.read(), Some(0));
        for _ in 0..COUNT {
            client.send(b"x").unwrap();
        }
        let (mut batch, mut received) = (Batch::default(), 0);
        while server.receive(&mut batch, Some(0), false) == Wake::Datagrams {
            received += batch.len() as u64;
        }
        assert!(received < COUNT);
        assert_eq!(gauge.read(), Some(COUNT - received));
        drop(server);
        assert_eq!(gauge.read(), None);
    }

    #[test]
    fn a_group_from_a_foreign_source_fails_whole() {
        let mut server =
            BatchSocket::bind("0.0.0.0:0".parse().unwrap(), Options::default()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut outbox = Outbox::default();
        let strange = Some(Local { ip: "192.0.2.1".parse().unwrap(), interface: 0 });
        outbox.push(client, strange, 0..2);
        outbox.push(client, strange, 2..4);
        let mut failed = Vec::new();
        server.send(&mut outbox, b"abcd", |unsent| failed.push(unsent.at));
        assert_eq!(failed, [0..2, 2..4]);
    }

    #[test]
    fn a_port_can_be_shared() {
        let shared = Options { shared: true, ..Options::default() };
        let first = bound(shared);
        let second = BatchSocket::bind(first.local_address(), shared).unwrap();
        assert_eq!(second.local_address(), first.local_address());
    }

    #[test]
    fn an_answer_is_detected_within_64_receives_and_each_that_follows() {
        let options = Options { answers: true, ..Options::default() };
        let (mut server, mut other) = (bound(options), bound(options));
        let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
        let mut seen = 0;
        for i in 0..128 {
            if i > 0 {
                // A timed wait looks before it sleeps.
                assert_eq!(server.receive(&mut batch, Some(0), false), Wake::Idle);
            }
            outbox.push(server.local_address(), None, 0..1);
            other.send(&mut outbox, b"a", |unsent| panic!("{unsent:?}"));
            assert_eq!(server.receive(&mut batch, None, false), Wake::Datagrams);
            seen += batch.bursts.iter().filter(|burst| burst.is_answer).count();
        }
        assert_eq!(seen, 1 + 64);
    }
}
