//! A running echo server allocates nothing per datagram, with a log neither. A program of its own,
//! because the threads of a test harness allocate, too.

#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use udpulse::driver::echo::start;
use udpulse::echo::Config;

/// The system's allocator, with a count of all threads' calls.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends `window` datagrams from each client and waits for all echoes.
fn exchange(clients: &[UdpSocket], window: usize) -> io::Result<()> {
    for client in clients {
        for _ in 0..window {
            client.send(b"ping")?;
        }
    }
    for client in clients {
        for _ in 0..window {
            assert_eq!(client.recv(&mut [0; 9])?, 4);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first datagram makes the buffers, and the first ones the log and a path for each client.
    assert_none(Config::default(), 1)?;
    assert_none(Config { keep: 16, ..Config::default() }, 8)
}

/// Asserts that nothing is allocated after a few datagrams of the first `known` clients.
fn assert_none(config: Config, known: usize) -> Result<(), Box<dyn Error>> {
    let server = start("127.0.0.1:0".parse()?, 1, config, None)?;
    let client = |_| {
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.connect(server.address())?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(client)
    };
    let clients: Vec<_> = (0..8).map(client).collect::<io::Result<_>>()?;
    exchange(&clients[..known], known)?;
    let before = CALLS.load(Ordering::Relaxed);
    for window in [1, 2, 10, 10, 10, 1] {
        exchange(&clients, window)?;
    }
    let calls = CALLS.load(Ordering::Relaxed) - before;
    // Other platforms receive one by one, and allocate for each.
    assert!(calls == 0 || cfg!(any(feature = "portable", not(target_os = "linux"))), "{calls}");
    Ok(())
}
