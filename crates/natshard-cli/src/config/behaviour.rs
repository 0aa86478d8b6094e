//! Behaviours and timers, in the words of RFC 8512, RFC 4787 and RFC 5382.

use std::time::Duration;

use natshard_nat::{Behaviour, Filtering, Mapping, Pooling, PortPolicy, TcpPickup, Timeouts};

use super::diagnostic::{At, Diagnostic, Sink};
use super::section::Section;
use super::value;

/// Words and what they mean; the first that fits is the one RFC 8512 has.
pub(crate) const MAPPINGS: [(&str, Mapping); 4] = [
    ("eim", Mapping::EndpointIndependent),
    ("edm", Mapping::AddressAndPortDependent),
    ("endpoint-independent", Mapping::EndpointIndependent),
    (
        "address-and-port-dependent",
        Mapping::AddressAndPortDependent,
    ),
];

/// Words and what they mean; the first that fits is the one RFC 8512 has.
pub(crate) const FILTERINGS: [(&str, Filtering); 6] = [
    ("eif", Filtering::EndpointIndependent),
    ("adf", Filtering::AddressDependent),
    ("edf", Filtering::AddressAndPortDependent),
    ("endpoint-independent", Filtering::EndpointIndependent),
    ("address-dependent", Filtering::AddressDependent),
    (
        "address-and-port-dependent",
        Filtering::AddressAndPortDependent,
    ),
];

/// Words and what they mean; the first that fits is the one RFC 8512 has.
pub(crate) const POOLINGS: [(&str, Pooling); 2] = [
    ("paired", Pooling::Paired),
    ("arbitrary", Pooling::Arbitrary),
];

/// Words and what they mean; the first that fits is the one RFC 8512 has.
pub(crate) const PORT_POLICIES: [(&str, PortPolicy); 3] = [
    ("random", PortPolicy::Random),
    ("port-preservation", PortPolicy::Preserve),
    ("port-parity-preservation", PortPolicy::Parity),
];

/// Words and what they mean; the first that fits is the one RFC 8512 has.
pub(crate) const PICKUPS: [(&str, TcpPickup); 2] =
    [("loose", TcpPickup::Loose), ("strict", TcpPickup::Strict)];

