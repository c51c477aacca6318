//! Jobs: what they share. Data sets are read once; weights stay with their model from job to job.

mod activity;
pub mod augment;
mod evaluate;
pub mod locate;
pub mod memory;
mod progress;
pub mod simulate;
pub mod tensors;
mod train;

use crate::args::Common;
use crate::load::{Failure, Loaded, at};
use crate::report::JobReport;
use snn_compiler::diag::Code;
use snn_compiler::hir::constant::ConstEnv;
use snn_compiler::hir::{self, Job, JobKind, Model, Param, ParamId, Part};
use snn_compiler::lower::{Refusal, Tensors};
use snn_compiler::net::Slot;
use snn_compiler::pipeline::{self, DataFacts, Options, Purpose, Staged};
use snn_runtime::data::source::{self, ArgValue, Split};
use snn_runtime::data::{Dataset, Target};
use snn_runtime::engine::{Engine, Weights};
use snn_runtime::pool::Pool;
use snn_runtime::program::Program;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Set by Ctrl-C.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// E0903 if a part of a data set that is to be run has no samples.
pub fn not_empty(data: Option<&Dataset>) -> Result<(), Failure> {
    let Some(data) = data.filter(|data| data.samples == 0) else { return Ok(()) };
    let help = "another `split` gives this part a share; `.train` and `.test` say which part is meant";
    Err(Failure::plain("E0903", format!("this part of `{}` has no samples", data.name), Some(help.into())))
}

/// What the compiler may know of a data set.
pub fn facts(data: &Dataset) -> DataFacts {
    DataFacts { target_width: data.target_width(), spikes: data.spikes }
}

/// The state of a run of a file.
pub struct Runner<'a> {
    /// The program.
    pub loaded: &'a Loaded,
    /// Options.
    pub common: &'a Common,
    /// Threads.
    pub pool: Arc<Pool>,
    /// By data set and whether its first axis is time.
    data: BTreeMap<(usize, bool), Arc<Split>>,
    weights: BTreeMap<usize, Vec<f32>>,
}

/// A compiled net with its memory.
pub struct Ready {
    /// The stages.
    pub staged: Staged,
    /// The program with its memory.
    pub engine: Engine,
    /// Seconds of compilation.
    pub seconds: f64,
}

