//! The hash that indices are keyed by.
//!
//! Pair-multiply-shift (Dietzfelbinger; Thorup, "High speed hashing for integers and strings",
//! 2015, section 3.5): with secret 64-bit numbers `a`, `b`, ... and 32-bit words `x`, `y`, ... of a
//! key, the upper half of `(a + x) * (b + y) + (c + z) * (d + w) + ... + e` modulo 2^64.
//!
//! * Two multiplications for an IPv4 flow, five for an IPv6 one, none of which waits for another,
//!   and one behind them that scatters what is in order: the sum alone would lay ports that are
//!   counted up at even distances.
//! * Any two keys that are chosen without knowledge of the secret collide with probability 2^-32,
//!   and so do any bits of their hashes with the probability that such bits should: that is a
//!   theorem (the family is strongly universal), not an observation about samples. So flows that
//!   are chosen to collide in one table collide no more than others in the next one: every table
//!   draws its secret from the operating system.
//! * What it does not withstand is somebody who can see hashes, or learn from response times which
//!   of his flows collide: the hash is linear in the secret. What is to be gained is a longer walk
//!   along the buckets of one index; no hash leaves the table.

use std::hash::BuildHasher;

use super::entry::{Key, Kind};

/// The secret of one table.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pairs: [[u64; 2]; 5],
    kinds: [u64; Kind::COUNT],
}

impl Secret {
    /// A secret that nobody knows.
    pub(super) fn new() -> Self {
        // SipHash under a key of the operating system: each output is a number of its own.
        let random = std::hash::RandomState::new();
        let mut count = 0_u64;
        let mut next = || {
            count += 1;
            random.hash_one(count)
        };
        Secret {
            pairs: std::array::from_fn(|_| [next(), next()]),
            kinds: std::array::from_fn(|_| next()),
        }
    }

    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u32 {
        let pair = |index: usize, x: u32, y: u32| {
            let [a, b] = self.pairs[index];
            a.wrapping_add(x.into())
                .wrapping_mul(b.wrapping_add(y.into()))
        };
        let mut sum = self.kinds[key.kind as usize]
            .wrapping_add(pair(0, key.source.low(), key.destination.low()))
            .wrapping_add(pair(1, key.ports, key.vpc));
        if key.kind.is_v6() {
            let ([a, b], [c, d]) = (key.source.0, key.destination.0);
            sum = sum
                .wrapping_add(pair(2, (b >> 32) as u32, (d >> 32) as u32))
                .wrapping_add(pair(3, a as u32, c as u32))
                .wrapping_add(pair(4, (a >> 32) as u32, (c >> 32) as u32));
        }
        // A permutation of the hashes, so that nothing of what is said above is lost.
        let hash = (sum >> 32) as u32;
        (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::addr::Addr;

    /// Keys that differ in little: ports, or the last octet, or one bit of anything.
    fn keys() -> Vec<Key> {
        let base = Key {
            source: Addr([0x2001_0db8 << 32, 0x0a00_0001]),
            destination: Addr([0x2001_0db8 << 32, 0xc633_6401]),
            ports: 5000 << 16 | 53,
            vpc: 1,
            kind: Kind::Udp6,
        };
        let mut keys = vec![base];
        keys.extend((1..2000).map(|port| Key {
            ports: base.ports + (port << 16),
            ..base
        }));
        keys.extend((1..200).map(|host| Key {
            source: Addr([base.source.0[0], base.source.0[1] + host]),
            ..base
        }));
        for bit in 0..64 {
            for word in 0..2 {
                let (mut source, mut destination) = (base, base);
                source.source.0[word] ^= 1 << bit;
                destination.destination.0[word] ^= 1 << bit;
                keys.extend([source, destination]);
            }
        }
        keys.extend((0..32).map(|bit| Key {
            vpc: base.vpc ^ 1 << bit,
            ..base
        }));
        keys.push(Key {
            kind: Kind::Tcp6,
            ..base
        });
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(format!("{key:?}")));
        keys
    }

    #[test]
    fn every_bit_of_a_key_counts_and_like_keys_spread() {
        let keys = keys();
        let count = keys.len();
        for _ in 0..20 {
            let secret = Secret::new();
            let hashes: HashSet<u32> = keys.iter().map(|key| secret.hash(key)).collect();
            // The chance of one collision among 2500 keys is 1 in 1400.
            assert!(hashes.len() >= count - 1, "{} of {count}", hashes.len());
            let mut buckets = [0_usize; 64];
            hashes
                .iter()
                .for_each(|hash| buckets[(hash >> 26) as usize] += 1);
            assert!(buckets.iter().all(|bucket| *bucket < 4 * count / 64));
        }
    }

    #[test]
    fn two_tables_hash_differently() {
        let (one, two) = (Secret::new(), Secret::new());
        let keys = keys();
        let same = keys.iter().filter(|key| one.hash(key) == two.hash(key));
        assert!(same.count() < 3);
    }
}
