//! The replay itself: one reader, many workers, one clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use natshard::{AllocError, Engine, Protocol, Tick};
use natshard_nat::{EndReason, NatStats};

use super::context::Context;
use super::counts::Counts;
use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress as Bar;
use super::reader::WindowReader;
use super::sampler::Sampler;
use super::shares::{Refused, Shares};
use super::summary::{Lives, Pool, Summary};
use super::survey::Survey;
use super::tap::{Log, Tap};
use super::team::Team;
use crate::capture::{Source, Writer};
use crate::cli::ReplayArgs;
use crate::config::plural;
use crate::exit::Coded;
use crate::report::data::PoolUsed;
use crate::terminal::Terminal;
use crate::verify::census;
use crate::verify::tenure::Tenures;

/// Leases that the report can draw.
const LEASES: usize = 20_000;
/// Inside prefixes that a warning names.
const INSIDES: usize = 6;

/// What all windows together came to.
struct Traffic<'c> {
    stats: Vec<NatStats>,
    ledgers: Vec<Ledger<'c>>,
    sessions_peak: u64,
    tuples_peak: u64,
    /// Faults that the last census showed, before and after everything was given back.
    census_faults: Vec<String>,
    leased: BTreeMap<String, u64>,
    shares: Shares,
    /// Packets that were given to the workers.
    packets: u64,
}

/// Replays the captures.
///
/// # Errors
/// When a capture cannot be read or an output not be written, or the plan is not one.
pub(super) fn replay(
    plan: Plan,
    sources: &[Source],
    survey: &Survey,
    args: &ReplayArgs,
    terminal: Terminal,
) -> Result<Summary> {
    let shards = plan.shards;
    let engine = match &args.events {
        Some(_) => plan.engine.clone().events(Tap::config(&plan)),
        None => plan.engine.clone(),
    };
    let engine = Engine::new(engine).map_err(|error| Coded::configuration(error.to_string()))?;
    let mut writer = args.out.as_deref().map(Writer::create).transpose()?;
    let wants_report = args.report.is_some();
    let leases = if wants_report {
        LEASES.div_ceil(shards)
    } else {
        0
    };
    let context = Context::new(plan, engine, shards, writer.is_some(), leases);
    let mut reader = WindowReader::new(sources, &context.plan, args.amplify);
    let mut log = match (&args.events, &context.tap) {
        (Some(path), Some(tap)) => Some(Log::begin(path, tap, &context.engine, &context.plan)?),
        _ => None,
    };
    let mut sampler = Sampler::new(wants_report, survey.duration);
    let started = Instant::now();
    let traffic = run_windows(
        &context,
        &mut reader,
        &mut sampler,
        writer.as_mut(),
        log.as_mut(),
        Bar::new(terminal.progress, survey.packets),
    )?;
    let simulated = Duration::from_nanos(reader.clock());
    let handled = traffic.packets + reader.unsent();
    let events_lost = match log {
        Some(log) => log.finish(reader.segments())?,
        None => 0,
    };
    let (counts, complaints) = reader.finish();
    if let Some(writer) = writer {
        writer.finish()?;
    }
    let elapsed = started.elapsed();

    let mut summary = Summary {
        captures: sources.iter().map(ToString::to_string).collect(),
        cut_short: complaints.len() as u64,
        counts,
        sessions: Lives::default(),
        leases: Lives::default(),
        refused: BTreeMap::new(),
        served_early: 0,
        findings: Default::default(),
        faults: Vec::new(),
        warnings: context
            .plan
            .warnings
            .iter()
            .cloned()
            .chain(
                complaints
                    .iter()
                    .map(|(capture, why)| format!("{capture}: {why}")),
            )
            .chain((events_lost > 0).then(|| {
                let lost = plural(events_lost, "event was", "events were");
                format!("{lost} lost: the log says where they are missing")
            }))
            .collect(),
        elapsed,
        handled,
        simulated,
        pools: pools(&context, &traffic.leased, &sampler.peaks),
        shares: Shares::default(),
        default_pools: context.plan.is_default,
        shards,
        amplify: args.amplify,
        seed: context.plan.seed,
        samples: std::mem::take(&mut sampler.samples),
        lease_samples: Vec::new(),
        leases_total: 0,
    };
    fold(&mut summary, &context, traffic, sampler.faults);
    Ok(summary)
}