impl<'a> Runner<'a> {
    /// A runner for a program.
    pub fn new(loaded: &'a Loaded, common: &'a Common) -> Result<Runner<'a>, Failure> {
        let pool = Arc::new(Pool::new(common.shared.threads)?);
        Ok(Runner { loaded, common, pool, data: BTreeMap::new(), weights: BTreeMap::new() })
    }

    /// Runs a job.
    pub fn job(&mut self, job: &Job) -> Result<JobReport, Failure> {
        match job.kind {
            JobKind::Train => train::train(self, job),
            JobKind::Evaluate => evaluate::evaluate(self, job),
            JobKind::Simulate => simulate::simulate(self, job),
        }
    }

    /// The model of a job.
    pub fn model(&self, job: &Job) -> &'a Model {
        &self.loaded.checked.program.models[job.model.idx()]
    }

    /// Options of compilation.
    pub fn options(&self) -> Options {
        Options { strict: self.common.shared.strict, vector: true }
    }

    /// Compiles a net of a job; no memory is reserved yet.
    pub fn program(
        &self,
        job: &Job,
        purpose: Purpose,
        batch: usize,
        data: DataFacts,
    ) -> Result<(Staged, Program), Failure> {
        let staged = pipeline::net(self.model(job), job, purpose, batch, data, self.options().strict)
            .map_err(|name| Failure::plain("E0806", format!("surrogate `{name}` has no primitive"), None))?;
        let trains = matches!(purpose, Purpose::Train | Purpose::Gradient { .. });
        let staged = match trains {
            true => Staged { net: self.bounded(job, staged.net, batch, data)?, ..staged },
            false => staged,
        };
        let program = pipeline::compile(&staged.net, &self.options());
        Ok((staged, program))
    }

    /// Compiles a net of a job.
    pub fn compile(
        &self,
        job: &Job,
        purpose: Purpose,
        batch: usize,
        data: DataFacts,
    ) -> Result<Ready, Failure> {
        let start = std::time::Instant::now();
        let (staged, program) = self.program(job, purpose, batch, data)?;
        let seconds = start.elapsed().as_secs_f64();
        let engine = Engine::new(Arc::new(program), self.pool.clone())?;
        Ok(Ready { staged, engine, seconds })
    }

    /// Compiles the evaluation of a training, which takes turns with it in its memory. Under `--memory` it goes through the same segments.
    pub fn compile_beside(
        &self,
        job: &Job,
        batch: usize,
        data: DataFacts,
        training: &mut Ready,
    ) -> Result<Engine, Failure> {
        let net = self.evaluation(job, batch, data, &training.staged.net)?;
        let program = pipeline::compile(&net, &self.options());
        Ok(Engine::beside(Arc::new(program), &mut training.engine)?)
    }

    /// The data of a job, checked against its model.
    pub fn split(&mut self, job: &Job) -> Result<Option<(Arc<Split>, Part)>, Failure> {
        let Some((idx, part)) = job.data else { return Ok(None) };
        let stream = self.model(job).inputs.first().is_some_and(|i| i.stream);
        if !self.data.contains_key(&(idx, stream)) {
            let split = self.load_data(&self.loaded.checked.program.data[idx], stream)?;
            self.data.insert((idx, stream), Arc::new(split));
        }
        let split = self.data[&(idx, stream)].clone();
        self.fits(job, &split.train)?;
        Ok(Some((split, part)))
    }

    fn load_data(&self, data: &hir::Data, stream: bool) -> Result<Split, Failure> {
        let mut args: Vec<(String, ArgValue)> = Vec::new();
        for (name, value) in &data.args {
            args.push((
                name.clone(),
                match value {
                    hir::DataArg::Num(n) => ArgValue::Num(*n),
                    hir::DataArg::Str(s) => ArgValue::Str(s.clone()),
                },
            ));
        }
        let here = std::env::current_dir().unwrap_or_default();
        for text in &self.common.shared.data {
            let Some((name, path)) = text.split_once('=') else {
                let help = Some("write --data name=path".to_string());
                return Err(Failure::plain("E0910", format!("`--data {text}` has no `=`"), help));
            };
            let name = match name.split_once('.') {
                Some((set, _)) if set != data.name => continue,
                Some((_, name)) => name,
                None => name,
            };
            let arg = args.iter_mut().find(|(n, _)| n == name);
            let value = match (path.parse(), &arg) {
                (Ok(number), None | Some((_, ArgValue::Num(_)))) => ArgValue::Num(number),
                // Paths of the command line are relative to where it was typed.
                _ => ArgValue::Str(here.join(path).display().to_string()),
            };
            match arg {
                Some(arg) => arg.1 = value,
                None => args.push((name.to_string(), value)),
            }
        }
        let mut split = source::load(&data.source, &args, &self.loaded.base, stream)?;
        // A program that is made for one part runs on the other too.
        let spikes = split.train.spikes && split.test.spikes;
        (split.train.spikes, split.test.spikes) = (spikes, spikes);
        Ok(split)
    }

    /// Whether inputs and outputs of the model have the sizes of the data.
    fn fits(&self, job: &Job, data: &Dataset) -> Result<(), Failure> {
        let model = self.model(job);
        let sources = &self.loaded.sources;
        let Some(input) = model.inputs.first() else { return Ok(()) };
        let width: usize = input.shape.iter().product();
        if width != data.width() {
            let title =
                format!("the data have {} values a sample, input `{}` has {width}", data.width(), input.name);
            let help = format!("write `input {}: {:?}`", input.name, data.shape);
            return Err(at(sources, Code::E0504, input.span, title, &help));
        }
        if input.stream != data.steps.is_some() || data.steps.is_some_and(|s| s != job.steps) {
            let have = data.steps.map_or("one value for all steps".to_string(), |s| format!("{s} steps"));
            let title = format!("the data have {have}, input `{}` of this job has another form", input.name);
            let help = match data.steps {
                Some(steps) => format!("write `stream` after the input, and `steps {steps}` in the job"),
                None => "leave out `stream`".to_string(),
            };
            return Err(at(sources, Code::E0504, input.span, title, &help));
        }
        let (Target::Classes { n, .. }, Some(output)) = (&data.target, model.outputs.first()) else {
            return Ok(());
        };
        let width: usize = output.value.shape.iter().product();
        if width != *n && job.kind != JobKind::Simulate {
            let title = format!("the data have {n} classes, output `{}` has {width} values", output.name);
            return Err(at(
                sources,
                Code::E0506,
                model.span,
                title,
                &format!("give the output population {n} neurons"),
            ));
        }
        Ok(())
    }

    /// Puts first values into the weights: those kept from an earlier job, or the initializers.
    pub fn initialize(
        &mut self,
        job: &Job,
        ready: &Ready,
        weights: &mut Weights,
        data: Option<&Dataset>,
    ) -> Result<bool, Failure> {
        self.start_optimizer(job, ready, weights)?;
        if let Some(kept) = self.weights.get(&job.model.idx()) {
            weights.param.copy_from_slice(kept);
            return Ok(true);
        }
        let env = ConstEnv { dt: job.dt, steps: job.steps };
        let model = self.model(job);
        let tensors = tensors::of(self.loaded, &model.params)?;
        for id in hir::first::order(model) {
            let param = &model.params[id.idx()];
            let values = if param.init.needs.batch {
                let mut activity = activity::FirstBatch::new(self, job, weights, data);
                pipeline::first_values(model, param, env, job.seed, Some(&mut activity), &tensors)
            } else {
                pipeline::first_values(model, param, env, job.seed, None, &tensors)
            };
            let values = self.given(param, values, &tensors)?;
            weights.param_mut(ready.engine.program(), id.idx()).copy_from_slice(&values);
        }
        Ok(false)
    }

    /// Puts first values into the states of the optimizer: they begin anew with every training.
    fn start_optimizer(&self, job: &Job, ready: &Ready, weights: &mut Weights) -> Result<(), Failure> {
        let (slots, program) = (&ready.staged.net.slots, ready.engine.program());
        let optimizer = job.train.as_ref().map(|train| &train.optimizer);
        let start = |slot: &Slot| optimizer?.start(ParamId(slot.param as u32), &slot.name);
        let tensors = tensors::of(self.loaded, slots.iter().filter_map(start))?;
        let env = ConstEnv { dt: job.dt, steps: job.steps };
        for (at, slot) in slots.iter().enumerate() {
            let nth = slots[..at].iter().filter(|before| before.param == slot.param).count();
            let buffer = &program.plan.buffers[program.params[slot.param].slots[nth].1];
            let into = &mut weights.slot[buffer.offset..buffer.offset + buffer.width()];
            let Some(param) = start(slot) else {
                into.fill(slot.init as f32);
                continue;
            };
            let values = pipeline::first_values(self.model(job), param, env, job.seed, None, &tensors);
            into.copy_from_slice(&self.given(param, values, &tensors)?);
        }
        Ok(())
    }

    /// First values if there are any, all finite.
    fn given(
        &self,
        param: &Param,
        values: Result<Vec<f32>, Refusal>,
        tensors: &Tensors,
    ) -> Result<Vec<f32>, Failure> {
        let values = values.map_err(|refusal| tensors::refused(self.loaded, param, &refusal))?;
        if let Some(stored) = tensors::missing(tensors, param).filter(|_| !self.common.shared.quiet) {
            tensors::warn(&self.loaded.sources, param, stored);
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(locate::not_finite(&self.loaded.sources, param)),
        }
    }

    /// Keeps the weights of a model for the jobs that follow.
    pub fn keep(&mut self, job: &Job, weights: &Weights) {
        self.weights.insert(job.model.idx(), weights.param.to_vec());
    }

    /// Whether the model was trained before.
    pub fn is_trained(&self, job: &Job) -> bool {
        self.weights.contains_key(&job.model.idx())
    }

    /// Where the checkpoint of a training is, or for another job that of the training it would follow: `MODEL.safetensors`,
    /// for a second training of the model `MODEL.2.safetensors`.
    pub fn checkpoint(&self, job: &Job) -> Option<std::path::PathBuf> {
        let dir = self.common.out.as_ref()?;
        let jobs = &self.loaded.checked.program.jobs;
        let trains = |j: &&Job| j.kind == JobKind::Train && j.model == job.model;
        let until = jobs.iter().position(|j| j.span == job.span).map_or(jobs.len(), |at| at + 1);
        let before = jobs[..until].iter().filter(trains).count();
        let number = if before == 0 { jobs.iter().filter(trains).count() } else { before };
        let name = &self.model(job).name;
        Some(dir.join(if number > 1 {
            format!("{name}.{number}.safetensors")
        } else {
            format!("{name}.safetensors")
        }))
    }

    /// Makes the output folder.
    pub fn make_out(&self) -> Result<(), Failure> {
        let Some(dir) = &self.common.out else { return Ok(()) };
        std::fs::create_dir_all(dir).map_err(|e| {
            let message = format!("folder `{}` cannot be made: {e}", dir.display());
            Failure::plain("E0906", message, Some("choose another folder with --out".into()))
        })
    }

    /// A report to be filled.
    pub fn report(&self, job: &Job, kind: &'static str) -> JobReport {
        JobReport {
            job: kind,
            model: self.model(job).name.clone(),
            seed: job.seed,
            threads: self.pool.threads(),
            metrics: Vec::new(),
            epochs: Vec::new(),
            text: String::new(),
            advice: Vec::new(),
            seconds: Default::default(),
            failed: None,
        }
    }
}
