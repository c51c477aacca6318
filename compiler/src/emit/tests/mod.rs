//! Compiled nets against the reference interpreter, bit for bit: nets by hand, memory, comparison. No runtime engine.

mod close;
mod folds;
mod ops;
mod programs;
mod scans;

use super::wide::Vectors;
use super::{Options, jit, program};
use crate::interp::{self, Array, Call, Inputs};
use crate::loops;
use crate::net::{Net, Output, Sink};
use crate::schedule;
use crate::step::{Input, Op, Param, Ty, ValId};
use snn_runtime::abi::{Ctx, SCALARS};
use snn_runtime::kernels::shards::PARTS;
use snn_runtime::pool::FlushDenormals;
use snn_runtime::program::{BufferInfo, Parallel, Program, Region};

const KEY: u64 = 77;
const SCALAR_VALUES: [f32; SCALARS] = [4.0, 1.0, 3.0, 0.25, 7.0, 0.0, 0.0, 0.0];

/// A net without values.
fn net(steps: usize, shard_batch: usize, shards: usize) -> Net {
    Net { steps, shard_batch, shards, ..Net::default() }
}

/// A type by its axes: `"tb"`, `"t"`, `"b"`, `""`.
fn ty(axes: &str, shape: &[usize]) -> Ty {
    Ty { time: axes.contains('t'), batch: axes.contains('b'), shape: shape.to_vec() }
}

fn input(net: &mut Net, ty: &Ty) -> ValId {
    net.inputs.push(Input { name: format!("x{}", net.inputs.len()), ty: ty.clone(), spikes: false });
    net.graph.push(Op::Input(net.inputs.len() - 1), &[], ty.clone())
}

fn param(net: &mut Net, shape: &[usize]) -> ValId {
    let name = format!("w{}", net.params.len());
    net.params.push(Param { name, shape: shape.to_vec(), trained: true });
    net.graph.push(Op::Param(net.params.len() - 1), &[], Ty::tensor(shape))
}

fn output(net: &mut Net, val: ValId) {
    sink(net, val, Sink::Named);
}

fn sink(net: &mut Net, val: ValId, sink: Sink) {
    net.outputs.push(Output { name: format!("y{}", net.outputs.len()), val, sink });
}

/// Numbers that look random, of both signs and of several magnitudes.
fn noise(seed: usize, at: usize) -> f32 {
    let x = ((at as f64 + 1.3) * 12.9898 * (seed as f64 + 1.0)).sin() * 43_758.545_3;
    let unit = (x - x.floor()) * 2.0 - 1.0;
    (unit * [0.01, 1.0, 1.0, 5.0][at % 4]) as f32
}

/// What a net reads.
struct Data {
    inputs: Vec<Array<f32>>,
    params: Vec<Array<f32>>,
    slots: Vec<Array<f32>>,
}

impl Data {
    fn noise(net: &Net) -> Data {
        Data::new(net, noise)
    }

    fn new(net: &Net, value: impl Fn(usize, usize) -> f32) -> Data {
        let rows = net.shard_batch * net.shards;
        let array = |ty: &Ty, seed: usize| {
            let mut a = Array::filled(ty, net.steps, rows, 0.0);
            a.data.iter_mut().enumerate().for_each(|(at, v)| *v = value(seed, at));
            a
        };
        Data {
            inputs: net.inputs.iter().enumerate().map(|(k, i)| array(&i.ty, k)).collect(),
            params: net
                .params
                .iter()
                .enumerate()
                .map(|(k, p)| array(&Ty::tensor(&p.shape), 10 + k))
                .collect(),
            slots: net
                .slots
                .iter()
                .enumerate()
                .map(|(k, s)| array(&Ty::tensor(&net.params[s.param].shape), 20 + k))
                .collect(),
        }
    }

    fn interpret(&self, net: &Net) -> Vec<Array<f32>> {
        let inputs = Inputs { inputs: &self.inputs, params: &self.params, slots: &self.slots };
        let call = Call { key: KEY, scalars: SCALAR_VALUES.map(f64::from) };
        interp::run(net, &inputs, &call).values
    }
}

/// The regions of a program.
struct Memory {
    param: Vec<f32>,
    slot: Vec<f32>,
    shared: Vec<f32>,
    shard: Vec<f32>,
    local: Vec<f32>,
}

impl Memory {
    /// Memory that holds NaN where nothing has been written.
    fn new(program: &Program) -> Memory {
        let plan = &program.plan;
        Memory {
            param: vec![f32::NAN; plan.param_floats],
            slot: vec![f32::NAN; plan.slot_floats],
            shared: vec![f32::NAN; plan.shared_floats],
            shard: vec![f32::NAN; plan.shard_floats * plan.shards],
            local: vec![f32::NAN; plan.local_floats * plan.shards],
        }
    }

    fn at(&mut self, program: &Program, buffer: usize, shard: usize) -> &mut [f32] {
        let plan = &program.plan;
        let info: &BufferInfo = &plan.buffers[buffer];
        let at = info.offset
            + match info.region {
                Region::Shard => shard * plan.shard_floats,
                Region::Local => shard * plan.local_floats,
                _ => 0,
            };
        let region = match info.region {
            Region::Param => &mut self.param,
            Region::Slot => &mut self.slot,
            Region::Shared => &mut self.shared,
            Region::Shard => &mut self.shard,
            Region::Local => &mut self.local,
        };
        &mut region[at..at + info.len(plan.shard_batch)]
    }

