//! One block among its neighbours, by one thread. What several do at once is the models' matter.

use super::*;
use crate::tick::Tick;
use std::time::Duration;

const ME: ShardId = ShardId(3);
const YOU: ShardId = ShardId(100);
/// Slices are milliseconds; a rest is 17 of them.
const HOLD_DOWN: Duration = Duration::from_millis(16);
const REST: u64 = 17;
/// Which block of its page.
const INDEX: usize = 3;
const BASE: usize = INDEX * PORTS;

/// A block, and the bytes of its page.
struct Ground {
    block: Block,
    cold: Cold,
    clock: Clock,
}

impl Ground {
    /// A free block, in the slice 1000.
    fn new() -> Self {
        let clock = Clock::new(HOLD_DOWN).counting(true);
        clock.bring(Tick::from_millis(1000));
        Ground {
            block: Block::new(7),
            cold: Cold::new(),
            clock,
        }
    }

    /// A block which the shard heats, with these ports in its hand.
    fn heating(wanted: &Mask) -> Self {
        let ground = Ground::new();
        assert!(ground.here().claim(ME));
        ground.here().take_fresh(ME, wanted, &ground.clock);
        ground
    }

    /// A cooling block of which every port is leased.
    fn leased() -> Self {
        let ground = Ground::heating(&Mask::FULL);
        ground.here().cool(ME);
        ground
    }

    /// An assigned block, nothing of which is taken.
    fn assigned() -> Self {
        let ground = Ground::heating(&Mask::EMPTY);
        assert!(ground.here().assign(ME));
        ground
    }

    fn here(&self) -> BlockRef<'_> {
        BlockRef::new(&self.block, &self.cold, INDEX)
    }

    /// Lets so many slices pass, one by one.
    fn wait(&self, slices: u64) {
        for _ in 0..slices {
            self.clock.bring(Tick::from_millis(self.clock.slice() + 1));
        }
    }

    fn give_back(&self, ports: &Mask) {
        for port in ports.iter() {
            let moment = self.clock.moment();
            self.here().give_back(port, moment, &self.clock);
        }
    }

    fn byte(&self, port: usize) -> u8 {
        self.cold.stamps.get(BASE + port)
    }

    fn set_byte(&self, port: usize, byte: u8) {
        self.cold.stamps.set(BASE + port, byte);
    }

    /// The ports with this byte.
    fn with_byte(&self, byte: u8) -> Mask {
        (0..PORTS).filter(|&port| self.byte(port) == byte).collect()
    }

    /// The neighbours are not this block's to write.
    fn check_neighbours(&self) {
        for at in (0..BASE).chain(BASE + PORTS..PORTS * BLOCKS) {
            assert_eq!(self.cold.stamps.get(at), 0, "{at}");
            assert_eq!(self.cold.tags.get(at), 0, "{at}");
        }
    }
}

/// Sets of ports of every shape: none, one, runs, holes, every second, all but one, all.
fn shapes() -> Vec<Mask> {
    let every = |step: usize| (1..PORTS).step_by(step).collect::<Mask>();
    vec![
        Mask::EMPTY,
        [200].into_iter().collect(),
        Mask::range(60, 10),
        Mask::range(0, 128),
        Mask::range(100, 156),
        every(2),
        every(7),
        Mask::FULL.without(&every(100)),
        Mask::FULL,
    ]
}

#[test]
fn a_claim_takes_what_was_wanted_whatever_the_bytes_said() {
    for wanted in shapes() {
        for used in [false, true] {
            let ground = Ground::new();
            let here = ground.here();
            if used {
                assert!(here.claim(YOU));
                here.take_fresh(YOU, &Mask::EMPTY, &ground.clock);
                assert!(here.abandon(YOU));
                for port in 0..PORTS {
                    ground.set_byte(port, port as u8);
                    ground.cold.tags.set(BASE + port, port as u8);
                }
                ground.block.tags_dirty.set(true);
            }
            assert_eq!(here.nobodys(), Mask::FULL, "free, whatever the bytes say");
            assert!(here.claim(ME) && !here.claim(YOU));
            here.take_fresh(ME, &wanted, &ground.clock);
            let others = Mask::FULL.without(&wanted);
            assert_eq!(ground.with_byte(stamp::HELD), wanted);
            assert_eq!(ground.with_byte(stamp::IDLE), others);
            assert_eq!(here.nobodys(), others);
            assert_eq!(here.has_released(), !others.is_empty());
            for port in 0..PORTS {
                assert_eq!(here.tag(port), 0);
                let issuer = wanted.contains(port).then_some(ME);
                assert_eq!(here.issuer(port), issuer);
            }
            ground.check_neighbours();
        }
    }
}