/// Puts together what the workers have, and passes judgement.
fn fold(
    summary: &mut Summary,
    context: &Context,
    traffic: Traffic<'_>,
    mut census_faults: Vec<String>,
) {
    let engine = context.engine.stats();
    summary.served_early = engine.shards.iter().map(|it| it.served_early).sum();
    for stats in &traffic.stats {
        summary.sessions.begun += stats.sessions_created;
        summary.sessions.ended +=
            stats.sessions_ended(EndReason::Expired) + stats.sessions_ended(EndReason::Closed);
        summary.leases.begun += stats.leases_allocated;
        summary.leases.ended += stats.leases_released;
    }
    let peak = |of: fn(&NatStats) -> u64| traffic.stats.iter().map(of).max().unwrap_or(0);
    summary.sessions.peak = traffic.sessions_peak.max(peak(|it| it.sessions_peak));
    summary.leases.peak = traffic.tuples_peak.max(peak(|it| it.leases_peak));

    summary.shares = traffic.shares;
    let mut refused_hosts = Refused::default();
    let mut tenures: Vec<Tenures> = Vec::new();
    for ledger in traffic.ledgers {
        summary.counts += ledger.counts;
        summary.findings.round_trips += ledger.findings.round_trips;
        summary.findings.round_trip_mismatches += ledger.findings.round_trip_mismatches;
        summary.findings.bad_checksums += ledger.findings.bad_checksums;
        summary.findings.stray_changes += ledger.findings.stray_changes;
        for reason in AllocError::ALL {
            let refused = ledger.refused[reason as usize];
            if refused > 0 {
                *summary.refused.entry(reason.name()).or_default() += refused;
            }
        }
        for (host, times) in ledger.refused_hosts {
            *refused_hosts.entry(host).or_default() += times;
        }
        tenures.push(ledger.tenures);
        let (total, kept) = ledger.leases.into_parts();
        summary.leases_total += total;
        summary.lease_samples.extend(kept);
    }
    summary.lease_samples.sort_by_key(|it| it.at);
    summary.shares.refused(&context.plan, refused_hosts);

    let hold_down = u64::try_from(context.plan.hold_down.as_millis()).unwrap_or(u64::MAX);
    let judgement = Tenures::judge(tenures, hold_down);
    summary.findings.duplicate_tuples = judgement.duplicates;
    // A limit on resting ports is the one lawful reason to cut a rest short.
    let lawful = match context.plan.hold_down_max {
        Some(_) => summary.served_early,
        None => 0,
    };
    summary.findings.hold_down_violations = judgement.unrested.saturating_sub(lawful);
    census_faults.extend(traffic.census_faults);
    summary.findings.census_errors = census_faults.len() as u64;
    census_faults.truncate(10);
    summary.faults.extend(census_faults);
    for (name, count) in summary.findings.faults() {
        if count > 0 {
            summary.faults.push(format!("{name}: {count}"));
        }
    }
    if !summary.counts.balance() {
        summary.faults.push(format!(
            "{} packets were read, and not so many are accounted for",
            summary.counts.read
        ));
    }
    let nothing = nothing_translated(&summary.counts, &context.plan);
    summary.warnings.extend(nothing);
    let full: u64 = AllocError::ALL
        .into_iter()
        .filter(|it| it.is_exhaustion())
        .filter_map(|it| summary.refused.get(it.name()))
        .sum();
    if full > 0 {
        let what_to_do = match context.plan.is_default {
            true => "give larger pools with --config",
            false => "enlarge the pools of the configuration",
        };
        summary.warnings.push(format!(
            "{} there was no port left to lease: {what_to_do}",
            plural(full, "time", "times")
        ));
    }
}

