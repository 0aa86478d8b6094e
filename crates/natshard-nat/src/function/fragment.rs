//! Fragments, in whatever order they come (RFC 4787 REQ-14).
//!
//! Only the first fragment of a datagram has the ports. Its fate is remembered under source,
//! destination, protocol and identification, and the later ones share it: they are rewritten by
//! address alone. Later fragments that come first are held, as many and as long as
//! [`FragmentLimits`] allows.
//!
//! Nothing is reassembled. Fragments that overlap pass as they are, and what the receiver makes of
//! them is its own affair: this NAT decides by addresses and ports, which an overlap cannot change
//! for it, but a firewall behind it must not trust it to have looked. Two hosts behind one public
//! address may use one identification towards one remote at the same time, and mix up their
//! datagrams there; a 16-bit field leaves no remedy but not to fragment (RFC 6864 section 5.2).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ahash::RandomState;
use natshard::Tick;

use super::flow::edit_refused;
use super::{Ingress, NatBurst};
use crate::allocator::NatAllocator;
use crate::config::{FragmentLimits, Route};
use crate::event::{ReleasedFrame, Sink};
use crate::packet::{Edit, Endpoint, Fragment, View, apply, dissect};
use crate::reason::{DropReason, UntouchedReason};
use crate::session::NatSessionManager;
use crate::tuple::VpcId;
use crate::verdict::{Direction, Verdict};

/// What the fragments of a datagram have in common on arrival.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct FragmentKey {
    vpc: VpcId,
    source: IpAddr,
    destination: IpAddr,
    /// 0 in IPv6, where it does not tell datagrams apart (RFC 8200 section 4.5).
    protocol: u8,
    id: u32,
}

/// What became of the first fragment, and becomes of the later ones.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Translated {
        direction: Direction,
        to: VpcId,
        source: IpAddr,
        destination: IpAddr,
    },
    Untouched(UntouchedReason),
    Dropped,
}

#[derive(Debug)]
struct HeldFrame {
    bytes: Box<[u8]>,
    ingress: Ingress,
}

#[derive(Debug)]
enum State {
    Waiting(Vec<HeldFrame>),
    Known(Fate),
}

#[derive(Debug)]
struct Datagram {
    deadline: Tick,
    /// Tells its queue entry from that of an earlier datagram with the same key.
    serial: u64,
    state: State,
}

/// Datagrams of which the first or a later fragment was seen.
#[derive(Debug, Default)]
pub(super) struct FragmentTable {
    datagrams: HashMap<FragmentKey, Datagram, RandomState>,
    /// One entry per datagram, oldest first.
    queue: VecDeque<(FragmentKey, u64)>,
    serial: u64,
    held_frames: usize,
    held_bytes: usize,
}

impl FragmentTable {
    fn fate(&self, key: &FragmentKey) -> Option<Fate> {
        match self.datagrams.get(key)?.state {
            State::Known(fate) => Some(fate),
            State::Waiting(_) => None,
        }
    }

    /// The datagram's entry, made if it is not there.
    fn enter(&mut self, key: FragmentKey, deadline: Tick) -> &mut Datagram {
        let (serial, queue) = (&mut self.serial, &mut self.queue);
        self.datagrams.entry(key).or_insert_with(|| {
            *serial += 1;
            queue.push_back((key, *serial));
            Datagram {
                deadline,
                serial: *serial,
                state: State::Waiting(Vec::new()),
            }
        })
    }

    /// Takes out the oldest datagram if it is due or there are more than `most`: the frames that
    /// were held for it.
    fn pop(&mut self, now: Tick, most: usize) -> Option<Vec<HeldFrame>> {
        let &(key, serial) = self.queue.front()?;
        let current = self
            .datagrams
            .get(&key)
            .filter(|datagram| datagram.serial == serial);
        let Some(datagram) = current else {
            self.queue.pop_front();
            return Some(Vec::new());
        };
        if datagram.deadline > now && self.queue.len() <= most {
            return None;
        }
        self.queue.pop_front();
        Some(self.take(&key))
    }