#[test]
fn the_state_goes_only_where_it_may() {
    let ground = Ground::new();
    let here = ground.here();
    assert!(!here.reheat(ME) && !here.recycle() && !here.abandon(ME) && !here.assign(ME));
    assert_eq!(here.nobodys(), Mask::FULL);
    assert!(here.claim(ME) && !here.abandon(YOU) && here.abandon(ME));
    assert_eq!(
        here.state(),
        BlockState::free(7).claim(ME).unwrap().abandon(ME).unwrap()
    );
    assert!(here.claim(ME) && !here.claim(ME));
    here.cool(ME);
    assert_eq!(here.state().phase(), Phase::Cooling);
    assert!(here.reheat(YOU) && !here.reheat(ME));
    assert_eq!(here.state().shard(), YOU);
}

#[test]
fn a_block_is_pristine_until_a_port_of_it_was_issued() {
    for wanted in shapes() {
        let ground = Ground::heating(&wanted);
        let here = ground.here();
        assert!(here.is_pristine(&wanted));
        assert_eq!(here.is_pristine(&Mask::EMPTY), wanted.is_empty());
        here.put_back(&wanted);
        assert!(here.is_pristine(&Mask::EMPTY));
        assert_eq!(ground.with_byte(stamp::IDLE), Mask::FULL);
        ground.set_byte(9, 5);
        assert!(
            !here.is_pristine(&Mask::EMPTY),
            "one was leased and given back"
        );
        ground.set_byte(9, stamp::IDLE);
        assert!(here.is_pristine(&Mask::EMPTY));
        ground.block.tags_dirty.set(true);
        assert!(
            !here.is_pristine(&Mask::EMPTY),
            "one was, in an earlier heat"
        );
        ground.check_neighbours();
    }
}

#[test]
fn a_reheat_takes_what_is_chosen_of_the_rested_with_the_next_even_tags() {
    let ground = Ground::leased();
    let here = ground.here();
    let (rested, resting) = (Mask::range(10, 100), Mask::range(150, 50));
    for port in 0..PORTS {
        ground.cold.tags.set(BASE + port, (3 * port) as u8);
    }
    ground.give_back(&rested);
    ground.wait(REST);
    ground.give_back(&resting);
    here.give_back_idle(255);
    assert_eq!(ground.clock.cooling(), 150);
    assert!(here.reheat(YOU));
    let mut accounted = Mask::EMPTY;
    let odd = Mask::FULL.of_parity(crate::request::Parity::Odd);
    let (taken, others) = here.judge_and_take(
        YOU,
        &ground.clock,
        REST,
        |found| {
            let mut expected = rested;
            expected.insert(255);
            assert_eq!(*found, expected);
            assert!(here.is_judged());
            found.and(&odd)
        },
        |taken| {
            assert!(
                taken
                    .iter()
                    .all(|port| stamp::is_nobodys(ground.byte(port)))
            );
            accounted = *taken;
        },
    );
    assert!(!here.is_judged());
    let mut expected = rested.and(&odd);
    expected.insert(255);
    assert_eq!((taken, accounted), (expected, expected));
    let mut released = rested.or(&resting);
    released.insert(255);
    assert_eq!(others, released.without(&taken));
    assert_eq!(here.nobodys(), others);
    assert_eq!(ground.with_byte(stamp::of_owner(YOU)), taken);
    assert_eq!(ground.clock.cooling(), 100, "the idle one bore no stamp");
    for port in 0..PORTS {
        let before = (3 * port) as u8;
        let next = if before % 2 == 1 { 1 } else { 2 };
        let step = if taken.contains(port) { next } else { 0 };
        assert_eq!(here.tag(port), before.wrapping_add(step), "{port}");
        let issuer = match taken.contains(port) {
            true => Some(YOU),
            false => (!others.contains(port)).then_some(ME),
        };
        assert_eq!(here.issuer(port), issuer);
    }
    assert!(ground.block.tags_dirty.get());
    let nothing = here.judge_and_take(YOU, &ground.clock, REST, |_| Mask::EMPTY, |_| ());
    assert_eq!(nothing, (Mask::EMPTY, others));
}

