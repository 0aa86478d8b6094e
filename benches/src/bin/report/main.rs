//! Writes what `natshard bench --format json` found into the documentation: tables between markers,
//! and pictures. `report RESULTS.json` is called by `report.sh`.

mod chart;
mod dots;
mod lines;
mod pictures;
mod results;
mod tables;

use std::path::Path;
use std::process::ExitCode;

use results::Results;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: report RESULTS.json");
        return ExitCode::from(2);
    };
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str) -> Result<(), String> {
    let results = Results::read(path)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no directory above")?;
    for page in ["README.md", "docs/src/performance.md"] {
        let page = root.join(page);
        let name = page.display();
        let text = std::fs::read_to_string(&page).map_err(|error| format!("{name}: {error}"))?;
        let text = tables::fill(&text, &results).map_err(|why| format!("{name}: {why}"))?;
        std::fs::write(&page, text).map_err(|error| format!("{name}: {error}"))?;
    }
    for (name, picture) in pictures::all(&results)? {
        let path = root.join("docs/src/img").join(name);
        std::fs::write(&path, picture).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
