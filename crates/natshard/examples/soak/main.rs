//! Threads for real, for as long as one likes: every operation of the public surface, drawn at
//! random, judged by one cell per tuple and by the census at the end of each round.
//!
//! ```text
//! cargo soak --seconds 3600
//! ```
//!
//! With `--cfg natshard_failpoints` (the alias sets it) threads are held at random in the windows
//! between two steps of the protocol, and with `--panics` they panic there. A round is an engine of
//! its own: odd ones have two shards, even ones more than the machine has cores; each third gives
//! nothing back (the monotone variant). Exit code 0: nothing was found; 101: a check failed.

mod args;
mod judge;
#[path = "../../tests/common/oracle.rs"]
mod oracle;
mod round;
mod worker;
mod world;

use std::time::{Duration, Instant};

use args::Args;
use judge::Windows;

fn main() {
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(said) => {
            eprintln!("{said}\n{}", args::USAGE);
            std::process::exit(2);
        }
    };
    let windows_watched = cfg!(natshard_failpoints);
    if args.panics && !windows_watched {
        eprintln!("panics between two steps need --cfg natshard_failpoints: use `cargo soak`");
        std::process::exit(2);
    }
    let began = Instant::now();
    let end = began + Duration::from_secs(args.seconds);
    let mut windows = Windows::default();
    let mut seed = args.seed;
    let mut rounds = 0;
    while Instant::now() < end {
        rounds += 1;
        let plan = round::Plan::drawn(&args, rounds, seed);
        // Printed first: what is needed to repeat the round is there when it fails.
        println!("round {rounds}, --seed {seed}: {plan}");
        let left = end.saturating_duration_since(Instant::now());
        let outcome = round::run(&plan, left.min(Duration::from_secs(4)), &mut windows);
        println!("  {outcome}");
        seed = seed.wrapping_add(1);
    }
    if windows_watched {
        print!("{windows}");
    }
    println!(
        "{rounds} rounds in {:.0?}: no duplicate, no rest cut short, no port lost, every census balanced",
        began.elapsed()
    );
}
