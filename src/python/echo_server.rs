//! `EchoServer`.

use pyo3::prelude::*;

use crate::driver;
use crate::echo::{self, Echo, Limiter, Transform};
use crate::impair;
use crate::net::Endpoint;
use crate::python::args::{self, Integer};
use crate::python::fates::{Columns, Fate, FateColumns};
use crate::python::handle::{Handle, running_object};
use crate::python::link::{Link, LossArg};
use crate::python::value::value;
use crate::{Error, Result};

value! {
    /// How many packets met which fate: received = replied + dropped + send_failed, and the pending of
    /// `truth`.
    EchoCounters in "udpulse.reports" {
        /// Packets that came in.
        received: u64,
        /// Packets answered, each once however many replies it got.
        replied: u64,
        /// Packets not answered on purpose; `truth` tells why.
        dropped: u64,
        /// Packets whose answer this host could not send.
        send_failed: u64,
    }
}

value! {
    /// How many packets met what on one way.
    LinkCounters in "udpulse.reports" {
        /// Packets lost.
        lost: u64,
        /// Packets that came twice.
        duplicated: u64,
        /// Packets of which a bit was flipped.
        corrupted: u64,
        /// Packets held back for others to overtake.
        held: u64,
        /// Packets that found the queue of the rate limit full.
        queue_full: u64,
    }
}

value! {
    /// What an EchoServer did, in numbers that EchoCounters does not tell.
    EchoTruth in "udpulse.reports" {
        /// What happened on the way in.
        uplink: LinkCounters,
        /// What happened on the way back.
        downlink: LinkCounters,
        /// Replies sent, copies included.
        replies: u64,
        /// Packets that are neither answered nor dropped yet: their replies are delayed.
        pending: u64,
        /// Replies that are delayed, copies included.
        delayed: u64,
        /// Packets dropped because an answer could have started a loop.
        unanswerable: u64,
        /// Packets dropped because their source sent more than max_rate.
        limited: u64,
        /// Copies dropped because 64 MiB were delayed already, an equal share of it for each thread.
        delay_line_full: u64,
        /// Packets of clients beyond the first 16,384, which share one stream of random choices.
        crowded: u64,
        /// Datagrams that this host lost before they were read, as far as the system tells.
        receive_drops: u64,
    }
}

impl From<echo::LinkCounters> for LinkCounters {
    fn from(counters: echo::LinkCounters) -> Self {
        let [lost, duplicated, corrupted, held, queue_full] = counters.flags;
        Self { lost, duplicated, corrupted, held, queue_full }
    }
}

/// A UDP server that answers each packet and misbehaves on purpose, repeatably, on both ways.
///
/// host: the address to bind; "" is all interfaces (IPv4), "::" is all (IPv6). On Linux a reply leaves
///     from the address that was asked.
/// port: 0 to 65535; 0 is any free port, see `address`.
/// loss: the loss on the way in: a probability, 0 to 1, "lab" (the lab's rule, a draw from 0 to 10 that
///     is less than 4: 36.36 %), a GilbertElliott or a LossPattern. Short for uplink=Link(loss=...).
/// uplink: the Link from the clients to the server.
/// downlink: the Link back.
/// seed: makes all random choices repeatable (xoshiro256++). A client's choices come from the seed, its
///     IP address and its number among the ports of that address in the order of their first packets;
///     no other client's packets change them.
/// transform: "upper" answers with the ASCII letters raised, as the lab does, "echo" with the request
///     (RFC 862).
/// max_size: a longer packet is cut to so many bytes.
/// max_rate: how many packets a second a source address may send on average, a second's worth at once;
///     what is more is dropped.
/// threads: how many threads serve, each with a socket of its own; more than one only on Linux.
/// log: how many of the last fates are kept; `fates` and `columns` read them, iterating takes them.
///
/// The ways are links in series: a packet enters the downlink when it comes out of the uplink, and what
/// is held there holds up nothing here. All random choices are made when it comes, in the order of
/// arrival, and do not depend on time. No answer goes to source ports where it could start a loop (0, 7,
/// 13, 17, 19, 37) or to a server of this process that answers.
/// On Linux answers leave with a TTL of 200, and in one of 64 calls what comes with 169 to 200 hops left
/// is taken for an answer of another process's server and gets none: a loop of two ends.
/// Iterating gives each packet's Fate as it is complete: when its last reply has left.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct EchoServer {
    endpoint: Endpoint,
    threads: usize,
    config: echo::Config,
    handle: Handle<Echo>,
}

