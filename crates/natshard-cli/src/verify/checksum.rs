//! Checksums computed anew from the bytes they cover.

use super::wire::{Ip, octets};

/// What a checksum was found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    Right,
    Wrong,
    /// There is none.
    None,
    /// Not all the bytes it covers are here, for they were not captured or are in other fragments.
    /// The sum of those that are: an edit that keeps the checksum as right as it was keeps it.
    Partial(u16),
}

impl Check {
    /// Whether translation spoilt it.
    fn spoilt(self, after: Check) -> bool {
        match (self, after) {
            (Check::Right, after) => after != Check::Right,
            (Check::Partial(before), after) => after != Check::Partial(before),
            (Check::Wrong | Check::None, _) => false,
        }
    }
}

/// How many checksums were right before translation and are wrong after it: IP header, transport,
/// and both of a quoted packet.
pub(crate) fn spoilt(before: &Ip<'_>, after: &Ip<'_>) -> u64 {
    let mut count = count_spoilt(before, after);
    match (before.quoted(), after.quoted()) {
        (Some(before), Some(after)) => count += count_spoilt(&before, &after),
        (Some(_), None) => count += 1,
        (None, _) => {}
    }
    count
}

fn count_spoilt(before: &Ip<'_>, after: &Ip<'_>) -> u64 {
    u64::from(header(before).spoilt(header(after)))
        + u64::from(transport(before).spoilt(transport(after)))
}

fn header(ip: &Ip<'_>) -> Check {
    if ip.source.is_ipv6() {
        return Check::None;
    }
    match fold(sum(ip.header)) {
        0xffff => Check::Right,
        _ => Check::Wrong,
    }
}

fn transport(ip: &Ip<'_>) -> Check {
    let Some(at) = ip.checksum_at() else {
        return Check::None;
    };
    if ip.payload.len() < at + 2 || ip.is_unchecked_udp() {
        return Check::None;
    }
    let (covered, length) = ip.covered();
    let mut total = sum(covered);
    // ICMP of IPv4 is the only one without a pseudo-header.
    if ip.protocol != 1 {
        for address in [ip.source, ip.destination] {
            let (bytes, length) = octets(address);
            total += sum(&bytes[..length]);
        }
        total += u64::from(ip.protocol);
        total += length as u64;
    }
    match (ip.is_whole(), fold(total)) {
        (false, partial) => Check::Partial(partial),
        (true, 0xffff) => Check::Right,
        (true, _) => Check::Wrong,
    }
}

/// The sum of big-endian words, an odd last byte padded with zero (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let whole: u64 = (&mut words)
        .map(|it| u64::from(u16::from_be_bytes([it[0], it[1]])))
        .sum();
    whole
        + words
            .remainder()
            .first()
            .map_or(0, |it| u64::from(*it) << 8)
}

/// Folds to 16 bits. Both zeros of ones' complement become 0xffff, which only an all-zero input
/// would not be anyway.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match sum {
        0 => 0xffff,
        sum => sum as u16,
    }
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
