//! Programs as the runtime uses them: batches that do not fill all shards, updates in place, two programs of one model.

use super::*;
use crate::differentiate::tests::nets;
use crate::net::Slot;
use crate::step::ops::Pw;
use snn_runtime::program::Section;

/// A training net with a step of momentum for each parameter: `m = 0.9 m + g`, `w = w - 0.1 m / (1 + |w|)`.
fn training() -> (Net, Net) {
    let (forward, mut net) = nets(true, 1, false);
    let grads: Vec<ValId> = net.outputs[1..].iter().map(|o| o.val).collect();
    let first = net.graph.nodes.len();
    for (p, grad) in grads.into_iter().enumerate() {
        net.slots.push(Slot { name: "m".into(), param: p, init: 0.0 });
        let shape = net.params[p].shape.clone();
        let g = &mut net.graph;
        let (m, w) = (g.push(Op::Slot(p), &[], ty("", &shape)), g.push(Op::Param(p), &[], ty("", &shape)));
        let (decay, rate, one) = (g.constant(0.9), g.constant(0.1), g.constant(1.0));
        let kept = g.pointwise(Pw::Mul, &[m, decay]);
        let m1 = g.pointwise(Pw::Add, &[kept, grad]);
        let size = g.pointwise(Pw::Abs, &[w]);
        let size = g.pointwise(Pw::Add, &[size, one]);
        let step = g.pointwise(Pw::Mul, &[m1, rate]);
        let step = g.pointwise(Pw::Div, &[step, size]);
        let w1 = g.pointwise(Pw::Sub, &[w, step]);
        sink(&mut net, m1, Sink::Slot(p));
        sink(&mut net, w1, Sink::Param(p));
    }
    net.graph.nodes[first..].iter_mut().for_each(|n| n.section = Section::Update);
    (forward, net)
}

#[test]
fn updates_in_place_agree() {
    let (_, net) = training();
    check(&net);
}

#[test]
fn repeated_updates_agree() {
    let (_, net) = training();
    let program = program(&schedule::loops(&net), &ENGINES[0]);
    let mut data = Data::noise(&net);
    let mut memory = Memory::new(&program);
    memory.fill(&program, &data);
    for _ in 0..3 {
        let expected = data.interpret(&net);
        memory.run(&program, net.shards);
        compare(&net, &program, &mut memory, &expected, "");
        for output in &net.outputs {
            match output.sink {
                Sink::Param(p) => data.params[p] = expected[output.val.idx()].clone(),
                Sink::Slot(s) => data.slots[s] = expected[output.val.idx()].clone(),
                Sink::Named | Sink::Grad(_) => {}
            }
        }
    }
}

#[test]
fn shards_without_samples_take_no_part() {
    let (_, mut net) = training();
    net.shards = 3;
    let program = program(&schedule::loops(&net), &ENGINES[0]);
    let data = Data::noise(&net);
    let mut memory = Memory::new(&program);
    memory.fill(&program, &data);
    memory.run(&program, 2);
    let cut =
        |a: &Array<f32>| Array { rows: 4, ..Array::from_fn(&a.ty, net.steps, 4, |t, b, i| a.get(t, b, i)) };
    let some = Data { inputs: data.inputs.iter().map(cut).collect(), ..data };
    net.shards = 2;
    let expected = some.interpret(&net);
    compare(&net, &program, &mut memory, &expected, "");
}

#[test]
fn programs_of_one_model_lay_out_parameters_alike() {
    let (forward, training) = training();
    let programs = [&forward, &training].map(|net| program(&schedule::loops(net), &ENGINES[0]));
    let places = programs.each_ref().map(|p| {
        let offset = |b: usize| (p.plan.buffers[b].offset, p.plan.buffers[b].shape.clone());
        (p.plan.param_floats, p.params.iter().map(|i| offset(i.buffer)).collect::<Vec<_>>())
    });
    assert_eq!(places[0], places[1]);
    assert!(places[0].1.iter().all(|(offset, _)| offset % 16 == 0));
    // The second program reads what the first has written.
    let data = Data::noise(&training);
    let mut memory = Memory::new(&programs[1]);
    memory.fill(&programs[1], &data);
    memory.run(&programs[1], training.shards);
    let mut second = Memory::new(&programs[0]);
    second.fill(&programs[0], &data);
    second.param.clone_from(&memory.param);
    second.run(&programs[0], forward.shards);
    let expected = data.interpret(&training);
    let params = training.outputs.iter().filter(|o| matches!(o.sink, Sink::Param(_)));
    let params = params.map(|o| expected[o.val.idx()].clone()).collect();
    let expected = Data { params, ..data }.interpret(&forward);
    compare(&forward, &programs[0], &mut second, &expected, "");
}

#[test]
fn old_parameters_are_read_before_they_are_written() {
    let mut net = net(1, 2, 2);
    let x = input(&mut net, &ty("b", &[4]));
    let (a, b) = (param(&mut net, &[4, 4]), param(&mut net, &[4, 4]));
    output(&mut net, a);
    let zero = net.graph.constant(0.0);
    let a1 = net.graph.pointwise(Pw::Mul, &[b, zero]);
    sink(&mut net, a1, Sink::Param(0));
    // The parameters change places; a product reads the old one after its new value is known.
    let b1 = net.graph.pointwise(Pw::Add, &[a, a1]);
    sink(&mut net, b1, Sink::Param(1));
    let y = net.graph.matmul(x, a, false);
    let z = net.graph.matmul(y, b, true);
    output(&mut net, z);
    for node in &mut net.graph.nodes[4..6] {
        node.section = Section::Update;
    }
    check(&net);
}

#[test]
fn memory_is_shared_by_what_does_not_live_together() {
    let mut net = net(1, 4, 1);
    let mut x = input(&mut net, &ty("b", &[100]));
    let w = param(&mut net, &[100, 100]);
    for _ in 0..6 {
        x = net.graph.matmul(x, w, false);
    }
    output(&mut net, x);
    let loops = schedule::loops(&net);
    assert_eq!(loops.floats.shard, 2 * 400, "input and output");
    assert_eq!(loops.floats.local, 2 * 400, "two between them, which only one phase needs");
    check(&net);
}

#[test]
fn fast_products_are_close() {
    let (_, net) = training();
    let data = Data::noise(&net);
    let expected = data.interpret(&net);
    let fast = Options { strict: false, ..ENGINES[0] };
    let program = program(&schedule::loops(&net), &fast);
    let mut memory = Memory::new(&program);
    memory.fill(&program, &data);
    memory.run(&program, net.shards);
    let loss = memory.at(&program, program.outputs[0].buffer, 0)[0];
    let want = expected[net.outputs[0].val.idx()].data[0];
    assert!((loss - want).abs() < 1e-4 * want.abs(), "{loss} {want}");
}
