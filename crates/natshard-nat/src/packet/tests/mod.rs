mod checksum_values;
mod dissect_headers;
mod dissect_icmp;
mod dissect_links;
mod plain;
mod properties;
mod rewriting;
mod verification;

use std::net::IpAddr;

use super::testing::Build;
use super::{Edit, EditError, Endpoint, HopLimit, Link, Skip, View, apply, dissect};

const INSIDE: &str = "10.0.0.1:40000";
const OUTSIDE: &str = "203.0.113.9:443";
const INSIDE6: &str = "[fd00::1]:40000";
const OUTSIDE6: &str = "[2001:db8::9]:443";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ethernet(build: &Build) -> Result<View, Skip> {
    dissect(Link::Ethernet, &build.frame())
}

fn view_of(frame: &[u8]) -> View {
    dissect(Link::Ethernet, frame).unwrap()
}

fn end(address: &str, port: impl Into<Option<u16>>) -> Option<Endpoint> {
    Some(Endpoint {
        address: ip(address),
        port: port.into(),
    })
}

fn to(source: Option<Endpoint>, destination: Option<Endpoint>) -> Edit {
    Edit {
        source,
        destination,
        hop_limit: HopLimit::Keep,
    }
}

/// Applies an edit and dissects again.
fn edited(frame: &mut [u8], edit: &Edit) -> Result<View, EditError> {
    let view = view_of(frame);
    apply(frame, &view, edit)?;
    Ok(view_of(frame))
}
