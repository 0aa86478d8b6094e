//! What the actors of a model share, and how they start.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::JoinHandle;
use natshard::model::{Address, Lease, PORTS};

use crate::thread;

/// Cells that only whoever holds what they stand for may touch: written at each change of hands,
/// they show at once that nobody else holds it and that all of the last holder's work is seen.
#[derive(Debug)]
pub struct Cells<const N: usize>([UnsafeCell<u32>; N]);

// SAFETY: the cells are what the models check: loom reports any access that is not ordered.
unsafe impl<const N: usize> Send for Cells<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Cells<N> {}

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Cells(std::array::from_fn(|_| UnsafeCell::new(0)))
    }
}

impl<const N: usize> Cells<N> {
    /// Touched by its holder.
    pub fn hold(&self, cell: usize) {
        // SAFETY: checked by loom.
        self.0[cell].with_mut(|uses| unsafe { *uses += 1 });
    }

    /// Looked at by somebody who may.
    pub fn look(&self, cell: usize) {
        // SAFETY: checked by loom.
        self.0[cell].with(|uses| unsafe { *uses });
    }
}

/// An address, and a cell per port that only its holder may touch.
pub struct Site {
    /// The address.
    pub address: Address,
    cells: Cells<PORTS>,
}

impl Site {
    /// For actors to share.
    pub fn new(address: Address) -> Arc<Self> {
        let cells = Cells::default();
        Arc::new(Site { address, cells })
    }

    /// A port touched by who has its lease.
    pub fn hold(&self, lease: &Lease) {
        self.cells.hold(usize::from(lease.addr().port()) % PORTS);
    }
}

/// Starts an actor in a world.
pub fn actor<W: Send + Sync + 'static, T: Send + 'static>(
    world: &Arc<W>,
    act: impl FnOnce(&W) -> T + Send + 'static,
) -> JoinHandle<T> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}
