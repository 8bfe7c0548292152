//! Fuzz targets: each feeds bytes to a parser, or lets them drive a state machine, and asserts what
//! must hold whatever they are.
//!
//! The programs of `fuzz_targets/` call them, and so does `tests/fuzz.rs` with the seeds.

mod beat;
mod clock;
mod detector;
mod echo;
mod fit;
mod heartbeat_client;
mod heartbeat_server;
mod input;
mod keys;
mod link;
mod pcapng;
mod prefix;
mod probe;
mod reflector;
mod relay;
mod report;
mod session;
mod signed;
mod stamp;
mod sweep;
mod template;
mod text;
mod world;

/// Runs a target on bytes.
pub type Run = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Run); 20] = [
    ("beat", beat::run),
    ("clock", clock::run),
    ("detector", detector::run),
    ("echo", echo::run),
    ("fit", fit::run),
    ("heartbeat_client", heartbeat_client::run),
    ("heartbeat_server", heartbeat_server::run),
    ("keys", keys::run),
    ("pcapng", pcapng::run),
    ("prefix", prefix::run),
    ("probe", probe::run),
    ("reflector", reflector::run),
    ("relay", relay::run),
    ("report", report::run),
    ("session", session::run),
    ("signed", signed::run),
    ("stamp", stamp::run),
    ("sweep", sweep::run),
    ("template", template::run),
    ("text", text::run),
];

/// Runs the target of a name.
///
/// # Panics
/// If there is none, or the target finds something.
pub fn run(name: &str, data: &[u8]) {
    let (_, run) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    run(data);
}
