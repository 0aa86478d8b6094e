//! The cases of `natshard bench` for criterion, which keeps history and draws distributions; here
//! the implementations of a case come one after the other, there they take turns.

use criterion::{Criterion, criterion_group, criterion_main};
use natshard_benches::{all, name_of};
use natshard_cli::bench::crew::Crew;

fn every_case(criterion: &mut Criterion) {
    // A run that only tests, or only lists, need not make the large ones ready.
    let quick = std::env::args().any(|it| it == "--test" || it == "--list");
    let crew = Crew::new(2);
    for case in all(quick) {
        // A group exists only once it is asked for: its contestants take memory and time.
        let mut group = criterion.benchmark_group(case.name);
        for mut contestant in (case.build)() {
            let fixed = contestant.workers.iter().find_map(|it| it.fixed());
            group.bench_function(name_of(&contestant), |bencher| {
                bencher.iter_custom(|operations| match fixed {
                    // Rounds of a given length, of which the mean is taken.
                    Some(length) => {
                        let rounds = operations.div_ceil(length);
                        let took = (0..rounds).map(|_| crew.round(&mut contestant, length, 0).took);
                        took.sum::<std::time::Duration>()
                            .mul_f64(operations as f64 / (rounds * length) as f64)
                    }
                    None => {
                        let bursts = operations.next_multiple_of(32);
                        let took = crew.round(&mut contestant, bursts, 0).took;
                        took.mul_f64(operations as f64 / bursts as f64)
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, every_case);
criterion_main!(benches);
