//! What is asked: a public tuple and a time.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use natshard::Protocol;

use crate::events::Asked;

/// A protocol on the command line.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP queries, whose port is the identifier
    Icmp,
}

impl Word {
    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Word::Tcp => Protocol::Tcp,
            Word::Udp => Protocol::Udp,
            Word::Icmp => Protocol::Icmp,
        }
    }
}

/// Whose was this?
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Question {
    /// The public address and port.
    pub(super) public: SocketAddr,
    /// The protocol; none asks for all.
    pub(super) protocol: Option<Protocol>,
    /// When; none asks what can be computed.
    pub(super) at: Option<Asked>,
    /// By how much the clock that read the time may differ, in milliseconds.
    pub(super) within: u64,
}

impl Question {
    /// The protocols asked for.
    pub(super) fn protocols(&self) -> impl Iterator<Item = Protocol> {
        let asked = self.protocol;
        let all = Protocol::ALL.into_iter();
        all.filter(move |it| asked.is_none_or(|asked| asked == *it))
    }
}

/// A public tuple: `203.0.113.7:40000` or `[2001:db8::7]:40000`.
///
/// # Errors
/// In words, what it lacks.
pub(super) fn tuple(text: &str) -> Result<SocketAddr, String> {
    if let Ok(public) = text.parse::<SocketAddr>() {
        return match public {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Err(format!("{text} names a link: a public address has no zone"))
            }
            public => Ok(public),
        };
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let with_port = SocketAddr::new(address, 40000);
        return Err(format!(
            "{text} has no port, without which an address has many holders: write it like \
             {with_port}"
        ));
    }
    // An IPv6 address whose port was appended without brackets.
    if let Some((address, port)) = text.rsplit_once(':')
        && let (Ok(IpAddr::V6(address)), Ok(port)) = (address.parse(), port.parse::<u16>())
    {
        return Err(format!("{text} lacks brackets: write [{address}]:{port}"));
    }
    Err(format!(
        "{text} is no public address and port: write 203.0.113.7:40000 or [2001:db8::7]:40000, \
         after the logs"
    ))
}

/// A number of seconds, as milliseconds.
///
/// # Errors
/// In words, what it should be.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .trim()
        .parse()
        .map_err(|_| "give a number of seconds".to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("give 0 to 86400 seconds".into());
    }
    Ok((seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_read_and_what_they_lack_is_said() {
        assert_eq!(tuple("203.0.113.7:40000").unwrap().port(), 40000);
        let v6 = tuple("[2001:db8::7]:40000").unwrap();
        assert_eq!(v6.ip(), "2001:db8::7".parse::<IpAddr>().unwrap());
        for (text, said) in [
            ("203.0.113.7", "203.0.113.7:40000"),
            ("2001:db8::7", "[2001:db8::7]:40000"),
            ("fe80::1:2:3:4:5:6:7:443", "no public address"),
            ("2001:db8:0:0:0:0:0:7:443", "[2001:db8::7]:443"),
            ("203.0.113.7:70000", "no public address"),
            ("nat.jsonl", "after the logs"),
            ("[fe80::1%1]:80", "names a link"),
        ] {
            let complaint = tuple(text).unwrap_err();
            assert!(complaint.contains(said), "{text}: {complaint}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("2.5"), Ok(2500));
        assert_eq!(seconds("10s"), Ok(10_000));
        for wrong in ["", "-1", "1e9", "NaN", "ten", "inf"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
