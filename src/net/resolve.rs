//! Resolution of host names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use dns_lookup::{AddrFamily, AddrInfoHints, getaddrinfo};

use crate::{Error, Result};

/// The versions of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl From<SocketAddr> for Family {
    fn from(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl Family {
    /// Returns the address that stands for all addresses of a host.
    #[must_use]
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// A host and a port as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An IPv4 or IPv6 address or a name; empty for all interfaces (IPv4).
    pub host: String,
    /// The port; when binding, 0 is any free one.
    pub port: u16,
    /// The address family; if `None`, IPv4 is preferred.
    pub family: Option<Family>,
}

impl Endpoint {
    /// Returns an endpoint of either family.
    ///
    /// # Errors
    /// [`Error::Argument`] if the last label of `host` is a number and `host` is not a full IPv4
    /// address. Resolvers read `127.1`, `0x7f.1` and `12000` as addresses that hardly anybody
    /// meant. The same if it is a link-local IPv6 address without a scope (RFC 4007).
    pub fn new(host: String, port: u16) -> Result<Self> {
        if ends_in_number(&host) && host.parse::<Ipv4Addr>().is_err() {
            let allowed = "a name or a full address such as 127.0.0.1 or ::1";
            return Err(Error::argument("host", format!("'{host}'"), allowed));
        }
        if host.contains(':') && host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_unicast_link_local())
        {
            let allowed = format!("a link-local address with its interface, such as {host}%eth0");
            return Err(Error::argument("host", format!("'{host}'"), allowed));
        }
        Ok(Self { host, port, family: None })
    }

    /// Returns its address if the host is a literal of the right family.
    #[must_use]
    pub fn literal(&self) -> Option<SocketAddr> {
        let (host, port) = (&self.host, self.port);
        let address = if host.is_empty() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
        } else if let Ok(ip) = host.parse::<IpAddr>() {
            SocketAddr::new(ip, port)
        } else {
            // A link-local address with its scope as a number (RFC 4007 section 11).
            format!("[{host}]:{port}").parse().ok()?
        };
        let fits = self.family.is_none_or(|family| family == address.into());
        fits.then_some(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Returns the addresses of `endpoint`, the preferred one first. Blocks while the system's resolver
/// does.
///
/// If a name has both families, IPv4 is preferred: the lab's programs speak IPv4 even if
/// `localhost` is `::1` first. If a family is given, no other is used.
///
/// # Errors
/// [`Error::Resolve`] if the name has no address.
pub fn resolve_all(endpoint: &Endpoint) -> Result<Vec<SocketAddr>> {
    let Endpoint { host, port, family } = endpoint;
    if let Some(address) = endpoint.literal() {
        return Ok(vec![address]);
    }
    let failed = |code, reason| Error::Resolve { host: host.clone(), code, reason };
    let mut found: Vec<SocketAddr> = getaddrinfo(Some(host), None, family.map(hints))
        .map_err(|error| failed(error.error_num(), explain(&error.to_string())))?
        .filter_map(|answer| answer.ok().map(|info| info.sockaddr))
        .collect();
    if found.is_empty() {
        return Err(failed(0, "it has no address".to_owned()));
    }
    found.sort_by_key(SocketAddr::is_ipv6);
    for address in &mut found {
        address.set_port(*port);
    }
    Ok(found)
}

/// Returns the preferred address of `endpoint`, like [`resolve_all`].
///
/// # Errors
/// [`Error::Resolve`] if the name has no address.
pub fn resolve(endpoint: &Endpoint) -> Result<SocketAddr> {
    resolve_all(endpoint).map(|found| found[0])
}

/// Returns whether the last label of `host` is a number. No name ends in one: top-level domains are
/// not numeric (RFC 3696 section 2).
fn ends_in_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !host.contains(':')
        && match hex {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
        }
}

/// Returns resolver hints for one family.
fn hints(family: Family) -> AddrInfoHints {
    let address = match family {
        Family::V4 => AddrFamily::Inet,
        Family::V6 => AddrFamily::Inet6,
    };
    AddrInfoHints { address: address.into(), ..AddrInfoHints::default() }
}

/// Returns the resolver's own words, without the prefixes.
fn explain(text: &str) -> String {
    text.rsplit(": ").next().unwrap_or(text).to_owned()
}

/// Returns the address to send to: an unspecified one means this host.
#[must_use]
pub fn destination(target: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match target.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        _ => return target,
    };
    SocketAddr::new(ip, target.port())
}

