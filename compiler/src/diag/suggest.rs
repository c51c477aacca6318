//! "Did you mean": the nearest of the names that would have been right. Knows nothing of scopes.

/// Names longer than this are not compared, so that the time is bounded.
const LENGTH_MAX: usize = 200;

/// The candidate nearest to `name`: equal up to case, or at an edit distance of at most a third of the length.
/// Of equally near ones the first in alphabetical order, so that the order of candidates does not matter.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    let limit = name.chars().count() / 3;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let far = candidate.chars().count().abs_diff(name.chars().count()) > limit;
        if candidate == name || far {
            continue;
        }
        let other = candidate.to_lowercase();
        let distance = if other == lower { 0 } else { distance(&lower, &other).max(1) };
        if distance <= limit && best.is_none_or(|b| (distance, candidate) < b) {
            best = Some((distance, candidate));
        }
    }
    best.map(|b| b.1)
}

/// Edit distance; two letters in the wrong order count as one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitute = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = substitute.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, candidates: &[&str], want: Option<&str>) {
        assert_eq!(closest(name, candidates.iter().copied()), want);
        assert_eq!(closest(name, candidates.iter().rev().copied()), want);
    }

    #[test]
    fn near_names_are_found() {
        check("neuorn", &["neuron", "model"], Some("neuron"));
        check("thetta", &["theta", "beta"], Some("theta"));
        check("tua", &["tau", "theta"], Some("tau"));
    }

    #[test]
    fn case_comes_first() {
        check("lif", &["Lif", "lid"], Some("Lif"));
        check("TAU", &["tau", "TAV"], Some("tau"));
        check("V", &["v", "w"], Some("v"));
    }

    #[test]
    fn far_names_are_not_offered() {
        check("v", &["w", "theta"], None);
        check("alpha", &["beta"], None);
        check("x", &[], None);
        check("", &["a"], None);
        check("same", &["same"], None);
    }

    #[test]
    fn ties_are_alphabetical() {
        check("bet", &["bat", "bit", "but"], Some("bat"));
    }
}
