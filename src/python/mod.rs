//! Python bindings, the only code that names Python: one file per class, waiting, error conversion.

#![expect(clippy::doc_markdown, reason = "docstrings are read in Python's help, without markup")]

mod args;
mod capture;
mod directions;
mod distribution;
mod echo_server;
mod error;
mod events;
mod fates;
mod field;
mod fit;
mod handle;
mod heartbeat_client;
mod heartbeat_server;
mod json;
mod jsonlines;
mod keys;
mod link;
mod metrics;
mod options;
mod outages;
mod path;
mod paths;
mod ping_client;
mod ping_many;
mod ping_report;
mod probe;
mod relay;
mod report_line;
mod stamp_reflector;
mod stamp_sender;
mod table;
mod timeline;
mod value;
mod wait;

#[pyo3::pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::directions::{Direction, ReflectorClock, ReflectorTraits};
    #[pymodule_export]
    use super::distribution::{Distribution, Runs};
    #[pymodule_export]
    use super::echo_server::{EchoCounters, EchoServer, EchoTruth, LinkCounters};
    #[pymodule_export]
    use super::events::{
        Busy, ClockStepped, Conflict, Down, Failed, Heard, Ignored, LateBeat, Lost, MassSilence,
        Missing, Moved, Paused, Recovered, Restarted, Stalled, Stopped, Suspect, TooOften, Up,
    };
    #[pymodule_export]
    use super::fates::{Fate, Reply};
    #[pymodule_export]
    use super::fit::fit;
    #[pymodule_export]
    use super::handle::Waiter;
    #[pymodule_export]
    use super::heartbeat_client::{
        _end_clients, Beat, HeartbeatClient, HeartbeatClientCounters, Progress, Unheard,
    };
    #[pymodule_export]
    use super::heartbeat_server::{HeartbeatServer, HeartbeatServerCounters, Peer};
    #[pymodule_export]
    use super::jsonlines::Lines;
    #[pymodule_export]
    use super::keys::Keys;
    #[pymodule_export]
    use super::link::{
        Exponential, GilbertElliott, Link, LossPattern, Normal, Pareto, Quantiles, RateLimit,
        Reordering, Rule, TimedGilbertElliott, TraceRate, Uniform,
    };
    #[pymodule_export]
    use super::metrics::exposition;
    #[pymodule_export]
    use super::outages::{Outage, OutageEnded, OutageStarted, Pause};
    #[pymodule_export]
    use super::path::{AddressChange, HeaderField};
    #[pymodule_export]
    use super::paths::LinkOutage;
    #[pymodule_export]
    use super::ping_client::{PingClient, async_ping, ping};
    #[pymodule_export]
    use super::ping_many::{PingSweep, async_ping_many, ping_many};
    #[pymodule_export]
    use super::ping_report::{PingCounters, PingReport};
    #[pymodule_export]
    use super::probe::{Probe, Revised};
    #[pymodule_export]
    use super::relay::{Relay, RelayCounters, RelayTruth, SessionEnded};
    #[pymodule_export]
    use super::stamp_reflector::{
        Reflected, StampReflector, StampReflectorCounters, StampReflectorTruth, StampSession,
    };
    #[pymodule_export]
    use super::stamp_sender::{StampSender, async_stamp, stamp};
    #[pymodule_export]
    use super::table::Table;
    #[pymodule_export]
    use super::timeline::{Step, StepDone};

    #[pymodule_export]
    use super::value::restore;

    #[pymodule_export]
    const VERDICTS: (&str, &str, &str, &str, &str, &str, &str) = {
        let [a, b, c, d, e, f, g] = crate::ping::Verdict::ALL;
        (a.0, b.0, c.0, d.0, e.0, f.0, g.0)
    };

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