/// Returns the address from which this host sends to `target`; an unspecified one if there is none.
#[must_use]
pub fn source(target: SocketAddr) -> IpAddr {
    let any = Family::from(target).unspecified();
    // A connection sends nothing.
    let connected = UdpSocket::bind((any, 0)).and_then(|udp| udp.connect(target).map(|()| udp));
    connected.and_then(|udp| udp.local_addr()).map_or(any, |local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 7, family: None }
    }

    #[test]
    fn literals_need_no_resolver() {
        for (host, address) in [
            ("", "0.0.0.0:7"),
            ("127.0.0.1", "127.0.0.1:7"),
            ("::1", "[::1]:7"),
            ("fe80::1%3", "[fe80::1%3]:7"),
        ] {
            assert_eq!(endpoint(host).literal(), Some(address.parse().unwrap()));
        }
    }

    #[test]
    fn ipv4_addresses_have_four_decimal_parts() {
        for host in [
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0X7F000001",
            "0x",
            "2130706433",
            "0",
            "12000",
            "70000",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "256.1.1.1",
            "1.2.3.4.5",
            "example.1",
        ] {
            let error = Endpoint::new(host.to_owned(), 7).unwrap_err().to_string();
            let text = "host must be a name or a full address such as 127.0.0.1 or ::1, not ";
            assert_eq!(error, format!("{text}'{host}'"));
        }
        for host in [
            "",
            "127.0.0.1",
            "255.255.255.255",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1%3",
            "fe80::1%eth0.100",
            "localhost",
            "localhost.",
            "host1",
            "1host",
            "4.example",
            "0xyz",
            "a.0xg",
            "1-1",
            ".",
        ] {
            assert!(Endpoint::new(host.to_owned(), 7).is_ok(), "{host}");
        }
    }

    #[test]
    fn localhost_is_ipv4() {
        assert_eq!(resolve(&endpoint("localhost")).unwrap(), "127.0.0.1:7".parse().unwrap());
    }

    #[test]
    fn only_the_requested_family_is_resolved() {
        let of = |host, family| resolve(&Endpoint { family: Some(family), ..endpoint(host) });
        assert!(of("localhost", Family::V4).unwrap().is_ipv4());
        // The host may have no IPv6, but must not return another family.
        assert!(of("localhost", Family::V6).map_or(true, |address| address.is_ipv6()));
        assert!(of("::1", Family::V6).is_ok() && of("::1", Family::V4).is_err());
        assert!(of("127.0.0.1", Family::V4).is_ok() && of("127.0.0.1", Family::V6).is_err());
    }

    #[test]
    fn a_link_local_address_needs_a_scope() {
        let error = Endpoint::new("fe80::1".to_owned(), 7).unwrap_err().to_string();
        let text = "host must be a link-local address with its interface, such as fe80::1%eth0";
        assert_eq!(error, format!("{text}, not 'fe80::1'"));
        for host in ["fe80::1%eth0", "fe80::1%3", "fec0::1", "ff02::1", "fe80.example"] {
            assert!(Endpoint::new(host.to_owned(), 7).is_ok());
        }
    }

    #[test]
    fn an_unknown_name_is_named() {
        for (host, shown) in [("no such host", "no such host"), ("nul\0byte", r"nul\x00byte")] {
            let error = resolve(&endpoint(host)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("cannot resolve host {shown}: ")));
        }
    }

    #[test]
    fn endpoints_read_as_addresses() {
        assert_eq!(endpoint("::1").to_string(), "[::1]:7");
        assert_eq!(endpoint("localhost").to_string(), "localhost:7");
    }

    #[test]
    fn an_unspecified_destination_is_this_host() {
        for (target, address) in
            [("0.0.0.0:7", "127.0.0.1:7"), ("[::]:7", "[::1]:7"), ("192.0.2.1:7", "192.0.2.1:7")]
        {
            assert_eq!(destination(target.parse().unwrap()), address.parse().unwrap());
        }
    }
}