    /// Forgets a datagram: the frames that were held for it.
    fn take(&mut self, key: &FragmentKey) -> Vec<HeldFrame> {
        match self.datagrams.remove(key).map(|datagram| datagram.state) {
            Some(State::Waiting(frames)) => self.unhold(frames),
            Some(State::Known(_)) | None => Vec::new(),
        }
    }

    /// Forgets a datagram whose time is over and that another one follows under the same key.
    fn take_overdue(&mut self, key: &FragmentKey, now: Tick) -> Vec<HeldFrame> {
        match self.datagrams.get(key) {
            Some(datagram) if datagram.deadline <= now => self.take(key),
            _ => Vec::new(),
        }
    }

    fn unhold(&mut self, frames: Vec<HeldFrame>) -> Vec<HeldFrame> {
        self.held_frames -= frames.len();
        self.held_bytes -= frames.iter().map(|frame| frame.bytes.len()).sum::<usize>();
        frames
    }
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// A packet that is one of several fragments.
    pub(super) fn fragment(
        &mut self,
        frame: &mut [u8],
        view: &View,
        fragment: Fragment,
        ingress: Ingress,
    ) -> Verdict {
        let key = FragmentKey {
            vpc: ingress.vpc,
            source: view.source(),
            destination: view.destination(),
            protocol: if view.source().is_ipv4() {
                view.protocol()
            } else {
                0
            },
            id: fragment.id,
        };
        let overdue = self.fragments.take_overdue(&key, self.now);
        self.drop_held(overdue, DropReason::FragmentTimeout);
        let foreign = self.never_translated(view, ingress.vpc);
        if fragment.is_first() {
            let verdict = self.packet(frame, view, ingress.vpc, None);
            if foreign.is_none() || !matches!(verdict, Verdict::Untouched(_)) {
                self.first_fragment(key, frame, ingress, verdict);
            }
            return verdict;
        }
        match (self.fragments.fate(&key), foreign) {
            (Some(fate), _) => self.follow(frame, view, fate),
            (None, Some(reason)) => Verdict::Untouched(reason),
            (None, None) => self.hold(key, frame, ingress),
        }
    }

    /// Why no fragment between these addresses needs to wait for its ports. Sessions of a drained
    /// public address are the exception: their fragments pass untouched if they come before the
    /// first one.
    fn never_translated(&self, view: &View, vpc: VpcId) -> Option<UntouchedReason> {
        let known = match view.source() {
            IpAddr::V4(_) => [1, 6, 17],
            IpAddr::V6(_) => [58, 6, 17],
        };
        if !known.contains(&view.protocol()) {
            return Some(UntouchedReason::Protocol);
        }
        if self.config.public_pool(vpc, view.destination()).is_some() {
            return None;
        }
        match self.config.route(vpc, view.destination()) {
            Some(Route::Peering(_)) => None,
            Some(Route::Local) => Some(UntouchedReason::Local),
            None => Some(UntouchedReason::NoPeering),
        }
    }

    /// Remembers what became of a first fragment, and lets those go that waited for it.
    fn first_fragment(
        &mut self,
        key: FragmentKey,
        frame: &[u8],
        ingress: Ingress,
        verdict: Verdict,
    ) {
        let fate = match verdict {
            Verdict::Untouched(reason) => Fate::Untouched(reason),
            Verdict::Translated { direction, to } => match dissect(ingress.link, frame) {
                Ok(after) => Fate::Translated {
                    direction,
                    to,
                    source: after.source(),
                    destination: after.destination(),
                },
                Err(_) => Fate::Dropped,
            },
            Verdict::Dropped(_) | Verdict::Held => Fate::Dropped,
        };
        let limits = self.config.fragments();
        let deadline = self.now.saturating_add(limits.timeout);
        let datagram = self.fragments.enter(key, deadline);
        let waiting = match std::mem::replace(&mut datagram.state, State::Known(fate)) {
            State::Waiting(frames) => self.fragments.unhold(frames),
            State::Known(_) => Vec::new(),
        };
        self.limit_datagrams(&limits);
        for mut held in waiting {
            let verdict = match dissect(held.ingress.link, &held.bytes) {
                Ok(view) => self.follow(&mut held.bytes, &view, fate),
                Err(_) => Verdict::Dropped(DropReason::Malformed),
            };
            self.let_go(held, verdict);
        }
    }

