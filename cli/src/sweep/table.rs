//! What a sweep prints: a table for people, a file with one row for each run, a JSON object. No statistics of its own.

use super::gamma::{Positive, positive};
use super::grid::Grid;
use super::stats::{Difference, Summary, newcombe, summary, wilson};
use super::{Results, Trial};
use crate::report;
use serde_json::{Map, Value, json};

/// A metric by its name; a plain name is that of the last job that has it: `accuracy` may be `evaluate.accuracy`.
pub fn find(metrics: &[(String, f64)], name: &str) -> Option<(String, f64)> {
    let exact = metrics.iter().find(|(n, _)| n == name);
    let last =
        || metrics.iter().rev().find(|(n, _)| n.strip_suffix(name).is_some_and(|job| job.ends_with('.')));
    exact.or_else(last).cloned()
}

/// Metrics that are parts of a larger one: in the file, not in the table.
pub fn is_detail(name: &str) -> bool {
    name.contains("confusion.")
}

/// Whether a metric has a column: one for each layer would make the table wider than any screen.
fn has_column(name: &str) -> bool {
    !is_detail(name) && !["rate.", "rate_hz."].iter().any(|of| name.contains(of))
}

/// The value of a metric in a run. Cells of confusion that a run does not name are 0.
fn value(metrics: &[(String, f64)], name: &str) -> Option<f64> {
    let known = metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
    known.or(is_detail(name).then_some(0.0))
}

/// `init=zeros n=2 seed=3`
pub fn values(grid: &Grid, trial: &Trial) -> String {
    let mut text = combination(grid, trial.row);
    if let Some(seed) = trial.seed {
        text.push_str(&format!("{}seed={seed}", if text.is_empty() { "" } else { " " }));
    }
    text
}

fn combination(grid: &Grid, row: usize) -> String {
    let combinations = grid.combinations();
    let parts =
        grid.params.iter().zip(&combinations[row]).map(|((name, _), value)| format!("{name}={value}"));
    parts.collect::<Vec<_>>().join(" ")
}

/// Names of all metrics, in the order in which the runs gave them.
fn names(results: &Results) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in results.trials.iter().flat_map(|trial| trial.result.iter().flatten()) {
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    names
}

/// What is said of one combination.
struct Row<'r> {
    trials: Vec<&'r Trial>,
    metrics: Vec<(&'r str, Summary)>,
    /// Successes among all runs; a run that failed is none.
    successes: Option<usize>,
    /// The epochs in which its runs were solved.
    solved: Option<Positive>,
}

impl Row<'_> {
    /// Codes of failures with their numbers, in order of their first run.
    fn failures(&self) -> Vec<(&str, usize)> {
        let mut list: Vec<(&str, usize)> = Vec::new();
        for ended in self.trials.iter().filter_map(|trial| trial.result.as_ref().err()) {
            match list.iter_mut().find(|(known, _)| *known == ended.code) {
                Some((_, n)) => *n += 1,
                None => list.push((&ended.code, 1)),
            }
        }
        list
    }
}

