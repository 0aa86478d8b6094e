//! From a hash to the few indices that may be meant: a table that grows without a pause.
//!
//! ```text
//!  bucket, 64 bytes   tags 12 x 8 bits │ more │ values 12 x 32 bits
//!                       0: empty         └──▶ node ──▶ node   (tag, value)
//! ```
//!
//! A hash names a bucket by its upper bits and is compared with the tags there by its lower ones;
//! of other keys' entries one in 255 has the same tag, and its value is looked at in vain. What
//! finds its bucket full hangs behind it, and moves in when a place there becomes free: so only a
//! full bucket has anything behind it, however many entries have come and gone. (Going on to the
//! next bucket instead is fine in a table that only grows. Under churn it leaves ever more entries
//! away from home; at the same load a search in vain then walks along eight buckets or twenty.)
//!
//! The bucket of a hash is `hash * buckets / 2^32`, so a table with half as many buckets again has
//! the same entries in the same order. A table with ten entries per bucket grows so: every insertion
//! moves the entries of one old bucket, front to back, and a hash belongs to the new buckets if its
//! old bucket has been moved. Buckets lie in chunks that are made when the front reaches them and
//! freed when it has left them; those that an index is made with lie in one piece.

use super::slab::Slab;
use crate::{memory, prefetch};

const WAYS: usize = 12;
/// Entries per bucket, on the average, at which the table grows.
const FULL: usize = 10;
const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;

/// No node.
const NIL: u32 = u32::MAX;

/// An entry behind a full bucket.
#[derive(Debug)]
struct Node {
    value: u32,
    next: u32,
    tag: u8,
}

#[repr(C, align(64))]
#[derive(Clone, Debug)]
struct Bucket {
    tags: [u8; WAYS],
    /// The first of the nodes behind it, or [`NIL`]: none unless the bucket is full.
    more: u32,
    values: [u32; WAYS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Bucket = Bucket {
        tags: [0; WAYS],
        more: NIL,
        values: [0; WAYS],
    };

    /// The places with that tag, one bit each.
    #[inline]
    fn places(&self, tag: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{
                _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
            };
            let [a, b, c, d, e, f, g, h, rest @ ..] = self.tags;
            let low = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let high = i64::from(u32::from_le_bytes(rest));
            // SAFETY: SSE2 is part of x86_64, and none of these touches memory.
            let equal = unsafe {
                let equal = _mm_cmpeq_epi8(_mm_set_epi64x(high, low), _mm_set1_epi8(tag as i8));
                _mm_movemask_epi8(equal)
            };
            equal as u32 & ((1 << WAYS) - 1)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let tags = self.tags.iter().enumerate();
            tags.fold(0, |found, (at, it)| found | u32::from(*it == tag) << at)
        }
    }
}

/// Buckets, some of which may not be there yet or any more.
#[derive(Clone, Debug, Default)]
struct Buckets {
    count: usize,
    /// Of the places in a chunk.
    bits: u32,
    /// An empty chunk is one that is not there.
    chunks: Vec<Box<[Bucket]>>,
}

impl Buckets {
    /// Buckets none of which is there yet.
    fn new(count: usize) -> Self {
        Buckets {
            count,
            bits: CHUNK_BITS,
            chunks: vec![Box::default(); count.div_ceil(CHUNK)],
        }
    }

    /// Buckets all of which are there.
    fn whole(count: usize) -> Self {
        let mut buckets = Vec::with_capacity(count);
        memory::provide(&mut buckets);
        buckets.resize(count, Bucket::EMPTY);
        Buckets {
            count,
            bits: usize::BITS - 1,
            chunks: vec![buckets.into_boxed_slice()],
        }
    }

    #[cold]
    fn make(&mut self, chunk: usize) {
        let size = CHUNK.min(self.count - chunk * CHUNK);
        self.chunks[chunk] = vec![Bucket::EMPTY; size].into_boxed_slice();
    }

    #[inline]
    const fn home(&self, hash: u32) -> usize {
        ((hash as u64 * self.count as u64) >> 32) as usize
    }

    #[inline]
    fn get(&self, at: usize) -> Option<&Bucket> {
        let chunk = self.chunks.get(at >> self.bits)?;
        chunk.get(at & ((1 << self.bits) - 1))
    }

    /// The bucket that the entries of a hash belong into.
    #[inline]
    fn of(&self, hash: u32) -> Option<&Bucket> {
        self.get(self.home(hash))
    }

