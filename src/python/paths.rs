//! Change of a path while it runs: links and outages.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::impair;
use crate::net::Endpoint;
use crate::path::{Changeable, OutageMode, Route};
use crate::python::args::{Argument, Int, RemotePort, Words, items, pair, wrong_type, wrong_value};
use crate::python::handle::Handle;
use crate::python::link::Link;
use crate::{Error, Observed, Result};

/// A link that can be replaced.
pub(super) struct Live(Mutex<Option<Link>>);

impl Live {
    pub(super) fn get(&self) -> Option<Link> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, link: Option<Link>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    /// Returns the model; an unimpaired one if there is no link.
    pub(super) fn model(&self) -> Result<impair::Link> {
        self.get().as_ref().map_or_else(|| Ok(impair::Link::default()), Link::model)
    }
}

impl Argument for Live {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Mutex::new(Argument::read(name, given)?)))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get().show(py)
    }
}

/// Links of clients in order of appearance.
pub(super) struct PerClient(Vec<(Option<Link>, Option<Link>)>);

impl PerClient {
    /// Returns the models.
    pub(super) fn model(&self) -> Result<Vec<[impair::Link; 2]>> {
        let link = |link: &Option<Link>| {
            link.as_ref().map_or_else(|| Ok(impair::Link::default()), Link::model)
        };
        self.0.iter().map(|(up, down)| Ok([link(up)?, link(down)?])).collect()
    }
}

impl Argument for PerClient {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "(uplink, downlink) pairs of a Link or None";
        let read = |item: &Bound<'_, PyAny>| {
            let (up, down) = item
                .extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
                .map_err(|_| wrong_type(name, item, allowed))?;
            Ok((Argument::read("uplink", &up)?, Argument::read("downlink", &down)?))
        };
        items(name, given, 1 << 16, allowed, read).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pairs =
            self.0.iter().map(|(up, down)| PyTuple::new(py, [up.show(py)?, down.show(py)?]));
        Ok(PyTuple::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.into_any())
    }
}

/// The links of an outage: the uplink, the downlink.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Ways(pub(super) [bool; 2]);

impl Words for Ways {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("both", Self([true, true])),
        ("uplink", Self([true, false])),
        ("downlink", Self([false, true])),
    ];
}

impl Words for Route {
    const WORDS: &'static [(&'static str, Self)] =
        &[("both", Self::Both), ("uplink", Self::Up), ("downlink", Self::Down)];
}

impl Words for OutageMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drop", Self::Drop), ("hold", Self::Hold), ("refuse", Self::Refuse)];
}

/// The address of a client.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Client(pub(super) SocketAddr);

impl Argument for Client {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a (host, port), the host an IP address";
        let (host, Int(port)) = pair::<String, RemotePort>(name, given, allowed)?;
        let endpoint = Endpoint::new(host, port)?;
        endpoint.literal().map(Self).ok_or_else(|| wrong_value(name, given, allowed))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::python::value::address(self.0).into_bound_py_any(py)
    }
}

/// Sets the links that are given, of one client or of all.
pub(super) fn set_links<M: Observed + Changeable>(
    py: Python<'_>,
    handle: &Handle<M>,
    client: Option<&Client>,
    links: [Option<impair::Link>; 2],
) -> PyResult<()> {
    let address = client.map(|client| client.0);
    let is_unknown = handle.look(py, |machine| {
        let now = crate::net::now();
        let mut set = |(way, link): (usize, Option<_>)| {
            link.is_none_or(|link| machine.set_link(way, &link, address, now) > 0)
        };
        address.is_some() & !links.into_iter().enumerate().all(&mut set)
    });
    handle.prompt();
    if is_unknown {
        return Err(PyValueError::new_err(
            "client must be one with a session (Relay) or one of the first 16384 (EchoServer, \
             StampReflector)",
        ));
    }
    Ok(())
}

/// An outage of the links of an EchoServer, a Relay or a StampReflector, from its method `outage`.
///
/// As a context manager it ends when the block is left.
#[pyclass(frozen, weakref, module = "udpulse.impair")]
pub(super) struct LinkOutage {
    owner: Py<PyAny>,
    number: u64,
}

impl LinkOutage {
    pub(super) fn new(owner: Py<PyAny>, number: u64) -> Self {
        Self { owner, number }
    }
}

#[pymethods]
impl LinkOutage {
    /// Ends the outage, if it has not ended.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.owner.call_method1(py, "_end_outage", (self.number,)).map(drop)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.end(py)
    }
}

/// Refuses an outage of one link during which the system refuses packets.
pub(super) fn check_refusal(mode: OutageMode, ways: [bool; 2]) -> Result<()> {
    if mode == OutageMode::Refuse && ways != [true, true] {
        return Err(Error::argument("way", "one of the links", "'both' with mode='refuse'"));
    }
    Ok(())
}

