//! Whether the engine's books balance (I2).

use natshard::{Census, PoolCensus};

/// Says what is wrong with a census taken while no burst was open; nothing if all is well.
pub(crate) fn imbalances(census: &Census) -> Vec<String> {
    let check = |name: &str, books: &PoolCensus| {
        (!books.balances()).then(|| format!("census of {name} does not balance: {books}"))
    };
    let mut faults: Vec<_> = census
        .pools
        .iter()
        .filter_map(|(name, books)| check(&format!("pool {name}"), books))
        .collect();
    faults.extend(check("all pools", &census.total));
    if census.contradictions > 0 {
        let ports = census.contradictions;
        faults.push(format!(
            "the engine's words contradict each other about {ports} ports"
        ));
    }
    faults
}

/// Says what is wrong with a census at the end of the traffic, when the frames show so many
/// public tuples alive.
pub(crate) fn faults_at_end(census: &Census, alive: u64) -> Vec<String> {
    let mut faults = imbalances(census);
    let leased = census.total.leased + census.draining.leased;
    if leased != alive {
        faults.push(format!(
            "the census has {leased} ports leased, the frames show {alive} public tuples alive"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Census {
        let mut census = Census::default();
        let books = PoolCensus {
            capacity: 100,
            free: 50,
            unissued: 20,
            leased: 10,
            cooling: 15,
            excluded: 5,
        };
        census.total = books;
        census.pools.insert("wan".into(), books);
        census
    }

    #[test]
    fn books_that_balance_and_agree_with_the_frames_are_accepted() {
        assert_eq!(faults_at_end(&balanced(), 10), Vec::<String>::new());
    }

    #[test]
    fn a_lost_port_is_caught_in_its_pool_and_in_all() {
        let mut census = balanced();
        census.total.free -= 1;
        census.pools.get_mut("wan").unwrap().free -= 1;
        assert_eq!(imbalances(&census).len(), 2);
    }

    #[test]
    fn words_that_contradict_each_other_are_caught() {
        let mut census = balanced();
        census.contradictions = 3;
        assert_eq!(imbalances(&census).len(), 1);
    }

    #[test]
    fn a_lease_that_no_frame_shows_is_caught() {
        let mut census = balanced();
        census.total.leased += 1;
        census.total.free -= 1;
        assert_eq!(faults_at_end(&census, 10).len(), 1);
    }
}
