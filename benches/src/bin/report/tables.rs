//! Tables between `<!-- bench: NAME -->` and `<!-- /bench -->`: what stands there is replaced.

use std::fmt::Write as _;

use crate::results::{Results, Row, list, text};

const BEGIN: &str = "<!-- bench: ";
const END: &str = "<!-- /bench -->";

/// The page with its tables written anew.
pub fn fill(page: &str, results: &Results) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), page);
    while let Some(at) = rest.find(BEGIN) {
        let (before, marked) = rest.split_at(at);
        let (name, after) = marked[BEGIN.len()..]
            .split_once(" -->")
            .ok_or("a marker does not end")?;
        let (_, after) = after
            .split_once(END)
            .ok_or_else(|| format!("no end of `{name}`"))?;
        let _ = write!(
            out,
            "{before}{BEGIN}{name} -->\n{}{END}",
            block(name, results)?
        );
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn block(name: &str, results: &Results) -> Result<String, String> {
    match name {
        "machine" => Ok(machine(results)),
        "summary" => summary(results),
        "latency" => Ok(latency(results)),
        "memory" => Ok(memory(results)),
        "instructions" => instructions(),
        "losses" => Ok(losses(results)),
        case => table(case, results),
    }
}

fn machine(results: &Results) -> String {
    let machine = results.get("machine");
    let kind = match machine["virtual"] == true {
        true => "a virtual machine that shares its processor with others",
        false => "no hypervisor seen",
    };
    format!(
        "{}, {} cores, {kind}; Linux {}; {:.0} s.\n",
        text(&machine["processor"]),
        machine["cores"],
        text(&machine["kernel"])
            .split('-')
            .next()
            .unwrap_or_default(),
        results.get("elapsed_seconds").as_f64().unwrap_or_default(),
    )
}

/// A case: what an operation is, its rows, and the switches.
fn table(case: &str, results: &Results) -> Result<String, String> {
    let about = results.about(case)?;
    let rows = results.rows(case);
    let threads = rows.iter().any(|it| it.threads > 1);
    let to_one = rows.iter().any(|it| it.to_one.is_some());
    let refused = rows.iter().any(|it| it.refused > 0.0);
    let mut names = vec!["", "median ns", "min", "p99"];
    if threads {
        names.insert(1, "threads");
    }
    let ratio = rows.len() > 1;
    if ratio {
        names.push("ratio");
    }
    if to_one {
        names.push("to 1 thread");
    }
    if refused {
        names.push("refused");
    }
    let mut out = format!("\n**{case}**: {}.\n\n", text(&about["about"]));
    header(&mut out, &names);
    for it in &rows {
        let mut cells = vec![name(it, case), time(it.median), time(it.min), time(it.p99)];
        if threads {
            cells.insert(1, it.threads.to_string());
        }
        if ratio {
            cells.push(it.ratio.map_or_else(String::new, times));
        }
        if to_one {
            cells.push(it.to_one.map_or_else(String::new, times));
        }
        if refused {
            cells.push(share(it.refused));
        }
        row(&mut out, &cells);
    }
    out.push('\n');
    if ratio {
        let setting = about["baseline_setting"].as_str();
        let setting = setting.map_or_else(String::new, |it| format!(", {it}"));
        let threads = match to_one {
            true => " on as many threads",
            false => "",
        };
        let _ = write!(
            out,
            "Ratios are to `{}`{setting}{threads}. ",
            text(&about["baseline"])
        );
    }
    let _ = writeln!(out, "Switches: {}.\n", text(&about["switches"]));
    Ok(out)
}

/// For the front page: who costs how much, on one thread and on the most.
fn summary(results: &Results) -> Result<String, String> {
    let case = "own, 1,000 live";
    results.about(case)?;
    let rows = results.rows(case);
    let most = rows.iter().map(|it| it.threads).max().unwrap_or(1);
    let mut out = String::from("\n");
    let many = format!("{most} threads, ns");
    let names = match most {
        1 => vec!["lease and release", "1 thread, ns", "ratio"],
        _ => vec!["lease and release", "1 thread, ns", "ratio", &many, "ratio"],
    };
    header(&mut out, &names);
    for one in rows.iter().filter(|it| it.threads == 1) {
        let many = rows
            .iter()
            .find(|it| it.threads == most && it.implementation == one.implementation);
        let (Some(many), true) = (many, one.implementation != "harness only") else {
            continue;
        };
        let mut cells = vec![
            name(one, case),
            time(one.median),
            one.ratio.map_or_else(String::new, times),
        ];
        if most > 1 {
            cells.extend([
                time(many.median),
                many.ratio.map_or_else(String::new, times),
            ]);
        }
        row(&mut out, &cells);
    }
    out.push('\n');
    Ok(out)
}

fn latency(results: &Results) -> String {
    let columns = ["median", "p99", "p99.9", "p99.99", "p99.999", "max"];
    let mut out = String::from("\n");
    let names: Vec<_> = ["ns"].into_iter().chain(columns).collect();
    header(&mut out, &names);
    for it in list(results.get("latency")) {
        let setting = text(&it["setting"]);
        let name = match setting.as_str() {
            "" => text(&it["operation"]),
            setting => format!("{}, {setting}", text(&it["operation"])),
        };
        let nanos = columns.map(|it_is| time(it["ns"][it_is].as_f64().unwrap_or_default()));
        let cells: Vec<_> = [name].into_iter().chain(nanos).collect();
        row(&mut out, &cells);
    }
    out.push('\n');
    out
}

fn memory(results: &Results) -> String {
    let mut out = String::from("\n");
    header(&mut out, &["", "bytes", "per"]);
    for it in list(results.get("memory")) {
        let bytes = it["bytes"].as_f64().unwrap_or_default();
        let bytes = match bytes {
            few if few < 100.0 && few.fract() > 0.0 => format!("{few:.2}"),
            many => grouped(many),
        };
        row(&mut out, &[text(&it["what"]), bytes, text(&it["per"])]);
    }
    out.push('\n');
    out
}

/// Rows in which a reference is faster than the engine.
fn losses(results: &Results) -> String {
    // These allocate nothing.
    let idle = ["harness only", "hand-over only"];
    let mut out = String::from("\n");
    header(
        &mut out,
        &[
            "case",
            "threads",
            "faster than the engine",
            "its ns",
            "engine's ns",
        ],
    );
    for case in list(results.get("cases")) {
        let rows = results.rows(&text(&case["case"]));
        for other in &rows {
            if other.implementation.starts_with("natshard")
                || idle.contains(&other.implementation.as_str())
            {
                continue;
            }
            let engine = rows.iter().find(|it| {
                it.implementation == "natshard"
                    && it.case == other.case
                    && it.threads == other.threads
            });
            let Some(engine) = engine.filter(|it| it.median > other.median) else {
                continue;
            };
            let refuses = match other.refused - engine.refused {
                more if more > 0.0 => format!(" (refuses {})", share(more)),
                _ => String::new(),
            };
            let name = other.implementation.replace('<', "\\<");
            row(
                &mut out,
                &[
                    other.case.clone(),
                    other.threads.to_string(),
                    format!("{name}{refuses}"),
                    time(other.median),
                    time(engine.median),
                ],
            );
        }
    }
    out.push('\n');
    out
}

fn instructions() -> Result<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");
    let recorded = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut out = String::from("\n");
    header(&mut out, &["", "instructions per operation"]);
    for line in recorded.lines().filter(|it| it.starts_with('"')) {
        if let Some((name, count)) = line.split_once(" = ") {
            row(&mut out, &[name.trim_matches('"').into(), count.into()]);
        }
    }
    out.push('\n');
    Ok(out)
}

