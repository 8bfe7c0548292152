//! The two ends that `echo.py` needs besides the servers it compares: a naive server, and a load.
//!
//! `naive` serves and says its port. `load HOST:PORT CLIENTS WINDOW COUNT LENGTH plain|gso [PID]` keeps
//! WINDOW datagrams of each client under way until COUNT came back and says how many seconds that took. With
//! the PID of the server it stops that while it sends, so that the server finds its queue full.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};

use udpulse::net::{Batch, BatchSocket, Options, Outbox, Waited, now};

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["naive"] => naive(),
        ["load", server, clients, window, count, length, how, ref pid @ ..] => load(
            server.parse().map_err(io::Error::other)?,
            [clients, window, count, length].map(|n| n.parse().expect("a number")),
            how == "gso",
            pid.first().copied(),
        ),
        // Run by `cargo bench` or `cargo test` without arguments: nothing to do.
        _ => Ok(()),
    }
}

/// What anybody would write.
fn naive() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", socket.local_addr()?.port())?;
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        buffer[..length].make_ascii_uppercase();
        socket.send_to(&buffer[..length], client)?;
    }
}

fn signal(pid: &str, name: &str) -> io::Result<()> {
    std::process::Command::new("kill").args([name, pid]).status().map(|_| ())
}

fn load(
    server: SocketAddr,
    [clients, window, count, length]: [usize; 4],
    gso: bool,
    pid: Option<&str>,
) -> io::Result<()> {
    let options = Options { offload: gso, ..Options::default() };
    let any = "127.0.0.1:0".parse().expect("an address");
    let sockets: Result<Vec<_>, _> =
        (0..clients).map(|_| BatchSocket::bind(any, options)).collect();
    let mut sockets = sockets.map_err(io::Error::other)?;
    // A message of sockperf's that asks for an answer: number, flags, length; then anything.
    let mut message = [&1_u64.to_be_bytes()[..], &3_u16.to_be_bytes()].concat();
    message.extend(u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
    message.resize(length, b'a');
    let memory = message.repeat(window);
    let mut outbox = if gso { Outbox::default() } else { Outbox::ungrouped() };
    let mut batch = Batch::default();
    let mut send = |socket: &mut BatchSocket, datagrams: usize| {
        for i in 0..datagrams {
            outbox.push(server, None, i * length..(i + 1) * length);
        }
        socket.send(&mut outbox, &memory, |_| {});
    };
    let start = now();
    let mut came = 0;
    if let Some(pid) = pid {
        while came < count {
            signal(pid, "-STOP")?;
            // In turns: the server finds the clients interleaved.
            for _ in 0..window {
                for socket in &mut sockets {
                    send(socket, 1);
                }
            }
            signal(pid, "-CONT")?;
            for socket in &mut sockets {
                let mut left = window;
                while left > 0 {
                    // What the server loses on purpose does not come.
                    let got = receive(socket, &mut batch, 10_000_000);
                    left = if got == 0 { 0 } else { left.saturating_sub(got) };
                    came += got;
                }
            }
        }
    } else {
        for socket in &mut sockets {
            send(socket, window);
        }
        while came < count {
            for socket in &mut sockets {
                // Half a window at once: the load must not be what is slow.
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
    }
    let seconds = udpulse::seconds(now().mono_ns - start.mono_ns);
    writeln!(io::stdout(), "{came} {seconds}")
}

/// How many datagrams came, within so many nanoseconds. Spins: a load that sleeps measures wake-ups.
fn receive(socket: &mut BatchSocket, batch: &mut Batch, patience_ns: i64) -> usize {
    let deadline = now().mono_ns + patience_ns;
    while now().mono_ns < deadline {
        if socket.receive(batch, Some(i64::MIN)) == Waited::Received {
            return batch.datagrams().count();
        }
    }
    0
}
