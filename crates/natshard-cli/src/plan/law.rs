//! Laws of how many ports an active subscriber holds, made from the few figures one has.

use libm::{erfc, lgamma};

use super::demand::{Demand, MOST};

/// The 99th percentile of the standard normal law.
const Z99: f64 = 2.326_347_874_040_841;

/// The most that a 99th percentile can be of a log-normal law, in means: `exp(Z99²/2)`.
pub(crate) const MOST_SPREAD: f64 = 14.968;

/// Every active subscriber holds the mean; between two whole numbers some the lower one, the
/// others the upper one.
pub(crate) fn fixed(mean: f64) -> Option<Demand> {
    let below = mean.floor();
    let mut weights = vec![0.0; (below as usize).min(MOST) + 2];
    weights[(below as usize).min(MOST)] = 1.0 - (mean - below);
    weights[(below as usize).min(MOST) + 1] = mean - below;
    Demand::new(weights)
}

/// As many as calls in progress where calls come independently of each other.
pub(crate) fn poisson(mean: f64) -> Option<Demand> {
    let mut weights = vec![0.0; MOST + 1];
    poisson_terms(mean, |count, probability| {
        weights[count.min(MOST)] += probability;
    });
    Demand::new(weights)
}

/// At least one, and as likely to have one more whatever there are already: spread about as wide
/// as its mean, which is what counts of many different subscribers are at least.
pub(crate) fn geometric(mean: f64) -> Option<Demand> {
    if mean < 1.0 {
        return None;
    }
    let again = 1.0 - 1.0 / mean;
    let mut weights = vec![0.0; MOST + 1];
    let mut probability = 1.0 / mean;
    for weight in &mut weights[1..] {
        *weight = probability;
        probability *= again;
    }
    // All that lies further out.
    weights[MOST] += probability * mean;
    Demand::new(weights)
}

/// Log-normal with that mean and that 99th percentile, rounded to whole ports and at least one: a
/// few heavy subscribers, many light ones.
///
/// `None` when no log-normal law has both: the percentile must exceed the mean, and be at most
/// [`MOST_SPREAD`] times it.
pub(crate) fn log_normal(mean: f64, p99: f64) -> Option<Demand> {
    let spread = (p99 / mean).ln();
    let inside = Z99 * Z99 - 2.0 * spread;
    if !(spread > 0.0 && inside >= 0.0 && mean >= 1.0) {
        return None;
    }
    // Of the two that fit, the narrower one: the other has almost all of its ports in its last
    // hundredth.
    let sigma = Z99 - inside.sqrt();
    let mu = mean.ln() - sigma * sigma / 2.0;
    let above = |ports: f64| 0.5 * erfc((ports.ln() - mu) / (sigma * std::f64::consts::SQRT_2));
    let mut weights = vec![0.0; MOST + 1];
    let mut from = 1.0;
    for (ports, weight) in weights.iter_mut().enumerate().take(MOST).skip(1) {
        let beyond = above(ports as f64 + 0.5);
        *weight = from - beyond;
        from = beyond;
    }
    weights[MOST] = from;
    Demand::new(weights)
}

/// Hands every count of a Poisson law that matters to `term`, with its probability.
pub(super) fn poisson_terms(mean: f64, mut term: impl FnMut(usize, f64)) {
    if mean <= 0.0 {
        return term(0, 1.0);
    }
    // Beyond, there is less than 1e-30 of it (Chernoff).
    let reach = 12.0 * mean.sqrt() + 75.0;
    let (first, last) = ((mean - reach).max(0.0).floor(), (mean + reach).floor());
    let start = -mean + first * mean.ln() - lgamma(first + 1.0);
    let mut log = start;
    let mut count = first;
    while count <= last {
        term(count as usize, log.exp());
        count += 1.0;
        log += (mean / count).ln();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64, relative: f64) {
        assert!(
            (left - right).abs() <= relative * right.abs(),
            "{left} {right}"
        );
    }

    #[test]
    fn every_law_has_the_mean_it_was_made_with() {
        for mean in [1.0, 1.5, 7.25, 80.0, 1000.0] {
            close(fixed(mean).unwrap().mean(), mean, 1e-12);
            close(poisson(mean).unwrap().mean(), mean, 1e-12);
            close(geometric(mean).unwrap().mean(), mean, 1e-9);
        }
        assert_eq!(geometric(0.5), None);
    }

    #[test]
    fn variances_are_those_of_the_books() {
        let variance = |it: &Demand| it.mean_square() - it.mean().powi(2);
        close(variance(&poisson(300.0).unwrap()), 300.0, 1e-9);
        close(variance(&geometric(80.0).unwrap()), 80.0 * 79.0, 1e-9);
        close(variance(&fixed(7.25).unwrap()), 0.25 * 0.75, 1e-9);
    }

    #[test]
    fn a_log_normal_law_has_both_figures() {
        for (mean, p99) in [
            (80.0, 600.0),
            (100.0, 150.0),
            (50.0, 745.0),
            (400.0, 4000.0),
        ] {
            let law = log_normal(mean, p99).unwrap();
            close(law.mean(), mean, 0.01);
            assert!(law.quantile(0.99).abs_diff(p99 as u64) <= 2, "{mean} {p99}");
        }
        for (mean, p99) in [(80.0, 80.0), (80.0, 79.0), (80.0, 80.0 * 14.98), (0.5, 3.0)] {
            assert_eq!(log_normal(mean, p99), None, "{mean} {p99}");
        }
        assert!(log_normal(80.0, 80.0 * MOST_SPREAD).is_some());
    }

    #[test]
    fn poisson_terms_are_all_of_it() {
        for mean in [0.0, 0.01, 3.0, 900.0, 60_000.0] {
            let (mut all, mut first) = (0.0, 0.0);
            poisson_terms(mean, |count, it| {
                all += it;
                first += it * count as f64;
            });
            close(all, 1.0, 1e-9);
            close(first, mean, 1e-9);
        }
    }
}
