//! What a request wishes of a port, from the strongest wish to none.

use crate::block::{Mask, PORTS};
use crate::request::{Parity, Request};

/// A wish about a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// This very port.
    Port(u16),
    /// Of this parity.
    Parity(Parity),
    /// Any.
    Any,
}

impl Wish {
    /// The ports of a block that it allows.
    pub(crate) fn ports(self, block: usize) -> Mask {
        match self {
            Wish::Port(port) if usize::from(port) / PORTS == block => {
                [usize::from(port) % PORTS].into_iter().collect()
            }
            Wish::Port(_) => Mask::EMPTY,
            Wish::Parity(parity) => Mask::FULL.of_parity(parity),
            Wish::Any => Mask::FULL,
        }
    }
}

impl Request {
    /// Its wishes, the strongest first; the last is for any port.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = Wish> + use<> {
        let near = self.near_port.map(Wish::Port);
        let parity = self.parity.or(self.near_port.map(Parity::of));
        let wishes = [near, parity.map(Wish::Parity), Some(Wish::Any)];
        wishes.into_iter().flatten()
    }

    /// Whether a lease by this wish departs from what was asked.
    pub(crate) fn departs(&self, wish: Wish) -> bool {
        wish == Wish::Any && (self.near_port.is_some() || self.parity.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PoolId;
    use crate::protocol::Protocol;

    const PLAIN: Request = Request::new(PoolId(0), Protocol::Udp);

    fn wishes(request: Request) -> Vec<Wish> {
        request.wishes().collect()
    }

    #[test]
    fn wishes_come_from_the_strongest_to_none() {
        use Parity::{Even, Odd};
        assert_eq!(wishes(PLAIN), [Wish::Any]);
        let odd = PLAIN.parity(Odd);
        assert_eq!(wishes(odd), [Wish::Parity(Odd), Wish::Any]);
        // A port near to another has its parity, unless another one is asked for.
        let near = PLAIN.near_port(1024);
        let all = [Wish::Port(1024), Wish::Parity(Even), Wish::Any];
        assert_eq!(wishes(near), all);
        let all = [Wish::Port(1024), Wish::Parity(Odd), Wish::Any];
        assert_eq!(wishes(near.parity(Odd)), all);
    }

    #[test]
    fn only_any_port_departs_from_a_wish() {
        for request in [PLAIN.parity(Parity::Odd), PLAIN.near_port(1024)] {
            let departs: Vec<_> = request.wishes().map(|it| request.departs(it)).collect();
            let (last, others) = departs.split_last().unwrap();
            assert!(*last && !others.contains(&true), "{departs:?}");
        }
        assert!(!PLAIN.departs(Wish::Any));
    }

    #[test]
    fn a_wish_allows_ports_of_a_block() {
        let port = Wish::Port(4 * PORTS as u16 + 7);
        assert!(port.ports(4).iter().eq([7]));
        assert_eq!(port.ports(3), Mask::EMPTY);
        assert_eq!(Wish::Any.ports(4), Mask::FULL);
        let odd = Wish::Parity(Parity::Odd).ports(4);
        assert!(odd.iter().eq((0..PORTS).filter(|port| port % 2 == 1)));
    }
}
