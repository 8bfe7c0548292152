//! From host names to addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dns_lookup::getaddrinfo;

use crate::{Error, Result};

/// A host and a port as a user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An IPv4 or IPv6 address or a name; empty for all interfaces (IPv4).
    pub host: String,
    /// The port; 0 for any free one where an address is bound.
    pub port: u16,
}

impl Endpoint {
    /// Its address, where the host is one and no name.
    #[must_use]
    pub fn literal(&self) -> Option<SocketAddr> {
        let ip = if self.host.is_empty() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            self.host.parse::<IpAddr>().ok()?
        };
        Some(SocketAddr::new(ip, self.port))
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

/// Finds the address of `endpoint`. Blocks while the system's resolver does.
///
/// Of a name that has both, the IPv4 address is taken: the programs of the lab speak IPv4, also
/// where `localhost` is `::1` first.
///
/// # Errors
/// [`Error::Resolve`] where the name has no address.
pub fn resolve(endpoint: &Endpoint) -> Result<SocketAddr> {
    let Endpoint { host, port } = endpoint;
    if let Some(address) = endpoint.literal() {
        return Ok(address);
    }
    let failed = |code, reason| Error::Resolve { host: host.clone(), code, reason };
    let found: Vec<SocketAddr> = getaddrinfo(Some(host), None, None)
        .map_err(|error| failed(error.error_num(), explain(&error.to_string())))?
        .filter_map(|answer| answer.ok().map(|info| info.sockaddr))
        .collect();
    let mut address = found
        .iter()
        .copied()
        .find(SocketAddr::is_ipv4)
        .or_else(|| found.first().copied())
        .ok_or_else(|| failed(0, "it has no address".to_owned()))?;
    address.set_port(*port);
    Ok(address)
}

/// The resolver's own words, without what is put in front of them.
fn explain(text: &str) -> String {
    text.rsplit(": ").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 7 }
    }

    #[test]
    fn literals_need_no_resolver() {
        for (host, address) in [("", "0.0.0.0:7"), ("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7")]
        {
            assert_eq!(resolve(&endpoint(host)).unwrap(), address.parse().unwrap());
        }
    }

    #[test]
    fn localhost_is_ipv4() {
        assert_eq!(resolve(&endpoint("localhost")).unwrap(), "127.0.0.1:7".parse().unwrap());
    }

    #[test]
    fn an_unknown_name_is_named() {
        for host in ["no such host", "nul\0byte"] {
            let error = resolve(&endpoint(host)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("cannot resolve host {host}: ")));
        }
    }

    #[test]
    fn endpoints_read_as_addresses() {
        assert_eq!(endpoint("::1").to_string(), "[::1]:7");
        assert_eq!(endpoint("localhost").to_string(), "localhost:7");
    }
}
