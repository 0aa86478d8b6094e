//! Words in messages: lists, near misses, and text that comes from the user.

use crate::foreign::plain;

/// Longest piece of the user's text that a message repeats, in characters.
const SHOWN: usize = 60;

/// The candidate that was probably meant, if any is near enough.
pub(crate) fn closest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if text.len() > 4 * SHOWN {
        return None;
    }
    let folded = text.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&folded, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.84)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Keys that people write, and what they are called here.
const SYNONYMS: [(&str, &str); 39] = [
    ("pool", "external-ip-address-pool"),
    ("pools", "external-ip-address-pool"),
    ("pool", "pools"),
    ("prefix", "external-ip-pool"),
    ("prefixes", "external-ip-pool"),
    ("prefix", "inside-prefixes"),
    ("prefixes", "inside-prefixes"),
    ("prefix", "private-prefixes"),
    ("prefixes", "private-prefixes"),
    ("ports", "port-set-restrict"),
    ("port-range", "port-set-restrict"),
    ("port-restriction", "port-set-restrict"),
    ("port-range", "ports"),
    ("icmp-identifiers", "identifiers"),
    ("exclusions", "exclude"),
    ("realms", "external-realms"),
    ("external-realm", "realm"),
    ("pool-id", "name"),
    ("id", "name"),
    ("paired-address-pooling", "address-allocation-type"),
    ("pooling", "address-allocation-type"),
    ("hold-down", "hold-down-timeout"),
    ("tcp-timeout", "tcp-idle-timeout"),
    ("max-cooling", "hold-down-max"),
    ("inside", "source-vpc"),
    ("outside", "destination-vpc"),
    ("inside", "inside-prefixes"),
    ("subscriber-ports", "port-quota"),
    ("subscriber-limit", "port-quota"),
    ("port-limit", "port-quota"),
    ("port-blocks", "port-set"),
    ("port-block", "port-set"),
    ("size", "port-set-size"),
    ("block-size", "port-set-size"),
    ("max-subscribers", "limit-subscribers"),
    ("threshold", "notify-pool-usage"),
    ("raise", "high-threshold"),
    ("clear", "low-threshold"),
    ("tenants", "tenant"),
];

/// Leaves of RFC 8512 that mean something this program does not do.
const NOT_OFFERED: [(&str, &str); 9] = [
    (
        "port-set-timeout",
        "a port set comes back when all of its ports have rested",
    ),
    ("port-set-enable", "a pool with a `port-set` has it"),
    (
        "fragment-behavior",
        "fragments are translated in any order (RFC 4787 REQ-14)",
    ),
    (
        "tcp-in-syn-timeout",
        "an inbound SYN without a mapping is not held",
    ),
    (
        "limit-per-subscriber",
        "sessions are not counted by subscriber, ports are (`port-quota`)",
    ),
    (
        "notify-interval",
        "each crossing of a threshold is told once",
    ),
    ("algs", "there are no application level gateways"),
    (
        "nat64-prefixes",
        "address families are not translated into each other",
    ),
    ("nptv6-prefixes", "translation is stateful only"),
];

/// What to say about an unknown key, if anything is known about it: the key that was meant, the
/// table it belongs to, or that RFC 8512 has it and this program does not.
pub(crate) fn meant(text: &str, known: &[&'static str]) -> Option<String> {
    let folded = text.to_lowercase().replace('_', "-");
    if let Some((_, why)) = NOT_OFFERED.iter().find(|(key, _)| *key == folded) {
        return Some(format!("RFC 8512 has it, but {why}: drop it"));
    }
    let synonym = SYNONYMS
        .iter()
        .find(|(key, here)| *key == folded && known.contains(here));
    let near = synonym
        .map(|(_, here)| *here)
        .or_else(|| closest(text, known.iter().copied()));
    if let Some(near) = near {
        return Some(format!("did you mean `{near}`?"));
    }
    let (_, table) = HOMES.iter().find(|(key, _)| *key == folded)?;
    Some(format!("it belongs in {table}"))
}

/// Keys that are written in the wrong table now and then, and where they belong.
const HOMES: [(&str, &str); 31] = [
    ("shards", "`[engine]`"),
    ("seed", "`[engine]`"),
    ("port-order", "`[engine]`"),
    ("ttl", "`[nat]`"),
    ("withdrawn", "`[nat]`"),
    ("fragments-limit", "`[nat]`"),
    ("hold-down-timeout", "the `[timers]` of the whole file"),
    ("hold-down-max", "the `[timers]` of the whole file"),
    ("fragment-min-timeout", "the `[timers]` of the whole file"),
    ("udp-timeout", "`[timers]`"),
    ("tcp-idle-timeout", "`[timers]`"),
    ("tcp-trans-open-timeout", "`[timers]`"),
    ("tcp-trans-close-timeout", "`[timers]`"),
    ("icmp-timeout", "`[timers]`"),
    ("per-port-timeout", "`[timers]`"),
    ("mapping-type", "`[[peering]]`"),
    ("filtering-type", "`[[peering]]`"),
    ("address-allocation-type", "`[[peering]]`"),
    ("port-allocation-type", "`[[peering]]`"),
    ("tcp-pickup", "`[[peering]]`"),
    ("hairpinning", "`[[peering]]`"),
    ("inside-prefixes", "`[[vpc]]`"),
    ("limit-subscribers", "`[engine]`"),
    ("port-quota", "`[[external-ip-address-pool]]`"),
    ("port-set", "`[[external-ip-address-pool]]`"),
    ("pairing", "`[[external-ip-address-pool]]`"),
    ("deterministic", "`[[external-ip-address-pool]]`"),
    ("subscriber-mask-v6", "`[[external-ip-address-pool]]`"),
    ("headroom", "`[[external-ip-address-pool]]`"),
    ("notify-pool-usage", "`[[external-ip-address-pool]]`"),
    ("control", "`[[peering]]`"),
];

/// `a`, `b` or `c`, each in back quotes.
pub(crate) fn list<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|it| format!("`{}`", it.as_ref()))
        .collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Which of some words to write.
pub(crate) fn choice(words: &[&str]) -> String {
    match words {
        [only] => format!("write `\"{only}\"`"),
        _ => format!("write one of {}", list(words)),
    }
}

/// A range as it is written; a single one without its end.
pub(crate) fn range(range: &std::ops::RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

/// The user's text made fit for a message: no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", plain(&text[..end])),
        None => plain(text).into_owned(),
    }
}

/// `1 packet`, `4,370 packets`.
pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    let things = if count == 1 { one } else { many };
    format!("{} {things}", grouped(count.into()))
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
