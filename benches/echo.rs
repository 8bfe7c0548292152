//! The cost of an echo, against a naive server and the least work that the kernel allows; and two
//! programs for `echo.py`.
//!
//! `cargo bench --no-default-features --bench echo` fills a server's queue with 256 datagrams and
//! lets it answer them, in one thread and in turns with the others; only the server's CPU time
//! counts. `naive` serves and prints its port. `load HOST:PORT CLIENTS WINDOW COUNT LENGTH
//! plain|gso|single` keeps WINDOW datagrams of each client in flight until COUNT have returned, and
//! prints their number, the seconds taken and the seconds spent sending. `single` sends one datagram
//! for each reply, in a call of its own.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};

use udpulse::net::{Batch, BatchSocket, Options, Outbox, Port, Wake, now};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "echo/queue.rs"]
mod queue;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["naive"] => naive()?,
        ["load", server, clients, window, count, length, how] => {
            let numbers = [clients, window, count, length].map(|n| n.parse().expect("a number"));
            let server = server.parse()?;
            if how == "single" {
                load_singly(server, numbers)?;
            } else {
                load(server, numbers, how == "gso")?;
            }
        }
        #[cfg(all(target_os = "linux", not(feature = "portable")))]
        _ => queue::compare()?,
        #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
        _ => {}
    }
    Ok(())
}

/// The obvious server.
fn naive() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", socket.local_addr()?.port())?;
    let mut buffer = [0; 2048];
    loop {
        serve_one(&socket, &mut buffer)?;
    }
}

fn serve_one(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    let (length, client) = socket.recv_from(buffer)?;
    buffer[..length].make_ascii_uppercase();
    socket.send_to(&buffer[..length], client).map(drop)
}

fn load(
    server: SocketAddr,
    [clients, window, count, length]: [usize; 4],
    gso: bool,
) -> io::Result<()> {
    let options = Options { offload: gso, ..Options::default() };
    let any = "127.0.0.1:0".parse().expect("an address");
    let sockets: Result<Vec<_>, _> =
        (0..clients).map(|_| BatchSocket::bind(any, options)).collect();
    let mut sockets = sockets.map_err(io::Error::other)?;
    let memory = message(length)?.repeat(window);
    let mut outbox = if gso { Outbox::default() } else { Outbox::ungrouped() };
    let mut batch = Batch::default();
    let mut sending_ns = 0;
    let mut send = |socket: &mut BatchSocket, datagrams: usize| {
        for i in 0..datagrams {
            outbox.push(server, None, i * length..(i + 1) * length);
        }
        let start = now();
        socket.send(&mut outbox, &memory, |_| {});
        sending_ns += now().mono_ns - start.mono_ns;
    };
    // sockperf does not say when it is ready.
    loop {
        send(&mut sockets[0], 1);
        if receive(&mut sockets[0], &mut batch, 100_000_000) > 0 {
            break;
        }
    }
    let start = now();
    let mut came = 0;
    for socket in &mut sockets {
        send(socket, window);
    }
    while came < count {
        for socket in &mut sockets {
            // Half a window at a time, so that the load is not the bottleneck.
            let mut got = 0;
            while got < window.div_ceil(2) {
                match receive(socket, &mut batch, 200_000_000) {
                    // A loss must not stop the load.
                    0 => got = window,
                    more => {
                        got += more;
                        came += more;
                    }
                }
            }
            send(socket, got.min(window));
        }
    }
    let seconds = udpulse::seconds(now().mono_ns - start.mono_ns);
    writeln!(io::stdout(), "{came} {seconds} {}", udpulse::seconds(sending_ns))
}

/// Returns a sockperf message that asks for an answer: number, flags, length, then padding.
fn message(length: usize) -> io::Result<Vec<u8>> {
    let mut message = [&1_u64.to_be_bytes()[..], &3_u16.to_be_bytes()].concat();
    message.extend(u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
    message.resize(length, b'a');
    Ok(message)
}

/// Keeps windows full like `load`, but each call sends or receives one datagram. Nothing else is done
/// meanwhile, so the time spent sending is not known.
fn load_singly(server: SocketAddr, [clients, window, count, length]: [usize; 4]) -> io::Result<()> {
    /// As many empty receives in a row as take about 0.2 s.
    const PATIENCE: usize = 1 << 20;
    let connected = |_| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        socket.connect(server).map(|()| socket)
    };
    let sockets: Vec<_> = (0..clients).map(connected).collect::<io::Result<_>>()?;
    let (message, mut buffer) = (message(length)?, vec![0; 2048]);
    // sockperf does not say when it is ready.
    let mut came = |socket: &UdpSocket| socket.recv(&mut buffer).is_ok();
    loop {
        let _ = sockets[0].send(&message);
        if (0..PATIENCE).any(|_| came(&sockets[0])) {
            break;
        }
    }
    let start = now();
    let (mut done, mut empty) = (0, PATIENCE);
    while done < count {
        // At the start; and a loss must not stop the load.
        if empty >= PATIENCE {
            empty = 0;
            for socket in &sockets {
                (0..window).for_each(|_| drop(socket.send(&message)));
            }
        }
        for socket in &sockets {
            if came(socket) {
                let _ = socket.send(&message);
                done += 1;
                empty = 0;
            } else {
                empty += 1;
            }
        }
    }
    let seconds = udpulse::seconds(now().mono_ns - start.mono_ns);
    writeln!(io::stdout(), "{done} {seconds} nan")
}

/// Returns how many datagrams arrive within `patience_ns`. Spins, because a load that sleeps
/// measures wakeups.
fn receive(socket: &mut BatchSocket, batch: &mut Batch, patience_ns: i64) -> usize {
    let deadline = now().mono_ns + patience_ns;
    while now().mono_ns < deadline {
        if socket.receive(batch, Some(i64::MIN), false) == Wake::Datagrams {
            return batch.arrivals().count();
        }
    }
    0
}