#[test]
fn a_token_is_good_for_one_release_of_the_lease_it_names() {
    for (tag, assigned) in [(0, false), (6, false), (254, false), (8, true)] {
        let ground = match assigned {
            true => Ground::assigned(),
            false => Ground::leased(),
        };
        let here = ground.here();
        let (port, other) = (17, 18);
        for (port, tag) in [(port, tag), (other, 2)] {
            ground.set_byte(port, stamp::of_owner(ME));
            ground.cold.tags.set(BASE + port, tag);
        }
        assert!(!here.redeem(6, port, tag), "an earlier generation's");
        assert!(!here.redeem(7, port, tag + 1), "odd");
        assert!(
            !here.redeem(7, port, tag.wrapping_sub(2)),
            "an earlier lease's"
        );
        for byte in [1, 60, stamp::IDLE] {
            ground.set_byte(port, byte);
            assert!(!here.redeem(7, port, tag), "given back otherwise");
        }
        ground.set_byte(port, stamp::of_owner(ME));
        ground.block.tags_dirty.set(false);
        assert!(here.redeem(7, port, tag));
        assert!(ground.block.tags_dirty.get());
        assert_eq!(here.tag(port), tag + 1);
        assert!(!here.redeem(7, port, tag), "twice");
        assert!(!here.redeem(7, port, tag + 1), "an odd tag is nobody's");
        assert_eq!(here.tag(other), 2);
        assert!(here.redeem(7, other, 2));
        ground.check_neighbours();
    }
    let ground = Ground::new();
    assert!(!ground.here().redeem(7, 0, 0), "of a free block");
}

#[test]
fn a_release_bears_its_moment_and_is_counted_where_it_rests() {
    let ground = Ground::leased();
    let here = ground.here();
    let moment = ground.clock.moment();
    assert!(!here.has_released());
    here.give_back(40, moment, &ground.clock);
    assert_eq!(ground.byte(40), moment.stamp());
    assert_eq!(ground.clock.cooling(), 1);
    assert!(here.has_released());
    here.give_back_idle(41);
    assert_eq!(ground.byte(41), stamp::IDLE);
    assert_eq!(ground.clock.cooling(), 1);
    assert_eq!(here.nobodys(), Mask::range(40, 2));
    let rest = here.rest(&ground.clock, REST);
    assert_eq!(
        (rest.released, rest.rested),
        (Mask::range(40, 2), Mask::range(41, 1))
    );
    assert_eq!(rest.earliest, Some(1000));
    ground.check_neighbours();
}

#[test]
fn stamps_are_forgotten_once_they_are_old_and_have_rested() {
    let ground = Ground::leased();
    let here = ground.here();
    // Whose neighbours have nothing to forget.
    ground.cold.stamps.fill(0, BASE, stamp::IDLE);
    let (rested, resting) = (Mask::range(64, 7), Mask::range(200, 5));
    ground.give_back(&rested);
    ground.wait(40);
    ground.give_back(&resting);
    ground.wait(6);
    let stamp = ground.byte(64);
    here.refresh(&ground.clock);
    assert_eq!(ground.with_byte(stamp), rested, "not old enough");
    ground.wait(1);
    here.refresh(&ground.clock);
    assert_eq!(ground.with_byte(stamp::IDLE), rested);
    assert!(resting.iter().all(|port| ground.byte(port) < stamp::IDLE));
    assert_eq!(ground.clock.cooling(), 5);
    assert_eq!(here.nobodys(), rested.or(&resting));
    // From here on it is fresh again.
    ground.wait(46);
    here.refresh(&ground.clock);
    assert_eq!(ground.clock.cooling(), 5);
    assert!(here.refresh_now(&ground.clock), "but for whoever insists");
    assert_eq!(ground.clock.cooling(), 0);
    assert_eq!(ground.with_byte(stamp::IDLE), rested.or(&resting));
    assert!(!here.is_judged());
    assert!((0..BASE).all(|at| ground.cold.stamps.get(at) == stamp::IDLE));
}

