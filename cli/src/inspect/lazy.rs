//! What a training changed (`--after`): how far weights moved, and how much is left of the first representations and of the first tangent kernel.
//! A network is lazy where both are as they were, and rich where they are not (Chizat, Oyallon & Bach 2019; Liu et al. 2024).

use super::kernel::{Probe, Rows, Sent, Tangent, alignment, gram};
use super::matrix;
use crate::job::{Ready, Runner, facts};
use crate::load::Failure;
use crate::numbers::{norm, wide};
use crate::report::{self, JobReport};
use snn_compiler::hir::Job;
use snn_runtime::engine::{Engine, Weights};

/// What became of a trained parameter.
struct Moved {
    name: String,
    /// `|W_T - W_0|`, Euclidean norm over all its numbers.
    by: f64,
    /// That of `|W_0|`; none if the parameter started at 0.
    share: Option<f64>,
    before: matrix::Weights,
    after: matrix::Weights,
    /// Alignment of its tangent kernels; none if the outputs do not depend on it before or after.
    kernel: Option<f64>,
}

/// What became of what a population sends.
struct Represented {
    name: String,
    /// Alignment of the kernels `H H'`, `H` the mean over the steps by samples and neurons; none if it is silent before or after.
    kernel: Option<f64>,
    /// Share of samples and neurons of which the mean has the sign that it had; 0 is a sign of its own.
    signs: f64,
    /// Share of neurons that send 0 throughout, before and after.
    dead: [f64; 2],
}

/// All of it.
pub struct Changes {
    params: Vec<Moved>,
    populations: Vec<Represented>,
    /// Of all trained parameters together.
    kernel: Option<f64>,
    /// Samples and outputs of the tangent kernel, if the model has outputs.
    rows: Option<[usize; 2]>,
    training: JobReport,
}

/// Trains, and compares on the probe what there is afterwards with what `first` weights give; `ready` is any program of the model.
pub fn compare(
    runner: &mut Runner,
    job: &Job,
    (ready, first): (&Ready, &Weights),
    probe: &Probe,
) -> Result<Changes, Failure> {
    let known = facts(probe.data);
    let mut sent = Sent::new(runner, job, probe.samples.len(), known)?;
    let mut tangent = Tangent::new(runner, job, probe.samples.len(), known)?;
    let mut measured = |runner: &Runner, param: &[f32]| -> Result<_, Failure> {
        let rows = sent.of(runner, job, param, probe)?;
        let gradients = tangent.as_mut().map(|t| t.of(runner, job, param, probe)).transpose()?;
        Ok((rows, gradients.unwrap_or_default().iter().map(gram).collect::<Vec<_>>()))
    };
    let (sent_before, kernels_before) = measured(runner, &first.param)?;
    let training = runner.job(job)?;
    let mut trained = Weights::zeroed(ready.engine.program())?;
    runner.initialize(job, ready, &mut trained, Some(probe.data))?;
    let (sent_after, kernels_after) = measured(runner, &trained.param)?;
    let model = runner.model(job);
    let aligned = |at: usize| alignment(kernels_before.get(at)?, kernels_after.get(at)?);
    let is_trained = |at: &usize| model.params[*at].trained;
    let moved = |at: usize| moved(model, at, &ready.engine, [first, &trained], aligned(at));
    let total = |kernels: &[Vec<f64>]| {
        let mut sum = vec![0.0; kernels.first().map_or(0, Vec::len)];
        for kernel in kernels {
            sum.iter_mut().zip(kernel).for_each(|(sum, k)| *sum += k);
        }
        sum
    };
    let populations = model.populations.iter().zip(sent_before.iter().zip(&sent_after));
    Ok(Changes {
        params: (0..model.params.len()).filter(is_trained).map(moved).collect(),
        populations: populations.map(|(pop, (a, b))| represented(&pop.name, a, b)).collect(),
        kernel: alignment(&total(&kernels_before), &total(&kernels_after)),
        rows: tangent.map(|t| [t.samples, t.outputs]),
        training,
    })
}

fn moved(
    model: &snn_compiler::hir::Model,
    at: usize,
    engine: &Engine,
    weights: [&Weights; 2],
    kernel: Option<f64>,
) -> Moved {
    let param = &model.params[at];
    let [before, after] = weights.map(|w| w.param(engine.program(), at));
    let by = norm(wide(before).zip(wide(after)).map(|(a, b)| b - a));
    let length = norm(wide(before));
    let rows = super::matrix_rows(param);
    Moved {
        name: param.name.clone(),
        by,
        share: (length > 0.0).then(|| by / length),
        before: matrix::measure(before, rows),
        after: matrix::measure(after, rows),
        kernel,
    }
}

