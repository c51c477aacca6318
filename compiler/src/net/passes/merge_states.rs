//! States that always have the same value become one.
//!
//! Before: `state 0 h.fired = 0, next %9` and `state 1 delay = 0, next %9`, both of delay 1; after: `prev 1` is `prev 0`. Correct because
//! both start from the same value and take the same value at each step. Before `prune_scans`, which drops the
//! state that is no longer read.

use crate::net::{Net, Scan};
use crate::step::{Op, State};

/// Runs the pass.
pub fn run(net: &mut Net) {
    net.scans.iter_mut().for_each(merge);
}

fn merge(scan: &mut Scan) {
    for b in 1..scan.states.len() {
        let Some(a) = (0..b).find(|a| is_same(scan, &scan.states[*a], &scan.states[b])) else { continue };
        for node in &mut scan.body.nodes {
            if matches!(node.op, Op::Prev(s) if s == b) {
                node.op = Op::Prev(a);
            }
        }
    }
}

fn is_same(scan: &Scan, a: &State, b: &State) -> bool {
    let same_init = match (&scan.body.node(a.init).op, &scan.body.node(b.init).op) {
        (Op::Const(x), Op::Const(y)) => x.to_bits() == y.to_bits(),
        _ => a.init == b.init,
    };
    same_init && a.next == b.next && a.delay == b.delay && a.ty == b.ty
}
