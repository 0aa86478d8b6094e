//! What can happen in a history.

use natshard::Strictness;
use proptest::prelude::*;

use crate::world::SLICE;

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Ended,
    Unused,
    Raw,
    Drop,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Allocate {
        shard: usize,
        who: usize,
        protocol: usize,
        count: usize,
        wish: Wish,
    },
    Reserve {
        shard: usize,
        address: usize,
        port: u16,
    },
    Release {
        shard: usize,
        pick: usize,
        how: How,
    },
    /// Everything but so many.
    ReleaseMany {
        shard: usize,
        keep: usize,
    },
    Idle {
        shard: usize,
    },
    Forward {
        slices: u64,
        millis: u64,
    },
    Jump {
        far: usize,
    },
    Reconfigure {
        shape: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    None,
    Port(u16),
    Address(usize, Strictness),
}

pub(crate) fn strictness() -> impl Strategy<Value = Strictness> {
    prop_oneof![Just(Strictness::Strict), Just(Strictness::Preferred)]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let shard = || 0..3usize;
    let wish = prop_oneof![
        6 => Just(Wish::None),
        1 => (1000..1600u16).prop_map(Wish::Port),
        1 => (0..3usize, strictness()).prop_map(|(at, strictness)| Wish::Address(at, strictness)),
    ];
    let count = prop_oneof![3 => 1..4usize, 2 => 4..80usize, 1 => 80..300usize];
    let how = prop_oneof![
        4 => Just(How::Ended),
        2 => Just(How::Unused),
        1 => Just(How::Raw),
        1 => Just(How::Drop)
    ];
    prop_oneof![
        12 => (shard(), 0..5usize, 0..3usize, count, wish).prop_map(
            |(shard, who, protocol, count, wish)| Step::Allocate { shard, who, protocol, count, wish }
        ),
        1 => (shard(), 0..3usize, 1000..1600u16)
            .prop_map(|(shard, address, port)| Step::Reserve { shard, address, port }),
        6 => (shard(), any::<usize>(), how)
            .prop_map(|(shard, pick, how)| Step::Release { shard, pick, how }),
        3 => (shard(), 0..20usize).prop_map(|(shard, keep)| Step::ReleaseMany { shard, keep }),
        2 => shard().prop_map(|shard| Step::Idle { shard }),
        5 => (0..20u64, 0..SLICE).prop_map(|(slices, millis)| Step::Forward { slices, millis }),
        1 => (0..4usize).prop_map(|far| Step::Jump { far }),
        1 => (0..8usize).prop_map(|shape| Step::Reconfigure { shape }),
    ]
}
