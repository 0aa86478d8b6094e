//! Values that are more than a TOML type: prefixes, ranges, times, names.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::diagnostic::{At, Sink};
use super::section::{Entry, Section};
use super::word;

/// Longest name, in characters.
const MAX_NAME: usize = 64;
/// Longest time that can be given, in seconds: 30 days.
const MAX_SECONDS: u64 = 30 * 86_400;

/// A name of something.
pub(crate) fn name(entry: &Entry<'_>, sink: &mut Sink) -> Option<At<String>> {
    let text = entry.string(sink)?;
    let fault = if text.value.trim().is_empty() {
        "is empty".into()
    } else if text.value.chars().count() > MAX_NAME {
        format!("has more than {MAX_NAME} characters")
    } else if text.value.chars().any(char::is_control) {
        "has a control character".into()
    } else {
        return Some(At::new(text.value.to_owned(), text.span));
    };
    sink.push(
        entry
            .error(format!("`{}` {fault}", entry.key()))
            .help("give a short name, `\"internet\"` for example"),
    );
    None
}

/// The names in an array, or a single one.
pub(crate) fn names(entry: &Entry<'_>, sink: &mut Sink) -> Vec<At<String>> {
    entry
        .items()
        .iter()
        .filter_map(|item| name(item, sink))
        .collect()
}

/// A prefix; a single address is one of full length. With host bits set it is a fault, and what
/// was probably meant is returned.
pub(crate) fn prefix(entry: &Entry<'_>, sink: &mut Sink) -> Option<At<IpNet>> {
    let text = entry.string(sink)?;
    let parsed = match text.value.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.value.parse::<IpNet>(),
    };
    let Ok(net) = parsed else {
        sink.push(
            entry
                .error(format!(
                    "`{}` is not an address prefix",
                    word::shown(text.value)
                ))
                .label("not a prefix")
                .help(prefix_help(text.value)),
        );
        return None;
    };
    if net != net.trunc() {
        sink.push(
            entry
                .error(format!("prefix {net} has host bits set"))
                .label("an address inside the prefix")
                .help(format!(
                    "write `\"{}\"` for the whole prefix or `\"{}\"` for the one address",
                    net.trunc(),
                    net.addr()
                )),
        );
    }
    Some(At::new(net.trunc(), text.span))
}

fn prefix_help(text: &str) -> String {
    match text.split_once('/') {
        Some((address, length)) if address.trim().parse::<IpAddr>().is_ok() => {
            let longest = if address.contains(':') { 128 } else { 32 };
            match length.trim().parse::<u32>() {
                Ok(length) if length <= longest => "write it without blanks".into(),
                _ => format!("the length after `/` must be 0 to {longest}"),
            }
        }
        _ if text.contains('-') => {
            "an address range cannot be given: write the prefixes it consists of".into()
        }
        _ => "write an address and a length, `\"203.0.113.0/28\"` or `\"2001:db8::/64\"`".into(),
    }
}

/// The prefixes in an array, or a single one.
pub(crate) fn prefixes(entry: &Entry<'_>, sink: &mut Sink) -> Vec<At<IpNet>> {
    entry
        .items()
        .iter()
        .filter_map(|item| prefix(item, sink))
        .collect()
}

/// A range of ports or identifiers, none below `lowest`: `"1024-65535"`, `"53"`, `53`, or
/// `{ start-port-number = 1024, end-port-number = 65535 }`.
pub(crate) fn range(
    entry: &Entry<'_>,
    lowest: u16,
    sink: &mut Sink,
) -> Option<At<RangeInclusive<u16>>> {
    let (first, last) = match entry.value() {
        DeValue::Integer(_) => {
            let port = entry.number(u64::from(lowest), 65535, sink)?.value;
            (port, port)
        }
        DeValue::Table(table) => {
            let mut section = Section::new(table, entry.span(), "a port range");
            let first = section.require("start-port-number", "1024", sink);
            let last = section.take("end-port-number");
            section.finish(sink);
            let first = first?.number(u64::from(lowest), 65535, sink)?.value;
            match last {
                Some(last) => (first, last.number(u64::from(lowest), 65535, sink)?.value),
                None => (first, first),
            }
        }
        DeValue::String(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
                (Ok(first), Ok(last)) => (first, last),
                _ => {
                    sink.push(
                        entry
                            .error(format!("`{}` is not a range", word::shown(text)))
                            .label("not a range")
                            .help("write first and last: `\"1024-65535\"`"),
                    );
                    return None;
                }
            }
        }
        _ => {
            sink.push(
                entry
                    .wrong_type("a range")
                    .help("write first and last: `\"1024-65535\"`"),
            );
            return None;
        }
    };
    let (Ok(start), Ok(end)) = (u16::try_from(first), u16::try_from(last)) else {
        sink.push(
            entry
                .error(format!("`{}` goes beyond 65535", entry.key()))
                .label("too large")
                .help(format!("give {lowest} to 65535")),
        );
        return None;
    };
    if start > end {
        sink.push(
            entry
                .error(format!("range {start}-{end} is empty"))
                .label("ends before it starts")
                .help(format!("write `\"{end}-{start}\"`")),
        );
        return None;
    }
    if start < lowest {
        sink.push(
            entry
                .error(format!(
                    "`{}` holds port 0, which cannot be given out",
                    entry.key()
                ))
                .label("starts at 0")
                .help(format!(
                    "write `\"{}\"`",
                    word::range(&(lowest..=end.max(lowest)))
                )),
        );
        return None;
    }
    Some(At::new(start..=end, entry.span()))
}

/// A whole number of seconds, not below `least`.
pub(crate) fn seconds(entry: &Entry<'_>, least: u64, sink: &mut Sink) -> Option<At<Duration>> {
    match entry.value() {
        DeValue::Integer(number) => {
            let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
            match value {
                Some(value) if (least..=MAX_SECONDS).contains(&value) => {
                    return Some(At::new(Duration::from_secs(value), entry.span()));
                }
                Some(0) => sink.push(
                    entry
                        .error(format!("`{}` is zero", entry.key()))
                        .label("would end everything at once")
                        .help(format!("give {least} to {MAX_SECONDS} seconds")),
                ),
                _ => sink.push(
                    entry
                        .error(format!("`{}` is out of range: {number}", entry.key()))
                        .label("out of range")
                        .help(format!("give {least} to {MAX_SECONDS} seconds (30 days)")),
                ),
            }
        }
        DeValue::String(text) => {
            let mut fault = entry.wrong_type("a whole number of seconds");
            if let Some(seconds) = in_seconds(text) {
                fault = fault.help(format!("write `{seconds}`"));
            }
            sink.push(fault);
        }
        _ => sink.push(entry.wrong_type("a whole number of seconds")),
    }
    None
}

/// What somebody who writes `"5 min"` means.
fn in_seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|it: char| !it.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let unit = match text[digits.len()..].trim() {
        "" | "s" | "sec" | "seconds" => 1,
        "m" | "min" | "minutes" => 60,
        "h" | "hours" => 3600,
        "d" | "days" => 86_400,
        _ => return None,
    };
    number.checked_mul(unit)
}
