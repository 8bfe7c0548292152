//! The ping client: sends numbered probes, matches replies and accounts for each probe.

mod capture;
mod directions;
mod flows;
mod message;
mod outages;
mod path;
mod pauses;
mod probe_log;
mod rare;
mod report;
mod schedule;
mod session;
mod steps;
mod sweep;
mod tally;

pub use capture::POINTS;
pub use directions::{ClockReport, Direction, Directions, Quirk, Reflector, Ways};
pub use flows::Flows;
pub use message::{Fill, MIN_TOKEN_SIZE, Protocol, Reflection, Signer};
pub use outages::{Outage, Outages};
pub use path::{Change, Changes, End, HeaderField, Path, Reason, Troubles, describe};
pub use pauses::{Pause, Pauses};
pub use probe_log::{Columns, Row};
pub use rare::{Blank, Rare};
pub use report::{Counters, Report};
pub use schedule::Schedule;
pub use session::{Config, Event, Probe, Session, Snapshot, Verdict};
pub use steps::WallSteps;
pub use sweep::{Sweep, SweepConfig, SweepEvent};
pub use tally::Tally;
