//! Batches: gathers samples of a data set into what a program reads, changed at random where a training asks for it. Checks once that
//! data and program fit together.

use super::augment::Pass;
use super::{Dataset, Target};
use crate::engine::{self, Given, INPUT};
use crate::error::{Result, RuntimeError};
use crate::kernels::bits::{self, words};
use crate::program::{BufferInfo, Program};

/// Gathers batches; its buffers are allocated once.
pub struct Batcher<'a> {
    data: &'a Dataset,
    /// Steps and width of the program's `target`, if it reads one.
    target: Option<(usize, usize)>,
    order: Vec<u32>,
    y: Vec<f32>,
    /// What happens to samples in this epoch, and the changed samples, as the data keep them.
    pass: Option<Pass>,
    x: Vec<f32>,
}

impl<'a> Batcher<'a> {
    /// For a program that reads the data from its first data input, and `target`, if it has that. Errors of [`fits`].
    pub fn new(data: &'a Dataset, program: &Program) -> Result<Batcher<'a>> {
        fits(data, program)?;
        let target = target_size(program);
        let batch = program.plan.batch();
        let y = target.map_or(0, |(steps, width)| batch * steps * width);
        let (order, y) = (Vec::with_capacity(batch), Vec::with_capacity(y));
        Ok(Batcher { data, target, order, y, pass: None, x: Vec::new() })
    }

    /// From now on samples are changed by `pass`, without one they are as they are.
    pub fn change(&mut self, pass: Option<Pass>) {
        self.pass = pass;
    }

    /// Gathers the samples with these indices.
    pub fn fill(&mut self, indices: &[u32]) {
        self.order.clear();
        self.order.extend_from_slice(indices);
        self.x.clear();
        if let Some(pass) = &self.pass {
            self.x.reserve_exact(indices.len() * self.data.kept_len());
            indices.iter().for_each(|&idx| changed(self.data, pass, idx, &mut self.x));
        }
        self.y.clear();
        let Some((steps, width)) = self.target else { return };
        match &self.data.target {
            Target::Classes { labels, .. } => {
                self.y.resize(indices.len() * steps * width, 0.0);
                for (row, &idx) in self.y.chunks_exact_mut(steps * width).zip(indices) {
                    let class = labels[idx as usize] as usize;
                    row.chunks_exact_mut(width).for_each(|step| step[class] = 1.0);
                }
            }
            Target::Values { y, width } => {
                for &idx in indices {
                    self.y.extend_from_slice(&y[idx as usize * width..(idx as usize + 1) * width]);
                }
            }
            Target::None => self.y.resize(indices.len() * steps * width, 0.0),
        }
    }

    /// What was gathered last, for [`crate::engine::Engine::run`]. Samples that nothing changed are only named: the engine fetches them.
    pub fn inputs(&self) -> [(&str, Given<'_>); 2] {
        let bits = self.data.bits;
        let x = match &self.pass {
            None => Given { values: &self.data.x, bits, order: Some(&self.order) },
            Some(_) => Given { values: &self.x, bits, order: None },
        };
        [(INPUT, x), ("target", (&self.y).into())]
    }
}

/// Appends a sample, changed, as the data keep it.
fn changed(data: &Dataset, pass: &Pass, idx: u32, to: &mut Vec<f32>) {
    let mut values = data.sample(idx as usize).into_owned();
    pass.apply(idx, &mut values);
    if !data.bits {
        to.extend_from_slice(&values);
        return;
    }
    let (width, start) = (data.width(), to.len());
    to.resize(start + values.len() / width * 2 * words(width), 0.0);
    for (values, bits) in values.chunks(width).zip(to[start..].chunks_mut(2 * words(width))) {
        bits::pack(values, bits);
    }
}

/// Whether samples and targets have the sizes that a program reads: E0903 if widths or steps disagree, E0909 if there are
/// more classes than the program compares with. A program may read no data, or no targets.
pub fn fits(data: &Dataset, program: &Program) -> Result<()> {
    if let Some(info) = engine::input(program, INPUT) {
        let binding = program.inputs.iter().find(|b| std::ptr::eq(&program.plan.buffers[b.buffer], info));
        check_input(data, binding.map_or(INPUT, |b| &b.name), info)?;
    }
    match target_size(program) {
        Some((steps, width)) => check_target(data, steps, width),
        None => Ok(()),
    }
}

/// Steps and width of the program's target.
fn target_size(program: &Program) -> Option<(usize, usize)> {
    program.input("target").map(|info| (info.time.unwrap_or(1), info.width()))
}

fn check_input(data: &Dataset, input: &str, info: &BufferInfo) -> Result<()> {
    // Files do not say which axis is time; a stream of the right shape is taken as one.
    let (steps, width) = match (data.steps, info.time) {
        (None, Some(_)) if data.shape.len() > 1 => (Some(data.shape[0]), data.shape[1..].iter().product()),
        _ => (data.steps, data.width()),
    };
    if steps == info.time && width == info.width() {
        return Ok(());
    }
    let say = |steps: Option<usize>, width: usize| match steps {
        Some(steps) => format!("{steps} steps of {width} numbers"),
        None => format!("{width} numbers"),
    };
    let (has, wants) = (say(steps, width), say(info.time, info.width()));
    let message = format!("a sample of data `{}` is {has}, input `{input}` reads {wants}", data.name);
    let help = match (steps, info.time) {
        (None, Some(_)) => "the data do not change with time: declare the input without `stream`".into(),
        (Some(_), None) => "the data change with time: declare the input with `stream`".into(),
        (Some(steps), Some(time)) if steps != time => format!("set `steps {steps}` in the job"),
        _ => format!("declare the input as `{input}: [{width}]`"),
    };
    Err(RuntimeError::new("E0903", message).help(help))
}

fn check_target(data: &Dataset, steps: usize, width: usize) -> Result<()> {
    match &data.target {
        Target::Classes { n, .. } if *n > width => {
            let message = format!("data `{}` have {n} classes, the loss compares with {width}", data.name);
            Err(RuntimeError::new("E0909", message)
                .help(format!("the output needs {n} neurons, one for each class")))
        }
        Target::Values { width: has, .. } if *has != steps * width => {
            let wants = steps * width;
            let message =
                format!("a target of data `{}` is {has} numbers, the loss compares with {wants}", data.name);
            Err(RuntimeError::new("E0903", message).help("targets and output need the same shape"))
        }
        Target::None => {
            let message = format!("data `{}` have no targets, the loss compares with some", data.name);
            Err(RuntimeError::new("E0903", message).help("name the targets in the `data` declaration"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::fixture;

    fn classes(n: usize) -> Target {
        Target::Classes { labels: vec![0, n as u32 - 1, 1], n, names: None }
    }

    fn data(width: usize, target: Target) -> Dataset {
        Dataset::new("d", (0..3 * width).map(|i| i as f32).collect(), 3, vec![width], target).unwrap()
    }

    #[test]
    fn batches_hold_samples_and_one_hot_targets() {
        let program = fixture::logistic::<4, 3, 2>(2);
        let data = data(4, classes(3));
        let mut batcher = Batcher::new(&data, &program).unwrap();
        for _ in 0..2 {
            batcher.fill(&[1, 0]);
            let [(_, x), (_, y)] = batcher.inputs();
            assert_eq!((x.values, x.order), (&data.x[..], Some(&[1, 0][..])));
            assert_eq!(y.values, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn samples_are_changed_if_asked_and_spikes_stay_bits() {
        use crate::data::augment::{Augment, Change};
        let augment = Augment { size: [1, 4], changes: vec![Change::Roll { most: 1 }, Change::Flip] };
        let pass = augment.of_epoch(0, 2);
        let program = fixture::logistic::<4, 3, 2>(2);
        let data = data(4, classes(3));
        let mut batcher = Batcher::new(&data, &program).unwrap();
        batcher.change(Some(pass.clone()));
        batcher.fill(&[2, 0]);
        let mut expected = [&data.x[8..], &data.x[..4]].concat();
        expected.chunks_mut(4).zip([2, 0]).for_each(|(sample, idx)| pass.apply(idx, sample));
        let x = batcher.inputs()[0].1;
        assert_eq!((x.values, x.order), (&expected[..], None));
        batcher.change(None);
        batcher.fill(&[2, 0]);
        assert_eq!(batcher.inputs()[0].1.values, data.x);

        let rows: Vec<f32> = (0..70).map(|k| f32::from(k % 3 == 0)).collect();
        let target = || Target::Values { y: vec![0.0], width: 1 };
        let plain = Dataset::new("d", rows.clone(), 1, vec![2, 35], target()).unwrap().streamed().unwrap();
        let packed = plain.clone().packed();
        let pass = Augment { size: [5, 7], changes: vec![Change::Crop { padding: 2 }] }.of_epoch(1, 0);
        let (mut bits, mut values) = (Vec::new(), Vec::new());
        changed(&packed, &pass, 0, &mut bits);
        changed(&plain, &pass, 0, &mut values);
        let again = Dataset { x: bits, ..packed };
        assert!(again.bits && again.sample(0)[..] == values && values != rows);
    }

    #[test]
    fn numbers_as_targets_are_handed_on() {
        let program = fixture::logistic::<4, 2, 2>(2);
        let data = data(4, Target::Values { y: (0..6).map(|i| i as f32).collect(), width: 2 });
        let mut batcher = Batcher::new(&data, &program).unwrap();
        batcher.fill(&[2, 1]);
        assert_eq!(batcher.inputs()[1].1.values, [4.0, 5.0, 2.0, 3.0]);
    }

    #[test]
    fn disagreement_is_explained() {
        let program = fixture::logistic::<4, 3, 2>(2);
        let error = |data: Dataset| {
            let error = Batcher::new(&data, &program).err().unwrap();
            (error.code, error.help.unwrap())
        };
        assert_eq!(error(data(5, classes(3))), ("E0903", "declare the input as `x: [5]`".into()));
        assert_eq!(error(data(4, classes(4))).0, "E0909");
        assert_eq!(error(data(4, Target::Values { y: vec![0.0; 3], width: 1 })).0, "E0903");
        let mut stream = data(4, classes(3));
        stream.steps = Some(1);
        assert!(error(stream).1.contains("with `stream`"));
    }

    #[test]
    fn a_file_of_the_shape_of_a_stream_is_one() {
        let program = fixture::echo();
        let target = || Target::Values { y: vec![0.0; 3], width: 1 };
        let of = |shape: &[usize]| {
            Dataset::new("d", vec![0.0; 3 * shape.iter().product::<usize>()], 3, shape.to_vec(), target())
                .unwrap()
        };
        assert!(Batcher::new(&of(&[3, 2]), &program).is_ok());
        assert!(Batcher::new(&of(&[3, 2]).streamed().unwrap(), &program).is_ok());
        let help = |data: Dataset| Batcher::new(&data, &program).err().unwrap().help.unwrap();
        assert_eq!(help(of(&[5, 2])), "set `steps 5` in the job");
        assert!(help(of(&[6])).contains("without `stream`"));
    }
}