fn row<'r>(results: &'r Results, names: &[&'r str], row: usize) -> Row<'r> {
    let trials: Vec<&Trial> = results.trials.iter().filter(|trial| trial.row == row).collect();
    let of_name = |name: &str| -> Vec<f64> {
        let found = trials.iter().filter_map(|trial| trial.result.as_ref().ok());
        found.filter_map(|list| value(list, name)).collect()
    };
    let metrics = names.iter().map(|name| (*name, summary(&of_name(name)))).collect();
    let successes = results.success.as_ref().map(|success| {
        let value = |trial: &&Trial| trial.result.as_ref().ok().and_then(|m| find(m, &success.metric));
        trials.iter().filter_map(value).filter(|(_, value)| success.holds(*value)).count()
    });
    let solved: Vec<f64> = trials.iter().filter_map(|trial| trial.solved_at).map(|k| k as f64).collect();
    Row { trials, metrics, successes, solved: positive(&solved) }
}

/// By how much the share of successes of a combination is above that of the first one; none for that one itself.
fn above_first(results: &Results, at: usize, row: &Row) -> Option<Difference> {
    let first = self::row(results, &[], 0);
    let of = |row: &Row| row.successes.map(|successes| (successes, row.trials.len()));
    newcombe(of(row)?, of(&first)?).filter(|_| at > 0)
}

/// Whether there are successes of several combinations to compare.
fn has_differences(results: &Results) -> bool {
    results.success.is_some() && results.grid.combinations().len() > 1
}

/// The table: for each combination a line with the runs and the success rate, and under it the metrics.
///
/// A metric that is the same in all runs of the sweep says nothing about its parameters and is left out.
pub fn text(results: &Results) -> String {
    let all = names(results);
    let varies = |name: &&&str| {
        let values = results.trials.iter().filter_map(|trial| trial.result.as_ref().ok());
        let mut values = values.filter_map(|m| m.iter().find(|(n, _)| n == **name)).map(|(_, v)| *v);
        let first = values.next();
        values.any(|v| Some(v) != first)
    };
    let shown: Vec<&str> = all.iter().filter(|n| has_column(n)).filter(varies).copied().collect();
    let shown = if shown.is_empty() { all.into_iter().filter(|n| has_column(n)).collect() } else { shown };
    let rows = results.grid.combinations().len();
    let mut lines = vec![header(results, &shown)];
    for at in 0..rows {
        let row = row(results, &shown, at);
        if !row.trials.is_empty() {
            lines.push(cells(results, at, &row));
        }
    }
    let mut text = report::aligned(&lines);
    text.push_str("mean ± standard deviation [95 % confidence interval of the mean, Student's t]");
    if let Some(success) = &results.success {
        text.push_str(&format!("; success: {} [95 % interval, Wilson]", success.text));
        if has_differences(results) {
            text.push_str("; above first: its share less that of the first line [95 % interval, Newcombe]");
        }
        if is_course_known(results) {
            text.push_str(
                "; solved: the first epoch at whose end it holds, of successes [95 % interval, Gamma]",
            );
        }
    }
    text.push('\n');
    text
}

fn header(results: &Results, names: &[&str]) -> Vec<String> {
    let mut line: Vec<String> = results.grid.params.iter().map(|(name, _)| name.clone()).collect();
    line.push("runs".to_string());
    line.extend(results.success.as_ref().map(|_| "success".to_string()));
    line.extend(has_differences(results).then(|| "above first".to_string()));
    line.extend(is_course_known(results).then(|| "solved at epoch".to_string()));
    line.extend(names.iter().map(|name| name.to_string()));
    line
}

fn cells(results: &Results, at: usize, row: &Row) -> Vec<String> {
    let combinations = results.grid.combinations();
    let mut line: Vec<String> = combinations[at].iter().map(|value| value.to_string()).collect();
    let failed: Vec<String> =
        row.failures().into_iter().map(|(code, n)| format!("{n} failed with {code}")).collect();
    let n = row.trials.len();
    line.push(if failed.is_empty() { n.to_string() } else { format!("{n}, {}", failed.join(", ")) });
    if let Some(successes) = row.successes {
        let (low, high) = wilson(successes, n);
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let rate = percent(successes as f64 / n as f64);
        line.push(format!("{rate} % [{}, {}]", percent(low), percent(high)));
        let difference = above_first(results, at, row).map_or("-".to_string(), |d| {
            let signed = |share: f64| format!("{:+.1}", 100.0 * share);
            format!("{} % [{}, {}]", signed(d.value), signed(d.interval.0), signed(d.interval.1))
        });
        line.extend(has_differences(results).then_some(difference));
    }
    line.extend(is_course_known(results).then(|| solved_cell(row.solved.as_ref())));
    line.extend(row.metrics.iter().map(|(_, summary)| cell(summary)));
    line
}

/// Whether there is a run of which it is known when it was solved.
fn is_course_known(results: &Results) -> bool {
    results.trials.iter().any(|trial| trial.solved_at.is_some())
}

fn solved_cell(solved: Option<&Positive>) -> String {
    let Some(s) = solved else { return "-".to_string() };
    let interval =
        s.interval.map_or(String::new(), |(low, high)| format!(" [{}, {}]", number(low), number(high)));
    format!("median {}, mean {}{interval}", number(s.median), number(s.mean))
}

fn cell(s: &Summary) -> String {
    match (s.n, s.sd, s.interval) {
        (0, ..) => "-".to_string(),
        (_, Some(sd), Some((low, high))) => {
            format!("{} ± {} [{}, {}]", number(s.mean), number(sd), number(low), number(high))
        }
        _ => number(s.mean),
    }
}

/// Four significant digits.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    match rounded == 0.0 || (1e-4..1e7).contains(&rounded.abs()) {
        true => format!("{rounded}"),
        false => format!("{rounded:e}"),
    }
}

