//! Shares of a pool: the pot is never larger than the truth, and a guarantee is never refused.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicI64, Ordering::SeqCst};
use loom_tests::{Bug, Reach, find, prove, thread};
use natshard::model::{Shares, Source};

const OTHERS: u8 = 0;
const TENANT: u8 = 2;

/// A pool of so many blocks: what the books allow, and what is really there.
struct Pool {
    shares: Shares,
    total: i64,
    free: AtomicI64,
}

impl Pool {
    fn new(total: i64, minimum: u32) -> Arc<Self> {
        Arc::new(Pool {
            shares: Shares::new(total, TENANT, minimum),
            total,
            free: AtomicI64::new(total),
        })
    }

    /// As a shard does: the books first, the block second.
    fn take(&self, class: u8) -> Option<Source> {
        let source = self.shares.take(class)?;
        let before = self.free.fetch_sub(1, SeqCst);
        assert!(before > 0, "more blocks allowed than there are");
        Some(source)
    }

    /// The block first, the books second.
    fn give(&self, class: u8) {
        self.free.fetch_add(1, SeqCst);
        self.shares.give(class);
    }

    /// At rest the pot is what the holdings leave.
    fn check(&self) {
        let reserved = [OTHERS, TENANT].map(|class| {
            let minimum = self.shares.minimum(class);
            i64::from(self.shares.held(class).max(minimum))
        });
        let truth = self.total - reserved.iter().sum::<i64>();
        assert_eq!(self.shares.pot(), truth, "the pot is not what is left");
    }
}

/// Two shards of one tenant at the edge of its minimum: one block is its own, one is borrowed, and
/// whoever gives back last gives back its own.
fn two_shards_of_a_tenant([own, borrowed, both_own]: &[Reach; 3]) {
    let pool = Pool::new(2, 1);
    let actors: Vec<_> = (0..2)
        .map(|_| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let source = pool.take(TENANT).expect("there are two blocks");
                pool.give(TENANT);
                source
            })
        })
        .collect();
    let sources: Vec<Source> = actors
        .into_iter()
        .map(|actor| actor.join().unwrap())
        .collect();
    match (sources[0], sources[1]) {
        (Source::Own, Source::Pot) => own.hit(),
        (Source::Pot, Source::Own) => borrowed.hit(),
        (Source::Own, Source::Own) => both_own.hit(),
        // The class was at its minimum both times, so somebody held a block of its own.
        (Source::Pot, Source::Pot) => panic!("nobody took what is guaranteed"),
    }
    assert_eq!(pool.shares.held(TENANT), 0);
    pool.check();
}

const OF_A_TENANT: [&str; 3] = [
    "the second borrowed",
    "the first borrowed",
    "one after the other",
];

#[test]
fn what_is_borrowed_goes_back_to_the_pot_and_nothing_else_does() {
    prove(
        "quota, two shards of a tenant",
        OF_A_TENANT,
        None,
        two_shards_of_a_tenant,
    );
}

#[test]
fn a_class_that_trusts_its_first_look_is_found() {
    find(
        "quota, two shards of a tenant",
        Bug::QuotaTrustsTheFirstLook,
        None,
        two_shards_of_a_tenant,
    );
}

/// The tenant has its minimum and one borrowed; two shards give back while others want to borrow.
fn two_gifts([meanwhile, afterwards, early]: &[Reach; 3]) {
    let pool = Pool::new(2, 1);
    assert_eq!(pool.take(TENANT), Some(Source::Own));
    assert_eq!(pool.take(TENANT), Some(Source::Pot));
    let givers: Vec<_> = (0..2)
        .map(|_| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                pool.give(TENANT);
                pool.shares.pot()
            })
        })
        .collect();
    let borrower = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || pool.take(OTHERS))
    };
    let pots = givers.into_iter().map(|giver| giver.join().unwrap());
    // Somebody gave the guaranteed block back before the borrowed one was in the pot again.
    let ahead = pots.fold(false, |ahead, pot| ahead | (pot == 0));
    let lent = borrower.join().unwrap();
    match lent {
        Some(_) => meanwhile.hit(),
        None => {
            afterwards.hit();
            if ahead {
                early.hit();
            }
            assert_eq!(pool.take(OTHERS), Some(Source::Pot), "it came back");
        }
    }
    // One unit came back to the pot, the other is the tenant's.
    assert_eq!(pool.take(OTHERS), None, "a guarantee was lent");
    assert_eq!(pool.take(TENANT), Some(Source::Own), "a guarantee was lent");
    pool.check();
}

#[test]
fn of_two_blocks_given_at_once_only_the_borrowed_one_is_lent_again() {
    let states = [
        "lent meanwhile",
        "lent afterwards",
        "the guaranteed block came first",
    ];
    prove("quota, two gifts", states, Some(4), two_gifts);
}

#[test]
fn a_block_lent_before_it_is_counted_is_found() {
    find(
        "quota, two gifts",
        Bug::QuotaLendsBeforeItCounts,
        Some(4),
        two_gifts,
    );
}

/// A shard borrows while its tenant's other shard gives the guaranteed block back: the loan was not
/// needed, and goes back to the pot.
fn a_loan_not_needed([borrowed, own, back]: &[Reach; 3]) {
    let pool = Pool::new(2, 1);
    assert_eq!(pool.take(TENANT), Some(Source::Own));
    let taker = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || pool.take(TENANT))
    };
    let giver = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let (lent, held) = (pool.shares.pot() == 0, pool.shares.held(TENANT));
            pool.give(TENANT);
            lent && held == 1
        })
    };
    let source = taker.join().unwrap();
    match (giver.join().unwrap(), source) {
        (_, None) => panic!("there was one all along"),
        (_, Some(Source::Pot)) => borrowed.hit(),
        (false, Some(Source::Own)) => own.hit(),
        // The unit was out of the pot and not counted when the other gave back.
        (true, Some(Source::Own)) => back.hit(),
    }
    assert_eq!(pool.shares.held(TENANT), 1);
    pool.check();
}

