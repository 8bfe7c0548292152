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

/// The buffers grow in fewer steps.
const PASSES: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    // New clients cost nothing, except a path for each if fates are kept.
    assert_none(Config::default(), PASSES)?;
    assert_none(Config { keep: 16, ..Config::default() }, 1)
}

/// Asserts that in one of several passes nothing is allocated. The buffers grow with the bursts of
/// the first ones. The passes take turns with `groups` groups of clients.
fn assert_none(config: Config, groups: usize) -> Result<(), Box<dyn Error>> {
    let server = start("127.0.0.1:0".parse()?, 1, config, None)?;
    let client = |_| {
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.connect(server.address())?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(client)
    };
    let clients: Vec<_> = (0..8 * groups).map(client).collect::<io::Result<_>>()?;
    let mut calls = Vec::with_capacity(PASSES);
    for group in clients.chunks(8).cycle().take(PASSES) {
        let before = CALLS.load(Ordering::Relaxed);
        for window in [1, 2, 10, 10, 10, 1] {
            exchange(group, window)?;
        }
        calls.push(CALLS.load(Ordering::Relaxed) - before);
    }
    // Other platforms receive one by one, and allocate for each.
    let allocates = cfg!(any(feature = "portable", not(target_os = "linux")));
    assert!(calls.contains(&0) || allocates, "{calls:?}");
    Ok(())
}