fn name(it: &Row, case: &str) -> String {
    let name = match it.setting(case) {
        Some(setting) => format!("{}, {setting}", it.implementation),
        None => it.implementation.clone(),
    };
    let name = name.replace('<', "\\<");
    match it.implementation.starts_with("natshard") {
        true => format!("**{name}**"),
        false => name,
    }
}

fn header(out: &mut String, names: &[&str]) {
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    row(out, &names);
    let rules = names.iter().enumerate().map(|(at, _)| match at {
        0 => "---".to_owned(),
        _ => "--:".to_owned(),
    });
    row(out, &rules.collect::<Vec<_>>());
}

fn row(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// Nanoseconds to three digits or so.
pub fn time(nanos: f64) -> String {
    match nanos {
        it if it < 9.995 => format!("{it:.2}"),
        it if it < 99.95 => format!("{it:.1}"),
        it => grouped(it),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        it if it < 0.0095 => "< 0.01".into(),
        it => time(it),
    }
}

fn share(part: f64) -> String {
    match 100.0 * part {
        0.0 => "0".into(),
        it if it < 0.01 => "< 0.01 %".into(),
        it if it < 9.95 => format!("{it:.2} %"),
        it => format!("{it:.0} %"),
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so() {
        assert_eq!(time(1.004), "1.00");
        assert_eq!(time(9.996), "10.0");
        assert_eq!(time(99.96), "100");
        assert_eq!(time(1_234_567.8), "1,234,568");
    }
}