    /// Writes parameters, slots and inputs.
    fn fill(&mut self, program: &Program, data: &Data) {
        let mut slots = data.slots.iter();
        for (info, param) in program.params.iter().zip(&data.params) {
            self.at(program, info.buffer, 0).copy_from_slice(&param.data);
            for (_, slot) in &info.slots {
                self.at(program, *slot, 0).copy_from_slice(&slots.next().expect("slots in order").data);
            }
        }
        for (binding, input) in program.inputs.iter().zip(&data.inputs) {
            for shard in 0..program.plan.shards {
                let rows = of_shard(input, shard, program);
                self.at(program, binding.buffer, shard).copy_from_slice(&rows);
            }
        }
    }

    /// Runs all phases on the first `shards` shards.
    fn run(&mut self, program: &Program, shards: usize) {
        let _as_the_runtime_does = FlushDenormals::enter();
        let plan = &program.plan;
        for phase in &program.phases {
            let times = match phase.parallel {
                Parallel::Shards => shards,
                Parallel::Once => 1,
                Parallel::Parts => PARTS,
            };
            for idx in 0..times {
                let shard = if phase.parallel == Parallel::Shards { idx } else { 0 };
                let ctx = Ctx {
                    param: self.param.as_mut_ptr(),
                    slot: self.slot.as_mut_ptr(),
                    shared: self.shared.as_mut_ptr(),
                    shard: self.shard[shard * plan.shard_floats..].as_mut_ptr(),
                    local: self.local[shard * plan.local_floats..].as_mut_ptr(),
                    shard_idx: idx as u64,
                    shards: shards as u64,
                    shard_stride: plan.shard_floats as u64,
                    key: KEY,
                    first_sample: (shard * plan.shard_batch) as u64,
                    scalars: SCALAR_VALUES,
                };
                jit::call(program, phase, &ctx);
            }
        }
    }
}

/// Rows of one shard of an array, in the order of a buffer.
fn of_shard(a: &Array<f32>, shard: usize, program: &Program) -> Vec<f32> {
    let plan = &program.plan;
    let rows = if a.ty.batch { shard * plan.shard_batch..(shard + 1) * plan.shard_batch } else { 0..1 };
    let mut data = Vec::new();
    for t in 0..if a.ty.time { plan.steps } else { 1 } {
        for b in rows.clone() {
            data.extend((0..a.ty.width()).map(|i| a.get(t, b, i)));
        }
    }
    data
}

const ENGINES: [Options; 3] = [
    Options { vector: true, strict: true, native: true, wide: None, laps: false },
    Options { vector: false, strict: true, native: true, wide: None, laps: false },
    Options { vector: true, strict: true, native: false, wide: None, laps: false },
];

/// All forms of code that this machine can run.
fn engines() -> Vec<Options> {
    let of_host = Vectors::of_host();
    let has = |vectors: &Vectors| of_host.is_some_and(|of_host| vectors.lanes() <= of_host.lanes());
    let wide = [Vectors::Avx2, Vectors::Avx512].into_iter().filter(has);
    let wide = wide.map(|vectors| Options { wide: Some(vectors), ..ENGINES[0] });
    ENGINES.into_iter().chain(wide).collect()
}

/// Compares all results of a net, on data that looks random.
#[track_caller]
fn check(net: &Net) {
    check_on(net, &Data::noise(net));
}

/// Compares all results of a net with those of the interpreter, in vector and scalar form.
#[track_caller]
fn check_on(net: &Net, data: &Data) {
    assert_eq!(crate::net::verify::verify(net), Ok(()));
    let expected = data.interpret(net);
    let loops = schedule::loops(net);
    assert_eq!(loops::verify::verify(&loops), Ok(()));
    for options in engines() {
        let program = program(&loops, &options);
        let mut memory = Memory::new(&program);
        memory.fill(&program, data);
        memory.run(&program, net.shards);
        compare(net, &program, &mut memory, &expected, &format!("{options:?}\n{loops}"));
    }
}

/// Compares the results in memory with the values of the nodes.
#[track_caller]
fn compare(net: &Net, program: &Program, memory: &mut Memory, expected: &[Array<f32>], text: &str) {
    let mut named = program.outputs.iter();
    let mut slots = program.params.iter().flat_map(|p| &p.slots);
    for output in &net.outputs {
        let buffer = match output.sink {
            Sink::Named | Sink::Grad(_) => named.next().expect("results in order").buffer,
            Sink::Param(p) => program.params[p].buffer,
            Sink::Slot(_) => slots.next().expect("slots in order").1,
        };
        let want = &expected[output.val.idx()];
        for shard in 0..if want.ty.batch { net.shards } else { 1 } {
            let want = of_shard(want, shard, program);
            let got = memory.at(program, buffer, shard);
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            let wrong = got.iter().zip(&want).position(|pair| !same(pair));
            let pair = wrong.map(|at| (at, got[at], want[at]));
            assert_eq!(pair, None, "(element, got, want) of {} in shard {shard}: {text}", output.name);
        }
    }
}

#[test]
fn texts_are_the_same_twice() {
    let loops = schedule::loops(&crate::differentiate::tests::nets(true, 1, false).1);
    assert_eq!(loops.to_string(), loops.clone().to_string());
    assert_eq!(super::clif_text(&loops), super::clif_text(&loops));
    let asm = super::asm_text(&loops);
    assert_eq!(asm, super::asm_text(&loops));
    assert!(asm.contains("vmulps") && !asm.contains("fmadd"), "{asm}");
}
