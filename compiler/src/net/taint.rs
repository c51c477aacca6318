//! Which values come from a spike through differentiable operations: there a selection is relaxed to the weighted sum that its
//! derivative belongs to. Decided once for each graph, through states and into and out of scans.

use super::{Net, ScanOut};
use crate::step::{Graph, Op, State};

/// For every value whether it comes from a spike.
pub(crate) struct Taint {
    /// Of the net.
    pub net: Vec<bool>,
    /// Of the body of each scan.
    pub bodies: Vec<Vec<bool>>,
}

/// Of a net and all its scans. A scan stands before everything that reads it, so one pass is enough.
pub(crate) fn of_net(net: &Net) -> Taint {
    let mut taint = Taint { net: Vec::new(), bodies: vec![Vec::new(); net.scans.len()] };
    for node in &net.graph.nodes {
        let args: Vec<bool> = node.args.iter().map(|a| taint.net[a.idx()]).collect();
        let (scan, out) = match node.op {
            Op::Scan(scan) => {
                taint.bodies[scan] = of_body(&net.scans[scan].body, &net.scans[scan].states, &args);
                (scan, 0)
            }
            Op::ScanOut(out) => {
                let Op::Scan(scan) = net.graph.node(node.args[0]).op else { unreachable!("verified") };
                (scan, out)
            }
            _ => {
                taint.net.push(passes(&node.op, &args));
                continue;
            }
        };
        let val = match net.scans[scan].outs[out] {
            ScanOut::Each(val) | ScanOut::Sum(val) => val,
            ScanOut::Final(state) => net.scans[scan].states[state].next,
        };
        taint.net.push(taint.bodies[scan][val.idx()]);
    }
    taint
}

/// Of a step or the body of a scan, whose inputs may come from spikes too: until the states do not change any more.
pub(crate) fn of_body(body: &Graph, states: &[State], inputs: &[bool]) -> Vec<bool> {
    let mut carried = vec![false; states.len()];
    loop {
        let mut taint: Vec<bool> = Vec::with_capacity(body.nodes.len());
        for node in &body.nodes {
            let args: Vec<bool> = node.args.iter().map(|a| taint[a.idx()]).collect();
            taint.push(match node.op {
                Op::Input(k) => inputs.get(k).is_some_and(|i| *i),
                Op::Prev(s) => carried[s],
                _ => passes(&node.op, &args),
            });
        }
        let now: Vec<bool> = states.iter().map(|s| taint[s.next.idx()] || taint[s.init.idx()]).collect();
        if now == carried {
            return taint;
        }
        carried = now;
    }
}

fn passes(op: &Op, args: &[bool]) -> bool {
    match op {
        Op::Spike { surrogate, .. } => surrogate.is_some(),
        Op::Detach => false,
        Op::Pointwise(op) if op.info().flat => false,
        _ => args.contains(&true),
    }
}