#[test]
fn a_block_seen_held_to_the_last_port_has_no_older_stamps() {
    let ground = Ground::leased();
    let here = ground.here();
    // Too early to say anything.
    ground.wait(46);
    here.was_held(1046);
    ground.wait(4);
    here.was_held(1050);
    ground.give_back(&Mask::range(0, 3));
    // As if it had been refreshed in the slice before.
    ground.wait(45);
    here.refresh(&ground.clock);
    assert_eq!(ground.clock.cooling(), 3);
    ground.wait(1);
    here.refresh(&ground.clock);
    assert_eq!(ground.clock.cooling(), 0);
}

#[test]
fn who_is_at_the_bytes_keeps_others_off() {
    let ground = Ground::leased();
    let here = ground.here();
    ground.give_back(&Mask::FULL);
    ground.wait(REST);
    assert!(!here.is_judged());
    ground.block.judging.set(true);
    assert!(here.is_judged());
    assert!(!here.refresh_now(&ground.clock));
    assert!(!here.condemn(&ground.clock));
    assert!(here.reheat(YOU));
    let taken = here.judge_and_take(YOU, &ground.clock, REST, |found| *found, |_| ());
    assert_eq!(taken, (Mask::EMPTY, Mask::EMPTY));
    assert!(here.is_judged(), "and is the one to let them at it");
    assert_eq!(ground.clock.cooling(), PORTS as u64);
    here.cool(YOU);
    ground.block.judging.set(false);
    assert!(here.condemn(&ground.clock));
    assert!(!here.is_judged());
}

#[test]
fn a_block_is_condemned_only_when_all_of_it_has_rested() {
    for assigned in [false, true] {
        let ground = match assigned {
            true => Ground::assigned(),
            false => Ground::leased(),
        };
        let here = ground.here();
        here.put_back(&Mask::FULL);
        ground.give_back(&Mask::range(1, 200));
        ground.wait(REST - 1);
        assert!(!here.condemn(&ground.clock), "a slice too early");
        assert!(!here.state().is_condemned() && !here.recycle());
        ground.wait(1);
        ground.set_byte(255, stamp::HELD);
        assert!(!here.condemn(&ground.clock), "one is held");
        assert!(!here.state().is_condemned() && !here.is_judged());
        assert_eq!(ground.clock.cooling(), 200);
        ground.set_byte(255, stamp::IDLE);
        assert!(here.condemn(&ground.clock) && !here.condemn(&ground.clock));
        assert!(here.state().is_condemned());
        assert_eq!(ground.with_byte(stamp::IDLE), Mask::FULL);
        assert_eq!(ground.clock.cooling(), 0);
        ground.set_byte(8, 9);
        assert!(here.refresh_now(&ground.clock));
        assert_eq!(ground.byte(8), 9, "it may be somebody else's by now");
        assert!(here.recycle() && !here.recycle());
        assert_eq!(here.state(), BlockState::free(8));
        ground.check_neighbours();
    }
}

#[test]
fn an_assigned_block_is_kept_by_whoever_has_a_use_for_it() {
    let ground = Ground::leased();
    assert!(!ground.here().keep_assigned(), "it is not assigned");
    let ground = Ground::assigned();
    let (here, clock) = (ground.here(), &ground.clock);
    assert!(here.keep_assigned());
    assert!(!here.condemn_unless(clock, || {
        assert!(
            here.state().is_condemned(),
            "owners are looked at after the mark"
        );
        true
    }));
    assert!(!here.state().is_condemned());
    assert!(here.condemn_unless(clock, || false));
    assert!(here.state().is_condemned());
    assert!(here.keep_assigned(), "until it is recycled");
    assert_eq!(here.state().phase(), Phase::Assigned);
    assert!(!here.state().is_condemned());
    ground.set_byte(77, stamp::HELD);
    assert!(!here.condemn_unless(clock, || unreachable!("nothing was marked")));
}

