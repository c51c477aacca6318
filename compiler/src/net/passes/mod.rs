//! Passes over nets: those of graphs, on the net and on the bodies of its scans, and those that need the time axis.

pub mod before_decay;
pub mod collapse;
pub mod conditions;
pub mod merge_states;
pub mod prune_scans;
pub mod segment;
pub mod sum_in_scan;
pub mod work_in_scan;

use super::{Net, ScanOut};
use crate::step::ValId;
use crate::step::passes::{GraphPass, PASSES};

/// Runs all passes.
pub fn run(mut net: Net) -> Net {
    for (_, pass) in PASSES {
        on_graph(&mut net, *pass);
    }
    merge_states::run(&mut net);
    work_in_scan::run(&mut net); // Before `sum_in_scan`: what is summed becomes a result of the scan.
    sum_in_scan::run(&mut net); // Before prune: makes sequences unread.
    prune_scans::run(&mut net);
    for scan in 0..net.scans.len() {
        for (_, pass) in PASSES {
            on_body(&mut net, scan, *pass);
        }
    }
    on_graph(&mut net, crate::step::passes::dce::run);
    prune_scans::drop_unused(&mut net);
    net
}

fn on_graph(net: &mut Net, pass: GraphPass) {
    let roots: Vec<ValId> = net.outputs.iter().map(|o| o.val).collect();
    let (graph, map) = pass(&net.graph, &roots);
    net.graph = graph;
    for output in &mut net.outputs {
        output.val = map[output.val.idx()].expect("a root is kept");
    }
}

fn on_body(net: &mut Net, scan: usize, pass: GraphPass) {
    let scan = &mut net.scans[scan];
    let mut roots: Vec<ValId> = Vec::new();
    for out in &scan.outs {
        if let ScanOut::Each(v) | ScanOut::Sum(v) = out {
            roots.push(*v);
        }
    }
    for state in &scan.states {
        roots.extend([state.init, state.next]);
    }
    let (graph, map) = pass(&scan.body, &roots);
    let at = |v: ValId| map[v.idx()].expect("a root is kept");
    for out in &mut scan.outs {
        *out = match *out {
            ScanOut::Each(v) => ScanOut::Each(at(v)),
            ScanOut::Sum(v) => ScanOut::Sum(at(v)),
            ScanOut::Final(s) => ScanOut::Final(s),
        };
    }
    for state in &mut scan.states {
        (state.init, state.next) = (at(state.init), at(state.next));
    }
    scan.body = graph;
}
