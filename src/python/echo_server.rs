//! `EchoServer`.

use pyo3::prelude::*;

use crate::echo::{self, Echo};
use crate::impair::Loss;
use crate::net::{Endpoint, Socket};
use crate::python::args::{self, Integer};
use crate::python::handle::{Handle, running_object};
use crate::python::value::{Address, address, value};
use crate::{Error, Result, seconds};

value! {
    /// How many packets met which fate: received = replied + dropped + send_failed.
    EchoCounters {
        /// Packets that came in.
        received: u64,
        /// Packets answered.
        replied: u64,
        /// Packets lost on purpose.
        dropped: u64,
        /// Packets whose answer this host could not send.
        send_failed: u64,
    }
}

value! {
    /// What an EchoServer did to a packet.
    Fate {
        /// When it came, in seconds since the Unix epoch.
        time: f64,
        /// The (host, port) that it came from.
        client: Address,
        /// Whether it was lost on purpose.
        dropped: bool,
        /// Its payload in upper case: what the answer is, or would have been; at most 1024 bytes.
        message: Vec<u8>,
    }
}

/// A UDP server that answers each packet with its text in upper case, or loses it on purpose.
///
/// host: the address to bind; "" is all interfaces (IPv4), "::" is all (IPv6).
/// port: 0 to 65535; 0 is any free port, see `address`.
/// loss: the probability, 0 to 1, that a packet is not answered; "lab" is the lab's rule, a draw
///     from 0 to 10 that is less than 4 (36.36 %).
/// seed: makes the choice of the lost packets repeatable (xoshiro256++).
/// max_size: a longer packet is cut to so many bytes.
/// log: how many of the last fates are kept; iterating reads and removes them.
///
/// Only ASCII letters are raised. Iterating gives each packet's Fate as it is decided.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, module = "udpulse")]
pub(super) struct EchoServer {
    endpoint: Endpoint,
    config: echo::Config,
    handle: Handle<Echo>,
}

/// A loss as Python names it.
#[derive(FromPyObject)]
pub(super) enum LossArg {
    Probability(f64),
    Name(String),
}

impl LossArg {
    fn model(self) -> Result<Loss> {
        match self {
            Self::Probability(p) => Loss::bernoulli("loss", p),
            Self::Name(name) if name == "lab" => Ok(Loss::Lab),
            Self::Name(name) => {
                let allowed = "a probability from 0 to 1 or 'lab'";
                Err(Error::argument("loss", format!("'{name}'"), allowed))
            }
        }
    }
}

impl EchoServer {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let machine = |_: &Socket| Echo::new(self.config.clone());
        self.handle.start(py, &self.endpoint, Socket::bind, machine)
    }
}

impl From<echo::Fate> for Fate {
    fn from(fate: echo::Fate) -> Self {
        Self {
            time: seconds(fate.at.wall_ns),
            client: address(fate.client),
            dropped: fate.dropped,
            message: fate.message.into(),
        }
    }
}

running_object!(EchoServer: Fate {
    #[new]
    #[pyo3(
        signature = (
            host = "127.0.0.1".to_owned(), port = Integer::new(12_000), *,
            loss = LossArg::Probability(0.0), seed = None,
            max_size = Integer::new(65_507), log = Integer::new(0),
        ),
        text_signature = "(host='127.0.0.1', port=12000, *, loss=0.0, seed=None, max_size=65507, \
                          log=0)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn new(
        host: String,
        port: Integer,
        loss: LossArg,
        seed: Option<Integer>,
        max_size: Integer,
        log: Integer,
    ) -> Result<Self> {
        let config = echo::Config {
            loss: loss.model()?,
            seed: args::seed(seed.as_ref())?,
            max_size: max_size.within("max_size", 0..=65_507)?,
            log: log.within("log", 0..=u64::from(u32::MAX))?,
        };
        let endpoint = args::local(host, &port)?;
        Ok(Self { endpoint, config, handle: Handle::new("EchoServer") })
    }

    /// How many packets met which fate since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> EchoCounters {
        let counters = self.handle.look(py, |echo| echo.counters());
        let echo::Counters { received, replied, dropped, send_failed } = counters;
        EchoCounters { received, replied, dropped, send_failed }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let EchoCounters { received, replied, dropped, .. } = self.counters(py);
        let what = self.handle.describe(&self.endpoint);
        format!("{what}, received={received}, replied={replied}, dropped={dropped})")
    }
});
