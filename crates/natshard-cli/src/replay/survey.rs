//! A look at the captures before the replay: how much there is, and which prefixes are taken.

use std::collections::BTreeSet;

use anyhow::Result;
use ipnet::IpNet;
use natshard_nat::packet::{Link, dissect};

use super::plan::documentation;
use crate::capture::{Sequence, Source};

/// What a look at the captures shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Survey {
    /// Packets, where all captures can be read twice.
    pub(crate) packets: Option<u64>,
    /// Replay time of the last packet, in nanoseconds.
    pub(crate) duration: u64,
    /// Documentation prefixes that occur in them.
    pub(crate) documentation: BTreeSet<IpNet>,
}

/// Reads the captures that can be read twice; pipes must wait for the replay.
///
/// # Errors
/// When one of them cannot be opened or is no capture.
pub(crate) fn survey(sources: &[Source]) -> Result<Survey> {
    let repeatable: Vec<_> = sources
        .iter()
        .filter(|it| it.is_repeatable())
        .cloned()
        .collect();
    let prefixes: Vec<_> = documentation().collect();
    let mut survey = Survey::default();
    let mut packets = 0;
    let mut sequence = Sequence::new(&repeatable);
    while let Some(frame) = sequence.next()? {
        packets += 1;
        survey.duration = frame.clock;
        let Some(link) = frame.linktype.and_then(Link::from_pcap) else {
            continue;
        };
        let Ok(view) = dissect(link, frame.data) else {
            continue;
        };
        for address in [view.source(), view.destination()] {
            survey
                .documentation
                .extend(prefixes.iter().filter(|it| it.contains(&address)));
        }
    }
    survey.packets = (repeatable.len() == sources.len()).then_some(packets);
    // One that cannot be opened must not be found only after the others were replayed.
    for source in sources
        .iter()
        .filter(|it| it.path().is_some_and(|it| !it.exists()))
    {
        source.open()?;
    }
    Ok(survey)
}
