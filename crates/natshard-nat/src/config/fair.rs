//! Faults of pools that keep books of subscribers: whom their numbers stand for must be clear.

use ipnet::{IpNet, Ipv6Net};

use super::inside::SUBNET;
use super::{NatConfigFault, NatPool, Numbering, Peering};
use crate::tuple::VpcId;

/// What is wrong with how a pool tells its subscribers apart.
pub(super) fn pool(pool: &NatPool, faults: &mut Vec<NatConfigFault>) {
    let name = || pool.name().to_owned();
    match pool.numbering() {
        Numbering::Hosts { mask_v6 } if !(1..=64).contains(mask_v6) => {
            faults.push(NatConfigFault::SubscriberMask {
                pool: name(),
                bits: *mask_v6,
            });
        }
        Numbering::Hosts { .. } => {
            if pool.policies().deterministic.is_some() {
                faults.push(NatConfigFault::NoInside(name()));
            }
        }
        Numbering::Inside(inside) => {
            let prefixes = inside.prefixes();
            let mut all = prefixes.iter().chain(pool.prefixes());
            let v4 = |net: &IpNet| matches!(net, IpNet::V4(_));
            if let Some(first) = all.next()
                && all.any(|net| v4(net) != v4(first))
            {
                faults.push(NatConfigFault::MixedFamilies(name()));
            }
            for (index, &prefix) in prefixes.iter().enumerate() {
                if prefix != prefix.trunc() {
                    faults.push(NatConfigFault::InsideHostBits {
                        pool: name(),
                        prefix,
                    });
                }
                if matches!(prefix, IpNet::V6(net) if net.prefix_len() > SUBNET) {
                    faults.push(NatConfigFault::InsideTooLong {
                        pool: name(),
                        prefix,
                    });
                }
                let overlaps = |other: &&IpNet| other.contains(&prefix) || prefix.contains(*other);
                if let Some(&first) = prefixes[..index].iter().find(overlaps) {
                    faults.push(NatConfigFault::InsideOverlap {
                        pool: name(),
                        first,
                        second: prefix,
                    });
                }
            }
        }
    }
}

/// The sources that a pool with books of subscribers serves.
#[derive(Debug, Default)]
pub(super) struct Served {
    sources: Vec<(IpNet, VpcId)>,
}

impl Served {
    /// Adds the sources of a rule, and says what is wrong with their VPC.
    pub(super) fn add(
        &mut self,
        pool: &NatPool,
        peering: &Peering,
        private: IpNet,
    ) -> Option<NatConfigFault> {
        self.sources.push((private.trunc(), peering.inside));
        let limit = Numbering::VPCS;
        (peering.inside.as_u32() >= limit).then(|| NatConfigFault::VpcNumber {
            peering: peering.name.clone(),
            pool: pool.name().to_owned(),
            vpc: peering.inside,
            limit,
        })
    }

    /// Finds hosts of two VPCs that would be one subscriber.
    pub(super) fn check(self, pool: &NatPool, faults: &mut Vec<NatConfigFault>) {
        let mut sources = Vec::new();
        for (prefix, vpc) in self.sources {
            for share in indistinct(pool.numbering(), prefix) {
                sources.push((share, prefix, vpc));
            }
        }
        // A prefix comes before those inside it, so that the last one begun can hold the next.
        sources.sort_unstable_by_key(|&(share, prefix, vpc)| {
            (share.network(), share.prefix_len(), prefix, vpc)
        });
        let mut open: Option<(IpNet, IpNet, VpcId)> = None;
        for (share, prefix, vpc) in sources {
            match open {
                Some((outer, first, first_vpc)) if outer.contains(&share) => {
                    if first_vpc != vpc {
                        faults.push(NatConfigFault::SharedSubscribers {
                            pool: pool.name().to_owned(),
                            first,
                            first_vpc,
                            second: prefix,
                            second_vpc: vpc,
                        });
                    }
                }
                _ => open = Some((share, prefix, vpc)),
            }
        }
    }
}

/// Of the hosts of a prefix, those whose VPC is not in their number; whole subscribers.
fn indistinct(numbering: &Numbering, prefix: IpNet) -> Vec<IpNet> {
    let (within, mask_v6) = match numbering {
        Numbering::Hosts { mask_v6 } => (&[IpNet::V6(Ipv6Net::default())][..], *mask_v6),
        Numbering::Inside(inside) => (inside.prefixes(), SUBNET),
    };
    let common = within.iter().filter_map(|net| match net {
        net if net.contains(&prefix) => Some(prefix),
        net if prefix.contains(net) => Some(*net),
        _ => None,
    });
    let whole = common.map(|net| match net {
        IpNet::V6(net) => {
            let length = net.prefix_len().min(mask_v6);
            let wide = Ipv6Net::new(net.network(), length);
            IpNet::V6(wide.map_or(net, |it| it.trunc()))
        }
        v4 => v4,
    });
    whole.collect()
}
