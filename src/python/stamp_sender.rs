//! `StampSender`, `stamp` and `async_stamp`.

use pyo3::prelude::*;

use crate::Error;
use crate::ping::Protocol;
use crate::python::handle::{asynchronous, running_object};
use crate::python::outages::PingEvent;
use crate::python::ping_client::{Client, Settings, session_object, stamp_options};
use crate::python::ping_report::PingReport;
use crate::wire::stamp::ErrorEstimate;

/// The payload of a packet without a TLV, in bytes.
const BASE: usize = 44;

/// The payload of an authenticated packet without a TLV.
const AUTHENTICATED: usize = 112;

/// The length of the header of a TLV, and of one that holds the tag of others.
const HEADER: usize = 4;
const TAG_TLV: usize = 20;

#[doc = stamp_options!(signature StampSender)]
/// A Session-Sender of STAMP (RFC 8762, RFC 8972): it sends numbered test packets to a
/// Session-Reflector, also one of TWAMP-Light (RFC 5357 appendix I), and matches the replies.
///
#[doc = stamp_options!(docs)]
/// A reply is accepted if it repeats the packet's number and time, the padding and the session
/// identifier, which may be 0, and if it has a T2. Another reply with the packet's number is corrupt,
/// with keys also one with a wrong tag; an unauthenticated one is foreign then. A packet without a
/// reply may also have been refused: many reflectors answer only senders that they were told of.
///
/// With keys packets are authenticated, and the tag of another TLV covers the padding. The reflector
/// must sign its replies with the key of the packet.
///
/// The numbers in packets count from 0 and leave 2 out: a reflector that counts its replies
/// (stateful) shows by that.
///
/// Iterating yields each Probe when it is decided, with `revisions` also Revised and with
/// `outage_after` OutageStarted and OutageEnded of `udpulse.events`. It ends with the session: when
/// the last packet is decided and `linger` is over.
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct StampSender(Client);

stamp_options!(class StampSender);
running_object!(StampSender: PingEvent);
session_object!(StampSender);

impl StampSender {
    fn make(settings: Settings) -> PyResult<Self> {
        let size = settings.size.0;
        let (base, tlvs, allowed) = if settings.keys.is_some() {
            (AUTHENTICATED, HEADER + TAG_TLV, "44, 112, or 136 to 65507 with keys")
        } else {
            (BASE, HEADER, "44, or 48 to 65507")
        };
        if ![BASE, base].contains(&size) && size < base + tlvs {
            return Err(Error::argument("size", size, allowed).into());
        }
        let format = settings.timestamp_format.0;
        let error_ns = settings.clock_error.ns().unsigned_abs();
        let error = ErrorEstimate::new(settings.synchronized, format, error_ns);
        let protocol = Protocol::Stamp { ssid: settings.ssid.0, format, error };
        Client::new("StampSender", protocol, settings).map(Self)
    }
}

stamp_options! {
    #[doc = stamp_options!(signature stamp)]
    /// Sends test packets to a Session-Reflector of STAMP or TWAMP-Light and returns the PingReport.
    ///
    /// Blocks until the last packet is decided and `linger` is over. Ctrl-C ends the call: the
    /// `report` attribute of the KeyboardInterrupt has the results so far.
    ///
    #[doc = stamp_options!(docs)]
    /// Raises ValueError if an argument is out of range or if neither count nor duration limits the
    /// session, OSError if the system refuses the address and socket.gaierror if the host has none.
    function stamp = stamp_blocking -> PyResult<PingReport>
}

stamp_options! {
    #[doc = stamp_options!(signature async_stamp)]
    /// Sends test packets to a Session-Reflector through the running event loop and returns the
    /// PingReport, like `stamp`.
    ///
    #[doc = stamp_options!(docs)]
    /// No Python thread waits, except while a name is resolved. Cancelling stops the packets. Raises
    /// the same errors as `stamp`.
    function async_stamp = stamp_async -> PyResult<Py<PyAny>>
}

fn stamp_blocking(py: Python<'_>, settings: Settings) -> PyResult<PingReport> {
    StampSender::make(settings)?.0.for_call()?.call(py)
}

fn stamp_async(py: Python<'_>, settings: Settings) -> PyResult<Py<PyAny>> {
    let sender = StampSender(StampSender::make(settings)?.0.for_call()?);
    Ok(asynchronous("finish", Bound::new(py, sender)?.as_any())?.unbind())
}
