//! A product of what decays from step to step is made before it decays, where what comes in at each step is mostly zero.
//!
//! Before: a scan `d = 0.9 d + e` that gives `d` at each step, `%5 = matmul d, W`, and a scan in the same direction that reads `%5`; after: the
//! first scan gives `e` as well, `%5 = matmul e, W`, and the other scan has the decay as one more state: it reads `%5 + 0.9 p`, where
//! `p` is what it read in the step before. Correct because a product is linear and the factor is one number. Backward passes are like this: with
//! a surrogate that is zero away from the threshold a membrane gets a gradient at few steps, and then carries it through
//! all those before. Products skip the zeros.
//!
//! The order of additions changes: not in strict mode; and a window of truncated BPTT cuts the decay: not with one. After the other
//! passes, which run once more after it.

use super::sum_in_scan::{insert, only_reader, scan_result};
use crate::net::{Net, Scan, ScanOut};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, State, Ty, ValId};

/// Runs the pass; gives whether there was something to do.
pub fn run(net: &mut Net) -> bool {
    let mut changed = false;
    while let Some(found) = net.graph.vals().find_map(|at| Decayed::find(net, at)) {
        found.multiply_first(net);
        changed = true;
    }
    changed
}

/// A product of what decays.
struct Decayed {
    product: ValId,
    /// The scan in which it decays, its node, what comes in, and what is left after a step.
    scan: usize,
    node: ValId,
    arrives: ValId,
    factor: f64,
    /// The scan that reads the product, and as which operand.
    reader: usize,
    operand: usize,
}

impl Decayed {
    fn find(net: &Net, product: ValId) -> Option<Decayed> {
        let Op::MatMul { .. } = net.graph.node(product).op else { return None };
        let [x, weight] = net.graph.node(product).args[..] else { return None };
        let (scan, node, out) = scan_result(net, x).filter(|_| !net.graph.ty(weight).time)?;
        let (arrives, factor) = decay(&net.scans[scan], out)?;
        let (reader, operand) = only_reader(net, product)?;
        let Op::Scan(reader) = net.graph.node(reader).op else { return None };
        let is_same_way = net.scans[reader].reverse == net.scans[scan].reverse;
        (is_same_way && is_mostly_zero(&net.scans[scan].body, arrives)).then_some(Decayed {
            product,
            scan,
            node,
            arrives,
            factor,
            reader,
            operand,
        })
    }

    fn multiply_first(&self, net: &mut Net) {
        let outs = &mut net.scans[self.scan].outs;
        let each = ScanOut::Each(self.arrives);
        let k = outs.iter().position(|o| *o == each).unwrap_or_else(|| {
            outs.push(each);
            outs.len() - 1
        });
        read_decayed(&mut net.scans[self.reader], self.operand, self.factor);
        if k == 0 {
            net.graph.nodes[self.product.idx()].args[0] = self.node;
            return;
        }
        let mut result = net.graph.node(self.product).clone();
        result.op = Op::ScanOut(k);
        result.args = vec![self.node];
        result.name = String::new();
        let ty = net.scans[self.scan].body.ty(self.arrives).clone();
        result.ty = Ty { time: true, ..ty };
        insert(net, self.product.idx(), result);
        net.graph.nodes[self.product.idx() + 1].args[0] = self.product;
    }
}

/// If result `out` of a scan is `d` with `d = factor * d + e`, from 0 on: `e` and the factor.
fn decay(scan: &Scan, out: usize) -> Option<(ValId, f64)> {
    let ScanOut::Each(sum) = scan.outs[out] else { return None };
    let constant = |v: ValId| match scan.body.node(v).op {
        Op::Const(value) => Some(value),
        _ => None,
    };
    let pair = |v: ValId, op: Pw| match (&scan.body.node(v).op, &scan.body.node(v).args[..]) {
        (Op::Pointwise(found), [a, b]) if *found == op => Some([(*a, *b), (*b, *a)]),
        _ => None,
    };
    pair(sum, Pw::Add)?.into_iter().find_map(|(before, arrives)| {
        let Op::Prev(state) = scan.body.node(before).op else { return None };
        let state = &scan.states[state];
        let factor = pair(state.next, Pw::Mul)?
            .into_iter()
            .find_map(|(of, factor)| constant(factor).filter(|_| of == sum))?;
        let is_plain = state.delay == 1 && constant(state.init) == Some(0.0);
        (is_plain && scan.body.ty(arrives) == scan.body.ty(sum)).then_some((arrives, factor))
    })
}