    /// The same, made if it is not there.
    #[inline(always)]
    fn of_mut(&mut self, hash: u32) -> &mut Bucket {
        let at = self.home(hash);
        let chunk = at >> self.bits;
        if self.chunks[chunk].is_empty() {
            self.make(chunk);
        }
        &mut self.chunks[chunk][at & ((1 << self.bits) - 1)]
    }
}

/// Never zero, which says that a place is empty.
#[inline]
const fn tag(hash: u32) -> u8 {
    let tag = hash as u8;
    if tag == 0 { 1 } else { tag }
}

/// A set of 32-bit values, found by the hash of what they stand for.
#[derive(Debug)]
pub(super) struct Index {
    len: usize,
    buckets: Buckets,
    /// While the table grows: the smaller one, and the first of its buckets not yet moved.
    old: Buckets,
    front: usize,
    nodes: Slab<Node, 8>,
}

impl Index {
    /// An index for so many entries; it grows beyond them.
    pub(super) fn with_capacity(entries: usize) -> Self {
        Index {
            len: 0,
            buckets: Buckets::whole(entries.div_ceil(FULL).max(1)),
            old: Buckets::default(),
            front: 0,
            nodes: Slab::with_capacity(0),
        }
    }

    /// Entries at this moment.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The buckets that have the entries of a hash.
    #[inline]
    fn side(&self, hash: u32) -> &Buckets {
        if self.is_old(hash) {
            &self.old
        } else {
            &self.buckets
        }
    }

    #[inline]
    const fn is_old(&self, hash: u32) -> bool {
        self.old.count != 0 && self.old.home(hash) >= self.front
    }

    #[inline(always)]
    fn bucket_mut(&mut self, hash: u32) -> &mut Bucket {
        if self.is_old(hash) {
            self.old.of_mut(hash)
        } else {
            self.buckets.of_mut(hash)
        }
    }

