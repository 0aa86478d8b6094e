//! The upper tail of a sum of independent subscribers, from its generating function on a circle.
//!
//! Let `V` be the sum, or its negative, `m` the generating function of one subscriber's part of
//! it, and `a` the first value that counts. For any `tilt > 0`, with `s = tilt - it`,
//!
//! ```text
//!                    1  pi    m(s)^n exp(-s a)
//!  P(V >= a)     =  --- ∫    ------------------ dt
//!                   2pi -pi    1 - exp(-s)
//! ```
//!
//! and with the square of the denominator it is `E[(V - a + 1)+]`. The integrand is periodic and
//! analytic, so the mean over `M` points of the circle is off by the tails that begin whole
//! multiples of `M` away, and by nothing else; Chernoff's bound says how much that is at most. The
//! tilt is the saddlepoint: there the integrand is as small as it gets, so that figures of 1e-12
//! come out with as many digits as those of one half.

use std::f64::consts::TAU;

use super::cumulant::{Law, Moments};
use super::fft::{Complex, transform};

/// The most points of a circle.
const MOST_POINTS: usize = 1 << 21;
/// What the points may leave out, relatively, or absolutely where that is more.
const RELATIVE: f64 = 1e-10;
const ABSOLUTE: f64 = 1e-18;
/// Beyond this tilt nothing changes any more: one unit less counts `exp(-60)`.
const MOST_TILT: f64 = 60.0;

/// A number, and what it is off by at most.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) error: f64,
}

/// The sum of so many subscribers, or its negative.
pub(super) struct Sum<'l> {
    pub(super) law: &'l Law,
    pub(super) subscribers: f64,
    /// 1, or -1 for the negative.
    pub(super) sign: f64,
}

/// One tail of a sum.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Upper {
    /// `P(V >= a)`.
    pub(super) probability: Figure,
    /// `E[(V - a + 1)+]`.
    pub(super) mean: Figure,
}

