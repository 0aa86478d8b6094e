//! Random demands.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// Draws numbers by their probabilities in constant time (Walker's alias method, as Vose builds
/// it): a column is drawn, then one of the two numbers that share it.
pub(crate) struct Alias {
    columns: Vec<(f64, u32)>,
}

impl Alias {
    /// Draws an index in proportion to its weight.
    pub(crate) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let scale = weights.len() as f64 / total;
        let mut heights: Vec<f64> = weights.iter().map(|it| it * scale).collect();
        let (mut low, mut high): (Vec<u32>, Vec<u32>) =
            (0..weights.len() as u32).partition(|it| heights[*it as usize] < 1.0);
        let mut columns: Vec<_> = (0..weights.len() as u32).map(|it| (1.0, it)).collect();
        while let (Some(small), Some(large)) = (low.pop(), high.last().copied()) {
            let part = heights[small as usize];
            columns[small as usize] = (part, large);
            heights[large as usize] -= 1.0 - part;
            if heights[large as usize] < 1.0 {
                high.pop();
                low.push(large);
            }
        }
        Alias { columns }
    }

    /// The next number.
    pub(crate) fn draw(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let column = below(random, self.columns.len() as u64);
        let (part, other) = self.columns[column as usize];
        match uniform(random) < part {
            true => column,
            false => u64::from(other),
        }
    }
}

/// How many of `tries` succeed, each with probability `chance`: counted by drawing the distance
/// from one success to the next.
pub(crate) fn successes(tries: u64, chance: f64, random: &mut Xoshiro256PlusPlus) -> u64 {
    let none = (-chance.min(1.0)).ln_1p();
    let (mut at, mut found) = (0u64, 0);
    loop {
        let skipped = uniform(random).ln() / none;
        if skipped.is_nan() || skipped >= (tries - at) as f64 {
            return found;
        }
        at += skipped as u64 + 1;
        found += 1;
        if at >= tries {
            return found;
        }
    }
}

/// Above 0 and below 1.
fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// From 0 to `end`, without it; uneven by less than `end / 2^64`.
pub(crate) fn below(random: &mut Xoshiro256PlusPlus, end: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(end)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    const DRAWS: u64 = 400_000;

    #[test]
    fn numbers_come_as_often_as_their_weight_says() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let weights = [0.5, 0.0, 3.0, 1.0, 0.25, 0.25, 5.0];
        let alias = Alias::new(&weights);
        let mut seen = [0u64; 7];
        for _ in 0..DRAWS {
            seen[alias.draw(&mut random) as usize] += 1;
        }
        for (seen, weight) in seen.into_iter().zip(weights) {
            let expected = DRAWS as f64 * weight / 10.0;
            let deviation = (seen as f64 - expected).abs();
            assert!(deviation <= 4.5 * expected.sqrt(), "{seen} of {expected}");
        }
    }

    #[test]
    fn successes_have_the_mean_and_the_variance_of_a_binomial_law() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
        for (tries, chance) in [(1000, 0.3), (50, 0.02), (200, 0.97), (1, 0.5)] {
            let rounds = 20_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..rounds {
                let found = successes(tries, chance, &mut random);
                assert!(found <= tries);
                sum += found as f64;
                squares += (found * found) as f64;
            }
            let (mean, rounds) = (sum / f64::from(rounds), f64::from(rounds));
            let (expected, variance) = (
                tries as f64 * chance,
                tries as f64 * chance * (1.0 - chance),
            );
            assert!(
                (mean - expected).abs() < 4.5 * (variance / rounds).sqrt(),
                "{tries} {chance}"
            );
            let found = squares / rounds - mean * mean;
            assert!((found / variance - 1.0).abs() < 0.05, "{found} {variance}");
        }
        assert_eq!(successes(1000, 1.0, &mut random), 1000);
        assert_eq!(successes(1000, 0.0, &mut random), 0);
        assert_eq!(successes(0, 0.5, &mut random), 0);
    }
}
