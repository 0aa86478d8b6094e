//! RFC 5382 and RFC 7857 section 2: TCP connections.

use super::both::both;
use super::flags::{ACK, FIN, RST, SYN};
use super::*;

const INSIDE: &str = "10.0.0.1:5000";
const REMOTE: &str = "198.51.100.1:80";

/// A connection that is established; its public endpoint.
fn established<A: Make>(lab: &mut Lab<A>) -> SocketAddr {
    let public = lab.tcp_out(INSIDE, REMOTE, SYN).source();
    lab.tcp_in(REMOTE, public, SYN | ACK).translated();
    assert_eq!(lab.tcp_out(INSIDE, REMOTE, ACK).source(), public);
    public
}

/// Whether the session is there after so many seconds without a packet.
fn alive_after<A: Make>(lab: &mut Lab<A>, seconds: u64) -> bool {
    lab.pass(seconds);
    lab.idle();
    lab.sessions() > 0
}

both! {
    fn an_established_connection_idles_for_two_hours_and_four_minutes<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        established(&mut lab);
        assert!(alive_after(&mut lab, 7439));
        assert!(!alive_after(&mut lab, 2));
    }

    fn a_half_open_connection_is_given_up_after_four_minutes<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.tcp_out(INSIDE, REMOTE, SYN);
        assert!(alive_after(&mut lab, 239));
        assert!(!alive_after(&mut lab, 2));
    }

    fn f28_a_half_open_connection_that_is_refreshed_is_not_flushed<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.tcp_out(INSIDE, REMOTE, SYN).source();
        for _ in 0..5 {
            lab.pass(200);
            assert_eq!(lab.tcp_out(INSIDE, REMOTE, SYN).source(), public);
        }
        assert!(alive_after(&mut lab, 239));
    }

    fn a_connection_closed_both_ways_ends_after_four_minutes_and_says_so<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = established(&mut lab);
        lab.tcp_out(INSIDE, REMOTE, FIN | ACK).translated();
        lab.pass(4000);
        lab.tcp_in(REMOTE, public, ACK).translated();
        lab.tcp_in(REMOTE, public, FIN | ACK).translated();
        lab.pass(100);
        lab.tcp_out(INSIDE, REMOTE, ACK).translated();
        assert!(alive_after(&mut lab, 139), "stray segments neither end nor prolong it");
        assert!(!alive_after(&mut lab, 2));
        assert!(lab.log.events.iter().any(|event| matches!(
            event,
            Event::SessionEnded { reason: EndReason::Closed, .. }
        )));
        assert!(lab.log.events.iter().any(|event| matches!(
            event,
            Event::LeaseReleased { reason: Reason::Closed, .. }
        )));
    }

    fn a_half_closed_connection_keeps_the_long_timeout<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = established(&mut lab);
        lab.tcp_in(REMOTE, public, FIN | ACK).translated();
        assert!(alive_after(&mut lab, 7000));
    }

    fn a_reset_leaves_four_minutes_and_the_next_segment_undoes_it<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = established(&mut lab);
        lab.tcp_in(REMOTE, public, RST).translated();
        lab.pass(200);
        // A forged one: the connection goes on.
        lab.tcp_out(INSIDE, REMOTE, ACK).translated();
        assert!(alive_after(&mut lab, 7000));
        lab.tcp_in(REMOTE, public, RST).translated();
        lab.pass(100);
        lab.tcp_in(REMOTE, public, RST).translated();
        assert!(!alive_after(&mut lab, 141), "more resets do not prolong it");
    }

    fn the_same_ports_again_are_a_new_connection<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = established(&mut lab);
        lab.tcp_out(INSIDE, REMOTE, FIN | ACK).translated();
        lab.tcp_in(REMOTE, public, FIN | ACK).translated();
        lab.pass(100);
        assert_eq!(established(&mut lab), public);
        assert!(alive_after(&mut lab, 7000));
    }

    fn a_connection_seen_from_its_middle_is_picked_up_unless_strict<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.tcp_out(INSIDE, REMOTE, ACK).source();
        lab.tcp_in(REMOTE, public, ACK).translated();
        assert!(alive_after(&mut lab, 7000), "heard from both ends");

        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.tcp_out(INSIDE, REMOTE, ACK).translated();
        assert!(!alive_after(&mut lab, 300), "heard from one end only");

        let mut lab = Lab::<A>::new(config(|behaviour| behaviour.tcp_pickup = TcpPickup::Strict));
        for flags in [ACK, RST, FIN | ACK, SYN | ACK, 0] {
            let out = lab.tcp_out(INSIDE, REMOTE, flags);
            assert_eq!(out.dropped(), Some(DropReason::NotSyn));
        }
        assert_eq!(lab.nat.stats().leases_allocated, 0);
        established(&mut lab);
    }

    fn a_segment_with_impossible_flags_makes_no_session<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        for flags in [SYN | FIN, SYN | RST] {
            let out = lab.tcp_out(INSIDE, REMOTE, flags);
            assert_eq!(out.dropped(), Some(DropReason::BadTcpFlags));
        }
        assert_eq!(lab.sessions(), 0);
    }

    /// RFC 5382 REQ-2: simultaneous open.
    fn both_ends_may_open_at_once<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        let public = lab.tcp_out(INSIDE, REMOTE, SYN).source();
        lab.tcp_in(REMOTE, public, SYN).translated();
        lab.tcp_out(INSIDE, REMOTE, SYN | ACK).translated();
        assert_eq!(lab.sessions(), 1);
        assert!(alive_after(&mut lab, 7000));
    }

    fn only_a_syn_opens_a_connection_from_outside<A>() {
        let mut lab = Lab::<A>::new(config(|behaviour| {
            behaviour.filtering = Filtering::EndpointIndependent;
        }));
        let public = established(&mut lab);
        for flags in [ACK, RST, SYN | ACK] {
            let out = lab.tcp_in("192.0.2.5:999", public, flags);
            assert_eq!(out.dropped(), Some(DropReason::NotSyn));
        }
        assert_eq!(lab.tcp_in("192.0.2.5:999", public, SYN).direction(), Some(Direction::Inbound));
        assert_eq!((lab.sessions(), lab.mappings()), (2, 1));
    }

    /// RFC 6888 REQ-8 A: where the pool says so, a port need not rest after its connection was
    /// seen to close; without that it rests.
    fn the_port_of_a_closed_connection_rests_unless_the_pool_says_otherwise<A>() {
        for reuse in [true, false] {
            let one_port = |pool: NatPool| pool.ports(2000..=2000).reuse_closed(reuse)
                .exclude_addresses(net("203.0.113.0/31")).exclude_addresses(net("203.0.113.2/32"));
            let mut lab = Lab::<A>::new(config_with(one_port, |_| ()));
            let public = established(&mut lab);
            lab.tcp_out(INSIDE, REMOTE, FIN | ACK).translated();
            lab.tcp_in(REMOTE, public, FIN | ACK).translated();
            assert!(!alive_after(&mut lab, 241));
            let again = lab.tcp_out("10.0.0.2:6000", REMOTE, SYN);
            match reuse {
                true => assert_eq!(again.source(), public),
                false => assert_eq!(again.dropped(), Some(DropReason::PoolExhausted)),
            }
        }
    }

    /// The lease of a mapping rests if any of its connections did not close.
    fn one_connection_that_did_not_close_makes_the_port_rest<A>() {
        let mut lab = Lab::<A>::new(config(|_| ()));
        lab.tcp_out(INSIDE, "198.51.100.2:80", SYN).translated();
        lab.pass(230);
        let public = established(&mut lab);
        lab.tcp_out(INSIDE, REMOTE, FIN | ACK).translated();
        lab.tcp_in(REMOTE, public, FIN | ACK).translated();
        assert!(!alive_after(&mut lab, 300));
        assert!(lab.log.events.iter().any(|event| matches!(
            event,
            Event::LeaseReleased { reason: Reason::Ended, .. }
        )));
    }
}

