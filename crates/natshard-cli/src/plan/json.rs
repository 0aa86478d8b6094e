//! A plan for programs.

use anyhow::Result;
use serde_json::{Value, json};

use super::Plan;
use super::answer::Needs;
use super::args::Pooling;
use super::demand::Demand;
use super::estimate::Verdict;
use super::outcome::Outcome;
use super::size::{Risk, Sizing};
use super::space::Space;
use super::trial::Drawn;

/// The document of schema version 1.
pub(super) fn render(plan: &Plan<'_>) -> Result<String> {
    let asked = plan.asked;
    let spaces = plan.sizings.iter().zip(&plan.needs);
    let observed = asked.observed.as_ref().map(|it| {
        json!({
            "captures": it.files,
            "hosts": it.hosts,
            "activity": it.activity,
            "seconds": it.duration.as_secs_f64(),
            "busiest_from": it.busiest.0,
            "busiest_to": it.busiest.1,
        })
    });
    let outcomes: Vec<_> = plan.outcomes.iter().map(simulated).collect();
    let curve: Vec<_> = plan
        .curve
        .iter()
        .map(|it| {
            json!({
                "addresses": it.addresses,
                "load": it.load,
                "shared": risk(it.shared),
                "paired": risk(it.paired),
            })
        })
        .collect();
    let document = json!({
        "schema_version": 1,
        "subscribers": asked.subscribers,
        "activity": asked.activity,
        "law": asked.law,
        "observed": observed,
        "hold_down_seconds": asked.hold_down.as_secs_f64(),
        "block_size": plan.rules.block_size,
        "ports_per_subscriber": plan.rules.limit,
        "refusal": plan.args.refusal,
        "pooling": pooling(plan.args.pooling),
        "addresses": plan.addresses,
        "subscribers_per_address": asked.subscribers as f64 / plan.addresses as f64,
        "deciding": name(&asked.spaces[plan.deciding]),
        "spaces": spaces.map(|(it, needs)| space(plan, it, needs)).collect::<Vec<_>>(),
        "curve": curve,
        "simulation": {
            "seed": plan.args.seed,
            "confirmed": plan.verdict().map(|it| it == Verdict::Agrees),
            "verdict": plan.verdict().map(verdict),
            "not_simulated": plan.not_simulated,
            "runs": outcomes,
        },
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn pooling(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Shared => "shared",
        Pooling::Paired => "paired",
    }
}

fn name(space: &Space) -> String {
    space.which.map_or("any".into(), |it| it.to_string())
}

fn risk(risk: Risk) -> Value {
    json!({ "short": risk.short, "refused": risk.refused, "error": risk.error })
}

fn demand(demand: &Demand) -> Value {
    json!({
        "mean": demand.mean(),
        "p50": demand.quantile(0.5),
        "p99": demand.quantile(0.99),
        "p999": demand.quantile(0.999),
        "p9999": demand.quantile(0.9999),
    })
}

fn space(plan: &Plan<'_>, sizing: &Sizing<'_>, needs: &Needs) -> Value {
    let space = sizing.space();
    let needed = |how: Pooling, addresses: Option<u64>| {
        addresses.map(|addresses| {
            let risk = sizing.risk(how, addresses);
            json!({
                "addresses": addresses,
                "subscribers_per_address": plan.asked.subscribers as f64 / addresses as f64,
                "short": risk.short,
                "refused": risk.refused,
                "error": risk.error,
            })
        })
    };
    json!({
        "protocol": name(space),
        "ports_per_address": space.ports,
        "blocks_per_address": plan.rules.block_size.map(|_| space.capacity),
        "leased": demand(&space.leased),
        "taken": demand(&space.taken),
        "blocks": plan.rules.block_size.map(|_| demand(&space.units)),
        "refused_by_limit": space.refused_by_limit,
        "average": {
            "addresses": needs.average,
            "shared": risk(sizing.risk(Pooling::Shared, needs.average)),
            "paired": risk(sizing.risk(Pooling::Paired, needs.average)),
        },
        "shared": needed(Pooling::Shared, needs.shared),
        "paired": needed(Pooling::Paired, needs.paired),
        "deterministic": needs.deterministic.map(|it| json!({
            "addresses": it.addresses,
            "subscribers_per_address": it.per_address,
            "ports_each": it.ports_each,
            "refused": it.refused,
        })),
    })
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::TooFew => "too_few",
        Verdict::Differs => "differs",
    }
}

fn simulated(outcome: &Outcome) -> Value {
    let estimate = |it: super::estimate::Estimate| {
        let (low, high) = it.interval();
        json!({ "mean": it.mean(), "standard_error": it.error(), "low": low, "high": high })
    };
    json!({
        "addresses": outcome.run.addresses,
        "simulated_addresses": outcome.run.simulated,
        "demand": match outcome.run.drawn {
            Drawn::Plain => "plain",
            Drawn::Weighted => "weighted",
        },
        "moments": outcome.run.moments,
        "asked": outcome.asked,
        "refused": outcome.refusals,
        "computed": risk(outcome.computed),
        "short": estimate(outcome.short),
        "refused_share": estimate(outcome.refused),
        "verdict": verdict(outcome.verdict()),
        "exact": outcome.is_exact(),
    })
}