/// The word for a choice.
pub(crate) fn word<T: PartialEq>(words: &[(&'static str, T)], choice: T) -> &'static str {
    words
        .iter()
        .find(|(_, value)| *value == choice)
        .map_or("", |(word, _)| word)
}

/// Timers that are not of one peering.
#[derive(Debug)]
pub(crate) struct GlobalTimers {
    /// `hold-down-timeout`.
    pub(crate) hold_down: Duration,
    /// `hold-down-max`.
    pub(crate) hold_down_max: Option<u64>,
    /// `fragment-min-timeout`.
    pub(crate) fragment_timeout: Option<Duration>,
}

/// Timers that a peering can have of its own.
pub(crate) type TimersModel = Timeouts;

/// The `[timers]` of the file.
pub(crate) fn timers(section: Option<Section<'_>>, sink: &mut Sink) -> (TimersModel, GlobalTimers) {
    let mut global = GlobalTimers {
        hold_down: Duration::from_secs(120),
        hold_down_max: None,
        fragment_timeout: None,
    };
    let Some(mut section) = section else {
        return (Timeouts::default(), global);
    };
    if let Some(entry) = section.take("hold-down-timeout")
        && let Some(timeout) = value::seconds(&entry, 0, sink)
    {
        if timeout.value < Duration::from_secs(120) {
            sink.push(
                entry
                    .warning(format!(
                        "`hold-down-timeout` of {} s is short of the 120 s of RFC 6888 REQ-8",
                        timeout.value.as_secs()
                    ))
                    .label("a late packet may reach the next owner of the port")
                    .help("give at least `120`"),
            );
        }
        global.hold_down = timeout.value;
    }
    if let Some(entry) = section.take("hold-down-max") {
        global.hold_down_max = entry.number(0, u64::MAX, sink).map(|most| most.value);
    }
    if let Some(entry) = section.take("fragment-min-timeout") {
        global.fragment_timeout = value::seconds(&entry, 1, sink).map(|timeout| timeout.value);
    }
    let timeouts = timeouts(&mut section, &Timeouts::default(), sink);
    section.finish(sink);
    (timeouts, global)
}

/// The behaviour of one peering.
pub(crate) fn of_peering(
    section: &mut Section<'_>,
    defaults: &TimersModel,
    sink: &mut Sink,
) -> Behaviour {
    let mut behaviour = Behaviour {
        timeouts: defaults.clone(),
        ..Behaviour::default()
    };
    if let Some(entry) = section.take("mapping-type")
        && let Some(word) = entry.word(&MAPPINGS, sink)
    {
        behaviour.mapping = word;
        if word != Mapping::EndpointIndependent {
            sink.push(
                entry
                    .warning("RFC 4787 REQ-1 demands endpoint-independent mapping")
                    .help("write `\"eim\"` unless applications are known to do without it"),
            );
        }
    }
    if let Some(entry) = section.take("filtering-type") {
        let word = entry.word(&FILTERINGS, sink);
        behaviour.filtering = word.unwrap_or(behaviour.filtering);
    }
    if let Some(entry) = section.take("address-allocation-type") {
        let word = entry.word(&POOLINGS, sink);
        behaviour.pooling = word.unwrap_or(behaviour.pooling);
    }
    if let Some(entry) = section.take("port-allocation-type") {
        let word = entry.word(&PORT_POLICIES, sink);
        behaviour.port_policy = word.unwrap_or(behaviour.port_policy);
    }
    if let Some(entry) = section.take("tcp-pickup") {
        let word = entry.word(&PICKUPS, sink);
        behaviour.tcp_pickup = word.unwrap_or(behaviour.tcp_pickup);
    }
    if let Some(entry) = section.take("hairpinning") {
        behaviour.hairpinning = entry.boolean(sink).unwrap_or(behaviour.hairpinning);
    }
    if let Some(entry) = section.take("inbound-refresh") {
        let yes = entry.boolean(sink);
        behaviour.inbound_refresh = yes.unwrap_or(behaviour.inbound_refresh);
    }
    if let Some(mut section) = section.table("timers", "the timers of a peering", sink) {
        behaviour.timeouts = timeouts(&mut section, defaults, sink);
        section.finish(sink);
    }
    behaviour
}

/// Idle timeouts of sessions; what is not given stays as in `defaults`.
fn timeouts(section: &mut Section<'_>, defaults: &Timeouts, sink: &mut Sink) -> Timeouts {
    let mut timeouts = defaults.clone();
    if let Some(timeout) = timeout(section, "udp-timeout", "udp", sink) {
        timeouts.udp = timeout.value;
    }
    if let Some(timeout) = timeout(section, "tcp-idle-timeout", "tcp_established", sink) {
        timeouts.tcp_established = timeout.value;
    }
    if let Some(timeout) = timeout(section, "icmp-timeout", "icmp", sink) {
        timeouts.icmp = timeout.value;
    }
    let open = timeout(section, "tcp-trans-open-timeout", "tcp_transitory", sink);
    let close = timeout(section, "tcp-trans-close-timeout", "tcp_transitory", sink);
    match (open, close) {
        (Some(open), Some(close)) if open.value != close.value => sink.push(
            Diagnostic::error(
                close.span,
                "`tcp-trans-open-timeout` and `tcp-trans-close-timeout` differ",
            )
            .label(format!("{} s here", close.value.as_secs()))
            .related(open.span, format!("{} s here", open.value.as_secs()))
            .help("one timer serves opening and closing connections: give both the same value"),
        ),
        (Some(given), _) | (None, Some(given)) => timeouts.tcp_transitory = given.value,
        (None, None) => {}
    }
    let ports = section.tables("per-port-timeout", "a timeout of a port", sink);
    if !ports.is_empty() {
        timeouts.udp_well_known = per_port(ports, sink);
    }
    timeouts
}

fn timeout(
    section: &mut Section<'_>,
    key: &'static str,
    name: &str,
    sink: &mut Sink,
) -> Option<At<Duration>> {
    let entry = section.take(key)?;
    let timeout = value::seconds(&entry, 1, sink)?;
    let minimum = Timeouts::RFC_MINIMUM.iter().find(|it| it.0 == name);
    if let Some((_, least, rule)) = minimum
        && timeout.value < *least
    {
        sink.push(
            entry
                .warning(format!(
                    "`{key}` of {} s is short of the {} s that {rule} asks for",
                    timeout.value.as_secs(),
                    least.as_secs()
                ))
                .label("sessions may end while both ends still use them")
                .help(format!("give at least `{}`", least.as_secs())),
        );
    }
    Some(timeout)
}

/// Timeouts of sessions to well-known UDP ports, which RFC 4787 REQ-5 a) lets be shorter.
fn per_port(sections: Vec<Section<'_>>, sink: &mut Sink) -> Vec<(u16, Duration)> {
    let mut found: Vec<At<(u16, Duration)>> = Vec::new();
    for mut section in sections {
        let span = section.span();
        let port = section
            .require("port-number", "53", sink)
            .and_then(|entry| entry.number(0, 1023, sink));
        let timeout = section
            .require("timeout", "20", sink)
            .and_then(|entry| value::seconds(&entry, 1, sink));
        if let Some(entry) = section.take("protocol") {
            entry.word(&[("udp", ())], sink);
        }
        section.finish(sink);
        let (Some(port), Some(timeout)) = (port, timeout) else {
            continue;
        };
        let port = port.value as u16;
        match found.iter().find(|it| it.value.0 == port) {
            Some(first) => sink.push(
                Diagnostic::error(span, format!("port {port} has two timeouts"))
                    .label("the second")
                    .related(first.span.clone(), "the first")
                    .help("drop one of them"),
            ),
            None => found.push(At::new((port, timeout.value), span)),
        }
    }
    found.into_iter().map(|it| it.value).collect()
}
