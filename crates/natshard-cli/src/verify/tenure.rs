//! Who bore which public tuple, and when.
//!
//! A *tenure* begins with the first translated frame that shows an inside endpoint under a public
//! tuple, and lasts until the last such frame, or until the NAT says that the mapping ended. Two
//! tenures of one tuple that touch are a double lease (I1); two that are closer than the
//! hold-down are a port that did not rest (I3). Each shard notes the tenures of the frames it
//! sees; judgement is passed on all of them together, for a tuple can go from one shard to
//! another.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::wire::WireEnd;

/// A public tuple in its realm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Public {
    /// The realm, by a number of the caller's.
    pub(crate) realm: u32,
    /// The tuple.
    pub(crate) end: WireEnd,
}

/// An inside endpoint in its VPC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Inside {
    /// The VPC.
    pub(crate) vpc: u32,
    /// Address and port.
    pub(crate) end: WireEnd,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: u64,
    last: u64,
}

/// A tenure that is over, or still goes on.
#[derive(Clone, Copy, Debug)]
struct Tenure {
    public: Public,
    inside: Inside,
    first: u64,
    /// Tick of the last frame.
    last: u64,
    /// Tick at which the mapping ended; `u64::MAX` where it goes on.
    end: u64,
    /// Whether its port may be used again at once.
    needs_no_rest: bool,
}

/// The tenures that one shard's frames show.
#[derive(Default)]
pub(crate) struct Tenures {
    open: HashMap<(Public, Inside), Span>,
    over: Vec<Tenure>,
}

/// How long an inside endpoint had some public tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stay {
    /// The endpoint.
    pub(crate) inside: Inside,
    /// Tick of the first frame that showed it.
    pub(crate) from: u64,
    /// Tick at which the mapping ended.
    pub(crate) until: u64,
    /// Whether the port rests then.
    pub(crate) rests: bool,
}

/// What is wrong with a set of tenures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Judgement {
    /// Tuples that bore two inside endpoints at one time: one for each later tenure.
    pub(crate) duplicates: u64,
    /// Tenures that began before the hold-down of the one before had passed.
    pub(crate) unrested: u64,
}

impl Tenures {
    /// A frame of `inside` was seen under `public`.
    pub(crate) fn seen(&mut self, public: Public, inside: Inside, now: u64) {
        match self.open.entry((public, inside)) {
            Entry::Occupied(mut span) => span.get_mut().last = now,
            Entry::Vacant(vacant) => {
                vacant.insert(Span {
                    first: now,
                    last: now,
                });
            }
        }
    }

    /// The mapping of `inside` to `public` ended.
    pub(crate) fn ended(&mut self, public: Public, inside: Inside, now: u64, needs_no_rest: bool) {
        if let Some(Span { first, last }) = self.open.remove(&(public, inside)) {
            self.over.push(Tenure {
                public,
                inside,
                first,
                last,
                end: now.max(last),
                needs_no_rest,
            });
        }
    }

    /// Whether `inside` still bears `public`.
    pub(crate) fn is_open(&self, public: Public, inside: Inside) -> bool {
        self.open.contains_key(&(public, inside))
    }

    /// How many tuples are alive.
    pub(crate) fn alive(&self) -> u64 {
        self.open.len() as u64
    }

    /// The tenures that are over: who had a tuple, from when to when, and whether it rests then.
    pub(crate) fn over(&self) -> impl Iterator<Item = Stay> + '_ {
        self.over.iter().map(|it| Stay {
            inside: it.inside,
            from: it.first,
            until: it.end,
            rests: !it.needs_no_rest,
        })
    }

    /// What is wrong with the tenures of all shards together.
    pub(crate) fn judge(all: Vec<Tenures>, hold_down: u64) -> Judgement {
        let mut tenures: Vec<Tenure> = Vec::new();
        for shard in all {
            tenures.extend(shard.over);
            tenures.extend(
                shard
                    .open
                    .into_iter()
                    .map(|((public, inside), span)| Tenure {
                        public,
                        inside,
                        first: span.first,
                        last: span.last,
                        end: u64::MAX,
                        needs_no_rest: false,
                    }),
            );
        }
        tenures.sort_unstable_by_key(|it| (it.public, it.first, it.last, it.inside));
        let mut judgement = Judgement::default();
        for same in tenures.chunk_by(|a, b| a.public == b.public) {
            judge_tuple(same, hold_down, &mut judgement);
        }
        judgement
    }
}

/// The tenures of one tuple, by their beginning. Only the earlier one that lasts longest can be
/// in the way of a later one; that is kept for the two endpoints that lasted longest, so that an
/// endpoint which gets its own tuple back is not compared with itself alone.
fn judge_tuple(tenures: &[Tenure], hold_down: u64, judgement: &mut Judgement) {
    let mut longest: [Option<&Tenure>; 2] = [None, None];
    for later in tenures {
        let earlier = longest
            .into_iter()
            .flatten()
            .find(|it| it.inside != later.inside);
        if let Some(earlier) = earlier {
            // Within one tick the order is unknown, and only without a hold-down is it lawful.
            let overlaps = later.first < earlier.last
                || (later.first == earlier.last && hold_down == 0 && later.last > earlier.last)
                || earlier.end == u64::MAX;
            if overlaps {
                judgement.duplicates += 1;
            } else if !earlier.needs_no_rest && later.first < earlier.end.saturating_add(hold_down)
            {
                judgement.unrested += 1;
            }
        }
        keep_longest(&mut longest, later);
    }
}

