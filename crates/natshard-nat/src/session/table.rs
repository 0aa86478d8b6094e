//! The default session manager: one private table.

use std::marker::PhantomData;

/// The default [`NatSessionManager`](super::NatSessionManager).
#[derive(Debug)]
pub struct SessionTable<L> {
    lease: PhantomData<L>,
}

impl<L> SessionTable<L> {
    /// A table of at most `sessions` sessions (capped at 2^31 - 1), growing as they come.
    #[must_use]
    pub fn new(sessions: usize) -> Self {
        let _ = sessions;
        todo!()
    }
}

/// A session of a [`SessionTable`].
#[derive(Debug)]
pub struct TableSession<'a, L> {
    lease: PhantomData<&'a L>,
}
