//! The relaxed net: each spike is the primitive of its surrogate instead of a step, so that the surrogate gradient is the
//! true gradient and finite differences can check it.

use crate::net::{Net, taint};
use crate::step::ops::Pw;
use crate::step::{Fragment, Graph, Op, ValId};

/// Relaxes a forward net in place. Gives the name of a surrogate that has no primitive, if there is one.
///
/// A spike becomes `Custom` with the value of the primitive and the declared derivative as its rule: the check compares
/// what was declared. Selections by a spike become `c a + (1 - c) b`, as their derivative says.
pub fn relax(net: &mut Net) -> Result<(), String> {
    let taint = taint::of_net(net);
    for (scan, taint) in net.scans.iter_mut().zip(&taint.bodies) {
        let map = relax_graph(&mut scan.body, taint)?;
        for state in &mut scan.states {
            (state.init, state.next) = (map[state.init.idx()], map[state.next.idx()]);
        }
        for out in &mut scan.outs {
            use crate::net::ScanOut::{Each, Final, Sum};
            *out = match *out {
                Each(v) => Each(map[v.idx()]),
                Sum(v) => Sum(map[v.idx()]),
                Final(s) => Final(s),
            };
        }
    }
    let map = relax_graph(&mut net.graph, &taint.net)?;
    for output in &mut net.outputs {
        output.val = map[output.val.idx()];
    }
    Ok(())
}

/// `taint`: which values come from a spike.
fn relax_graph(graph: &mut Graph, taint: &[bool]) -> Result<Vec<ValId>, String> {
    let old = std::mem::take(&mut graph.nodes);
    let mut map: Vec<ValId> = Vec::with_capacity(old.len());
    for (at, node) in old.into_iter().enumerate() {
        let args: Vec<ValId> = node.args.iter().map(|a| map[a.idx()]).collect();
        let val = match node.op {
            Op::Spike { surrogate: Some(s), .. } => relaxed_spike(graph, s, args[0])?,
            Op::Pointwise(Pw::Select) if taint[node.args[0].idx()] => {
                let c = graph.pointwise(Pw::Mul, &[args[0], args[1]]);
                let one = graph.constant(1.0);
                let rest = graph.pointwise(Pw::Sub, &[one, args[0]]);
                let rest = graph.pointwise(Pw::Mul, &[rest, args[2]]);
                graph.pointwise(Pw::Add, &[c, rest])
            }
            _ => graph.push(node.op.clone(), &args, node.ty.clone()),
        };
        let made = &mut graph.nodes[val.idx()];
        (made.name, made.span, made.section) = (node.name, node.span, node.section);
        debug_assert!(at == map.len());
        map.push(val);
    }
    Ok(map)
}

fn relaxed_spike(graph: &mut Graph, surrogate: usize, x: ValId) -> Result<ValId, String> {
    let surrogate = graph.surrogates[surrogate].clone();
    let primitive = surrogate.primitive.as_ref().ok_or_else(|| surrogate.name.clone())?;
    let value = graph.inline(primitive, &[x])[0];
    let ty = graph.ty(x).clone();
    let value = if *graph.ty(value) == ty { value } else { graph.pointwise(Pw::Add, &[value, x]) };
    let mut rule = Graph::default();
    let x_in = rule.push(Op::Input(0), &[], ty.clone());
    let g_in = rule.push(Op::Input(1), &[], ty.clone());
    let slope = rule.inline(&surrogate.derivative, &[x_in])[0];
    let grad = rule.pointwise(Pw::Mul, &[g_in, slope]);
    graph.customs.push(Fragment { name: surrogate.name, graph: rule, results: vec![grad] });
    let rule = graph.customs.len() - 1;
    Ok(graph.push(Op::Custom(rule), &[value, x], ty))
}
