//! What a sweep runs: lists and ranges of `-p`, their product, the condition of `--success`. Nothing is run here.

use crate::load::Failure;

/// Most runs of a sweep.
pub const RUNS_MAX: usize = 10_000;
/// The name that stands for the seed of all jobs.
const SEED: &str = "seed";

/// Values of the parameters and of the seed.
#[derive(Clone, PartialEq, Debug)]
pub struct Grid {
    /// Names and values in the order given, without the seed.
    pub params: Vec<(String, Vec<String>)>,
    /// Seeds of all jobs; one `None`: the seeds that the jobs have.
    pub seeds: Vec<Option<u64>>,
}

impl Grid {
    /// Reads `name=a,b,c` and `seed=0..9`. E0915 if a list is empty or broken, or if there are more than [`RUNS_MAX`] runs.
    pub fn new(texts: &[String]) -> Result<Grid, Failure> {
        let mut grid = Grid { params: Vec::new(), seeds: vec![None] };
        let mut names: Vec<&str> = Vec::new();
        for text in texts {
            let Some((name, list)) = text.split_once('=') else {
                let help = "write -p name=a,b,c or -p seed=0..9 (both ends included)";
                return Err(wrong(format!("`-p {text}` has no `=`"), help));
            };
            let name = name.trim();
            if names.contains(&name) {
                return Err(wrong(
                    format!("`{name}` is given twice"),
                    &format!("write all its values in one list: -p {name}=a,b,c"),
                ));
            }
            names.push(name);
            let values = values(name, list)?;
            match name {
                SEED => grid.seeds = seeds(&values)?,
                _ => grid.params.push((name.to_string(), values)),
            }
        }
        let sizes = grid.params.iter().map(|(_, values)| values.len()).chain([grid.seeds.len()]);
        match sizes.clone().try_fold(1usize, |all, n| all.checked_mul(n)) {
            Some(runs) if runs <= RUNS_MAX => Ok(grid),
            runs => {
                let runs = runs.map_or("far too many".to_string(), |runs| runs.to_string());
                let product: Vec<String> = sizes.map(|n| n.to_string()).collect();
                let title = format!("{runs} runs ({}), at most {RUNS_MAX} are possible", product.join(" x "));
                Err(wrong(title, "shorten the lists, or make several sweeps"))
            }
        }
    }

    /// All combinations of the parameters' values, the last parameter fastest; each as one value for each parameter.
    pub fn combinations(&self) -> Vec<Vec<&str>> {
        let mut all: Vec<Vec<&str>> = vec![Vec::new()];
        for (_, values) in &self.params {
            let before = std::mem::take(&mut all);
            for one in before {
                all.extend(values.iter().map(|value| [one.as_slice(), &[value.as_str()]].concat()));
            }
        }
        all
    }
}

/// A failure with the code of sweeps.
pub fn wrong(title: impl Into<String>, help: &str) -> Failure {
    Failure::plain("E0915", title, Some(help.to_string()))
}

/// The values of a list: parts between commas that are not inside of brackets; whole numbers `a..b` stand for all from a to b.
fn values(name: &str, list: &str) -> Result<Vec<String>, Failure> {
    let mut values = Vec::new();
    for part in parts(list) {
        let part = part.trim();
        if part.is_empty() {
            let help = format!("write values between commas: -p {name}=a,b,c");
            return Err(wrong(format!("a value of `{name}` is missing in `{list}`"), &help));
        }
        match range(part) {
            None => values.push(part.to_string()),
            Some((first, last)) if first > last => {
                let title = format!("the range {part} of `{name}` is empty");
                return Err(wrong(title, &format!("write the smaller number first: {last}..{first}")));
            }
            Some((first, last)) if last.abs_diff(first) >= RUNS_MAX as u64 => {
                let title = format!("the range {part} of `{name}` alone has more than {RUNS_MAX} values");
                return Err(wrong(title, "shorten it"));
            }
            Some((first, last)) => values.extend((first..=last).map(|n| n.to_string())),
        }
    }
    for (at, value) in values.iter().enumerate() {
        if values[..at].contains(value) {
            return Err(wrong(format!("`{name}` has the value {value} twice"), "leave one of them out"));
        }
    }
    Ok(values)
}

fn parts(list: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quoted) = (Vec::new(), 0, 0i32, false);
    for (at, c) in list.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if depth <= 0 && !quoted => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    parts
}

