//! Prefixes of addresses.

use udpulse::Prefix;

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(prefix) = text.parse::<Prefix>() else { return };
    assert_eq!(prefix.to_string().parse(), Ok(prefix));
    let (host, _) = text.split_once('/').unwrap_or((&text, ""));
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        // An IPv4-mapped address is an IPv4 one.
        assert!(prefix.contains(ip) || ip != ip.to_canonical());
    }
}
