//! The shared half of an engine.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;

use crate::config::PortOrder;
use crate::fair::Tally;
use crate::fields::join_short;
use crate::grace::Ripe;
use crate::ground::Ground;
use crate::hints::{BLOCKS, Hint};
use crate::layout::{Layout, Names};
use crate::lease::{SendPtr, free_page};
use crate::page::Page;
use crate::planted::{self, Bug};
use crate::port_allocator::Tray;
use crate::reclaim::Pin;
use crate::segments::Segments;
use crate::space::{Member, Record, Space};
use crate::sync::{Counter, Flag, Link, MODEL, Small, Word};

/// Blocks recycled by one deferred closure.
pub(crate) const BATCH: usize = if MODEL { 2 } else { 32 };
/// Batches a shard can have outstanding; further blocks wait, and can be reheated meanwhile.
const BATCHES: usize = if MODEL { 2 } else { 16 };

/// Condemned blocks on their way through the epoch. Filled by its shard while not busy, emptied
/// by the deferred closure.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) busy: Flag,
    pub(crate) len: Counter,
    pages: [Link<Page>; BATCH],
    blocks: [Small; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            busy: Flag::default(),
            len: Counter::default(),
            pages: std::array::from_fn(|_| Link::default()),
            blocks: std::array::from_fn(|_| Small::default()),
        }
    }
}

impl Batch {
    pub(crate) fn push(&self, page: &Page, block: usize) {
        let len = self.len.get() as usize;
        self.pages[len].set(std::ptr::from_ref(page).cast_mut());
        self.blocks[len].set(block as u8);
        self.len.set(len as u64 + 1);
    }
}

/// What a shard shows to others.
#[derive(Debug, Default)]
pub(crate) struct ShardShared {
    /// Whether somebody holds the shard.
    pub(crate) taken: Flag,
    /// Somebody was refused: the shard gives the unissued ports of these hands back at its next
    /// burst, a bit for each kind of them (see `PoolLayout::bell`).
    pub(crate) wanted: Word,
    /// Which of its batches are to be recycled.
    pub(crate) ripe: Ripe,
    pub(crate) trays: Segments<Tray>,
    pub(crate) tray_count: Counter,
    pub(crate) batches: [Batch; BATCHES],
    pub(crate) stats: ShardCounters,
    pub(crate) pools: Segments<PoolCounters>,
}

/// Counters of one shard; written by it alone, except where noted.
#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    pub(crate) bursts: Counter,
    pub(crate) released: Counter,
    pub(crate) blocks_claimed: Counter,
    pub(crate) blocks_reheated: Counter,
    /// By whichever thread collects.
    pub(crate) blocks_recycled: Counter,
    pub(crate) addresses_opened: Counter,
    pub(crate) addresses_closed: Counter,
    pub(crate) wishes_departed: Counter,
    pub(crate) served_early: Counter,
    pub(crate) ticks_backwards: Counter,
    pub(crate) epoch_batches: Counter,
}

/// Counters of one pool by one shard; on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct PoolCounters {
    pub(crate) allocated: Counter,
    pub(crate) refused: [Counter; crate::error::AllocError::ALL.len()],
    pub(crate) port_blocks_assigned: Counter,
    pub(crate) port_blocks_released: Counter,
}

/// Everything the handles of an engine share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ground: Arc<Ground>,
    pub(crate) shards: Box<[CachePadded<ShardShared>]>,
    pub(crate) order: PortOrder,
    pub(crate) seed: Option<u64>,
    pub(crate) max_cooling: u64,
    /// By pool and protocol, of those that share their blocks out.
    pub(crate) tallies: Segments<[Tally; 3], 1>,
    /// What shards work by.
    pub(crate) layout: ArcSwap<Layout>,
    /// The version of `layout`, set after it.
    pub(crate) published_version: Word,
    /// The newest layout made, published or about to be.
    pub(crate) latest: ArcSwap<Layout>,
    /// The version of `latest`; read after a record was made, written before records are listed.
    pub(crate) latest_version: Word,
    /// Serialises reconfigurations; no shard ever takes it.
    pub(crate) control: Mutex<Names>,
}

impl Inner {
    /// Enlists a record in every region of the layouts a shard may be working by. Idempotent, and
    /// complete for everybody who called it: whoever finds it half done does it all.
    pub(crate) fn enlist(&self, pin: &Pin<'_>, space: &Space, record: &Record, layout: &Layout) {
        if record.is_enlisted(layout.version) && record.is_enlisted(self.latest_version.get()) {
            return;
        }
        let (current, latest) = (self.layout.load_full(), self.latest.load_full());
        let layouts = [layout, &current, &latest];
        self.enlist_in(pin, space, record, &layouts, |_| true);
        record.set_enlisted(
            layouts
                .iter()
                .map(|layout| layout.version)
                .max()
                .unwrap_or(0),
        );
    }

