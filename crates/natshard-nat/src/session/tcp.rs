//! What the segments of a TCP connection have shown (RFC 6146 section 3.5.2, RFC 7857 section 2).
//!
//! ```text
//!              SYN both ways, or picked up and seen both ways
//!   Opening ───────────────────────────────────────────────────▶ Established ◀──┐
//!      │                                                          │    │        │ any segment
//!      │ RST                                         FIN both ways│    │ RST    │ but RST or SYN
//!      ▼                                                          ▼    ▼        │
//!    Reset ◀──────────────────────────────────────────────────  Closed Reset ───┘
//!                 SYN in Closed or Reset: Opening, a new connection
//! ```
//!
//! Only `Established`, half-closed connections included, has the long timeout. The NAT believes
//! flags, not sequence numbers: a forged RST makes the session transitory, and the next segment
//! of the connection undoes that.

use crate::packet::TcpFlags;

use super::Half;

const SYN_INSIDE: u8 = 1;
const SYN_OUTSIDE: u8 = 1 << 1;
const FIN_INSIDE: u8 = 1 << 2;
const FIN_OUTSIDE: u8 = 1 << 3;
const RST: u8 = 1 << 4;
/// Both ends take part.
const OPEN: u8 = 1 << 5;
/// The first segment was no SYN.
const PICKED_INSIDE: u8 = 1 << 6;
const PICKED_OUTSIDE: u8 = 1 << 7;

/// What the segments of a connection have shown so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TcpState(u8);

/// What that means for the session's timeout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TcpPhase {
    /// Transitory: one end has not been heard of yet.
    Opening,
    /// Established, or closed in one direction only.
    Established,
    /// Transitory: both ends have sent FIN.
    Closed,
    /// Transitory: one end has sent RST.
    Reset,
}

impl TcpState {
    /// Before any segment.
    pub const NEW: TcpState = TcpState(0);

    const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// What the state means.
    #[must_use]
    pub const fn phase(self) -> TcpPhase {
        if self.has(RST) {
            TcpPhase::Reset
        } else if self.has(FIN_INSIDE | FIN_OUTSIDE) {
            TcpPhase::Closed
        } else if self.has(OPEN) {
            TcpPhase::Established
        } else {
            TcpPhase::Opening
        }
    }

    /// Whether a segment with those flags says nothing new: the connection is established, and it
    /// neither begins nor ends.
    #[must_use]
    #[inline]
    pub const fn stays(self, flags: TcpFlags) -> bool {
        const ENDS: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        // One that was picked up is not told apart from others here; it takes note of both sides.
        let over = (self.0 & RST != 0) | self.has(FIN_INSIDE | FIN_OUTSIDE);
        let syn_seen = self.0 & (SYN_INSIDE | SYN_OUTSIDE) != 0;
        (flags.0 & ENDS == 0) & self.has(OPEN) & syn_seen & !over
    }

    /// The state after a segment from that side.
    #[must_use]
    #[inline]
    pub const fn after(self, half: Half, flags: TcpFlags) -> Self {
        let (syn, fin, picked) = match half {
            Half::Inside => (SYN_INSIDE, FIN_INSIDE, PICKED_INSIDE),
            Half::Outside => (SYN_OUTSIDE, FIN_OUTSIDE, PICKED_OUTSIDE),
        };
        if flags.rst() {
            return match self.phase() {
                // Both ends are done: the answer to a stray segment says nothing new.
                TcpPhase::Closed => self,
                _ => TcpState(self.0 | RST),
            };
        }
        let over = matches!(self.phase(), TcpPhase::Closed | TcpPhase::Reset);
        if flags.syn() && !flags.ack() && over {
            // The same ports again: a new connection (RFC 9293 section 3.6.1).
            return TcpState(syn);
        }
        // A reset that the other end does not believe in (RFC 7857 section 2.2).
        let mut bits = self.0 & !RST;
        if flags.syn() {
            bits |= syn;
        } else if bits & (SYN_INSIDE | SYN_OUTSIDE) == 0 {
            bits |= picked;
        }
        if flags.fin() {
            bits |= fin;
        }
        let both_syn = bits & (SYN_INSIDE | SYN_OUTSIDE) == SYN_INSIDE | SYN_OUTSIDE;
        let both_picked = bits & (PICKED_INSIDE | PICKED_OUTSIDE) == PICKED_INSIDE | PICKED_OUTSIDE;
        if both_syn || both_picked {
            bits |= OPEN;
        }
        TcpState(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_stays_is_established_and_is_the_same_after() {
        let mut stays = 0;
        for state in (0..=u8::MAX).map(TcpState) {
            for flags in (0..=u8::MAX).map(TcpFlags) {
                if state.stays(flags) {
                    stays += 1;
                    assert_eq!(state.phase(), TcpPhase::Established);
                    assert_eq!(state.after(Half::Inside, flags), state);
                    assert_eq!(state.after(Half::Outside, flags), state);
                }
            }
        }
        assert!(stays > 0);
    }
}
