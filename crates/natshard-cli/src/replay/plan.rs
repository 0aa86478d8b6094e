//! What a replay runs with: the NAT's configuration, the engine's, and which side is which.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use ipnet::IpNet;
use natshard::EngineConfig;
use natshard_nat::{NatConfig, NatPool, Peering, SourceRule, VpcId};

use super::survey::Survey;
use crate::config::Loaded;
use crate::exit::Coded;

/// Inside, unless the configuration says otherwise.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
];
/// Where default pools are: RFC 5737, and a part of RFC 3849 and of RFC 9637.
const DOCUMENTATION_V4: [&str; 3] = ["203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"];
const DOCUMENTATION_V6: [&str; 3] = ["2001:db8::/64", "2001:db8:ffff::/64", "3fff:fff::/64"];
/// How long a released port rests (RFC 6888 REQ-8).
const HOLD_DOWN: Duration = Duration::from_secs(120);

/// What a replay runs with.
pub(crate) struct Plan {
    /// Pools and peerings.
    pub(crate) nat: NatConfig,
    /// The engine, shards and seed included.
    pub(crate) engine: EngineConfig,
    /// How long a released port rests.
    pub(crate) hold_down: Duration,
    /// Inside prefixes, each with the VPC it belongs to.
    pub(crate) insides: Vec<(IpNet, VpcId)>,
    /// The VPCs that have them, by name.
    pub(crate) inside_vpcs: Vec<(VpcId, String)>,
    /// The worker threads.
    pub(crate) shards: usize,
    /// The seed of everything that is drawn.
    pub(crate) seed: Option<u64>,
    /// How many ports may rest at once, where that is limited.
    pub(crate) hold_down_max: Option<u64>,
    /// The most sessions a shard keeps, where that is limited.
    pub(crate) session_limit: Option<usize>,
    /// Whether the pools are the default ones.
    pub(crate) is_default: bool,
    /// What the user should know about it.
    pub(crate) warnings: Vec<String>,
}

/// The prefixes that default pools may take.
pub(super) fn documentation() -> impl Iterator<Item = IpNet> {
    let both = DOCUMENTATION_V4.into_iter().chain(DOCUMENTATION_V6);
    both.map(|it| it.parse().expect("a constant prefix"))
}

impl Plan {
    /// The plan without a configuration: every private address is translated, to documentation
    /// prefixes that the captures do not use. One of IPv4 is enough for what a capture holds; to
    /// amplified traffic all are given.
    ///
    /// # Errors
    /// Never with the constants as they are.
    pub(crate) fn without_configuration(
        shards: usize,
        seed: Option<u64>,
        amplify: u32,
        survey: &Survey,
    ) -> Result<Self> {
        let unused = |is_v4: bool| {
            let free: Vec<_> = documentation()
                .filter(|it| it.addr().is_ipv4() == is_v4)
                .filter(|it| !survey.documentation.contains(it))
                .collect();
            match free.is_empty() {
                // Packets to and from them stay untouched then, which is counted.
                true => documentation()
                    .filter(|it| it.addr().is_ipv4() == is_v4)
                    .take(1)
                    .collect(),
                false => free,
            }
        };
        let mut v4 = NatPool::new("documentation-v4").realm("outside");
        for prefix in unused(true)
            .into_iter()
            .take(if amplify > 1 { 3 } else { 1 })
        {
            v4 = v4.prefix(prefix);
        }
        let v6 = NatPool::new("documentation-v6")
            .realm("outside")
            .prefix(unused(false)[0]);
        let (inside, outside) = (VpcId::new(0), VpcId::new(1));
        let insides: Vec<(IpNet, VpcId)> = PRIVATE
            .iter()
            .map(|it| (it.parse().expect("a constant prefix"), inside))
            .collect();
        let mut peering = Peering::new("inside-outside", inside, outside);
        for (prefix, _) in &insides {
            let pool = match prefix {
                IpNet::V4(_) => v4.name(),
                IpNet::V6(_) => v6.name(),
            };
            peering = peering.source(SourceRule::new(*prefix, pool));
        }
        let mut engine = EngineConfig::new(shards)
            .hold_down(HOLD_DOWN)
            .pool(v4.to_engine())
            .pool(v6.to_engine());
        if let Some(seed) = seed {
            engine = engine.seed(seed);
        }
        let nat = NatConfig::builder()
            .pool(v4)
            .pool(v6)
            .peering(peering)
            .build()
            .map_err(|error| Coded::configuration(error.to_string()))?;
        Ok(Plan {
            nat,
            engine,
            hold_down: HOLD_DOWN,
            insides,
            inside_vpcs: vec![(inside, "inside".into())],
            shards,
            seed,
            hold_down_max: None,
            session_limit: None,
            is_default: true,
            warnings: Vec::new(),
        })
    }

    /// The plan that a configuration makes; shards and seed of the command line count more than
    /// its own.
    ///
    /// # Errors
    /// When the configuration has no inside.
    pub(crate) fn of_configuration(
        loaded: &Loaded,
        shards: Option<usize>,
        seed: Option<u64>,
    ) -> Result<Self> {
        let mut insides: Vec<_> = loaded
            .vpcs()
            .iter()
            .flat_map(|vpc| vpc.inside.iter().map(|prefix| (*prefix, vpc.id)))
            .collect();
        let mut warnings = Vec::new();
        for (at, (prefix, vpc)) in insides.iter().enumerate() {
            let earlier = insides[..at].iter().find(|(it, _)| it == prefix);
            if let Some((_, earlier)) = earlier.filter(|(_, it)| it != vpc) {
                let name = |id: &VpcId| {
                    let vpc = loaded.vpcs().iter().find(|it| it.id == *id);
                    vpc.map_or("", |it| it.name.as_str())
                };
                warnings.push(format!(
                    "{prefix} is inside of `{}` and of `{}`, and a capture does not tell which one \
                     a packet comes from: all are taken for `{0}`'s",
                    name(earlier),
                    name(vpc)
                ));
            }
        }
        let mut known = BTreeSet::new();
        insides.retain(|(prefix, _)| known.insert(*prefix));
        if insides.is_empty() {
            return Err(Coded::configuration(
                "no VPC has `inside` prefixes: nothing would be translated",
            )
            .into());
        }
        Ok(Plan {
            nat: loaded.nat().clone(),
            engine: loaded.engine(shards, seed),
            hold_down: loaded.hold_down(),
            insides,
            inside_vpcs: loaded
                .vpcs()
                .iter()
                .filter(|vpc| !vpc.inside.is_empty())
                .map(|vpc| (vpc.id, vpc.name.clone()))
                .collect(),
            shards: shards.or(loaded.shards()).unwrap_or(1),
            seed: seed.or(loaded.seed()),
            hold_down_max: loaded.hold_down_max(),
            session_limit: loaded.session_limit(),
            is_default: false,
            warnings,
        })
    }

    /// The VPC that an inside address belongs to; `None` for an outside one.
    pub(crate) fn inside_vpc(&self, address: IpAddr) -> Option<VpcId> {
        self.insides
            .iter()
            .filter(|(prefix, _)| prefix.contains(&address))
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .map(|(_, vpc)| *vpc)
    }

    /// Whether an address belongs to a pool.
    pub(crate) fn is_public(&self, address: IpAddr) -> bool {
        self.nat.pools().iter().any(|pool| pool.contains(address))
    }
}