    /// Makes a record a member of its regions in these layouts, and of those it is a member of
    /// already and `keep` holds for.
    pub(crate) fn enlist_in(
        &self,
        pin: &Pin<'_>,
        space: &Space,
        record: &Record,
        layouts: &[&Layout],
        keep: impl Fn(&Member) -> bool,
    ) {
        loop {
            let seen = record.members_link();
            let before = record.members();
            let mut list: Vec<Member> = before
                .iter()
                .filter(|member| keep(member))
                .cloned()
                .collect();
            let mut changed = list.len() != before.len();
            let mut opened = Vec::new();
            for layout in layouts {
                let class = layout.class(space.id, record.key);
                for region in class.iter().flat_map(|class| &class.regions) {
                    if list
                        .iter()
                        .any(|member| Arc::ptr_eq(&member.region, region))
                    {
                        continue;
                    }
                    let Some(position) = region.reserve_position() else {
                        continue;
                    };
                    list.push(Member {
                        region: Arc::clone(region),
                        position,
                    });
                    changed = true;
                    if record.page().is_some() {
                        opened.push(Arc::clone(region));
                    }
                }
            }
            let seat = |members: &[Member]| {
                for member in members {
                    member.region.seat(record, member.position);
                }
            };
            if planted::on(Bug::SeatsBeforeItEnlists) {
                seat(&list);
            }
            if changed {
                match record.replace_members(seen, list) {
                    Ok(old) if !old.is_null() => {
                        let old = SendPtr(old);
                        let free = move || {
                            let SendPtr(old) = { old };
                            // SAFETY: replaced above by this thread alone, a grace period ago.
                            drop(unsafe { Box::from_raw(old) });
                        };
                        // SAFETY: the closure owns the list, which may be dropped anywhere.
                        unsafe { pin.defer(free) };
                    }
                    Ok(_) => {}
                    Err(()) => continue,
                }
            }
            for region in opened {
                region.open.add(1);
            }
            if !planted::on(Bug::SeatsBeforeItEnlists) {
                seat(record.members());
            }
            return;
        }
    }