    /// Begins to fetch the bucket of a hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        if let Some(bucket) = self.side(hash).of(hash) {
            prefetch::line(bucket);
        }
    }

    /// The first entry with that hash, or one that looks like it, in its bucket, and whether there
    /// may be further ones.
    #[inline(always)]
    pub(super) fn glance(&self, hash: u32) -> (Option<u32>, bool) {
        let Some(bucket) = self.side(hash).of(hash) else {
            return (None, false);
        };
        let places = bucket.places(tag(hash));
        let first = bucket.values.get(places.trailing_zeros() as usize);
        let others = places & places.wrapping_sub(1);
        (first.copied(), (others != 0) | (bucket.more != NIL))
    }

    /// The first entry with that hash, or one that looks like it, that `is_it`.
    #[inline(always)]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let bucket = self.side(hash).of(hash)?;
        let mut places = bucket.places(tag(hash));
        let mut more = bucket.more;
        loop {
            // There is no place but has a value: having none is all there is to say.
            let value = match bucket.values.get(places.trailing_zeros() as usize) {
                Some(value) => {
                    places &= places - 1;
                    *value
                }
                None if more == NIL => return None,
                None => {
                    let (value, next) = self.behind(tag(hash), more)?;
                    more = next;
                    value
                }
            };
            if is_it(value) {
                return Some(value);
            }
        }
    }

    /// The first entry with that tag of a node and those behind it, and the node after it.
    #[cold]
    fn behind(&self, tag: u8, mut more: u32) -> Option<(u32, u32)> {
        while more != NIL {
            let node = &self.nodes[more];
            if node.tag == tag {
                return Some((node.value, node.next));
            }
            more = node.next;
        }
        None
    }

    /// Adds an entry, which must not be there. `rehash` tells the hashes of others.
    #[inline(always)]
    pub(super) fn insert(&mut self, hash: u32, value: u32, rehash: impl Fn(u32) -> u32) {
        if self.old.count != 0 {
            self.move_one(&rehash);
        } else if self.len >= self.buckets.count * FULL {
            self.grow();
        }
        self.len += 1;
        self.put(hash, value);
    }

    #[inline(always)]
    fn put(&mut self, hash: u32, value: u32) {
        let bucket = self.bucket_mut(hash);
        let place = bucket.places(0).trailing_zeros() as usize;
        if let (Some(free), Some(there)) =
            (bucket.tags.get_mut(place), bucket.values.get_mut(place))
        {
            (*free, *there) = (tag(hash), value);
            return;
        }
        let next = bucket.more;
        self.hang(hash, value, next);
    }

    /// Hangs an entry behind a full bucket.
    #[cold]
    fn hang(&mut self, hash: u32, value: u32, next: u32) {
        let node = self.nodes.insert(Node {
            value,
            next,
            tag: tag(hash),
        });
        self.bucket_mut(hash).more = node;
    }

    /// Takes an entry out; whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, hash: u32, value: u32) -> bool {
        let bucket = self.bucket_mut(hash);
        let mut places = bucket.places(tag(hash));
        while places != 0 {
            let place = places.trailing_zeros() as usize;
            if bucket.values.get(place) == Some(&value) {
                bucket.tags[place] = 0;
                if bucket.more != NIL {
                    self.move_in(hash, place);
                }
                self.len -= 1;
                return true;
            }
            places &= places - 1;
        }
        if bucket.more == NIL {
            return false;
        }
        let found = self.unhang(hash, value);
        self.len -= usize::from(found);
        found
    }

    /// Moves the first entry behind a bucket into a place of it that has become free.
    fn move_in(&mut self, hash: u32, place: usize) {
        let first = self.bucket_mut(hash).more;
        let node = self.nodes.remove(first);
        let bucket = self.bucket_mut(hash);
        bucket.tags[place] = node.tag;
        bucket.values[place] = node.value;
        bucket.more = node.next;
    }

    /// Takes an entry out of those behind a bucket; whether it was there.
    fn unhang(&mut self, hash: u32, value: u32) -> bool {
        let mut before = NIL;
        let mut more = self.bucket_mut(hash).more;
        while more != NIL {
            let node = &self.nodes[more];
            let next = node.next;
            if node.value == value {
                self.nodes.remove(more);
                match before {
                    NIL => self.bucket_mut(hash).more = next,
                    before => self.nodes[before].next = next,
                }
                return true;
            }
            before = more;
            more = next;
        }
        false
    }

    /// Puts another value in the place of one, if that is there.
    pub(super) fn replace(&mut self, hash: u32, value: u32, with: u32) {
        if self.remove(hash, value) {
            self.len += 1;
            self.put(hash, with);
        }
    }

    fn grow(&mut self) {
        let count = self.buckets.count + (self.buckets.count / 2).max(1);
        self.old = std::mem::replace(&mut self.buckets, Buckets::new(count));
        self.front = 0;
    }

    /// Moves the entries of the old bucket at the front.
    #[cold]
    fn move_one(&mut self, rehash: &impl Fn(u32) -> u32) {
        let at = self.front;
        self.front += 1;
        let bucket = self.old.get(at).cloned().unwrap_or(Bucket::EMPTY);
        if self.front == self.old.count {
            self.old = Buckets::default();
            self.front = 0;
        } else if self.front.trailing_zeros() >= self.old.bits {
            self.old.chunks[at >> self.old.bits] = Box::default();
        }
        for (tag, value) in bucket.tags.into_iter().zip(bucket.values) {
            if tag != 0 {
                self.put(rehash(value), value);
            }
        }
        let mut more = bucket.more;
        while more != NIL {
            let node = self.nodes.remove(more);
            self.put(rehash(node.value), node.value);
            more = node.next;
        }
    }

    /// Every value, and how many there are behind buckets, all of which must be full.
    #[cfg(test)]
    fn all(&self) -> (Vec<u32>, usize) {
        let fresh = self.buckets.chunks.iter().flat_map(|chunk| chunk.iter());
        let old = self.old.chunks.iter().flat_map(|chunk| chunk.iter());
        let (mut values, mut behind) = (Vec::new(), 0);
        let left = self.front & ((1_usize << self.old.bits) - 1);
        for bucket in fresh.chain(old.skip(left)) {
            let places = bucket.tags.iter().zip(&bucket.values);
            let used = places.filter(|(tag, _)| **tag != 0);
            values.extend(used.map(|(_, value)| *value));
            let mut more = bucket.more;
            assert!(more == NIL || !bucket.tags.contains(&0));
            while more != NIL {
                behind += 1;
                values.push(self.nodes[more].value);
                more = self.nodes[more].next;
            }
        }
        values.sort_unstable();
        (values, behind)
    }
}

#[cfg(test)]
mod tests;
