//! The discrete Fourier transform of a real sequence whose length is a power of two.

use std::f64::consts::TAU;

/// A complex number.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Complex {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

impl Complex {
    /// Of modulus one and that angle.
    pub(crate) fn turn(angle: f64) -> Self {
        let (im, re) = angle.sin_cos();
        Complex { re, im }
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Complex {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Complex {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Complex {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }

    pub(crate) fn over(self, other: Self) -> Self {
        let norm = other.norm_square();
        Complex {
            re: (self.re * other.re + self.im * other.im) / norm,
            im: (self.im * other.re - self.re * other.im) / norm,
        }
    }

    pub(crate) fn norm_square(self) -> f64 {
        self.re * self.re + self.im * self.im
    }
}

/// `sum over u of values[u] * exp(-2 pi i j u / M)` for `j` from 0 to `M / 2`, where `M` is the
/// number of values; the other half is the conjugate of this one.
///
/// Radix 2, even and odd values as the two parts of one complex sequence of half the length.
///
/// # Panics
/// When the number of values is not a power of two, or less than four.
pub(crate) fn transform(values: &[f64]) -> Vec<Complex> {
    let whole = values.len();
    assert!(whole >= 4 && whole.is_power_of_two());
    let half = whole / 2;
    let bits = half.trailing_zeros();
    let turns: Vec<Complex> = (0..half)
        .map(|j| Complex::turn(-TAU * j as f64 / whole as f64))
        .collect();
    let mut mixed: Vec<Complex> = (0..half)
        .map(|at| {
            let from = at.reverse_bits() >> (usize::BITS - bits);
            Complex {
                re: values[2 * from],
                im: values[2 * from + 1],
            }
        })
        .collect();
    let mut size = 2;
    while size <= half {
        let stride = whole / size;
        for chunk in mixed.chunks_exact_mut(size) {
            let (low, high) = chunk.split_at_mut(size / 2);
            for (at, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let turned = high.times(turns[at * stride]);
                (*low, *high) = (low.plus(turned), low.minus(turned));
            }
        }
        size *= 2;
    }
    let conjugate = |it: Complex| Complex {
        re: it.re,
        im: -it.im,
    };
    let halved = |it: Complex| Complex {
        re: it.re / 2.0,
        im: it.im / 2.0,
    };
    (0..=half)
        .map(|j| {
            let here = mixed[j % half];
            let there = conjugate(mixed[(half - j) % half]);
            let even = halved(here.plus(there));
            let odd = halved(here.minus(there)).times(Complex { re: 0.0, im: -1.0 });
            let turn = if j == half {
                Complex { re: -1.0, im: 0.0 }
            } else {
                turns[j]
            };
            even.plus(odd.times(turn))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_sum_it_says_it_is(
            values in (2u32..=7).prop_flat_map(|bits| prop::collection::vec(-1.0..1.0, 1 << bits)),
        ) {
            let whole = values.len();
            let found = transform(&values);
            prop_assert_eq!(found.len(), whole / 2 + 1);
            for (j, found) in found.iter().enumerate() {
                let direct = values.iter().enumerate().fold(Complex::default(), |sum, (u, it)| {
                    let turn = Complex::turn(-TAU * (j * u) as f64 / whole as f64);
                    sum.plus(Complex { re: it * turn.re, im: it * turn.im })
                });
                prop_assert!(found.minus(direct).norm_square() < 1e-24);
            }
        }
    }

    #[test]
    fn division_undoes_multiplication() {
        let (a, b) = (Complex { re: 3.0, im: -2.0 }, Complex { re: 0.5, im: 4.0 });
        assert!(a.times(b).over(b).minus(a).norm_square() < 1e-28);
    }
}
