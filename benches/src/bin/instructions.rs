//! Instructions per operation, counted by callgrind.
//!
//! `instructions count CASE N` makes a case ready and does N operations: what callgrind runs.
//! `instructions list` names the cases. `instructions record` and `instructions check` count all of
//! them, from the first of the operations to the last. Seeded engines and one thread make the counts
//! repeatable.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};

use natshard_cli::bench::case::Worker;
use natshard_cli::bench::counted;

/// Where counts are recorded.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");
/// Growth that fails.
const ALLOWED: f64 = 0.03;
/// Growth that fails where the counts were recorded with another compiler.
const ALLOWED_ELSEWHERE: f64 = 0.15;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            for case in counted::all() {
                println!("{}", case.name);
            }
            ExitCode::SUCCESS
        }
        ["count", name, operations] => {
            let case = counted::all().into_iter().find(|it| it.name == name);
            let (Some(case), Ok(operations)) = (case, operations.parse()) else {
                eprintln!("no such case, or no number");
                return ExitCode::from(2);
            };
            let refused = counted_part(&mut *(case.make)(), operations);
            assert!(refused == 0 || refused == operations, "{refused} refused");
            ExitCode::SUCCESS
        }
        ["record"] => match count_all() {
            Ok(counts) => {
                std::fs::write(RECORD, render(&counts)).expect("the record can be written");
                print!("{}", table(&counts, &counts));
                ExitCode::SUCCESS
            }
            Err(why) => fail(&why),
        },
        ["check"] => match count_all() {
            Ok(counts) => {
                let (recorded, compiler) = read();
                print!("{}", table(&counts, &recorded));
                judge(&counts, &recorded, allowed(&compiler))
            }
            Err(why) => fail(&why),
        },
        _ => {
            eprintln!("usage: instructions list | count CASE N | record | check");
            ExitCode::from(2)
        }
    }
}

/// What profilers are to look at: everything but the making ready.
#[inline(never)]
fn counted_part(worker: &mut dyn Worker, operations: u64) -> u64 {
    worker.run(operations)
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

type Counts = BTreeMap<String, f64>;

fn count_all() -> Result<Counts, String> {
    let mut counts = Counts::new();
    for case in counted::all() {
        let (name, operations) = (case.name, case.operations);
        let all = callgrind(name, operations)?;
        counts.insert(name.into(), all as f64 / operations as f64);
    }
    Ok(counts)
}

/// Instructions of the counted part of a run, without what made it ready or cleans up.
fn callgrind(case: &str, operations: u64) -> Result<u64, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=*counted_part*", "--"])
        .arg(me)
        .args(["count", case, &operations.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let talk = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{case}: {talk}"));
    }
    let line = talk.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.ok_or_else(|| format!("{case}: no count in {talk}"))
}

fn render(counts: &Counts) -> String {
    let mut text = String::from(
        "# Instructions per operation, of which an increase by more than 3 % fails `.ci/instructions.sh`.\n\
         # Written by `.ci/instructions.sh record`; say in the commit why a count changed.\n",
    );
    let _ = writeln!(text, "compiler = \"{}\"", compiler());
    for (case, count) in counts {
        let _ = writeln!(text, "\"{case}\" = {count:.1}");
    }
    text
}

/// The compiler, as it names itself.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_else(|_| "unknown".into())
}

/// How much growth is let pass.
fn allowed(recorded_with: &str) -> f64 {
    let compiler = compiler();
    if recorded_with == compiler {
        return ALLOWED;
    }
    println!(
        "recorded with {recorded_with}, counted with {compiler}: {:.0} % of growth pass in place of {:.0} %",
        100.0 * ALLOWED_ELSEWHERE,
        100.0 * ALLOWED
    );
    ALLOWED_ELSEWHERE
}

/// What is recorded, and with which compiler.
fn read() -> (Counts, String) {
    let text = std::fs::read_to_string(RECORD).unwrap_or_default();
    let compiler = text
        .lines()
        .find_map(|line| line.strip_prefix("compiler = "));
    let compiler = compiler.unwrap_or_default().trim_matches('"').to_owned();
    let lines = text.lines().filter(|line| line.starts_with('"'));
    let pairs = lines.filter_map(|line| {
        let (name, count) = line.split_once(" = ")?;
        Some((name.trim_matches('"').to_owned(), count.parse().ok()?))
    });
    (pairs.collect(), compiler)
}

fn growth(case: &str, now: f64, recorded: &Counts) -> Option<f64> {
    Some(now / recorded.get(case)? - 1.0)
}

fn table(counts: &Counts, recorded: &Counts) -> String {
    let mut text = format!(
        "{:<44}{:>12}{:>12}{:>9}\n",
        "instructions per operation", "now", "recorded", ""
    );
    for (case, now) in counts {
        let (before, change) = match growth(case, *now, recorded) {
            Some(growth) => (
                format!("{:.1}", recorded[case]),
                format!("{:+.1} %", 100.0 * growth),
            ),
            None => ("-".into(), "new".into()),
        };
        let _ = writeln!(text, "{case:<44}{now:>12.1}{before:>12}{change:>9}");
    }
    text
}

fn judge(counts: &Counts, recorded: &Counts, allowed: f64) -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for (case, now) in counts {
        match growth(case, *now, recorded) {
            Some(growth) if growth > allowed => {
                eprintln!("{case}: grew by {:.1} %", 100.0 * growth);
                exit = ExitCode::FAILURE;
            }
            None => {
                eprintln!("{case}: not recorded");
                exit = ExitCode::FAILURE;
            }
            Some(_) => {}
        }
    }
    for gone in recorded.keys().filter(|it| !counts.contains_key(*it)) {
        eprintln!("{gone}: recorded, and no longer counted");
        exit = ExitCode::FAILURE;
    }
    exit
}