/// Refuses an outage that a server with `threads` threads cannot have.
pub(super) fn check_outage(mode: OutageMode, ways: [bool; 2], threads: usize) -> Result<()> {
    if mode == OutageMode::Refuse && threads > 1 {
        return Err(Error::argument("mode", "'refuse'", "another word with several threads"));
    }
    check_refusal(mode, ways)
}

/// Generates the methods that change links and start outages.
///
/// The class needs a field `handle`, and settings with the links `uplink` and `downlink`.
macro_rules! changeable {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            #[setter]
            fn set_uplink(
                &self,
                py: pyo3::Python<'_>,
                link: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<()> {
                self.set_shared(py, "uplink", link)
            }

            #[setter]
            fn set_downlink(
                &self,
                py: pyo3::Python<'_>,
                link: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<()> {
                self.set_shared(py, "downlink", link)
            }

            /// Sets the links of one client; also before its first packet, but for a Relay.
            ///
            /// client: its (host, port), the host an IP address.
            /// uplink, downlink: the Link in each direction; None leaves it as it is.
            ///
            /// Packets inside keep their delay; those in the queue of a RateLimit leave at the new
            /// rate. A client with a link of its own keeps it if `uplink` or `downlink` is set.
            ///
            /// Raises ValueError for a client without a session (Relay) or beyond the first 16384
            /// (EchoServer, StampReflector), and NotStartedError before the first start.
            #[pyo3(
                        signature = (
                            client, *,
                            uplink = crate::python::options::given!(None),
                            downlink = crate::python::options::given!(None),
                        ),
                        text_signature = "($self, client, *, uplink=None, downlink=None)",
                    )]
            fn set_links(
                &self,
                py: pyo3::Python<'_>,
                client: crate::python::options::Given<'_>,
                uplink: crate::python::options::Given<'_>,
                downlink: crate::python::options::Given<'_>,
            ) -> pyo3::PyResult<()> {
                let client: crate::python::paths::Client = client.read(py, "client")?;
                let uplink: Option<crate::python::link::Link> = uplink.read(py, "uplink")?;
                let downlink: Option<crate::python::link::Link> = downlink.read(py, "downlink")?;
                let model = |link: Option<crate::python::link::Link>| {
                    link.map(|link| link.model()).transpose()
                };
                let links = [model(uplink)?, model(downlink)?];
                self.handle.address()?;
                crate::python::paths::set_links(py, &self.handle, Some(&client), links)
            }

            /// Starts an outage and returns it, a LinkOutage. It replaces one that has not ended.
            ///
            /// duration: its length in seconds, above 0; None until `end` is called or the block of
            ///     a `with` statement is left.
            /// mode: "drop" loses packets that enter a link, so that nothing sent during the outage
            ///     arrives later; packets inside the link arrive. "hold" lets nothing leave, and all
            ///     packets leave together at the end. "refuse" closes the socket to clients, whose
            ///     system then reports a refusal (ICMP port unreachable), and loses packets as
            ///     "drop" does.
            /// way: the broken links: "uplink", "downlink" or "both". "refuse" affects all clients
            ///     and both links.
            ///
            /// Random choices go on as without an outage.
            ///
            /// Raises ValueError if an argument is out of range and NotStartedError before the first
            /// start.
            #[pyo3(
                        signature = (
                            duration = crate::python::options::given!(None), *,
                            mode = crate::python::options::given!("drop"),
                            way = crate::python::options::given!("both"),
                        ),
                        text_signature = "($self, duration=None, *, mode='drop', way='both')",
                    )]
            fn outage(
                slf: &pyo3::Bound<'_, Self>,
                duration: crate::python::options::Given<'_>,
                mode: crate::python::options::Given<'_>,
                way: crate::python::options::Given<'_>,
            ) -> pyo3::PyResult<crate::python::paths::LinkOutage> {
                let (py, this) = (slf.py(), slf.get());
                let duration: Option<crate::python::args::Seconds> =
                    duration.read(py, "duration")?;
                let crate::python::args::Word(mode) = mode.read(py, "mode")?;
                let crate::python::args::Word(crate::python::paths::Ways(ways)) =
                    way.read(py, "way")?;
                this.check_outage(mode, ways)?;
                this.handle.address()?;
                let (number, end_ns) = this.handle.look(py, |machine| {
                    let now = crate::net::now();
                    let end_ns = duration
                        .map_or(i64::MAX, |duration| now.mono_ns.saturating_add(duration.ns()));
                    let number =
                        crate::path::Changeable::start_outage(machine, ways, mode, now, end_ns);
                    (number, end_ns)
                });
                this.handle.prompt();
                if mode == crate::path::OutageMode::Refuse {
                    // A short one may be over before the system refuses anything.
                    this.handle.wait_refusing(py, end_ns)?;
                }
                Ok(crate::python::paths::LinkOutage::new(slf.clone().into_any().unbind(), number))
            }

            fn _end_outage(&self, py: pyo3::Python<'_>, number: u64) {
                self.handle.look(py, |machine| {
                    crate::path::Changeable::end_outage(machine, number, crate::net::now());
                });
                self.handle.prompt();
            }

            /// Adds a step to those of the timeline. Returns its index, as `steps` has it.
            ///
            /// step: a Step, or a dict with its fields as JSON has them. If its moment has passed or
            ///     it has none, it is taken now. It may not be a "loop".
            ///
            /// Raises ValueError if the step is not one, or if 1000 steps wait, and NotStartedError
            /// before the first start.
            fn add_step(
                &self,
                py: pyo3::Python<'_>,
                step: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<usize> {
                let step = crate::python::timeline::added(step)?;
                self.check_step(&step)?;
                let model = step.model()?;
                self.handle.address()?;
                let index = self.handle.look(py, |machine| {
                    crate::path::Changeable::add_step(machine, model, crate::net::now())
                });
                self.handle.prompt();
                index.ok_or_else(|| {
                    let text = "step must wait until fewer than 1000 others wait";
                    pyo3::exceptions::PyValueError::new_err(text)
                })
            }

            /// Returns the last 1000 steps that were taken, oldest first, each a StepDone.
            fn steps(&self, py: pyo3::Python<'_>) -> Vec<crate::python::timeline::StepDone> {
                self.handle.look(py, |machine| machine.steps().map(Into::into).collect())
            }
        }

        impl $class {
            /// Sets a link of all clients that have none of their own, now and at each start.
            fn set_shared(
                &self,
                py: pyo3::Python<'_>,
                name: &'static str,
                link: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<()> {
                let link: Option<crate::python::link::Link> =
                    crate::python::args::Argument::read(name, link)?;
                let model = match &link {
                    Some(link) => link.model()?,
                    None => crate::impair::Link::default(),
                };
                let links = if name == "uplink" {
                    self.settings.uplink.set(link);
                    [Some(model), None]
                } else {
                    self.settings.downlink.set(link);
                    [None, Some(model)]
                };
                crate::python::paths::set_links(py, &self.handle, None, links)
            }
        }
    };
}
pub(super) use changeable;

