//! Statistics of a few runs: mean, standard deviation, Student's interval of a mean, Wilson's interval of a share, Newcombe's of a difference of shares.

/// The two-sided 95 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// What is known of a metric over some runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
    /// Number of values.
    pub n: usize,
    /// Arithmetic mean; NaN without values.
    pub mean: f64,
    /// Standard deviation of the sample (`n - 1`); none with fewer than two values.
    pub sd: Option<f64>,
    /// 95 % confidence interval of the mean by Student's t (Student 1908); none with fewer than two values.
    pub interval: Option<(f64, f64)>,
}

/// Sums up values.
pub fn summary(values: &[f64]) -> Summary {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    if n < 2 {
        return Summary { n, mean, sd: None, interval: None };
    }
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let sd = (squares / (n - 1) as f64).sqrt();
    let half = student_quantile(n - 1) * sd / (n as f64).sqrt();
    Summary { n, mean, sd: Some(sd), interval: Some((mean - half, mean + half)) }
}

/// The value that Student's t exceeds in size with probability 5 %.
fn student_quantile(freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 13.0);
    // 0.05 is reached at 12.7 with one degree of freedom, and earlier with more.
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        match student_within(middle, freedom) < 0.95 {
            true => low = middle,
            false => high = middle,
        }
        if middle == low && middle == high {
            break;
        }
    }
    0.5 * (low + high)
}

/// The probability that Student's t is within `±t`: the finite series of Abramowitz & Stegun (1964), 26.7.3 and 26.7.4.
fn student_within(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = (angle.sin(), angle.cos());
    let odd = freedom % 2 == 1;
    let first = if odd { cosine } else { 1.0 };
    let (mut term, mut sum) = (first, if freedom == 1 { 0.0 } else { first });
    let mut k = if odd { 2.0 } else { 1.0 };
    let terms = freedom.saturating_sub(if odd { 3 } else { 2 }) / 2;
    for _ in 0..terms {
        term *= cosine * cosine * k / (k + 1.0);
        sum += term;
        k += 2.0;
    }
    match odd {
        true => 2.0 / std::f64::consts::PI * (angle + sine * sum),
        false => sine * sum,
    }
}

/// The 95 % interval of a share by Wilson (1927): `successes` of `n`. Everything if there are no runs.
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (count, share) = (n as f64, successes as f64 / n as f64);
    let scale = 1.0 + Z * Z / count;
    let centre = (share + Z * Z / (2.0 * count)) / scale;
    let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt() / scale;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// A difference of two shares.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Difference {
    /// The first less the second.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

/// The difference of two shares, each as successes and runs, with the interval that Newcombe (1998, method 10) makes of the two by Wilson: `d - sqrt((p1 -
/// l1)^2 + (u2 - p2)^2)` to `d + sqrt((u1 - p1)^2 + (p2 - l2)^2)`. None without runs.
pub fn newcombe(first: (usize, usize), second: (usize, usize)) -> Option<Difference> {
    if first.1 == 0 || second.1 == 0 {
        return None;
    }
    let share = |(successes, n): (usize, usize)| successes as f64 / n as f64;
    let (p1, p2) = (share(first), share(second));
    let ((l1, u1), (l2, u2)) = (wilson(first.0, first.1), wilson(second.0, second.1));
    let value = p1 - p2;
    let interval = (value - (p1 - l1).hypot(u2 - p2), value + (u1 - p1).hypot(p2 - l2));
    Some(Difference { value, interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_quantiles_are_those_of_tables() {
        for (freedom, value) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (9, 2.262_157_163),
            (30, 2.042_272_456),
            (9_999, 1.960_201_264),
        ] {
            let found = student_quantile(freedom);
            assert!((found - value).abs() < 2e-9, "{freedom}: {found}, not {value}");
        }
    }

    #[test]
    fn wilson_intervals_are_those_published() {
        for (successes, n, low, high) in [
            (31, 100, 0.227_797, 0.406_261),
            (98, 100, 0.929_988, 0.994_498),
            (0, 100, 0.0, 0.036_993),
            (100, 100, 0.963_007, 1.0),
            (3, 5, 0.230_724, 0.882_379),
            (0, 10, 0.0, 0.277_533),
        ] {
            let (a, b) = wilson(successes, n);
            assert!((a - low).abs() < 1e-6 && (b - high).abs() < 1e-6, "{successes} of {n}: {a}, {b}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    /// Worked out by hand from Wilson's intervals of both shares: of 56 of 70 it is [0.69183, 0.87695], of 48 of 80 [0.49045, 0.70038], of 9 of 10
    /// [0.59585, 0.98212], of 3 of 10 [0.10779, 0.60322].
    #[test]
    fn intervals_of_differences_combine_those_of_shares() {
        for (first, second, value, low, high) in [
            ((56, 70), (48, 80), 0.2, 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.6, 0.1705, 0.8090),
            ((10, 10), (0, 10), 1.0, 0.6075, 1.0),
            // The upper end of 0 of n is z^2 / (n + z^2), so -1 + sqrt(2) 0.434482.
            ((0, 5), (5, 5), -1.0, -1.0, -0.385549),
        ] {
            let d = newcombe(first, second).expect("there are runs");
            let (a, b) = d.interval;
            let holds = (d.value - value).abs() < 1e-12 && (a - low).abs() < 6e-5 && (b - high).abs() < 6e-5;
            assert!(holds, "{first:?} - {second:?}: {d:?}");
            // The other way round it is the same with other signs.
            let turned = newcombe(second, first).expect("there are runs");
            assert!(
                (turned.interval.0 + b).abs() < 1e-15 && (turned.value + d.value).abs() < 1e-15,
                "{turned:?}"
            );
        }
        assert_eq!(newcombe((0, 0), (1, 2)), None);
    }

    #[test]
    fn summaries_of_few_values() {
        let two = summary(&[1.0, 3.0]);
        assert_eq!((two.mean, two.sd), (2.0, Some(2f64.sqrt())));
        let (low, high) = two.interval.expect("two values have an interval");
        assert!((low - (2.0 - 12.706_204_736)).abs() < 1e-8 && (high - (2.0 + 12.706_204_736)).abs() < 1e-8);
        assert_eq!(summary(&[5.0]), Summary { n: 1, mean: 5.0, sd: None, interval: None });
        assert!(summary(&[]).mean.is_nan());
    }
}
