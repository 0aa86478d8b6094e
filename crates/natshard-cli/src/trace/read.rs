//! Reads event logs line by line and keeps what is about one public tuple.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use natshard::Protocol;

use super::progress::Progress;
use super::question::Question;
use super::run::{Change, Configured, Kept, Run};
use crate::events::{Clock, End, EventRecord, Header, Line, Lost, SCHEMA_VERSION, Version};
use crate::stdin::is_stdin;

/// The longest line that is believed; a header with thousands of pools fits.
const LONGEST: usize = 16 << 20;

/// What is wrong with a line, without where.
type Complaint = String;

/// Reads logs: the runs in them, in order. A name of `-` is stdin.
pub(super) struct LogReader<'q> {
    question: Option<&'q Question>,
    runs: Vec<Run>,
    progress: Progress,
}

impl<'q> LogReader<'q> {
    /// Keeps what is about that tuple.
    pub(super) fn new(question: Option<&'q Question>, progress: Progress) -> Self {
        LogReader {
            question,
            runs: Vec::new(),
            progress,
        }
    }

    /// Reads a log.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it is none of an event log.
    pub(super) fn read(&mut self, path: &Path) -> Result<()> {
        if is_stdin(path) {
            let stdin = io::stdin().lock();
            return self.lines("stdin", BufReader::with_capacity(1 << 18, stdin));
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        if file.metadata().is_ok_and(|it| it.is_dir()) {
            bail!("cannot read {name}: it is a directory; name the logs in it");
        }
        self.lines(&name, BufReader::with_capacity(1 << 18, file))
    }

    /// The runs that were read.
    pub(super) fn finish(self) -> Vec<Run> {
        self.progress.finish();
        let mut runs: Vec<Run> = Vec::new();
        let mut pieces = self.runs;
        // The rest of a run may have been named before its beginning.
        while let Some(piece) = pieces.pop() {
            let mut all = pieces.iter_mut().chain(&mut runs);
            match all.find(|run| run.ends_where(&piece)) {
                Some(run) => run.join(piece),
                None => runs.push(piece),
            }
        }
        runs.reverse();
        for run in &mut runs {
            run.finish();
        }
        runs
    }

    /// Reads a log that is open already; messages call it by that name.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(super) fn lines(&mut self, name: &str, mut input: impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        let mut at_line = 0_u64;
        let mut is_first = true;
        loop {
            line.clear();
            let mut limited = (&mut input).take(LONGEST as u64 + 1);
            let got = limited
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read {name} after line {at_line}"))?;
            if got == 0 {
                break;
            }
            self.progress.read(got);
            at_line += 1;
            let is_whole = line.ends_with(b"\n");
            if line.trim_ascii().is_empty() {
                continue;
            }
            let complaint = match got > LONGEST {
                true => format!("it is longer than {LONGEST} bytes"),
                false => match self.line(name, is_first, line.trim_ascii()) {
                    Ok(()) => {
                        is_first = false;
                        continue;
                    }
                    Err(complaint) => complaint,
                },
            };
            let is_text = line.first() == Some(&b'{');
            if !is_whole && is_text && !is_first && got <= LONGEST {
                // Whatever wrote it was interrupted.
                if let Some(run) = self.runs.last_mut() {
                    run.cut = true;
                }
                break;
            }
            let advice = match is_first {
                // It is one, of another program.
                true if is_header(&line) => {
                    bail!("{name}, line {at_line}: {complaint}");
                }
                true => beginning(&line),
                false => {
                    "take the line out and ask again: the answer will say that a line is missing"
                        .into()
                }
            };
            bail!("{name}, line {at_line}: {complaint}; {advice}");
        }
        if is_first {
            bail!("{name} is empty: an event log has a header at least");
        }
        Ok(())
    }

    fn line(&mut self, log: &str, first: bool, bytes: &[u8]) -> Result<(), Complaint> {
        let event: Result<EventRecord<'_>, _> = serde_json::from_slice(bytes);
        if let Ok(event) = &event
            && event.record == "event"
        {
            return self.event(log, first, event);
        }
        let line: Line<'_> = parse(bytes)?;
        match &*line.record {
            "header" => {
                // Before all else of it: another version may lack what this one asks for.
                let version: Version<'_> = parse(bytes)?;
                if version.schema_version != SCHEMA_VERSION {
                    return Err(format!(
                        "it says schema version {}, and this program knows {SCHEMA_VERSION}: use \
                         the program that wrote it ({})",
                        version.schema_version, version.program
                    ));
                }
                let header: Header = parse(bytes)?;
                let mut run = Run::new(log, Some(header));
                run.line(line.number, Some(0));
                self.runs.push(run);
            }
            "clock" => {
                let clock: Clock = parse(bytes)?;
                let run = self.run(log, first, line.number);
                if run.line(line.number, Some(clock.engine_ms)) {
                    run.clock(clock);
                }
            }
            "lost" => {
                let lost: Lost = parse(bytes)?;
                let run = self.run(log, first, line.number);
                if run.line(line.number, Some(lost.engine_ms)) {
                    run.lost(lost.lost, lost.since_engine_ms, lost.engine_ms, lost.shard);
                }
            }
            "end" => {
                let end: End = parse(bytes)?;
                let run = self.run(log, first, line.number);
                if run.line(line.number, Some(end.engine_ms)) {
                    run.ended = true;
                }
            }
            "event" => return Err(event.map_or_else(|it| complaint(&it), |_| String::new())),
            // Of a later version that says more.
            _ => {
                self.run(log, first, line.number).line(line.number, None);
            }
        }
        Ok(())
    }