mod states {
    //! Every transition of the state machine, without packets.

    use super::*;
    use crate::packet::TcpFlags;
    use crate::session::{Half, TcpPhase, TcpState};

    fn run(segments: &[(Half, u8)]) -> TcpPhase {
        let step =
            |state: TcpState, &(half, flags): &(Half, u8)| state.after(half, TcpFlags(flags));
        segments.iter().fold(TcpState::NEW, step).phase()
    }

    const I: Half = Half::Inside;
    const O: Half = Half::Outside;

    #[test]
    fn phases() {
        let open = [(I, SYN), (O, SYN | ACK)];
        let after = |more: &[(Half, u8)]| run(&[&open[..], more].concat());
        assert_eq!(run(&[]), TcpPhase::Opening);
        assert_eq!(run(&[(I, SYN)]), TcpPhase::Opening);
        assert_eq!(run(&[(I, SYN), (I, SYN)]), TcpPhase::Opening);
        assert_eq!(
            run(&[(I, SYN), (O, ACK)]),
            TcpPhase::Opening,
            "no SYN from outside"
        );
        assert_eq!(run(&[(I, SYN), (O, RST | ACK)]), TcpPhase::Reset);
        assert_eq!(
            run(&[(I, SYN), (O, RST | ACK), (I, SYN)]),
            TcpPhase::Opening
        );
        assert_eq!(run(&[(O, SYN), (I, SYN | ACK)]), TcpPhase::Established);
        assert_eq!(run(&[(I, SYN), (O, SYN)]), TcpPhase::Established);
        assert_eq!(run(&[(I, ACK)]), TcpPhase::Opening);
        assert_eq!(run(&[(I, ACK), (O, ACK)]), TcpPhase::Established);
        assert_eq!(run(&[(I, FIN | ACK), (O, FIN | ACK)]), TcpPhase::Closed);
        assert_eq!(after(&[]), TcpPhase::Established);
        assert_eq!(after(&[(I, FIN | ACK)]), TcpPhase::Established);
        assert_eq!(
            after(&[(I, FIN | ACK), (I, FIN | ACK)]),
            TcpPhase::Established
        );
        assert_eq!(after(&[(I, FIN), (O, FIN)]), TcpPhase::Closed);
        assert_eq!(after(&[(O, FIN), (I, FIN)]), TcpPhase::Closed);
        assert_eq!(after(&[(O, FIN), (I, FIN), (O, ACK)]), TcpPhase::Closed);
        assert_eq!(after(&[(O, FIN), (I, FIN), (O, RST)]), TcpPhase::Closed);
        assert_eq!(after(&[(O, FIN), (I, FIN), (I, SYN)]), TcpPhase::Opening);
        assert_eq!(
            after(&[(O, FIN), (I, FIN), (I, SYN), (O, SYN | ACK)]),
            TcpPhase::Established
        );
        assert_eq!(after(&[(O, RST)]), TcpPhase::Reset);
        assert_eq!(after(&[(O, RST), (I, ACK)]), TcpPhase::Established);
        assert_eq!(after(&[(O, RST), (I, SYN)]), TcpPhase::Opening);
        assert_eq!(
            after(&[(I, SYN)]),
            TcpPhase::Established,
            "a SYN inside a connection"
        );
    }

    #[test]
    fn no_state_is_without_a_way_out_and_none_is_left_by_accident() {
        // All reachable states, by brute force over flags and sides.
        let mut reached = vec![TcpState::NEW];
        let mut next = 0;
        while next < reached.len() {
            for half in [I, O] {
                for flags in 0..32 {
                    let state = reached[next].after(half, TcpFlags(flags));
                    if !reached.contains(&state) {
                        reached.push(state);
                    }
                    if flags & RST != 0 {
                        let phase = state.phase();
                        assert!(matches!(phase, TcpPhase::Reset | TcpPhase::Closed));
                    }
                }
            }
            next += 1;
        }
        for state in reached {
            let again = match state.phase() {
                TcpPhase::Closed | TcpPhase::Reset => {
                    state.after(I, TcpFlags(SYN)).after(O, TcpFlags(SYN | ACK))
                }
                _ => state.after(I, TcpFlags(SYN)).after(O, TcpFlags(SYN | ACK)),
            };
            assert!(
                matches!(again.phase(), TcpPhase::Established | TcpPhase::Closed),
                "{state:?}"
            );
        }
    }
}
