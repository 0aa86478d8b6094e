//! From captures to windows: what each frame is, which way it goes, and when.

use std::net::IpAddr;

use anyhow::Result;
use natshard::Tick;
use natshard_nat::packet::{Link, Skip, View, dissect};

use super::amplify::Amplifier;
use super::batch::{Batch, Item, Way};
use super::counts::Counts;
use super::plan::Plan;
use crate::capture::{Complaint, Frame, Segment, Sequence, Source};

/// How much time one look at the clock stands for, in milliseconds: much less than any timer of a
/// NAT, and enough for bursts of packets.
pub(super) const WINDOW: u64 = 10;
/// The most packets of a window, amplified ones included (a single frame may exceed it).
const PACKETS: u32 = 4096;
/// The most frames of a window.
const FRAMES: u32 = 512;
/// The most bytes of a window's frames.
const BYTES: usize = 4 << 20;

/// Cuts captures into windows.
pub(super) struct WindowReader<'s> {
    sequence: Sequence<'s>,
    sorter: Sorter<'s>,
    /// The frame that did not fit into the last window, in a window of its own.
    next: Option<Batch>,
}

/// Says what a frame is and counts those that no worker needs to see.
struct Sorter<'s> {
    plan: &'s Plan,
    amplifier: Amplifier,
    counts: Counts,
    frames: u64,
    unsent: u64,
    clock: u64,
}

impl<'s> WindowReader<'s> {
    /// Reads these captures.
    pub(super) fn new(sources: &'s [Source], plan: &'s Plan, amplify: u32) -> Self {
        WindowReader {
            sequence: Sequence::new(sources),
            sorter: Sorter {
                plan,
                amplifier: Amplifier::new(amplify, plan),
                counts: Counts::default(),
                frames: 0,
                unsent: 0,
                clock: 0,
            },
            next: None,
        }
    }

    /// The next window with something in it for the workers; `None` when all is read.
    ///
    /// # Errors
    /// When a capture cannot be opened or is none.
    pub(super) fn next(&mut self) -> Result<Option<Batch>> {
        let mut batch = self.next.take();
        let most = (PACKETS / self.sorter.amplifier.factor()).clamp(1, FRAMES);
        while let Some(frame) = self.sequence.next()? {
            let (data, capture) = (frame.data, frame.capture);
            let Some(item) = self.sorter.sort(&frame)? else {
                self.sorter.unsent += 1;
                continue;
            };
            let now = Tick::from_millis(frame.clock / 1_000_000);
            match &mut batch {
                Some(window) if window.capture == capture && fits(window, now, most) => {
                    window.push(item, data)
                }
                full => {
                    let mut window = Batch::new(now, capture);
                    window.push(item, data);
                    if full.is_some() {
                        self.next = Some(window);
                        return Ok(batch);
                    }
                    batch = Some(window);
                }
            }
        }
        Ok(batch)
    }

    /// Frames read so far, before amplification.
    pub(super) fn frames(&self) -> u64 {
        self.sorter.frames
    }

    /// Frames that were counted here and not given to any worker.
    pub(super) fn unsent(&self) -> u64 {
        self.sorter.unsent
    }

    /// Replay time of the last frame, in nanoseconds.
    pub(super) fn clock(&self) -> u64 {
        self.sorter.clock
    }

    /// When the captures begin that were met so far.
    pub(super) fn segments(&self) -> &[Segment] {
        self.sequence.segments()
    }

    /// The packets no worker saw, and what is wrong with the captures.
    pub(super) fn finish(self) -> (Counts, Vec<(String, Complaint)>) {
        let complaints = self.sequence.into_complaints();
        (self.sorter.counts, complaints)
    }
}

fn fits(window: &Batch, now: Tick, most: u32) -> bool {
    now.as_millis() - window.now.as_millis() < WINDOW
        && window.items.len() < most as usize
        && window.len_bytes() < BYTES
}

impl Sorter<'_> {
    /// What the workers need to know of a frame; `None` if it never gets to a NAT.
    fn sort(&mut self, frame: &Frame<'_>) -> Result<Option<Item>> {
        self.frames += 1;
        self.clock = frame.clock;
        let (Some(linktype), Some(link)) = (
            frame.linktype.and_then(|it| u16::try_from(it).ok()),
            frame.linktype.and_then(Link::from_pcap),
        ) else {
            self.untouched("unsupported_link", 1);
            return Ok(None);
        };
        let view = match dissect(link, frame.data) {
            Ok(view) => view,
            Err(skip @ Skip::NotIp(_)) => {
                self.untouched(skip.name(), 1);
                return Ok(None);
            }
            Err(skip) => {
                self.counts.read += 1;
                self.counts.dropped(skip.name(), 1);
                return Ok(None);
            }
        };
        let (way, host) = match self.side(&view) {
            Ok(side) => side,
            Err((reason, hosts)) => {
                // A packet between inside hosts is one of each copy of them.
                let packets = match hosts {
                    true => u64::from(self.amplifier.factor()),
                    false => 1,
                };
                self.untouched(reason, packets);
                return Ok(None);
            }
        };
        let copies = self.amplifier.copies(host)?;
        self.counts.read += u64::from(copies.count);
        Ok(Some(Item::new(
            self.frames,
            frame.at,
            frame.wire_len,
            linktype,
            link,
            view,
            way,
            copies,
        )))
    }

    /// Which way a packet goes and which inside host it belongs to; or why it stays as it is, and
    /// whether an inside host has part in it.
    fn side(&self, view: &View) -> Result<(Way, IpAddr), (&'static str, bool)> {
        let (source, destination) = (view.source(), view.destination());
        let from = self.plan.inside_vpc(source);
        let to = self.plan.inside_vpc(destination);
        let hosts = from.is_some() || to.is_some();
        if !is_host(source) || !is_host(destination) {
            return Err(("not_unicast", hosts));
        }
        match (from, to) {
            (Some(_), Some(_)) => Err(("inside_to_inside", true)),
            (None, None) => Err(("outside_to_outside", false)),
            // Our own public addresses as somebody else's: nobody could tell them apart.
            (Some(_), None) if self.plan.is_public(destination) => Err(("remote_in_pool", true)),
            (None, Some(_)) if self.plan.is_public(source) => Err(("remote_in_pool", true)),
            (Some(vpc), None) => Ok((Way::Out(vpc), source)),
            (None, Some(_)) => Ok((Way::In, destination)),
        }
    }

    fn untouched(&mut self, reason: &'static str, packets: u64) {
        self.counts.read += packets;
        self.counts.untouched(reason, packets);
    }
}

/// Whether an address can be that of one host beyond a link.
fn is_host(address: IpAddr) -> bool {
    let anyway = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !anyway && !link_local
}
