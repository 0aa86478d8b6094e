//! The epoch: memory and generations outlive every burst that could still see them.
//!
//! A thin face over [`crossbeam_epoch`] with a collector per engine, so that a guard somebody
//! else holds for long on the default collector cannot delay this engine. Under `cfg(loom)` and
//! `cfg(shuttle)` a small lock-based stand-in with the same contract takes its place (the real one
//! does not finish inside a model of three actors). With `cfg(crossbeam_loom)` as well it is the real
//! one again, with loom's atomics, for the one small model that takes it.

#[cfg(any(not(any(loom, shuttle)), crossbeam_loom))]
mod real {
    use crossbeam_epoch as epoch;

    /// The collector of one engine.
    #[derive(Clone, Debug, Default)]
    pub struct Reclaimer(epoch::Collector);

    impl Reclaimer {
        /// Registers the caller. Allocates.
        pub(crate) fn join(&self) -> Participant {
            Participant(self.0.register())
        }

        /// A pin of a participant of its own.
        #[cfg(loom)]
        pub(crate) fn pretend(&self) -> Pin<'_> {
            Pin(self.0.register().pin(), std::marker::PhantomData)
        }
    }

    /// One registered participant, used by one thread at a time.
    #[derive(Debug)]
    pub struct Participant(epoch::LocalHandle);

    // SAFETY: a `LocalHandle` is bound to its thread only because it counts its handles and
    // guards in plain cells. A `Participant` owns the one handle of its registration and lends
    // guards only for a borrow of itself, so moving it to another thread moves every access to
    // those cells along, and the move itself synchronises.
    unsafe impl Send for Participant {}

    impl Participant {
        /// Pins: what is unlinked from now on stays valid until the result is dropped.
        #[inline]
        pub fn pin(&self) -> Pin<'_> {
            Pin(self.0.pin(), std::marker::PhantomData)
        }
    }

    /// A pinned participant.
    #[derive(Debug)]
    pub struct Pin<'a>(epoch::Guard, std::marker::PhantomData<&'a Participant>);

    impl Pin<'_> {
        /// Runs `work` once every participant pinned now has unpinned.
        ///
        /// # Safety
        ///
        /// `work` runs on whichever thread collects, or when the collector is dropped: whatever
        /// it refers to must be valid and usable from any thread until then.
        pub(crate) unsafe fn defer(&self, work: impl FnOnce() + 'static) {
            #[cfg(natshard_failpoints)]
            let work = || crate::failpoints::calmly(work);
            // SAFETY: passed on to the caller.
            unsafe { self.0.defer_unchecked(work) }
        }

        /// Hands over what this participant deferred and collects what is due.
        pub(crate) fn flush(&self) {
            self.0.flush();
        }
    }
}

#[cfg(all(any(loom, shuttle), not(crossbeam_loom)))]
mod model {
    #[cfg(loom)]
    use loom::sync::{Arc, Mutex, MutexGuard};
    #[cfg(shuttle)]
    use shuttle::sync::{Arc, Mutex, MutexGuard};
    use std::sync::PoisonError;

    type Work = Box<dyn FnOnce()>;

    #[derive(Default)]
    struct State {
        epoch: usize,
        next: usize,
        pinned: Vec<(usize, usize)>,
        bag: Vec<(usize, Work)>,
    }

    /// The collector of one engine, as a model.
    #[derive(Clone)]
    pub struct Reclaimer(Arc<Mutex<State>>);

    impl Default for Reclaimer {
        fn default() -> Self {
            Reclaimer(Arc::new(Mutex::new(State::default())))
        }
    }

    impl std::fmt::Debug for Reclaimer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Reclaimer")
        }
    }

    // SAFETY: deferred work is `Send` by the contract of `defer`; the rest is behind the mutex.
    unsafe impl Send for Reclaimer {}
    // SAFETY: as above.
    unsafe impl Sync for Reclaimer {}

    impl Reclaimer {
        pub(crate) fn join(&self) -> Participant {
            Participant(self.clone())
        }

        /// A pin that keeps nothing, for models in which nothing is deferred: it takes no part in
        /// the interleaving.
        #[cfg(loom)]
        pub(crate) fn pretend(&self) -> Pin<'_> {
            Pin {
                reclaimer: self,
                id: usize::MAX,
            }
        }

        /// A planted bug panics where it is found, maybe in deferred work; what is dropped then must not
        /// panic once more, and so this is had whether or not somebody panicked under its lock.
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn collect(&self) {
            let due: Vec<Work> = {
                let mut state = self.state();
                let oldest = state.pinned.iter().map(|&(_, epoch)| epoch).min();
                let (due, kept) = std::mem::take(&mut state.bag)
                    .into_iter()
                    .partition(|&(epoch, _)| oldest.is_none_or(|oldest| epoch < oldest));
                state.bag = kept;
                due.into_iter()
                    .map(|(_, work): (usize, Work)| work)
                    .collect()
            };
            for work in due {
                work();
            }
        }
    }

    /// One registered participant.
    #[derive(Debug)]
    pub struct Participant(Reclaimer);

    impl Participant {
        /// Pins.
        pub fn pin(&self) -> Pin<'_> {
            let mut state = self.0.state();
            let id = state.next;
            state.next += 1;
            let epoch = state.epoch;
            state.pinned.push((id, epoch));
            Pin {
                reclaimer: &self.0,
                id,
            }
        }
    }

    /// A pinned participant.
    #[derive(Debug)]
    pub struct Pin<'a> {
        reclaimer: &'a Reclaimer,
        id: usize,
    }

    impl Pin<'_> {
        pub(crate) unsafe fn defer(&self, work: impl FnOnce() + 'static) {
            let mut state = self.reclaimer.state();
            let epoch = state.epoch;
            state.epoch += 1;
            state.bag.push((epoch, Box::new(work)));
        }

        pub(crate) fn flush(&self) {}
    }

    impl Drop for Pin<'_> {
        fn drop(&mut self) {
            if self.id == usize::MAX {
                return;
            }
            let mut state = self.reclaimer.state();
            state.pinned.retain(|&(id, _)| id != self.id);
            drop(state);
            self.reclaimer.collect();
        }
    }
}

#[cfg(all(any(loom, shuttle), not(crossbeam_loom)))]
pub use model::{Participant, Pin, Reclaimer};
#[cfg(any(not(any(loom, shuttle)), crossbeam_loom))]
pub use real::{Participant, Pin, Reclaimer};