#[test]
fn a_loan_that_was_not_needed_goes_back() {
    let states = ["borrowed", "took its own", "gave the loan back"];
    prove("quota, a loan not needed", states, None, a_loan_not_needed);
}

#[test]
fn a_loan_that_is_kept_is_found() {
    let bug = Bug::QuotaTrustsTheFirstLook;
    find("quota, a loan not needed", bug, None, a_loan_not_needed);
}

/// A flood borrows all it can while two shards of the tenant give its guaranteed block back and
/// take it again.
fn a_flood([both, own, other]: &[Reach; 3]) {
    let pool = Pool::new(2, 1);
    assert_eq!(pool.take(TENANT), Some(Source::Own));
    let flood = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || [pool.take(OTHERS), pool.take(OTHERS)])
    };
    let tenant = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            pool.give(TENANT);
            pool.take(TENANT)
        })
    };
    let more = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || pool.take(TENANT))
    };
    let [first, second] = flood.join().unwrap();
    let had = [tenant.join().unwrap(), more.join().unwrap()];
    assert!(
        first.is_none() || second.is_none(),
        "what is guaranteed was lent"
    );
    assert!(had.iter().any(Option::is_some), "the guarantee was refused");
    match (first.or(second).is_some(), had) {
        (false, [Some(_), Some(_)]) => both.hit(),
        (true, [Some(Source::Own), None]) => own.hit(),
        (true, [None, Some(Source::Own)]) => other.hit(),
        _ => {}
    }
    pool.check();
}

#[test]
fn a_flood_gets_nothing_of_a_guarantee() {
    let states = [
        "the tenant has both",
        "the flood has one",
        "the tenant's other shard has its own",
    ];
    prove("quota, a flood", states, Some(4), a_flood);
}

#[test]
fn a_class_that_trusts_its_first_look_is_found_beside_a_flood() {
    let bug = Bug::QuotaTrustsTheFirstLook;
    find("quota, a flood", bug, Some(4), a_flood);
}

/// A guarantee appears while others borrow: once it can be seen, what it needs is out of the pot.
fn a_guarantee_appears([before, after, late]: &[Reach; 3]) {
    let pool = Pool::new(2, 0);
    let control = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || pool.shares.guarantee(TENANT, 1))
    };
    let flood = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let first = pool.take(OTHERS);
            assert_eq!(first, Some(Source::Pot), "one was nobody's all along");
            let seen = pool.shares.minimum(TENANT) == 1;
            (seen, pool.take(OTHERS))
        })
    };
    control.join().unwrap();
    let (seen, second) = flood.join().unwrap();
    match (seen, second.is_some()) {
        (true, true) => panic!("lent although it is guaranteed"),
        (true, false) => after.hit(),
        (false, true) => before.hit(),
        (false, false) => late.hit(),
    }
    assert_eq!(pool.shares.pot(), if second.is_some() { -1 } else { 0 });
    pool.check();
    // Whatever was lent comes back to the guarantee before it is lent again.
    if second.is_some() {
        pool.give(OTHERS);
        assert_eq!(pool.take(OTHERS), None);
    }
    assert_eq!(pool.take(TENANT), Some(Source::Own));
    pool.check();
}

#[test]
fn a_guarantee_that_can_be_seen_is_out_of_the_pot() {
    let states = ["lent before", "refused after", "refused at once"];
    prove(
        "quota, a guarantee appears",
        states,
        None,
        a_guarantee_appears,
    );
}

#[test]
fn a_minimum_ahead_of_the_pot_is_found() {
    find(
        "quota, a guarantee appears",
        Bug::QuotaGuaranteesAheadOfThePot,
        None,
        a_guarantee_appears,
    );
}

/// A tenant is named no longer: its guarantee goes and its block is counted to the others, while
/// one of its shards takes another.
fn a_tenant_goes([before, after, refused]: &[Reach; 3]) {
    let pool = Pool::new(2, 1);
    assert_eq!(pool.take(TENANT), Some(Source::Own));
    let control = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            pool.shares.guarantee(TENANT, 0);
            pool.shares.force(OTHERS);
            pool.shares.give(TENANT);
        })
    };
    let tenant = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let named = pool.shares.minimum(TENANT) == 1;
            (named, pool.take(TENANT))
        })
    };
    control.join().unwrap();
    match tenant.join().unwrap() {
        (_, Some(Source::Own)) => panic!("it had its own already"),
        (true, Some(Source::Pot)) => before.hit(),
        (false, Some(Source::Pot)) => after.hit(),
        // While the block is counted twice, nothing can be borrowed.
        (_, None) => refused.hit(),
    }
    assert_eq!(pool.shares.held(OTHERS), 1);
    pool.check();
}

#[test]
fn a_tenant_that_goes_leaves_the_books_right() {
    let states = ["while it was named", "afterwards", "refused in between"];
    prove("quota, a tenant goes", states, None, a_tenant_goes);
}

#[test]
fn a_block_that_an_empty_pot_does_not_count_is_found() {
    let bug = Bug::QuotaForcesWithinThePot;
    find("quota, a tenant goes", bug, None, a_tenant_goes);
}
