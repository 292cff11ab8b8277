//! The addresses and names that can only mean this machine.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns whether `host`, which may have a port, is a loopback address or a name that can only mean one (RFC 6761 §6.3).
pub(crate) fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port && address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let name = name.strip_suffix('.').unwrap_or(name);
    let (parent, last) = name.rsplit_once('.').unwrap_or(("x", name));
    let is_name = last.eq_ignore_ascii_case("localhost") && parent.split('.').all(is_label);
    is_port(port) && (is_name || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback()))
}

/// A port can be empty (RFC 3986 §3.2.3).
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
