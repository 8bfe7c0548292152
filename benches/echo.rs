//! The cost of an echo, against a naive server and the least work that the kernel allows.
//!
//! `cargo bench --no-default-features --bench echo` fills a server's queue with 256 datagrams and
//! lets it answer them, in one thread and in turns with the others; only the server's CPU time
//! counts.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "echo/queue.rs"]
mod queue;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    queue::compare()
}

#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
fn main() {}
