//! One inside host becomes many.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use hashbrown::HashMap;
use ipnet::IpNet;
use natshard_nat::packet::{
    Edit, EditError, Endpoint, Transport, View, apply, apply_quoted, dissect,
};

use super::batch::{Item, Way};
use super::plan::Plan;
use super::renumber::Renumber;
use crate::exit::Coded;

/// Gives every inside host its copies, whose addresses are those of the largest inside prefix of
/// its family, counted through. No copy keeps the captured address, so none can meet a host that
/// turns up later in the capture.
pub(crate) struct Amplifier {
    copies: u32,
    v4: Option<IpNet>,
    v6: Option<IpNet>,
    hosts: HashMap<IpAddr, u32>,
    next: [u32; 2],
}

/// The addresses of one host's copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copies {
    /// Without amplification the host itself.
    first: IpAddr,
    /// How many.
    pub(crate) count: u32,
}

impl Copies {
    /// The address of one copy.
    pub(crate) fn address(&self, copy: u32) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + copy).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + u128::from(copy)).into(),
        }
    }
}

impl Amplifier {
    /// So many copies of each host.
    pub(crate) fn new(copies: u32, plan: &Plan) -> Self {
        let largest = |is_v4: bool| {
            let family = plan.insides.iter().map(|(prefix, _)| *prefix);
            family
                .filter(|it| it.addr().is_ipv4() == is_v4)
                .min_by_key(IpNet::prefix_len)
        };
        Amplifier {
            copies,
            v4: largest(true),
            v6: largest(false),
            hosts: HashMap::new(),
            next: [0; 2],
        }
    }

    /// How many copies each host has.
    pub(crate) fn factor(&self) -> u32 {
        self.copies
    }

    /// The copies of an inside host.
    ///
    /// # Errors
    /// When the inside prefix is too small for all of them.
    pub(crate) fn copies(&mut self, host: IpAddr) -> Result<Copies> {
        if self.copies == 1 {
            return Ok(Copies {
                first: host,
                count: 1,
            });
        }
        let (family, prefix) = match host {
            IpAddr::V4(_) => (0, self.v4),
            IpAddr::V6(_) => (1, self.v6),
        };
        let index = *self.hosts.entry(host).or_insert_with(|| {
            self.next[family] += 1;
            self.next[family] - 1
        });
        // The network's own address is left out, and its last, which IPv4 broadcasts to.
        let offset = 1 + u64::from(index) * u64::from(self.copies);
        let prefix = prefix.expect("an inside host lies in an inside prefix");
        let size = 1_u128 << (u32::from(prefix.max_prefix_len() - prefix.prefix_len())).min(63);
        if u128::from(offset) + u128::from(self.copies) >= size {
            return Err(Coded::usage(format!(
                "--amplify {}: {prefix} has no room for so many copies of {} inside hosts; give a \
                 smaller number, or a larger inside prefix in the configuration",
                self.copies,
                index + 1
            ))
            .into());
        }
        let first = match prefix.network() {
            IpAddr::V4(network) => Ipv4Addr::from(u32::from(network) + offset as u32).into(),
            IpAddr::V6(network) => Ipv6Addr::from(u128::from(network) + u128::from(offset)).into(),
        };
        Ok(Copies {
            first,
            count: self.copies,
        })
    }
}

/// Makes the copies of packets that one shard needs.
#[derive(Default)]
pub(super) struct Copier {
    renumber: Renumber,
    frame: Vec<u8>,
}

impl Copier {
    /// A frame as that copy of its inside host would have sent or got it; without amplification
    /// the frame itself. `None` if its addresses cannot be changed.
    pub(super) fn copy<'f>(
        &'f mut self,
        item: &Item,
        captured: &'f [u8],
        copy: u32,
    ) -> Option<(&'f [u8], View)> {
        if item.copies.count == 1 {
            return Some((captured, item.view));
        }
        self.frame.clear();
        self.frame.extend_from_slice(captured);
        let outbound = matches!(item.way, Way::Out(_));
        readdress(
            &mut self.frame,
            &item.view,
            outbound,
            item.copies.address(copy),
        )
        .ok()?;
        let view = dissect(item.link, &self.frame).ok()?;
        if view.fragment().is_none() {
            return Some((&self.frame, view));
        }
        self.renumber.fragment(&mut self.frame, &view);
        let view = dissect(item.link, &self.frame).ok()?;
        Some((&self.frame, view))
    }
}

/// Makes `frame`, a copy of what `view` was taken from, a packet from (or to) another inside
/// address, in the packet an ICMP error quotes as well. Right checksums stay right and wrong ones
/// wrong.
///
/// # Errors
/// When the packet cannot be rewritten.
fn readdress(
    frame: &mut [u8],
    view: &View,
    outbound: bool,
    address: IpAddr,
) -> Result<(), EditError> {
    let end = Some(Endpoint {
        address,
        port: None,
    });
    let as_source = Edit {
        source: end,
        ..Edit::default()
    };
    let as_destination = Edit {
        destination: end,
        ..Edit::default()
    };
    let (outer, quoted_edit, host) = match outbound {
        true => (as_source, as_destination, view.source()),
        false => (as_destination, as_source, view.destination()),
    };
    match view.transport() {
        Transport::IcmpError { quoted, .. } => {
            // A quoted packet went the other way.
            let quoted_host = match outbound {
                true => quoted.destination(),
                false => quoted.source(),
            };
            let quoted_edit = match quoted_host == host {
                true => quoted_edit,
                false => Edit::default(),
            };
            apply_quoted(frame, view, &outer, &quoted_edit)
        }
        _ => apply(frame, view, &outer),
    }
}
