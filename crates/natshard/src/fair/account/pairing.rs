//! The address that a subscriber is paired with.

use super::Books;
use crate::fields::join;

/// The word of a pairing or an active part: a value under a version, and constant bits between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Versioned(pub(super) u64);

impl Versioned {
    const VALUE: u64 = 0xffff_ffff;

    pub(super) fn version(self) -> u16 {
        (self.0 >> 48) as u16
    }

    pub(super) fn with_version(self, version: u16) -> Self {
        Versioned(join([self.0 & !(0xffff << 48), u64::from(version) << 48]))
    }

    pub(super) fn value(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn with_value(self, value: u32) -> Self {
        Versioned(join([self.0 & !Self::VALUE, u64::from(value)]))
    }
}

/// A public address as an account remembers it: its key, and the ordinal of its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pairing {
    pub(crate) space: u16,
    pub(crate) key: u32,
}

impl Pairing {
    /// Zero in the middle bits means none; a space is remembered as one more.
    pub(super) fn of(word: Versioned) -> Option<Self> {
        let space = (word.0 >> 32) as u16;
        (space != 0).then(|| Pairing {
            space: space - 1,
            key: word.value(),
        })
    }

    fn under(self, version: u16) -> Versioned {
        let space = u64::from(self.space + 1) << 32;
        Versioned(join([space, u64::from(self.key)])).with_version(version)
    }
}

impl Books<'_> {
    /// The address the subscriber is paired with.
    pub(crate) fn pairing(&self) -> Option<Pairing> {
        Pairing::of(Versioned(self.account.address.get()))
    }

    /// Pairs the subscriber with an address, unless it is paired; the pairing that holds, and
    /// the number of that event if it is new. The caller has charged a port, which keeps the
    /// pairing from being retired.
    pub(crate) fn pair(&self, with: Pairing) -> (Pairing, Option<u64>) {
        loop {
            let seen = Versioned(self.account.address.get());
            if let Some(paired) = Pairing::of(seen) {
                return (paired, None);
            }
            // After the pairing before was seen to have ended, and before anybody can see this
            // one and end it. The word tells one end from the next.
            let sequence = self.draw();
            let bound = with.under(seen.version());
            if self.account.address.exchange(seen.0, bound.0).is_ok() {
                return (with, Some(sequence));
            }
        }
    }

    /// Ends a pairing with an address that is the pool's no longer, unless somebody else did.
    pub(crate) fn unpair(&self, from: Pairing) {
        let seen = Versioned(self.account.address.get());
        if Pairing::of(seen) == Some(from) {
            let sequence = self.draw();
            // No pairing; the number sets this word apart from that of an end before it.
            let empty = Versioned(0)
                .with_value(sequence as u32)
                .with_version(seen.version());
            if self.account.address.exchange(seen.0, empty.0).is_ok() {
                self.unbound.set(Some((sequence, from)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_versions_are_kept_apart() {
        let word = Versioned(u64::MAX).with_version(3).with_value(9);
        assert_eq!((word.version(), word.value()), (3, 9));
        // What lies between them stays.
        assert_eq!(word.0 >> 32 & 0xffff, 0xffff);
        let (space, key) = (0x1234, 0xcb00_7105);
        let word = Pairing { space, key }.under(0xfffe);
        let read = Pairing::of(word).unwrap();
        assert_eq!((read.space, read.key, word.version()), (space, key, 0xfffe));
        assert_eq!(Pairing::of(word.with_value(0)).unwrap().space, space);
        assert_eq!(
            Pairing::of(Versioned(0).with_value(7).with_version(5)),
            None
        );
    }
}