/// First and last number of `0..9`; none if it is something else.
fn range(part: &str) -> Option<(i64, i64)> {
    let (first, last) = part.split_once("..")?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

fn seeds(values: &[String]) -> Result<Vec<Option<u64>>, Failure> {
    let seed = |value: &String| match value.parse() {
        Ok(seed) => Ok(Some(seed)),
        Err(_) => Err(wrong(
            format!("`{value}` is no seed"),
            "seeds are whole numbers from 0: -p seed=0..9 runs ten (both ends included)",
        )),
    };
    values.iter().map(seed).collect()
}

/// A comparison of `--success`.
#[derive(Clone, PartialEq, Debug)]
pub struct Success {
    /// As written.
    pub text: String,
    /// The metric.
    pub metric: String,
    compare: &'static str,
    limit: f64,
}

impl Success {
    /// Reads `accuracy >= 0.9`; numbers may end in `%`. E0915 if it is something else.
    pub fn new(text: &str) -> Result<Success, Failure> {
        // The longer sign first: `<=` begins with `<`.
        let signs = ["<=", ">=", "<", ">"];
        let found = signs.into_iter().find_map(|sign| text.split_once(sign).map(|parts| (sign, parts)));
        let number = |limit: &str| match limit.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().ok().map(|value| value / 100.0),
            None => limit.trim().parse().ok(),
        };
        match found.map(|(sign, (metric, limit))| (sign, metric.trim(), number(limit))) {
            Some((compare, metric, Some(limit))) if !metric.is_empty() && limit.is_finite() => {
                Ok(Success { text: text.trim().to_string(), metric: metric.to_string(), compare, limit })
            }
            _ => Err(wrong(
                format!("`--success \"{text}\"` is no condition"),
                "write a metric, one of < <= > >=, and a number: --success \"accuracy >= 0.9\"",
            )),
        }
    }

    /// Whether a value of the metric is a success; NaN never is.
    pub fn holds(&self, value: f64) -> bool {
        match self.compare {
            "<=" => value <= self.limit,
            ">=" => value >= self.limit,
            "<" => value < self.limit,
            _ => value > self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(texts: &[&str]) -> Result<Grid, String> {
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        Grid::new(&texts).map_err(|failure| failure.text)
    }

    #[test]
    fn lists_and_ranges() {
        let grid = grid(&["init=normal(0, 0.1),zeros", "seed=3..5,9", "n=2..4"]).expect("a grid");
        assert_eq!(grid.seeds, [Some(3), Some(4), Some(5), Some(9)]);
        assert_eq!(grid.params[0].1, ["normal(0, 0.1)", "zeros"]);
        let all = grid.combinations();
        assert_eq!(all.len(), 6);
        assert_eq!(
            (all[0].as_slice(), all[5].as_slice()),
            (&["normal(0, 0.1)", "2"][..], &["zeros", "4"][..])
        );
    }

    #[test]
    fn without_seeds_jobs_keep_theirs() {
        let grid = grid(&[]).expect("a grid");
        assert_eq!((grid.seeds.len(), grid.combinations().len()), (1, 1));
        assert_eq!(grid.seeds, [None]);
    }

    #[test]
    fn mistakes_have_messages() {
        for (texts, words) in [
            (&["seed=9..0"][..], "is empty"),
            (&["seed=0..10000"], "alone has more than 10000"),
            (&["seed=0..999", "n=1..11"], "11000 runs (11 x 1000), at most 10000"),
            (&["seed=a"], "`a` is no seed"),
            (&["seed=-1..1"], "`-1` is no seed"),
            (&["n=1,,2"], "is missing"),
            (&["n="], "is missing"),
            (&["n=1", "n=2"], "given twice"),
            (&["n=1,1"], "value 1 twice"),
            (&["n"], "has no `=`"),
        ] {
            let text = grid(texts).expect_err(words);
            assert!(text.contains(words) && text.contains("E0915"), "{text}");
        }
        assert_eq!(grid(&["seed=0..999", "n=1..10"]).map(|g| g.seeds.len()), Ok(1000));
    }

    #[test]
    fn conditions_of_success() {
        let holds = |text: &str, value: f64| Success::new(text).map(|s| s.holds(value)).map_err(|f| f.text);
        for (text, value, wanted) in [
            ("accuracy >= 0.9", 0.9, true),
            ("accuracy > 90 %", 0.9, false),
            ("loss<1", 0.5, true),
            ("loss <= 1", 1.5, false),
            ("rate.h > 0", f64::NAN, false),
        ] {
            assert_eq!(holds(text, value), Ok(wanted), "{text}");
        }
        for text in ["accuracy", "accuracy = 1", ">= 1", "loss < x", "loss < inf"] {
            assert!(holds(text, 1.0).is_err(), "{text}");
        }
    }
}