    fn event(&mut self, log: &str, first: bool, event: &EventRecord<'_>) -> Result<(), Complaint> {
        let kept = match self.question {
            Some(question) => kept(event, question)?,
            None => None,
        };
        let run = self.run(log, first, event.number);
        if run.line(event.number, Some(event.engine_ms)) {
            run.events += 1;
            if !run.implied_clock(event.time, event.engine_ms) {
                return Err("time and engine_ms of the events do not go together".into());
            }
            run.kept.extend(kept);
            run.changes.extend(change(event));
        }
        Ok(())
    }

    /// The run that a line of that number belongs to.
    fn run(&mut self, log: &str, first: bool, number: u64) -> &mut Run {
        let goes_on = match self.runs.last() {
            None => false,
            Some(run) if first => run.goes_on_with(number),
            Some(_) => true,
        };
        if !goes_on {
            self.runs.push(Run::new(log, None));
        }
        self.runs.last_mut().expect("there is one now")
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Complaint> {
    serde_json::from_slice(bytes).map_err(|error| complaint(&error))
}

/// What serde says, without the line number that is always 1.
fn complaint(error: &serde_json::Error) -> Complaint {
    let said = error.to_string();
    match said.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => said,
    }
}

/// Whether a line is the header of a log, of whatever version.
fn is_header(line: &[u8]) -> bool {
    let line: Result<Line<'_>, _> = serde_json::from_slice(line);
    line.is_ok_and(|it| it.record == "header")
}

/// What a file is that begins with no line of a log.
fn beginning(line: &[u8]) -> String {
    match line {
        [0x1f, 0x8b, ..] => "it is gzip-compressed: `zcat LOG | natshard trace - ...`".into(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "it is zstd-compressed: `zstdcat LOG | natshard trace - ...`".into()
        }
        _ => "it is no event log; `natshard replay --events LOG` writes them".into(),
    }
}

/// The record, if it is about a pool's configuration.
fn change(event: &EventRecord<'_>) -> Option<Change> {
    let is_change = event.name == "pool_configured";
    is_change.then(|| Change {
        line: event.number,
        sequence: event.sequence,
        engine: event.engine_ms,
        time: event.time,
        pool: event.pool.clone().into_owned(),
        now: match &event.configuration {
            _ if event.change.as_deref() == Some("removed") => Configured::NoLonger,
            Some(pool) => Configured::So(pool.clone()),
            None => Configured::Unknown,
        },
    })
}

/// The record, if it is about the tuple.
fn kept(event: &EventRecord<'_>, question: &Question) -> Result<Option<Kept>, Complaint> {
    let (assigned, block) = match &*event.name {
        "port_assigned" => (true, false),
        "port_released" => (false, false),
        "port_block_assigned" => (true, true),
        "port_block_released" => (false, true),
        _ => return Ok(None),
    };
    let lacks = |what: &str| format!("the {} lacks `{what}`", event.name);
    let address = event.address.ok_or_else(|| lacks("address"))?;
    let ports = event.ports.ok_or_else(|| lacks("ports"))?;
    let word = event.protocol.as_deref().ok_or_else(|| lacks("protocol"))?;
    let protocol = match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        _ => return Err(format!("`{word}` is no protocol: tcp, udp or icmp")),
    };
    if ports.0 > ports.1 {
        return Err(format!("ports {} to {} are none", ports.0, ports.1));
    }
    let is_asked = address == question.public.ip()
        && (ports.0..=ports.1).contains(&question.public.port())
        && question.protocols().any(|it| it == protocol);
    Ok(is_asked.then(|| Kept {
        line: event.number,
        sequence: event.sequence,
        engine: event.engine_ms,
        time: event.time,
        assigned,
        block,
        protocol,
        pool: event.pool.clone().into_owned(),
        subscriber: event.subscriber.as_deref().map(Into::into),
        ports,
    }))
}
