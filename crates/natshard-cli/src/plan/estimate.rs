//! What a sample says of a mean.

/// How many standard errors a figure may lie from the mean of a sample to be taken for it. By
/// chance alone one in sixteen thousand lies further out.
const AGREES: f64 = 4.0;
/// Not to see what should be seen so many times happens by chance once in eight thousand.
const UNSEEN: f64 = 9.0;

/// A larger standard error than this part of a figure does not tell it from nothing.
const TELLS: f64 = 0.5;

/// What a sample says of a figure; the worse is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    /// It is near enough.
    Agrees,
    /// It may be right, or half, or twice of that: too little was seen.
    TooFew,
    /// It is not the mean of this sample.
    Differs,
}

/// Mean and spread of a sample.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Estimate {
    count: f64,
    mean: f64,
    squares: f64,
    /// How many of it are not zero.
    pub(crate) hits: u64,
}

impl Estimate {
    /// Adds one value (Welford).
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
        self.hits += u64::from(value != 0.0);
    }

    /// The mean.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard error of the mean.
    pub(crate) fn error(&self) -> f64 {
        match self.count > 1.0 {
            true => (self.squares / (self.count - 1.0) / self.count).sqrt(),
            false => f64::INFINITY,
        }
    }

    /// The interval that holds the true mean in 95 of 100 samples, as far as the law of large
    /// numbers has taken hold; not below zero.
    pub(crate) fn interval(&self) -> (f64, f64) {
        let by = 1.96 * self.error();
        ((self.mean - by).max(0.0), self.mean + by)
    }

    /// Whether the true mean may be `computed`, of which `expected` values that are not zero were
    /// to be seen, where no smaller standard error than `least` is to be believed.
    pub(crate) fn verdict(&self, computed: f64, expected: f64, least: f64) -> Verdict {
        let error = self.error().max(least);
        let off = (self.mean - computed).abs();
        // But for the last figures of sums.
        let agrees = match self.hits {
            0 => expected < UNSEEN || off <= AGREES * error,
            _ => off <= AGREES * error + 1e-9 * computed,
        };
        match agrees {
            false => Verdict::Differs,
            true if computed > 0.0 && error > TELLS * computed => Verdict::TooFew,
            true => Verdict::Agrees,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Estimate {
        let mut estimate = Estimate::default();
        for value in values {
            estimate.add(*value);
        }
        estimate
    }

    #[test]
    fn mean_and_error_are_those_of_the_books() {
        let it = of(&[1.0, 2.0, 3.0, 6.0, 0.0]);
        assert!((it.mean() - 2.4).abs() < 1e-12);
        // Variance 5.3 with n - 1.
        assert!((it.error() - (5.3f64 / 5.0).sqrt()).abs() < 1e-12);
        assert_eq!(it.hits, 4);
        let (low, high) = it.interval();
        assert!(low > 0.0 && low < 2.4 && high > 2.4);
    }

    #[test]
    fn it_agrees_with_what_is_near_and_with_nothing_else() {
        use Verdict::{Agrees, Differs, TooFew};
        let values: Vec<f64> = (0..1000).map(|it| f64::from(it % 2)).collect();
        let it = of(&values);
        for (computed, least, verdict) in [
            (0.5, 0.0, Agrees),
            (0.54, 0.0, Agrees),
            (0.6, 0.0, Differs),
            (0.6, 0.03, Agrees),
            (0.6, 0.4, TooFew),
            (0.4, 0.0, Differs),
        ] {
            assert_eq!(
                it.verdict(computed, 1000.0 * computed, least),
                verdict,
                "{computed}"
            );
        }
        let none = of(&[0.0; 100]);
        assert_eq!(none.verdict(1e-3, 0.1, 3e-3), TooFew);
        assert_eq!(none.verdict(0.2, 20.0, 0.04), Differs);
        assert_eq!(none.verdict(0.0, 0.0, 0.01), Agrees);
        assert_eq!(of(&[1.0; 50]).verdict(1.0 - 1e-12, 50.0, 0.0), Agrees);
    }
}