/// Generates the methods that return fates.
///
/// The class needs a field `handle`, and a method `rows_of` that returns a table of `$rows`. The rest
/// is the default table, the signature of the methods that take one, and the docs of `columns`.
macro_rules! fated {
    ($class:ident: $rows:ty = $table:tt, $signature:tt $(#[$doc:meta])*) => {
        #[pyo3::pymethods]
        impl $class {
            /// The number of older rows that are no longer kept.
            #[getter]
            fn rows_dropped(&self, py: pyo3::Python<'_>) -> u64 {
                self.handle.look(py, |machine| crate::Observed::unread(machine).rows_dropped())
            }

            /// Returns the kept fates, oldest first.
            fn fates(&self, py: pyo3::Python<'_>) -> Vec<crate::python::fates::Fate> {
                self.handle.look(py, |machine| machine.fates().map(Into::into).collect())
            }

            $(#[$doc])*
            #[pyo3(
                signature = (table = crate::python::options::given!($table)),
                text_signature = $signature,
            )]
            fn columns<'py>(
                &self,
                py: pyo3::Python<'py>,
                table: crate::python::options::Given<'py>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyDict>> {
                let crate::python::args::Word(rows) =
                    table.read::<crate::python::args::Word<$rows>>(py, "table")?;
                self.rows_of(py, rows).into_numpy(py)
            }

            /// Returns the kept rows as a Table, for polars, pandas and others, or for CSV.
            ///
            /// table: one of those of `columns`, with its rows and columns. The `client` of a fate is
            ///     a dictionary of "host:port", an `outcome` one of strings, times are
            ///     timestamp[ns, UTC], and bits are uint32; null stands for NaN.
            ///
            /// The rows of a running object change between calls: stop it before you relate the
            /// tables to each other.
            ///
            /// Raises ValueError for another table.
            #[pyo3(
                signature = (table = crate::python::options::given!($table)),
                text_signature = $signature,
            )]
            fn table(
                &self,
                py: pyo3::Python<'_>,
                table: crate::python::options::Given<'_>,
            ) -> pyo3::PyResult<crate::python::table::Table> {
                let crate::python::args::Word(rows) =
                    table.read::<crate::python::args::Word<$rows>>(py, "table")?;
                Ok(self.rows_of(py, rows))
            }

            /// The list of clients to which the columns of fates refer, each a (host, port), in order
            /// of their first rows.
            #[getter]
            fn clients(&self, py: pyo3::Python<'_>) -> Vec<crate::python::value::Address> {
                self.handle.look(py, |machine| {
                    crate::python::fates::Columns::of(machine.fates()).clients()
                })
            }
        }
    };
}
pub(super) use fated;