/// Keeps the tenures that end last, of two different endpoints, the longer first.
fn keep_longest<'t>(longest: &mut [Option<&'t Tenure>; 2], new: &'t Tenure) {
    let outlasts = |old: Option<&Tenure>| old.is_none_or(|old| new.end >= old.end);
    if longest[0].is_some_and(|old| old.inside == new.inside) {
        if outlasts(longest[0]) {
            longest[0] = Some(new);
        }
    } else if outlasts(longest[0]) {
        longest[1] = longest[0];
        longest[0] = Some(new);
    } else if outlasts(longest[1]) {
        longest[1] = Some(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const HOLD_DOWN: u64 = 120_000;

    fn end(address: [u8; 4], port: u16) -> WireEnd {
        WireEnd {
            protocol: 6,
            port,
            address: IpAddr::from(address),
        }
    }

    fn public(port: u16) -> Public {
        Public {
            realm: 0,
            end: end([203, 0, 113, 1], port),
        }
    }

    fn inside(host: u8) -> Inside {
        Inside {
            vpc: 0,
            end: end([10, 0, 0, host], 4000),
        }
    }

    fn judge(all: Vec<Tenures>) -> (u64, u64) {
        let judgement = Tenures::judge(all, HOLD_DOWN);
        (judgement.duplicates, judgement.unrested)
    }

    #[test]
    fn one_tuple_for_each_endpoint_is_in_order() {
        let mut tenures = Tenures::default();
        for host in 0..10 {
            tenures.seen(public(2000 + u16::from(host)), inside(host), 5);
            tenures.seen(public(2000 + u16::from(host)), inside(host), 500);
        }
        assert_eq!(tenures.alive(), 10);
        assert_eq!(judge(vec![tenures]), (0, 0));
    }

    #[test]
    fn a_tuple_with_two_owners_at_once_is_caught() {
        let mut tenures = Tenures::default();
        tenures.seen(public(2000), inside(1), 0);
        tenures.seen(public(2000), inside(2), 10);
        tenures.seen(public(2000), inside(1), 20);
        assert_eq!(judge(vec![tenures]).0, 1);
    }

    #[test]
    fn a_tuple_with_owners_in_two_shards_is_caught() {
        let (mut one, mut other) = (Tenures::default(), Tenures::default());
        one.seen(public(2000), inside(1), 0);
        other.seen(public(2000), inside(2), 1_000_000);
        assert_eq!(judge(vec![one, other]), (1, 0), "the first never ended");
    }

    #[test]
    fn the_same_tuple_in_another_realm_or_protocol_is_another_tuple() {
        let mut tenures = Tenures::default();
        let mut elsewhere = public(2000);
        elsewhere.realm = 1;
        let mut udp = public(2000);
        udp.end.protocol = 17;
        tenures.seen(public(2000), inside(1), 0);
        tenures.seen(elsewhere, inside(2), 0);
        tenures.seen(udp, inside(3), 0);
        assert_eq!(judge(vec![tenures]), (0, 0));
    }

    fn reused_after(rest: u64, needs_no_rest: bool) -> (u64, u64) {
        let (mut one, mut other) = (Tenures::default(), Tenures::default());
        one.seen(public(2000), inside(1), 0);
        one.ended(public(2000), inside(1), 1000, needs_no_rest);
        other.seen(public(2000), inside(2), 1000 + rest);
        judge(vec![one, other])
    }

    #[test]
    fn a_tuple_reused_before_its_hold_down_is_caught() {
        assert_eq!(reused_after(HOLD_DOWN, false), (0, 0));
        assert_eq!(reused_after(HOLD_DOWN - 1, false), (0, 1));
        assert_eq!(reused_after(0, false), (0, 1));
        assert_eq!(reused_after(0, true), (0, 0), "a port that needs no rest");
    }

    #[test]
    fn an_endpoint_may_have_its_own_tuple_back_and_hides_nobody() {
        let mut tenures = Tenures::default();
        tenures.seen(public(2000), inside(1), 0);
        tenures.ended(public(2000), inside(1), 1000, false);
        tenures.seen(public(2000), inside(1), 2000);
        tenures.ended(public(2000), inside(1), 3000, false);
        tenures.seen(public(2000), inside(2), 4000);
        assert_eq!(judge(vec![tenures]), (0, 1));
    }

    #[test]
    fn an_endpoint_that_comes_between_does_not_hide_the_one_before() {
        let mut tenures = Tenures::default();
        tenures.seen(public(2000), inside(1), 0);
        tenures.seen(public(2000), inside(2), 10);
        tenures.ended(public(2000), inside(2), 20, false);
        tenures.seen(public(2000), inside(1), 30);
        tenures.ended(public(2000), inside(1), 40, false);
        tenures.seen(public(2000), inside(2), 50);
        tenures.ended(public(2000), inside(2), 60, false);
        // The second tenure lies within the first, the third follows both too soon.
        assert_eq!(judge(vec![tenures]), (1, 1));
    }

    #[test]
    fn an_end_that_no_frame_began_changes_nothing() {
        let mut tenures = Tenures::default();
        tenures.ended(public(2000), inside(1), 1000, false);
        assert_eq!(tenures.alive(), 0);
        assert_eq!(judge(vec![tenures]), (0, 0));
    }
}