    /// Opens an enlisted address; whether this call did it.
    pub(crate) fn open<'a>(
        &self,
        pin: &Pin<'_>,
        space: &Space,
        record: &'a Record,
    ) -> (&'a Page, bool) {
        let make = |generation| Page::new(&self.ground, space, record, generation);
        let (page, fresh) = loop {
            let (page, fresh) = record.open(make);
            if !page.closing.is_gone() {
                break (page, fresh);
            }
            // Somebody stopped before he had unlinked it.
            self.unlink(pin, page);
        };
        if fresh {
            self.ground.open_addresses.add(1);
            for member in record.members() {
                member.region.open.add(1);
                member
                    .region
                    .hints
                    .set(Hint::FREE, member.position as usize);
            }
        }
        (page, fresh)
    }

    /// Whether blocks of one address are left to the shard that took one there last, which goes on
    /// there as long as it finds any (`Work::try_here`): two shards that take blocks of one address
    /// in turn write the same words of its page all the time. A single shard takes the oldest.
    pub(crate) fn stays(&self) -> bool {
        self.shards.len() > 1
    }

    /// Queues the blocks of an address just opened in this order; where shards stay, one of them.
    pub(crate) fn queue_opened(&self, page: &Page, blocks: impl Iterator<Item = usize>) {
        let most = if self.stays() { 1 } else { BLOCKS };
        let listed = blocks.filter(|&block| newest_member(page, block).is_some());
        listed
            .take(most)
            .for_each(|block| self.enqueue(page, block));
    }

    /// Queues a block that has become free; where shards stay, only the first of its address.
    fn offer(&self, page: &Page, block: usize) {
        let others = |member: &Member| {
            let free = page.hinted(Hint::FREE, member.blocks());
            free.iter().any(|other| other != block)
        };
        if !self.stays() || !newest_member(page, block).is_some_and(others) {
            self.enqueue(page, block);
        }
    }

    /// Puts a free block into the queue of its newest region, unless it stands in one.
    pub(crate) fn enqueue(&self, page: &Page, block: usize) {
        let Some(member) = newest_member(page, block) else {
            return;
        };
        let hot = page.block(block).hot();
        let entry = join_short([member.position << 8, block as u32]);
        if planted::on(Bug::EnqueueChecksThenSets) {
            if !hot.queued.get() {
                hot.queued.set(true);
                member.region.enqueue(entry);
            }
            return;
        }
        if hot.queued.raise() && !member.region.enqueue(entry) {
            hot.queued.set(false);
        }
    }

    /// Closes an address all of whose blocks are free; whether it did.
    pub(crate) fn close(&self, pin: &Pin<'_>, record: &Record) -> bool {
        let Some(page) = record.page() else {
            return false;
        };
        let gone = page.is_all_free() && page.close();
        if gone {
            self.unlink(pin, page);
        }
        gone
    }

    /// Brings the end of a page that is gone to its end, which somebody else may have begun: from
    /// here on its address can be opened anew. For anybody pinned.
    pub(crate) fn unlink(&self, pin: &Pin<'_>, page: &Page) {
        let record = page.record();
        for member in record.members() {
            // Before it is unlinked, so that who finds no page finds that one could be opened.
            let position = member.position as usize;
            member.region.hints.set(Hint::FREE, position);
        }
        if !record.unlink(page) {
            return;
        }
        self.ground.open_addresses.subtract(1);
        let slice = self.ground.clock.slice();
        record.changes.announce(slice);
        for member in record.members() {
            member.region.open.subtract(1);
            member.region.changes.announce(slice);
        }
        // SAFETY: unlinked by this call, after it was gone; nobody new can reach it.
        unsafe { free_page(pin, std::ptr::from_ref(page).cast_mut()) };
    }

    /// The grace period of a batch is over.
    pub(crate) fn ripen(&self, number: usize, batch: usize) {
        if self.shards[number].ripe.ripen(batch) {
            self.recycle(number, batch);
        }
    }

    /// Recycles what is ripe, also of shards that have bursts but not at this moment: before memory
    /// grows, and before a refusal. The caller is pinned.
    pub(crate) fn recycle_all(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            while let Some(batch) = shard.ripe.take_one() {
                self.recycle(number, batch);
            }
        }
    }

    /// Recycles a batch of condemned blocks, a grace period after they were. The caller is pinned.
    pub(crate) fn recycle(&self, number: usize, batch: usize) {
        // What is taken here is to be brought to its end: there is nothing in it that can panic.
        #[cfg(natshard_failpoints)]
        return crate::failpoints::calmly(|| self.recycle_calmly(number, batch));
        #[cfg(not(natshard_failpoints))]
        self.recycle_calmly(number, batch);
    }

    fn recycle_calmly(&self, number: usize, batch: usize) {
        let shard = &self.shards[number];
        let batch = &shard.batches[batch];
        let len = batch.len.get() as usize;
        for index in 0..len {
            let page = NonNull::new(batch.pages[index].get());
            let Some(page) = page else { continue };
            // SAFETY: a page stays open while one of its blocks is not free, and this block is
            // condemned, or was reheated and has its page kept open by that: nobody but the one who
            // took this batch makes it free. Should it be free and the page closed before this is
            // done, the caller is pinned, as is whoever closes it.
            let page = unsafe { page.as_ref() };
            let block = batch.blocks[index].get() as usize;
            self.recycle_block(number, page, block);
        }
        batch.len.set(0);
        batch.busy.set(false);
    }

    fn recycle_block(&self, shard: usize, page: &Page, block: usize) {
        let here = page.block(block);
        let generation = here.state().generation();
        let recycled = here.recycle();
        // Only now: a condemnation from here on is one of its own.
        here.hot().deferred.set(false);
        if !recycled {
            // Reheated meanwhile, in the same generation.
            if !planted::on(Bug::RecycleForgetsTheReheated) {
                page.settle(block);
            }
            return;
        }
        self.shards[shard].stats.blocks_recycled.add(1);
        let tenancy = page.end_tenancy(block, generation);
        self.freed(page, block);
        self.give(tenancy, page.protocol, Some(shard));
    }

    /// What follows when a block has become free.
    pub(crate) fn freed(&self, page: &Page, block: usize) {
        let all_free = page.count_free();
        page.settle(block);
        self.offer(page, block);
        if all_free {
            page.free_since.set(self.ground.clock.slice());
            for member in page.record().members() {
                member
                    .region
                    .hints
                    .set(Hint::CLOSABLE, member.position as usize);
            }
        }
    }
}

/// A page's membership in the newest region that has a block.
fn newest_member(page: &Page, block: usize) -> Option<&Member> {
    let mut members = page.record().members().iter().rev();
    members.find(|member| member.blocks().contains(block))
}

impl Drop for Inner {
    /// The engine is gone: pages without leases are freed, the others left to their leases.
    fn drop(&mut self) {
        let participant = self.ground.reclaimer.join();
        let pin = participant.pin();
        for space in &self.latest.load().spaces {
            for record in space.records() {
                if let Some(page) = record.page() {
                    let page = std::ptr::from_ref(page).cast_mut();
                    // SAFETY: still linked; as in `Record::page`.
                    if unsafe { &*page }.abandon() {
                        // SAFETY: `abandon` names one caller to free it.
                        unsafe { free_page(&pin, page) };
                    }
                }
                // Regions refer to spaces, and members to regions: cut the circle.
                record.forget_members();
            }
        }
    }
}

/// What engine and shard handles hold; its end is the engine's.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Taken only by `drop`.
    pub(crate) inner: ManuallyDrop<Arc<Inner>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let ground = Arc::clone(&self.inner.ground);
        ground.orphaned.set(true);
        // SAFETY: nobody uses the handle after its drop.
        let inner = unsafe { ManuallyDrop::take(&mut self.inner) };
        let participant = ground.reclaimer.join();
        // The regions and records go once nobody pinned can have missed the flag.
        // SAFETY: the closure owns its reference, which may be dropped on any thread.
        unsafe { participant.pin().defer(move || drop(inner)) };
        drop(participant);
        ground.settle();
    }
}
