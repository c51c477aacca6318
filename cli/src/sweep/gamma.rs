//! The mean of positive numbers and its interval, as if they had a Gamma distribution. Nothing else of that distribution.

use super::stats::summary;

/// Half of what a chi-squared number of one degree of freedom exceeds with probability 5 %.
const DROP: f64 = 3.841_458_820_694_124 / 2.0;

/// Standard deviation below which numbers are as good as equal.
const EQUAL: f64 = 1e-5;

/// The median, the mean and its 95 % interval of positive numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Positive {
    /// Number of values.
    pub n: usize,
    /// Median; of an even number of values the mean of the two in the middle.
    pub median: f64,
    /// Arithmetic mean, which is also the most likely mean of a Gamma distribution.
    pub mean: f64,
    /// Where the likelihood of the mean, with the variance that is then most likely, is not significantly below the largest (Wilks 1938). Student's
    /// interval, cut at 0, of values that are equal; none with fewer than two values.
    pub interval: Option<(f64, f64)>,
}

/// Sums up positive values; none without any.
pub fn positive(values: &[f64]) -> Option<Positive> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = 0.5 * (sorted.get(n / 2)? + sorted[(n - 1) / 2]);
    let s = summary(values);
    let interval = match s.sd {
        Some(sd) if sd >= EQUAL => Some(interval(values, s.mean)),
        _ => s.interval.map(|(low, high)| (low.max(0.0), high)),
    };
    Some(Positive { n, median, mean: s.mean, interval })
}

/// The interval of the mean `centre` of values that are not all equal.
fn interval(values: &[f64], centre: f64) -> (f64, f64) {
    let logs = values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64;
    let likelihood = |mean: f64| values.len() as f64 * profile(centre, logs, mean);
    let least = likelihood(centre) - DROP;
    let end = |factor: f64| {
        let (mut inside, mut outside) = (centre, centre * factor);
        while likelihood(outside) > least {
            (inside, outside) = (outside, outside * factor);
        }
        for _ in 0..80 {
            let middle = 0.5 * (inside + outside);
            match likelihood(middle) > least {
                true => inside = middle,
                false => outside = middle,
            }
        }
        0.5 * (inside + outside)
    };
    (end(0.8), end(1.25))
}

/// The largest mean log-likelihood of values with the given arithmetic mean and mean logarithm under a Gamma distribution with mean `mean`, up to
/// a constant: with shape a it is `a ln(a / mean) - ln gamma(a) + a logs - a centre / mean`.
fn profile(centre: f64, logs: f64, mean: f64) -> f64 {
    // Its derivative vanishes where ln a - digamma(a) is this, which is above 0 and falls with a.
    let wanted = mean.ln() + centre / mean - 1.0 - logs;
    let (mut low, mut high) = (-40.0f64, 40.0f64);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        match middle - digamma(middle.exp()) > wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    let shape = (0.5 * (low + high)).exp();
    shape * ((shape / mean).ln() + logs - centre / mean) - ln_gamma(shape)
}

/// From here on the asymptotic series below are exact in doubles.
const LARGE: f64 = 12.0;

/// The logarithm of the Gamma function of a positive number: Stirling's series (Abramowitz & Stegun 1964, 6.1.41) behind its recurrence.
fn ln_gamma(x: f64) -> f64 {
    if x < LARGE {
        return ln_gamma(x + 1.0) - x.ln();
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// Its derivative (6.3.18).
fn digamma(x: f64) -> f64 {
    if x < LARGE {
        return digamma(x + 1.0) - 1.0 / x;
    }
    let r = 1.0 / (x * x);
    let series = r * (1.0 / 12.0 - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r / 132.0))));
    x.ln() - 0.5 / x - series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_those_of_tables() {
        let half = 0.5 * std::f64::consts::PI.ln();
        for (x, value) in [(1.0, 0.0), (0.5, half), (5.0, 24f64.ln()), (30.0, 71.257_038_967_168_01)] {
            assert!((ln_gamma(x) - value).abs() < 1e-12 * (1.0 + value), "ln gamma({x}) = {}", ln_gamma(x));
        }
        let euler = 0.577_215_664_901_532_9;
        for (x, value) in [(1.0, -euler), (0.5, -euler - 2.0 * 2f64.ln()), (4.0, 11.0 / 6.0 - euler)] {
            assert!((digamma(x) - value).abs() < 1e-13, "digamma({x}) = {}", digamma(x));
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_independent_software() {
        let x = [1.2, 0.8, 2.5, 1.1, 1.9, 0.6, 3.1, 1.4, 0.9, 1.7];
        let found = positive(&x).expect("values");
        let (low, high) = found.interval.expect("an interval");
        assert!((found.mean - 1.52).abs() < 1e-12 && (found.median - 1.3).abs() < 1e-12, "{found:?}");
        assert!((low - 1.116_364).abs() < 1e-6 && (high - 2.144_086).abs() < 1e-6, "{found:?}");
        // The interval has no unit: of numbers that are ten times as large it is ten times as large.
        let ten = positive(&x.map(|v| 10.0 * v)).and_then(|p| p.interval).expect("an interval");
        assert!((ten.0 - 10.0 * low).abs() < 1e-9 && (ten.1 - 10.0 * high).abs() < 1e-9, "{ten:?}");
    }

    #[test]
    fn of_few_or_equal_values() {
        assert_eq!(positive(&[]), None);
        let one = positive(&[3.0]).expect("a value");
        assert_eq!((one.n, one.median, one.mean, one.interval), (1, 3.0, 3.0, None));
        let equal = positive(&[4.0; 3]).expect("values");
        assert_eq!((equal.median, equal.interval), (4.0, Some((4.0, 4.0))));
        let tiny = positive(&[1e-6, 2e-6]).and_then(|p| p.interval).expect("Student's interval");
        assert!(tiny.0 == 0.0 && tiny.1 > 2e-6, "{tiny:?}");
    }
}