/// One row for each run: its values, seed, end (`ok` or the code of the error), seconds, with a condition of success the epoch in which it
/// was solved, and all metrics.
pub fn csv(results: &Results) -> String {
    let names = names(results);
    let combinations = results.grid.combinations();
    let mut head: Vec<String> = results.grid.params.iter().map(|(name, _)| name.clone()).collect();
    head.extend(["seed", "end", "seconds"].map(String::from));
    head.extend(results.success.as_ref().map(|_| "solved_at".to_string()));
    head.extend(names.iter().map(|name| name.to_string()));
    let mut lines = vec![head];
    for trial in &results.trials {
        let mut line: Vec<String> = combinations[trial.row].iter().map(|value| value.to_string()).collect();
        line.push(trial.seed.map_or(String::new(), |seed| seed.to_string()));
        line.push(trial.result.as_ref().map_or_else(|e| e.code.clone(), |_| "ok".to_string()));
        line.push(format!("{:.3}", trial.seconds));
        let solved_at = trial.solved_at.map_or(String::new(), |epoch| epoch.to_string());
        line.extend(results.success.as_ref().map(|_| solved_at));
        for name in &names {
            let found = trial.result.as_ref().ok().and_then(|metrics| value(metrics, name));
            line.push(found.map_or(String::new(), |value| value.to_string()));
        }
        lines.push(line);
    }
    let quoted = |cell: &String| match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |cells: &Vec<String>| format!("{}\n", cells.iter().map(quoted).collect::<Vec<_>>().join(","));
    lines.iter().map(line).collect()
}

/// The object of `--json`.
pub fn object(file: &str, results: Option<&Results>, errors: &[Value]) -> Value {
    let mut object = json!({"snnc": env!("CARGO_PKG_VERSION"), "file": file});
    if let Some(results) = results {
        let names = names(results);
        let rows: Vec<Value> = (0..results.grid.combinations().len())
            .map(|at| (at, row(results, &names, at)))
            .filter(|(_, row)| !row.trials.is_empty())
            .map(|(at, row)| row_object(results, at, &row))
            .collect();
        let runs: Vec<Value> = results.trials.iter().map(|trial| run_object(results, trial)).collect();
        object["rows"] = json!(rows);
        object["runs"] = json!(runs);
    }
    if !errors.is_empty() {
        object["error"] = json!(errors);
    }
    object
}

fn params_object(grid: &Grid, row: usize) -> Value {
    let combinations = grid.combinations();
    let pairs = grid.params.iter().zip(&combinations[row]);
    Value::Object(pairs.map(|((name, _), value)| (name.clone(), json!(value))).collect::<Map<_, _>>())
}

fn row_object(results: &Results, at: usize, row: &Row) -> Value {
    let mut metrics = Map::new();
    for (name, s) in &row.metrics {
        let (low, high) = s.interval.unzip();
        let value = json!({"n": s.n, "mean": s.mean, "sd": s.sd, "low": low, "high": high});
        metrics.insert(name.to_string(), value);
    }
    let failed: Map<String, Value> =
        row.failures().into_iter().map(|(code, n)| (code.to_string(), json!(n))).collect();
    let n = row.trials.len();
    let mut object = json!({
        "params": params_object(&results.grid, at), "runs": n, "failed": failed, "metrics": metrics,
    });
    if let Some(successes) = row.successes {
        let (low, high) = wilson(successes, n);
        let rate = successes as f64 / n as f64;
        object["success"] = json!({"count": successes, "rate": rate, "low": low, "high": high});
    }
    if let Some(d) = above_first(results, at, row) {
        let (low, high) = d.interval;
        object["above_first"] = json!({"difference": d.value, "low": low, "high": high});
    }
    if let Some(s) = &row.solved {
        let (low, high) = s.interval.unzip();
        object["solved_at"] = json!({"n": s.n, "median": s.median, "mean": s.mean, "low": low, "high": high});
    }
    object
}

fn run_object(results: &Results, trial: &Trial) -> Value {
    let mut object = json!({
        "params": params_object(&results.grid, trial.row), "seed": trial.seed, "seconds": trial.seconds,
    });
    if let Some(epoch) = trial.solved_at {
        object["solved_at"] = json!(epoch);
    }
    match &trial.result {
        Ok(metrics) => {
            let map: Map<String, Value> = metrics.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
            object["metrics"] = Value::Object(map);
        }
        Err(ended) => {
            object["error"] = json!(ended.code);
            object["message"] = json!(ended.message);
        }
    }
    object
}
