//! Words made of fields.

macro_rules! join {
    ($($name:ident: $word:ty),+) => {$(
        /// A word of parts, of which no two share a bit.
        #[inline]
        pub(crate) const fn $name<const N: usize>(parts: [$word; N]) -> $word {
            let (mut whole, mut next) = (0, 0);
            while next < N {
                debug_assert!(whole & parts[next] == 0, "a field that reaches into another");
                whole |= parts[next];
                next += 1;
            }
            whole
        }
    )+};
}

join!(join: u64, join_short: u32, join_long: u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined() {
        assert_eq!(join([0x1, 0x20, 0x300]), 0x321);
        assert_eq!(join_short([0x8000_0000, 7]), 0x8000_0007);
        assert_eq!(join_long([1 << 127, 3]), 1 << 127 | 3);
        assert_eq!(join([]), 0);
    }

    #[test]
    #[should_panic(expected = "reaches into another")]
    #[cfg(debug_assertions)]
    fn parts_that_overlap_are_refused() {
        join([0x10, 0x30]);
    }
}
