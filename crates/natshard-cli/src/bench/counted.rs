//! The cases of which instructions are counted: on one thread, seeded, and small enough to be made
//! ready by a simulated processor.

use std::time::Duration;

use natshard::{PortBlocks, PortOrder};

use super::case::Worker;
use super::cases::nat::{Established, Kind, Manner, NewFlows};
use super::cases::occupancy;
use super::cases::refused::Full;
use super::cases::remote::Turns;
use super::cases::reserve::Reserving;
use super::cases::subscribers::{Naming, Serving};
use super::frames::Transport;
use super::own::{self, Own};
use super::pools::{Rest, plain};

/// A case to count.
pub struct Counted {
    /// Its name; stable.
    pub name: &'static str,
    /// Enough operations for a stable count, a multiple of a burst.
    pub operations: u64,
    /// Makes it ready.
    pub make: Box<dyn Fn() -> Box<dyn Worker>>,
}

/// A short rest: the engine does the same things, only sooner.
const REST: Rest = Rest {
    hold_down: Duration::from_secs(1),
    ..Rest::DEFAULT
};
const WINDOW: usize = 1_024;

/// Every case that is counted.
#[must_use]
pub fn all() -> Vec<Counted> {
    let linear = Rest {
        order: PortOrder::Linear,
        ..REST
    };
    let off = Rest {
        hold_down: Duration::ZERO,
        ..REST
    };
    let slow = Rest { step: 4, ..REST };
    let blocks = plain(16).port_blocks(PortBlocks::new(256).per_subscriber(8));
    vec![
        counted("own", 64_000, || own(REST)),
        counted("own, linear order", 64_000, move || own(linear)),
        counted("own, no hold-down", 64_000, move || own(off)),
        counted("batch of 32", 64_000, || own(REST).batched()),
        counted("released by another shard", 64_000, || {
            Turns::new(1, 4, REST)
        }),
        counted("occupancy 95 %", 32_000, || occupancy::pool(4, 950)),
        counted("occupancy 99.9 %", 32_000, || occupancy::pool(4, 999)),
        counted("refused", 64_000, || Full::new(1, 0)),
        counted("reserve", 32_000, || Reserving::new(1)),
        counted("subscriber blocks", 32_000, move || {
            Serving::new(blocks.clone(), 256, Naming::Subscribers, slow)
        }),
        counted("established packet, UDP outbound", 32_000, || {
            Established::new(1_000, 617, Kind::UdpOut, Manner::OneByOne)
        }),
        counted("established packet, TCP inbound", 32_000, || {
            Established::new(1_000, 617, Kind::TcpIn, Manner::OneByOne)
        }),
        counted("established packet, TCP outbound", 32_000, || {
            Established::new(1_000, 617, Kind::TcpOut, Manner::OneByOne)
        }),
        counted("new flow and its end", 16_000, || {
            let udp = Some(Transport::Udp);
            Rounds(NewFlows::new(1_000, 617, udp, Manner::OneByOne))
        }),
    ]
}

fn counted<W: Worker + 'static>(
    name: &'static str,
    operations: u64,
    make: impl Fn() -> W + 'static,
) -> Counted {
    Counted {
        name,
        operations,
        make: Box::new(move || Box::new(make())),
    }
}

fn own(rest: Rest) -> Own {
    own::team(1, WINDOW, plain(4), rest).remove(0)
}

/// Rounds of a case whose rounds are of a given length, with what is between them.
struct Rounds<W>(W);

impl<W: Worker> Worker for Rounds<W> {
    fn run(&mut self, operations: u64) -> u64 {
        let length = self.0.fixed().unwrap_or(operations);
        let rounds = (0..operations / length).map(|_| {
            self.0.prepare();
            self.0.run(length)
        });
        rounds.sum()
    }
}