impl Sum<'_> {
    /// The tail from `a` on; `None` when the circle would need too many points.
    pub(super) fn from(&self, a: i64) -> Option<Upper> {
        let tilt = self.saddle(a as f64, 2.0);
        let here = self.moments(tilt);
        let log = here.log - tilt * a as f64;
        let gap = -(-tilt).exp_m1();
        // Chernoff: the tail is less than this, however improbable.
        let [less, mean_less] = [log.exp() / gap, log.exp() / (gap * gap)];
        if mean_less < ABSOLUTE {
            let zero = |error| Figure { value: 0.0, error };
            return Some(Upper {
                probability: zero(less),
                mean: zero(mean_less),
            });
        }
        let spread = (TAU * (here.variance + 2.0 * (-tilt).exp() / (gap * gap))).sqrt();
        let allowed = [less, mean_less].map(|it| RELATIVE * it / spread + ABSOLUTE);
        let mut points = (16.0 * here.variance.sqrt()).max(64.0) as usize;
        points = points.checked_next_power_of_two()?;
        loop {
            if points > MOST_POINTS {
                return None;
            }
            let missed = self.missed(a as f64, tilt, here, points as f64);
            if missed[0] <= allowed[0] && missed[1] <= allowed[1] {
                return Some(self.invert(a, tilt, log, points, missed));
            }
            points *= 2;
        }
    }

    /// The tilt, nearly, at which the integrand with that power of its denominator has its
    /// saddlepoint. Without the denominator, where the tilted mean is `a`, which must be above the
    /// mean.
    pub(super) fn saddle(&self, a: f64, power: f64) -> f64 {
        let slope = |tilt: f64| {
            let here = self.moments(tilt);
            let pole = 1.0 / tilt.exp_m1();
            let less = power * pole;
            let curve = here.variance + less * (1.0 + pole);
            (here.mean - a - less, curve)
        };
        let deviation = self.moments(0.0).variance.sqrt().max(1e-3);
        let (mut low, mut high) = (0.0, 1.0 / deviation);
        while slope(high).0 < 0.0 {
            low = high;
            high *= 2.0;
            if high > MOST_TILT {
                return MOST_TILT;
            }
        }
        // Newton within the bracket.
        let mut tilt = high;
        for _ in 0..60 {
            let (value, curve) = slope(tilt);
            if value < 0.0 {
                low = tilt
            } else {
                high = tilt
            }
            let next = tilt - value / curve;
            let next = match next > low && next < high {
                true => next,
                false => (low + high) / 2.0,
            };
            if (next - tilt).abs() <= 1e-6 * tilt {
                return next;
            }
            tilt = next;
        }
        tilt
    }

    /// Logarithm of the generating function of the sum, and the two derivatives.
    pub(super) fn moments(&self, tilt: f64) -> Moments {
        let one = self.law.moments(self.sign * tilt);
        Moments {
            log: self.subscribers * one.log,
            mean: self.subscribers * self.sign * one.mean,
            variance: self.subscribers * one.variance,
        }
    }

    /// Bounds of what so many points miss of the probability and of the mean: the tails that
    /// begin a multiple of their number above, and below.
    fn missed(&self, a: f64, tilt: f64, here: Moments, points: f64) -> [f64; 2] {
        let most = match self.sign > 0.0 {
            true => self.subscribers * self.law.most() as f64,
            false => 0.0,
        };
        let mut above = [f64::INFINITY; 2];
        if a + points > most {
            above = [0.0; 2];
        } else {
            // Any larger tilt gives a bound. A normal law's is the best for a normal law, heavier
            // tails want less; the bound is convex, so the first that is worse is the last.
            let mut more = points / here.variance.max(1e-9);
            loop {
                let (other, gap) = (tilt + more, -(-(tilt + more)).exp_m1());
                let chernoff = self.moments(other).log - other * a;
                let tails = (chernoff - more * points).exp() / -(-more * points).exp_m1();
                let worse = tails.is_nan() || tails >= above[0];
                if worse && above[0].is_finite() || more * points < 1.0 {
                    break;
                }
                above = [above[0].min(tails), above[1].min(tails / gap)];
                more /= 2.0;
            }
        }
        let tails = geometric(-tilt * points);
        let reach = self.moments(0.0).mean.abs() + a.abs() + 1.0;
        let below = [tails, tails * (reach + points * (1.0 + tails))];
        [above[0] + below[0], above[1] + below[1]]
    }

    fn invert(&self, a: i64, tilt: f64, log: f64, points: usize, missed: [f64; 2]) -> Upper {
        let mut wrapped = vec![0.0; points];
        let tilted = self.law.tilted(self.sign * tilt);
        for (units, probability) in tilted.iter().enumerate() {
            let at = match self.sign > 0.0 {
                true => units & (points - 1),
                false => units.wrapping_neg() & (points - 1),
            };
            wrapped[at] += probability;
        }
        let turns = transform(&wrapped);
        let [mut probability, mut mean] = [0.0; 2];
        let [mut probability_size, mut mean_size] = [0.0; 2];
        let (decay, gap) = ((-tilt).exp(), -(-tilt).exp_m1());
        let last = turns.len() - 1;
        for (j, turn) in turns.into_iter().enumerate() {
            let size = self.subscribers * 0.5 * turn.norm_square().ln();
            if size < -80.0 {
                continue;
            }
            let unit = TAU / points as f64;
            let ahead = (a as u64).wrapping_mul(j as u64) & (points as u64 - 1);
            let angle = self.subscribers * turn.im.atan2(turn.re) + unit * ahead as f64;
            let size = size.exp() * if j == 0 || j == last { 1.0 } else { 2.0 };
            let (sin, half) = ((unit * j as f64).sin(), (unit * j as f64 / 2.0).sin());
            // 1 - exp(-s), without losing digits near 1.
            let denominator = Complex {
                re: gap + decay * 2.0 * half * half,
                im: -decay * sin,
            };
            let norm = denominator.norm_square().sqrt();
            let once = Complex::turn(angle).over(denominator);
            probability += size * once.re;
            mean += size * once.over(denominator).re;
            probability_size += size / norm;
            mean_size += size / (norm * norm);
        }
        let scale = log.exp() / points as f64;
        // Each point is off by a few roundings, raised to the power of the subscribers.
        let rounding = f64::EPSILON * (8.0 * self.subscribers + 64.0) * scale;
        Upper {
            probability: Figure {
                value: scale * probability,
                error: missed[0] + rounding * probability_size,
            },
            mean: Figure {
                value: scale * mean,
                error: missed[1] + rounding * mean_size,
            },
        }
    }
}

/// `q + q^2 + ...` for `q = exp(log)`.
fn geometric(log: f64) -> f64 {
    log.exp() / -log.exp_m1()
}