impl EchoServer {
    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let start = |address| driver::echo::start(address, self.threads, self.config.clone());
        self.handle.launch(py, &self.endpoint, start)
    }
}

running_object!(EchoServer: Fate {
    #[new]
    #[pyo3(
        signature = (
            host = "127.0.0.1".to_owned(), port = Integer::new(12_000), *,
            loss = LossArg::Probability(0.0), uplink = None, downlink = None, seed = None,
            transform = "upper", max_size = Integer::new(65_507), max_rate = None,
            threads = Integer::new(1), log = Integer::new(0),
        ),
        text_signature = "(host='127.0.0.1', port=12000, *, loss=0.0, uplink=None, downlink=None, \
                          seed=None, transform='upper', max_size=65507, max_rate=None, threads=1, \
                          log=0)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    #[expect(clippy::too_many_arguments, reason = "all but two have names")]
    fn new(
        host: String,
        port: Integer,
        loss: LossArg,
        uplink: Option<Link>,
        downlink: Option<Link>,
        seed: Option<Integer>,
        transform: &str,
        max_size: Integer,
        max_rate: Option<f64>,
        threads: Integer,
        log: Integer,
    ) -> Result<Self> {
        let loss = loss.model()?;
        let uplink = match uplink {
            None => impair::Link { loss, ..impair::Link::default() },
            Some(link) if loss == impair::Loss::Never => link.model,
            Some(_) => {
                return Err(Error::argument("loss", "given beside it", "part of uplink"));
            }
        };
        let config = echo::Config {
            uplink,
            downlink: downlink.map(|link| link.model).unwrap_or_default(),
            seed: args::seed(seed.as_ref())?,
            transform: match transform {
                "upper" => Transform::Upper,
                "echo" => Transform::Echo,
                _ => {
                    let value = format!("'{transform}'");
                    return Err(Error::argument("transform", value, "'upper' or 'echo'"));
                }
            },
            max_size: max_size.within("max_size", 0..=65_507)?,
            limiter: max_rate.map(Limiter::new).transpose()?,
            log: log.within("log", 0..=u64::from(u32::MAX))?,
            ..echo::Config::default()
        };
        let threads = threads.within("threads", 1..=256)?;
        let endpoint = args::local(host, &port)?;
        Ok(Self { endpoint, threads, config, handle: Handle::new("EchoServer") })
    }

    /// How many packets met which fate since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> EchoCounters {
        let counters = self.handle.look(py, |echo| echo.counters());
        let echo::Counters { received, replied, dropped, send_failed } = counters;
        EchoCounters { received, replied, dropped, send_failed }
    }

    /// What happened to packets since the last start, way by way.
    #[getter]
    fn truth(&self, py: Python<'_>) -> EchoTruth {
        let truth = self.handle.look(py, |echo| echo.truth());
        let echo::Truth { replies, pending, unanswerable, limited, delay_line_full, .. } = truth;
        let echo::Truth { uplink, downlink, delayed, crowded, receive_drops, .. } = truth;
        EchoTruth {
            uplink: uplink.into(),
            downlink: downlink.into(),
            replies,
            pending,
            delayed,
            unanswerable,
            limited,
            delay_line_full,
            crowded,
            receive_drops,
        }
    }

    /// The fates in the log that nobody has taken by iterating, as a list, from the oldest.
    ///
    /// They stay in the log; `overflowed` tells how many older ones fell off it.
    fn fates(&self, py: Python<'_>) -> Vec<Fate> {
        self.handle.look(py, |echo| echo.fates().map(Fate::from).collect())
    }

    /// The same as NumPy arrays.
    fn columns(&self, py: Python<'_>) -> PyResult<FateColumns> {
        self.handle.look(py, |echo| Columns::of(echo.fates())).into_python(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let EchoCounters { received, replied, dropped, .. } = self.counters(py);
        let what = self.handle.describe(&self.endpoint);
        format!("{what}, received={received}, replied={replied}, dropped={dropped})")
    }
});
