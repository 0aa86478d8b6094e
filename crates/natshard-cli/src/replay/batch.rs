//! What the reader hands to the workers: a window of frames that all happen at one time.

use std::net::IpAddr;

use natshard::Tick;
use natshard_nat::VpcId;
use natshard_nat::packet::{Link, View};

use super::amplify::Copies;

/// Which way a packet goes, and between whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// From an inside host of that VPC.
    Out(VpcId),
    /// To an inside host.
    In,
}

/// A frame for the workers; each takes the copies whose inside host is its own.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The position of the frame in the replay.
    pub(crate) number: u64,
    /// Nanoseconds since 1970, as captured.
    pub(crate) at: u64,
    /// Length on the wire.
    pub(crate) wire_len: u32,
    /// `LINKTYPE_*`.
    pub(crate) linktype: u16,
    /// The same, as the packet layer has it.
    pub(crate) link: Link,
    /// What the frame holds.
    pub(crate) view: View,
    /// Which way it goes.
    pub(crate) way: Way,
    /// The addresses its inside host stands for.
    pub(crate) copies: Copies,
    /// Where its bytes begin in the batch.
    start: usize,
    /// And where they end.
    end: usize,
}

/// Frames that happen within one window of time: one look at the clock for all of them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The time.
    pub(crate) now: Tick,
    /// Which capture they are from.
    pub(crate) capture: usize,
    /// The frames, in order.
    pub(crate) items: Vec<Item>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Without frames yet.
    pub(crate) fn new(now: Tick, capture: usize) -> Self {
        Batch {
            now,
            capture,
            ..Batch::default()
        }
    }

    /// Adds a frame; `start` and `end` of the item are set here.
    pub(crate) fn push(&mut self, mut item: Item, frame: &[u8]) {
        item.start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        item.end = self.bytes.len();
        self.items.push(item);
    }

    /// The bytes of a frame.
    pub(crate) fn frame(&self, item: &Item) -> &[u8] {
        &self.bytes[item.start..item.end]
    }

    /// Bytes of all frames.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Item {
    /// An item that is not in a batch yet.
    #[allow(clippy::too_many_arguments, reason = "every field of a plain record")]
    pub(crate) fn new(
        number: u64,
        at: u64,
        wire_len: u32,
        linktype: u16,
        link: Link,
        view: View,
        way: Way,
        copies: Copies,
    ) -> Self {
        Item {
            number,
            at,
            wire_len,
            linktype,
            link,
            view,
            way,
            copies,
            start: 0,
            end: 0,
        }
    }
}

/// The shard that an inside host belongs to. Any hash will do that does not change.
pub(crate) fn steer(host: IpAddr, shards: usize) -> usize {
    let bits = match host {
        IpAddr::V4(host) => u128::from(u32::from(host)),
        IpAddr::V6(host) => u128::from(host),
    };
    let folded = (bits as u64) ^ (bits >> 64) as u64;
    let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed) * shards as u128) >> 64) as usize
}