/// What to say where the NAT had nothing to do: it is then no proof of anything that it passed.
fn nothing_translated(counts: &Counts, plan: &Plan) -> Option<String> {
    if counts.read == 0 || counts.translated() > 0 {
        return None;
    }
    let of = |reason| counts.untouched.contains_key(reason);
    if !of("outside_to_outside") && !of("inside_to_inside") {
        let all = counts.untouched.iter().chain(&counts.dropped);
        let (reason, _) = all.max_by_key(|it| it.1)?;
        return Some(format!(
            "no packet was translated, most of them because of `{reason}`"
        ));
    }
    let insides = plan.insides.iter().map(|(prefix, _)| prefix.to_string());
    let mut shown: Vec<_> = insides.take(INSIDES).collect();
    if plan.insides.len() > INSIDES {
        shown.push(format!("{} more", plan.insides.len() - INSIDES));
    }
    let whose = match plan.is_default {
        true => "; --config names another",
        false => " by the configuration",
    };
    Some(format!(
        "no packet was translated: is the inside right? It is {}{whose}",
        shown.join(", ")
    ))
}

/// Reads all windows and has the workers do them.
fn run_windows<'c>(
    context: &'c Context,
    reader: &mut WindowReader<'_>,
    sampler: &mut Sampler,
    mut writer: Option<&mut Writer>,
    mut log: Option<&mut Log<'_>>,
    mut bar: Bar,
) -> Result<Traffic<'c>> {
    thread::scope(|scope| {
        let mut team = Team::start(scope, context)?;
        sampler.take(&context.engine, 0);
        let mut now = Tick::ZERO;
        while let Some(batch) = reader.next()? {
            let clock = batch.now.as_millis() * 1_000_000;
            let batch = Arc::new(batch);
            if sampler.is_due(clock) {
                team.rest(writer.as_deref_mut())?;
                sampler.take(&context.engine, clock);
            }
            if let Some(log) = log.as_deref_mut() {
                team.rest(writer.as_deref_mut())?;
                log.write(reader.segments(), now)?;
                now = batch.now;
            }
            team.work(&batch, writer.as_deref_mut())?;
            bar.at(reader.frames(), team.packets);
        }
        team.rest(writer)?;
        let mut census_faults = Vec::new();
        if let Some(log) = log {
            log.write(reader.segments(), now)?;
            census_faults = log.faults(&context.engine, &context.plan);
        }
        // That sessions are ended now is no part of what was captured.
        if let Some(tap) = &context.tap {
            tap.close();
        }
        bar.finish();

        // Between the last packet and the end of the sessions: the books as traffic left them.
        let census = context.engine.census();
        let alive = team.latest.iter().map(|it| it.1).sum();
        census_faults.extend(census::faults_at_end(&census, alive));
        sampler.keep(&census, reader.clock());
        let shares = Shares::take(&context.engine, &context.plan, &census);
        let leased = census
            .pools
            .iter()
            .map(|(name, books)| (name.clone(), books.leased))
            .collect();
        let (sessions_peak, tuples_peak) = (team.sessions_peak, team.tuples_peak);
        let packets = team.packets;
        let (stats, ledgers) = team.dismiss();
        let census = context.engine.census();
        census_faults.extend(
            census::faults_at_end(&census, 0)
                .into_iter()
                .map(|it| format!("after all sessions were ended: {it}")),
        );
        Ok(Traffic {
            stats,
            ledgers,
            sessions_peak,
            tuples_peak,
            census_faults,
            leased,
            shares,
            packets,
        })
    })
}

/// The pools as they were used.
fn pools(
    context: &Context,
    leased: &BTreeMap<String, u64>,
    peaks: &BTreeMap<String, u64>,
) -> Vec<Pool> {
    let census = context.engine.census();
    let pools = context.plan.nat.pools().iter().map(|pool| {
        let range = |protocol| {
            let range = pool.range(protocol);
            format!("{}-{}", range.start(), range.end())
        };
        let books = census.pools.get(pool.name()).copied().unwrap_or_default();
        Pool {
            leased: leased.get(pool.name()).copied().unwrap_or_default(),
            used: PoolUsed {
                name: pool.name().into(),
                realm: pool.realm_name().into(),
                prefixes: pool.prefixes().iter().map(ToString::to_string).collect(),
                ports: range(Protocol::Tcp),
                identifiers: range(Protocol::Icmp),
                capacity: books.capacity - books.excluded,
                peak_leased: peaks.get(pool.name()).copied(),
            },
        }
    });
    pools.collect()
}