fn represented(name: &str, before: &Rows, after: &Rows) -> Represented {
    let sign = |v: f32| if v == 0.0 { 0.0 } else { v.signum() };
    let pairs = || before.iter().flatten().zip(after.iter().flatten());
    let kept = pairs().filter(|(a, b)| sign(**a) == sign(**b)).count();
    let dead = |rows: &Rows| {
        let neurons = rows.first().map_or(0, Vec::len);
        let dead = (0..neurons).filter(|k| rows.iter().all(|row| row[*k] == 0.0)).count();
        dead as f64 / neurons.max(1) as f64
    };
    Represented {
        name: name.to_string(),
        kernel: alignment(&gram(before), &gram(after)),
        signs: kept as f64 / pairs().count().max(1) as f64,
        dead: [dead(before), dead(after)],
    }
}

impl Changes {
    /// Adds the numbers, the epochs and the tables to the report of what was before.
    pub fn add_to(self, report: &mut JobReport) {
        let mut list: Vec<(String, Option<f64>)> = Vec::new();
        let of_training = self.training.metrics.iter();
        list.extend(of_training.map(|(name, value)| (format!("trained.{name}"), Some(*value))));
        for p in &self.params {
            let mut add = |what: &str, value| list.push((format!("{}.{what}", p.name), value));
            add("moved", Some(p.by));
            add("moved_share", p.share);
            add("norm_after", p.after.spectrum.map(|s| s.norm));
            add("stable_rank_after", p.after.spectrum.map(|s| s.stable_rank));
            add("kernel_alignment", p.kernel);
        }
        list.push(("kernel_alignment".to_string(), self.kernel));
        for p in &self.populations {
            let mut add = |what: &str, value| list.push((format!("{}.{what}", p.name), value));
            add("representation_alignment", p.kernel);
            add("sign_similarity", Some(p.signs));
            add("dead", Some(p.dead[0]));
            add("dead_after", Some(p.dead[1]));
        }
        report.metrics.extend(list.into_iter().filter_map(|(name, value)| Some((name, value?))));
        report.text.push_str(&self.text());
        report.epochs = self.training.epochs;
    }

    fn text(&self) -> String {
        let metric =
            |name: &str| self.training.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let mut out = format!(
            "\nafter {} epochs, training loss {}, on the same batch\n\n",
            metric("epochs").unwrap_or(0.0),
            number(metric("loss"))
        );
        let head = ["parameter", "moved by", "of its norm", "stable rank", "after", "kernel alignment"];
        let mut table = vec![head.map(String::from).to_vec()];
        table.extend(self.params.iter().map(Moved::cells));
        let all = ["all", "", "", "", ""].map(String::from);
        table.push([&all[..], &[number(self.kernel)]].concat());
        out.push_str(&report::aligned(&table));
        if let Some([samples, outputs]) = self.rows {
            let outputs = if outputs == 1 { "the output".to_string() } else { format!("{outputs} outputs") };
            out.push_str(&format!(
                "kernel: J J', J the gradients (spikes by their surrogates) of {outputs}, mean over the steps, for {samples} samples\n"
            ));
        }
        let head = ["population", "representation alignment", "sign similarity", "dead", "after"];
        let mut table = vec![head.map(String::from).to_vec()];
        table.extend(self.populations.iter().map(Represented::cells));
        out.push('\n');
        out.push_str(&report::aligned(&table));
        out.push_str(
            "representation: H H', H what a population sends, mean over the steps; dead: sends 0 throughout\n\
             alignment: <K, K0> / (|K| |K0|), not centred; 1: as before the training (lazy), less: changed (rich)\n",
        );
        out
    }
}

impl Moved {
    fn cells(&self) -> Vec<String> {
        let rank =
            |w: &matrix::Weights| w.spectrum.map_or("-".to_string(), |s| format!("{:.2}", s.stable_rank));
        let [before, after] = [&self.before, &self.after].map(rank);
        vec![self.name.clone(), number(Some(self.by)), number(self.share), before, after, number(self.kernel)]
    }
}

impl Represented {
    fn cells(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let [before, after] = self.dead.map(percent);
        vec![self.name.clone(), number(self.kernel), percent(self.signs), before, after]
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_string(), |value| format!("{value:.4}"))
}
