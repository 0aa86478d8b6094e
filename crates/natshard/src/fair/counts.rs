//! Three counts, one for each protocol, in one word.

use crate::fields::join;
use crate::protocol::Protocol;

/// A count for each protocol modulo 2^16, and 16 bits more for a version: 0-15 TCP, 16-31 UDP,
/// 32-47 ICMP, 48-63 the version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts(pub(crate) u64);

const VERSION_SHIFT: u32 = 48;
const ONE_VERSION: u64 = 1 << VERSION_SHIFT;

impl Counts {
    const fn shift(protocol: Protocol) -> u32 {
        16 * protocol.as_index() as u32
    }

    pub(crate) const fn of(self, protocol: Protocol) -> u16 {
        (self.0 >> Self::shift(protocol)) as u16
    }

    const fn with(self, protocol: Protocol, count: u16) -> Self {
        let shift = Self::shift(protocol);
        Counts(join([self.0 & !(0xffff << shift), (count as u64) << shift]))
    }

    /// So many more of one protocol.
    pub(crate) const fn plus(self, protocol: Protocol, ports: u16) -> Self {
        self.with(protocol, self.of(protocol).wrapping_add(ports))
    }

    /// So many fewer of one protocol.
    pub(crate) const fn minus(self, protocol: Protocol, ports: u16) -> Self {
        self.with(protocol, self.of(protocol).wrapping_sub(ports))
    }

    pub(crate) const fn version(self) -> u16 {
        (self.0 >> VERSION_SHIFT) as u16
    }

    /// The next version of the same counts.
    pub(crate) const fn next_version(self) -> Self {
        Counts(self.0.wrapping_add(ONE_VERSION))
    }

    /// The counts without the version.
    pub(crate) const fn bare(self) -> Self {
        Counts(self.0 & (ONE_VERSION - 1))
    }

    /// The same counts under this version, or tag.
    pub(crate) const fn tagged(self, tag: u16) -> Self {
        Counts(join([self.bare().0, (tag as u64) << VERSION_SHIFT]))
    }

    /// How far this is ahead of `behind`, by protocol: modulo 2^16, so the truth must be less.
    pub(crate) fn since(self, behind: Counts) -> [u16; 3] {
        Protocol::ALL.map(|protocol| self.of(protocol).wrapping_sub(behind.of(protocol)))
    }

    /// The later of two moments of the same counters, each of which only rises; `self`'s version.
    /// They are at most 32,767 apart, or the one that is ahead is taken for the one behind.
    pub(crate) fn latest(self, other: Counts) -> Self {
        Protocol::ALL.into_iter().fold(self, |latest, protocol| {
            let ahead = other.of(protocol).wrapping_sub(self.of(protocol));
            if ahead < 1 << 15 {
                latest.with(protocol, other.of(protocol))
            } else {
                latest
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_carry_into_each_other() {
        for protocol in Protocol::ALL {
            for start in [0u16, 1, 0x7fff, 0x8000, 0xffff] {
                let before = Counts(0x1234 << 48)
                    .plus(Protocol::Tcp, start)
                    .plus(Protocol::Udp, start)
                    .plus(Protocol::Icmp, start);
                for ports in [1u16, 2, 255, 0xffff] {
                    let after = before.plus(protocol, ports);
                    assert_eq!(after.minus(protocol, ports), before);
                    assert_eq!(after.version(), 0x1234);
                    let mut expected = [0; 3];
                    expected[protocol.as_index()] = ports;
                    assert_eq!(after.since(before), expected);
                }
            }
        }
    }

    #[test]
    fn the_latest_is_the_one_ahead_in_each_field() {
        let base = Counts::default().plus(Protocol::Udp, 0xfff0);
        let one = base.plus(Protocol::Tcp, 5);
        let other = base.plus(Protocol::Udp, 0x20);
        let both = one.plus(Protocol::Udp, 0x20);
        assert_eq!(one.latest(other), both);
        assert_eq!(other.latest(one), both);
        assert_eq!(one.tagged(3).latest(other.tagged(9)), both.tagged(3));
        assert_eq!(one.latest(base), one);
        // As far apart as two can be, and further.
        let farthest = base.plus(Protocol::Icmp, 32_767);
        assert_eq!(base.latest(farthest), farthest);
        let beyond = base.plus(Protocol::Icmp, 32_768);
        assert_eq!(base.latest(beyond), base);
        assert_eq!(base.latest(one), one);
    }
}
