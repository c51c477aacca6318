//! What a command found, as text and as JSON. One object on standard output with `--json`; otherwise lines for people.

use serde_json::{Map, Value, json};
use snn_runtime::train::trainer::Epoch;

/// Seconds of a job by what they went to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// From the checked program to machine code.
    pub compile: f64,
    /// Reading data.
    pub data: f64,
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
    /// Update.
    pub update: f64,
    /// All of the job.
    pub total: f64,
}

/// The result of a job.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// `train`, `evaluate`, `simulate`, `test`, `inspect`, `butterfly`, `jacobian`
    pub job: &'static str,
    /// Name of the model or test.
    pub model: String,
    /// Run seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Numbers by name.
    pub metrics: Vec<(String, f64)>,
    /// What each epoch brought, of a training.
    pub epochs: Vec<Epoch>,
    /// Lines for people that are no metrics (a confusion matrix).
    pub text: String,
    /// What to change, in sentences.
    pub advice: Vec<String>,
    /// Times.
    pub seconds: Seconds,
    /// A message if the job failed but others go on (a test).
    pub failed: Option<String>,
}

/// The object of `--json`.
pub fn object(file: &str, jobs: &[JobReport], errors: &[Value]) -> Value {
    let jobs: Vec<Value> = jobs.iter().map(job).collect();
    let mut object = json!({"snnc": env!("CARGO_PKG_VERSION"), "file": file, "jobs": jobs});
    if !errors.is_empty() {
        object["error"] = json!(errors);
    }
    object
}

fn job(j: &JobReport) -> Value {
    let metrics: Map<String, Value> = j.metrics.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    let s = &j.seconds;
    let mut value = json!({
        "job": j.job, "model": j.model, "seed": j.seed, "threads": j.threads, "metrics": metrics,
        "seconds": {
            "compile": s.compile, "data": s.data, "forward": s.forward, "backward": s.backward,
            "update": s.update, "total": s.total,
        },
    });
    if !j.epochs.is_empty() {
        value["epochs"] = j.epochs.iter().map(epoch).collect();
    }
    if !j.advice.is_empty() {
        value["advice"] = json!(j.advice);
    }
    if let Some(failed) = &j.failed {
        value["failed"] = json!(failed);
    }
    value
}

fn epoch(e: &Epoch) -> Value {
    json!({
        "epoch": e.number, "loss": e.loss, "accuracy": e.accuracy, "test_loss": e.test_loss,
        "test_accuracy": e.test_accuracy,
    })
}

/// Lines for people.
pub fn text(j: &JobReport) -> String {
    let mut line = format!("{} {}:", j.job, j.model);
    for (name, value) in &j.metrics {
        line.push_str(&format!("  {name} {}", number(name, *value)));
    }
    line.push_str(&format!("  ({:.2} s)\n", j.seconds.total));
    line.push_str(&j.text);
    line
}

fn number(name: &str, value: f64) -> String {
    match name.contains("accuracy") {
        true => format!("{:.2} %", 100.0 * value),
        false if value == value.trunc() && value.abs() < 1e9 => format!("{value}"),
        false => format!("{value:.4}"),
    }
}

/// Lines of cells, columns as wide as their widest cell.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

/// Writes to standard output; a closed pipe is not an error.
pub fn out(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
