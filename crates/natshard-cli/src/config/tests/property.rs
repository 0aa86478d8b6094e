//! Whatever the text is: no panic, and every fault has a place in it.

use std::path::Path;

use proptest::prelude::*;

use super::super::diagnostic::Source;
use super::super::{Faults, is_error, parse};
use super::{CARRIER_GRADE, DETERMINISTIC, FAULTY, MINIMAL, PORT_SETS, TENANTS, TWO_TENANTS};

/// Pieces of configurations, right and wrong, to be put together at random.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "[engine]\n", "[timers]\n", "[nat]\n", "[[vpc]]\n", "[[peering]]\n", "[[peering.source]]\n",
    "[[external-ip-address-pool]]\n", "[external-ip-address-pool]\n", "[peering.timers]\n",
    "[[external-ip-address-pool.exclude]]\n", "[[timers.per-port-timeout]]\n",
    "[[peering.dst-ip-address-pool]]\n", "name = ", "realm = ", "external-ip-pool = ", "pools = ",
    "source-vpc = ", "destination-vpc = ", "inside-prefixes = ", "private-prefixes = ",
    "destination-prefixes = ", "port-set-restrict = ", "identifiers = ", "exclude = ", "address = ",
    "ports = ", "shards = ", "seed = ", "preopen = ", "udp-timeout = ", "hold-down-timeout = ",
    "hold-down-max = ", "external-realms = ", "mapping-type = ", "protocols = ", "port-number = ",
    "timeout = ", "dst-in-ip-pool = ", "dst-out-ip-pool = ", "privileged-pool = ", "tcp-pickup = ",
    "[[external-ip-address-pool.tenant]]\n", "port-quota = ", "port-set = ", "port-set-size = ",
    "per-subscriber = ", "tcp = ", "total = ", "pairing = ", "\"strict\"", "deterministic = ",
    "subscriber-mask-v6 = ", "headroom = ", "notify-pool-usage = ", "high-threshold = ", "id = ",
    "minimum = ", "maximum = ", "tenant = ", "control = ", "limit-subscribers = ", "64",
    "start-port-number", "end-port-number", "\"a\"", "\"b\"", "\"wan\"", "\"10.0.0.0/8\"",
    "\"203.0.113.0/28\"", "\"203.0.113.1\"", "\"2001:db8::/32\"", "\"::/0\"", "\"0.0.0.0/0\"",
    "\"1024-65535\"", "\"0-65535\"", "\"9-1\"", "\"eim\"", "\"tcp\"", "0", "1", "128", "65535",
    "65536", "99999999999999999999", "-1", "1.5", "true", "1979-05-27", "[", "]", "{", "}", ",",
    " = ", "\n", "\n", "\n", "\"", "#", "'''", "\u{e9}", "\u{0}",
];

fn sound(text: &str) {
    let source = Source::new(Path::new("p.toml"), text.into());
    let length = text.len();
    match parse(source) {
        Ok(loaded) => {
            assert!(loaded.warnings().iter().all(|it| !is_error(it)));
            let _ = (loaded.render_warnings(true), loaded.to_json());
        }
        Err(faults) => {
            let Faults::Invalid {
                diagnostics,
                source,
            } = &faults
            else {
                panic!("{faults}")
            };
            assert!(diagnostics.iter().any(is_error));
            for it in diagnostics {
                assert!(it.span.end <= length + 1, "{it:?}");
                assert!(source.line(it.span.start) >= 1);
            }
            let _ = (faults.render(false), faults.to_json());
        }
    }
}

proptest! {
    #[test]
    fn pieces_of_configurations_never_panic(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)
    ) {
        sound(&pieces.concat());
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        sound(&text);
    }

    #[test]
    fn damaged_examples_never_panic(
        which in 0..7_usize,
        cuts in prop::collection::vec((0.0..1.0_f64, 0..40_usize, prop::sample::select(PIECES)), 1..6)
    ) {
        let mut text: String = [
            MINIMAL, CARRIER_GRADE, TWO_TENANTS, FAULTY, PORT_SETS, DETERMINISTIC, TENANTS,
        ][which].into();
        for (at, length, piece) in cuts {
            let mut start = (text.len() as f64 * at) as usize;
            while !text.is_char_boundary(start) { start -= 1; }
            let mut end = (start + length).min(text.len());
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, piece);
        }
        sound(&text);
    }
}