    /// A later fragment of a datagram whose first one was seen.
    fn follow(&mut self, frame: &mut [u8], view: &View, fate: Fate) -> Verdict {
        let (direction, to, source, destination) = match fate {
            Fate::Untouched(reason) => return Verdict::Untouched(reason),
            Fate::Dropped => return Verdict::Dropped(DropReason::FragmentOfDropped),
            Fate::Translated {
                direction,
                to,
                source,
                destination,
            } => (direction, to, source, destination),
        };
        let end = |now: IpAddr, then: IpAddr| {
            (now != then).then_some(Endpoint {
                address: now,
                port: None,
            })
        };
        let edit = Edit {
            source: end(source, view.source()),
            destination: end(destination, view.destination()),
            hop_limit: self.config.hop_limit(),
        };
        match apply(frame, view, &edit) {
            Ok(()) => Verdict::Translated { direction, to },
            Err(error) => edit_refused(error),
        }
    }

    /// Keeps a copy of a later fragment until the first one comes.
    fn hold(&mut self, key: FragmentKey, frame: &[u8], ingress: Ingress) -> Verdict {
        let limits = self.config.fragments();
        // Make room by what is overdue before refusing.
        self.expire_fragments(2);
        let table = &mut *self.fragments;
        if table.held_frames >= limits.held_frames
            || table.held_bytes + frame.len() > limits.held_bytes
            || limits.datagrams == 0
        {
            return Verdict::Dropped(DropReason::FragmentTableFull);
        }
        let deadline = self.now.saturating_add(limits.timeout);
        if let State::Waiting(frames) = &mut table.enter(key, deadline).state {
            frames.push(HeldFrame {
                bytes: frame.into(),
                ingress,
            });
        }
        table.held_frames += 1;
        table.held_bytes += frame.len();
        self.limit_datagrams(&limits);
        Verdict::Held
    }

    /// Forgets the oldest datagrams past the limit.
    fn limit_datagrams(&mut self, limits: &FragmentLimits) {
        while self.fragments.queue.len() > limits.datagrams {
            let frames = self.fragments.pop(self.now, limits.datagrams);
            self.drop_held(frames.unwrap_or_default(), DropReason::FragmentTableFull);
        }
    }

    /// Forgets datagrams whose time is over, at most `budget`.
    pub(super) fn expire_fragments(&mut self, budget: usize) {
        for _ in 0..budget {
            match self.fragments.pop(self.now, usize::MAX) {
                Some(frames) => self.drop_held(frames, DropReason::FragmentTimeout),
                None => return,
            }
        }
    }

    /// Drops every held fragment and forgets all.
    pub(super) fn abandon_fragments(&mut self) {
        while let Some(frames) = self.fragments.pop(self.now, 0) {
            self.drop_held(frames, DropReason::FragmentTimeout);
        }
    }

    fn drop_held(&mut self, frames: Vec<HeldFrame>, reason: DropReason) {
        for held in frames {
            self.let_go(held, Verdict::Dropped(reason));
        }
    }

    /// Hands a held fragment out with its final verdict.
    fn let_go(&mut self, mut held: HeldFrame, verdict: Verdict) {
        self.stats.held -= 1;
        self.stats.count(verdict);
        self.sink.frame(ReleasedFrame {
            bytes: &mut held.bytes,
            link: held.ingress.link,
            from: held.ingress.vpc,
            token: held.ingress.token,
            verdict,
        });
    }
}