/// Whether a value is zero wherever some condition does not hold: more often than not, as far as can be known.
fn is_mostly_zero(body: &Graph, val: ValId) -> bool {
    let node = body.node(val);
    let is_zero = |v: &ValId| matches!(body.node(*v).op, Op::Const(value) if value == 0.0);
    match node.op {
        Op::Spike { .. } | Op::Pointwise(Pw::Lt | Pw::Le | Pw::Eq) => true,
        Op::Pointwise(Pw::Mul) => node.args.iter().any(|a| is_mostly_zero(body, *a)),
        Op::Pointwise(Pw::Neg) | Op::Detach | Op::GradScale => is_mostly_zero(body, node.args[0]),
        Op::Pointwise(Pw::Select) => node.args[1..].iter().any(is_zero),
        Op::Pointwise(Pw::Max) => node.args.iter().any(is_zero),
        _ => false,
    }
}

/// What a scan reads from an operand is what it read in the step before times a factor, and the operand.
fn read_decayed(scan: &mut Scan, operand: usize, factor: f64) {
    let old = std::mem::take(&mut scan.body);
    let mut body = Graph { surrogates: old.surrogates, customs: old.customs, nodes: Vec::new() };
    let mut map: Vec<ValId> = Vec::with_capacity(old.nodes.len());
    let mut kept: Option<(ValId, Ty)> = None;
    let state = scan.states.len();
    for mut node in old.nodes {
        node.args.iter_mut().for_each(|a| *a = map[a.idx()]);
        let (is_operand, ty) = (matches!(node.op, Op::Input(k) if k == operand), node.ty.clone());
        body.nodes.push(node);
        let mut val = ValId(body.nodes.len() as u32 - 1);
        if is_operand {
            val = match kept {
                Some((sum, _)) => sum,
                None => {
                    let before = body.push(Op::Prev(state), &[], ty.clone());
                    let factor = body.constant(factor);
                    let left = body.pointwise(Pw::Mul, &[factor, before]);
                    let sum = body.pointwise(Pw::Add, &[left, val]);
                    kept = Some((sum, ty));
                    sum
                }
            };
        }
        map.push(val);
    }
    for out in &mut scan.outs {
        if let ScanOut::Each(v) | ScanOut::Sum(v) = out {
            *v = map[v.idx()];
        }
    }
    for state in &mut scan.states {
        (state.init, state.next) = (map[state.init.idx()], map[state.next.idx()]);
    }
    if let Some((sum, ty)) = kept {
        let init = body.constant(0.0);
        scan.states.push(State {
            name: format!("{} of operand {operand}", scan.name),
            init,
            next: sum,
            delay: 1,
            ty,
        });
    }
    scan.body = body;
}

#[cfg(test)]
pub(super) mod tests {
    use crate::analyze::Overrides;
    use crate::diag::Diagnostics;
    use crate::net::Net;
    use crate::pipeline::{self, DataFacts, Purpose};
    use crate::source::Sources;

    /// The training net of two layers of leaky neurons.
    pub fn training(surrogate: &str, strict: bool) -> Net {
        let text = format!(
            "neuron Leaky {{
                input i
                state v = 0
                step {{
                    v = 0.9 * v + i
                    fire v > 1 with {surrogate}
                    v = v - detach(fired)
                }}
                emit fired
            }}
            model Net {{
                input x: [6]
                let a = Leaky[5]
                let b = Leaky[4]
                let y = Integrator[3]
                x -> a : dense
                a -> b : dense
                b -> y : dense
                output y.v
            }}
            data digits = std.data.digits(split = 0.8)
            train Net on digits {{ steps 4   batch 4   loss cross_entropy(mean(y.v)) }}"
        );
        let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
        let file = sources.add("test.snn", &text);
        let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
        assert!(!diags.has_errors());
        let (model, job) = (&checked.program.models[0], &checked.program.jobs[0]);
        let data = DataFacts { target_width: 3, spikes: false };
        pipeline::net(model, job, Purpose::Train, 4, data, strict).expect("a net").net
    }

    fn decays(net: &Net) -> Vec<&str> {
        let states = net.scans.iter().flat_map(|scan| &scan.states);
        states.map(|s| s.name.as_str()).filter(|name| name.contains("of operand")).collect()
    }

    #[test]
    fn gradients_decay_behind_the_product_where_they_are_mostly_zero() {
        assert_eq!(decays(&training("rect(1)", false)), ["a' of operand 0"]);
        assert_eq!(decays(&training("triangle", false)), ["a' of operand 0"]);
        assert!(decays(&training("atan", false)).is_empty(), "is nowhere zero");
        assert!(decays(&training("rect(1)", true)).is_empty(), "another order of sums");
    }
}
