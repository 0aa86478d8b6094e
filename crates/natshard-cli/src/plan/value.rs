//! Values on the command line of `natshard plan`.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use natshard::Protocol;

/// A number between 0 and 1, as a fraction or in per cent.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim_end(), 0.01),
        None => (text.trim(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(value) if value > 0.0 && value * scale <= 1.0 => Ok(value * scale),
        _ => Err("write a number above 0 and at most 1, or per cent: 0.3 or 30%".into()),
    }
}

/// A refusal probability that can be planned for.
pub(crate) fn refusal(text: &str) -> Result<f64, String> {
    let value = probability(text).ok();
    value
        .filter(|it| (1e-12..=0.5).contains(it))
        .ok_or_else(|| "write a number from 1e-12 to 0.5, or per cent: 1e-4 or 0.01%".into())
}

/// A time: seconds, or with a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let seconds = digits.trim_end().parse::<f64>().map(|it| it * scale);
    match seconds {
        // The engine's longest hold-down.
        Ok(seconds) if (0.0..=30.0 * 86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("write seconds, or a number with ms, s, m or h, up to 720h: 120s or 2m".into()),
    }
}

/// A range of ports or identifiers.
pub(crate) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last).then_some(first..=last)
    });
    range.ok_or_else(|| "write the first and the last of them, up to 65535: 1024-65535".into())
}

/// One figure for the protocol that needs most, or one for each protocol named.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Figures {
    /// Of whichever protocol needs most.
    Any(f64),
    /// By protocol.
    Named(Vec<(Protocol, f64)>),
}

impl Figures {
    /// The figure for a space of ports.
    pub(crate) fn of(&self, which: Option<Protocol>) -> Option<f64> {
        match (self, which) {
            (Figures::Any(figure), None) => Some(*figure),
            (Figures::Named(named), Some(which)) => {
                let found = named.iter().find(|(protocol, _)| *protocol == which);
                found.map(|(_, figure)| *figure)
            }
            _ => None,
        }
    }

    /// The spaces of ports it has a figure for.
    pub(crate) fn spaces(&self) -> Vec<Option<Protocol>> {
        match self {
            Figures::Any(_) => vec![None],
            Figures::Named(named) => named.iter().map(|(protocol, _)| Some(*protocol)).collect(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figures::Any(figure) => figure.fmt(f),
            Figures::Named(named) => {
                for (at, (protocol, figure)) in named.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{protocol}={figure}")?;
                }
                Ok(())
            }
        }
    }
}

/// A number above zero, or one by protocol.
pub(crate) fn figures(text: &str) -> Result<Figures, String> {
    let positive = |text: &str| {
        let value = text.trim().parse::<f64>().ok();
        value.filter(|it| *it > 0.0 && *it <= 1e9)
    };
    if let Some(figure) = positive(text) {
        return Ok(Figures::Any(figure));
    }
    let mut named: Vec<(Protocol, f64)> = Vec::new();
    for part in text.split(',') {
        let pair = part.split_once('=').and_then(|(protocol, figure)| {
            let protocol = protocol.trim();
            let protocol = Protocol::ALL
                .into_iter()
                .find(|it| it.to_string() == protocol)?;
            Some((protocol, positive(figure)?))
        });
        let fresh = pair.filter(|(protocol, _)| named.iter().all(|(it, _)| it != protocol));
        named.push(fresh.ok_or(
            "write a number above 0, or one for each of tcp, udp and icmp: 80 or tcp=80,udp=40",
        )?);
    }
    named.sort_by_key(|(protocol, _)| protocol.as_index());
    Ok(Figures::Named(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_fractions_or_per_cent() {
        for (text, value) in [
            ("0.3", 0.3),
            ("30%", 0.3),
            ("1e-4", 1e-4),
            ("0.01 %", 1e-4),
            ("1", 1.0),
        ] {
            assert!((probability(text).unwrap() - value).abs() < 1e-15, "{text}");
        }
        for text in ["0", "-0.1", "1.1", "101%", "x", "", "NaN", "inf"] {
            assert!(probability(text).is_err(), "{text}");
        }
        assert!(refusal("1e-12").is_ok() && refusal("50%").is_ok());
        let wrong = ["0", "1", "1e-13", "0.6", "60%", "x"].map(|it| refusal(it).unwrap_err());
        assert!(wrong.iter().all(|it| *it == wrong[0]), "{wrong:?}");
        assert!(wrong[0].contains("from 1e-12 to 0.5"), "{}", wrong[0]);
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("120", 120_000),
            ("120s", 120_000),
            ("2m", 120_000),
            ("1.5 h", 5_400_000),
            ("250ms", 250),
            ("0", 0),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "s", "2 weeks", "-1s", "721h", "nan"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_have_a_first_and_a_last() {
        assert_eq!(ports("1024-65535"), Ok(1024..=65535));
        assert_eq!(ports("7-7"), Ok(7..=7));
        for text in ["1024", "8-7", "0-65536", "-", "a-b"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn figures_are_one_or_named() {
        assert_eq!(figures("80"), Ok(Figures::Any(80.0)));
        let named = figures("tcp=80, udp=4.5").unwrap();
        assert_eq!(named.of(Some(Protocol::Udp)), Some(4.5));
        assert_eq!(named.of(Some(Protocol::Icmp)), None);
        assert_eq!(named.of(None), None);
        assert_eq!(named.to_string(), "tcp=80,udp=4.5");
        for text in [
            "",
            "0",
            "tcp",
            "tcp=",
            "tcp=0",
            "sctp=3",
            "tcp=1,tcp=2",
            "80,udp=3",
            "inf",
        ] {
            assert!(figures(text).is_err(), "{text}");
        }
    }
}