/// A port at a time, with every byte there is.
#[test]
fn a_port_can_be_taken_if_its_byte_says_that_it_has_rested() {
    let ground = Ground::assigned();
    let (here, clock) = (ground.here(), &ground.clock);
    assert!(ground.block.tags_dirty.get(), "any shard may write them");
    for now in [0, 3, 60, 120] {
        ground.wait(now);
        for byte in 0..=255 {
            let age = || u64::from(stamp::age(byte, clock.moment().stamp()));
            let stamped = (1..=126).contains(&byte);
            let rested = byte == 127 || (stamped && age() >= REST);
            ground.set_byte(70, byte);
            ground.cold.tags.set(BASE + 70, byte);
            let ports: Mask = [70].into_iter().collect();
            assert_eq!(here.is_at_rest(clock, &ports), rested);
            assert_eq!(here.at_rest(clock, &ports) == ports, rested);
            clock.count_cooled();
            let before = clock.cooling();
            let taken = here.try_take(70, YOU, clock);
            assert_eq!(taken, rested.then_some(Taken { port: 70 }), "{byte}");
            let warmed = u64::from(rested && stamped);
            assert_eq!(before - clock.cooling(), warmed);
            clock.count_warmed(clock.cooling());
            if rested {
                assert_eq!(ground.byte(70), stamp::of_owner(YOU));
                let next = if byte % 2 == 1 { 1 } else { 2 };
                assert_eq!(here.tag(70), byte.wrapping_add(next));
                here.put_back_taken(Taken { port: 70 });
                assert_eq!(ground.byte(70), stamp::IDLE);
            } else {
                assert_eq!((ground.byte(70), here.tag(70)), (byte, byte));
            }
            ground.set_byte(70, byte);
            assert_eq!(here.forget(70, clock), rested && stamped);
            let left = if rested { stamp::IDLE } else { byte };
            assert_eq!(ground.byte(70), left);
        }
    }
    ground.check_neighbours();
    assert_eq!(
        ground.with_byte(stamp::IDLE),
        Mask::FULL.without(&Mask::range(70, 1))
    );
}

#[test]
fn a_shared_port_is_drawn_from_the_wanted_ones_that_have_rested() {
    let ground = Ground::assigned();
    let (here, clock) = (ground.here(), &ground.clock);
    let take = |wanted: &Mask, draw: fn(u32) -> u32| {
        let mut draws = 0;
        let taken = here.take_shared(ME, clock, wanted, |below| {
            draws += 1;
            draw(below)
        });
        (taken.map(|taken| taken.port), draws)
    };
    assert_eq!(take(&Mask::EMPTY, |_| 0), (None, 0));
    assert_eq!(take(&Mask::range(100, 50), |_| 0), (Some(100), 1));
    assert_eq!(
        take(&Mask::range(100, 50), |below| below - 1),
        (Some(149), 1)
    );
    assert_eq!(
        take(&Mask::range(100, 50), |below| below / 2),
        (Some(125), 1)
    );
    assert_eq!(ground.with_byte(stamp::of_owner(ME)).count(), 3);
    // Some were given back just now, and look as good until one has tried.
    for port in Mask::range(0, 100).iter() {
        ground.set_byte(port, clock.moment().stamp());
    }
    assert_eq!(
        take(&Mask::range(90, 15), |_| 0),
        (Some(101), 9),
        "all are looked at then"
    );
    assert_eq!(take(&Mask::range(97, 10), |_| 0), (Some(102), 4));
    assert_eq!(take(&Mask::range(20, 60), |_| 0), (None, 8));
    assert_eq!(take(&Mask::range(20, 3), |_| 0), (None, 3));
}
