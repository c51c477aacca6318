//! From step to step: states, and the results of a scan. What a node of the body is worth is for the caller to say, so that
//! values and tangents go the same way.

use super::number::Number;
use super::value::{Array, Extent};
use crate::net::{Scan, ScanOut};
use crate::step::{Graph, Op, State, Ty};

/// A scan that was run.
pub(super) struct Run<N> {
    /// By the order of its results.
    pub outs: Vec<Array<N>>,
    /// Values of the body `[step][node]`, if they were to be kept.
    pub body: Vec<Vec<Array<N>>>,
}

/// Runs a scan. `node(t, at, args)` is node `at` of the body at step `t`: anything but `Prev`, and but `Input`, which
/// reads `operands`. With a `window`, a state carries 0 across every `window`-th step (tangents of truncated BPTT).
pub(super) fn run<N: Number>(
    scan: &Scan,
    operands: &[&Array<N>],
    extent: Extent,
    keep: bool,
    window: Option<usize>,
    mut node: impl FnMut(usize, usize, &[&Array<N>]) -> Result<Array<N>, String>,
) -> Result<Run<N>, String> {
    let mut outs: Vec<Option<Array<N>>> = vec![None; scan.outs.len()];
    let mut kept = vec![Vec::new(); extent.steps];
    let mut states = States { states: &scan.states, extent, window, init: Vec::new(), history: Vec::new() };
    for made in 0..extent.steps {
        let t = if scan.reverse { extent.steps - 1 - made } else { made };
        let values = states.step(&scan.body, t, |at, args| match scan.body.nodes[at].op {
            Op::Input(k) => Ok(operands[k].step(t)),
            _ => node(t, at, args),
        })?;
        for (out, result) in scan.outs.iter().zip(&mut outs) {
            match out {
                ScanOut::Each(val) => store(result, &values[val.idx()], t, extent),
                ScanOut::Sum(val) => add(result, &values[val.idx()]),
                ScanOut::Final(s) => *result = Some(states.history[made][*s].clone()),
            }
        }
        if keep {
            kept[t] = values;
        }
    }
    Ok(Run { outs: outs.into_iter().map(|o| o.expect("a presentation has steps")).collect(), body: kept })
}

struct States<'a, N> {
    states: &'a [State],
    extent: Extent,
    window: Option<usize>,
    init: Vec<Array<N>>,
    /// `next` of each state `[steps made][state]`.
    history: Vec<Vec<Array<N>>>,
}

impl<N: Number> States<'_, N> {
    /// All values of the body at step `t`.
    fn step(
        &mut self,
        body: &Graph,
        t: usize,
        mut node: impl FnMut(usize, &[&Array<N>]) -> Result<Array<N>, String>,
    ) -> Result<Vec<Array<N>>, String> {
        if self.history.is_empty() {
            let values =
                self.evaluate(body, &initial(body, self.states), &mut node, |_| unreachable!("verified"))?;
            self.init = self.states.iter().map(|s| self.wide(&values[s.init.idx()], &s.ty)).collect();
        }
        let all = vec![true; body.nodes.len()];
        let values = self.evaluate(body, &all, &mut node, |s| self.prev(s, t))?;
        let next = self.states.iter().map(|s| self.wide(&values[s.next.idx()], &s.ty)).collect();
        self.history.push(next);
        Ok(values)
    }

    /// The nodes that are wanted, in order; the others are left empty.
    fn evaluate(
        &self,
        body: &Graph,
        wanted: &[bool],
        node: &mut impl FnMut(usize, &[&Array<N>]) -> Result<Array<N>, String>,
        prev: impl Fn(usize) -> Array<N>,
    ) -> Result<Vec<Array<N>>, String> {
        let mut values: Vec<Array<N>> = Vec::with_capacity(body.nodes.len());
        for (at, of) in body.nodes.iter().enumerate() {
            let args: Vec<&Array<N>> = of.args.iter().map(|a| &values[a.idx()]).collect();
            let value = match of.op {
                _ if !wanted[at] => Array { ty: Ty::SCALAR, rows: 0, data: Vec::new() },
                Op::Prev(s) => prev(s),
                _ => node(at, &args)?,
            };
            values.push(value);
        }
        Ok(values)
    }

    /// What `next` was `delay` steps ago, in the order the steps are made.
    fn prev(&self, s: usize, t: usize) -> Array<N> {
        let state = &self.states[s];
        let Some(made) = self.history.len().checked_sub(state.delay) else { return self.init[s].clone() };
        match self.window {
            Some(window) if t / window != (t - state.delay) / window => {
                Array::filled(&state.ty, 1, self.extent.rows(), 0.0)
            }
            _ => self.history[made][s].clone(),
        }
    }

    fn wide(&self, value: &Array<N>, ty: &Ty) -> Array<N> {
        value.widened(ty, self.extent.steps)
    }
}

/// What first values are made of. They may stand behind the `Prev` that reads them.
fn initial(body: &Graph, states: &[State]) -> Vec<bool> {
    let mut wanted = vec![false; body.nodes.len()];
    states.iter().for_each(|s| wanted[s.init.idx()] = true);
    for at in (0..body.nodes.len()).rev() {
        if wanted[at] {
            body.nodes[at].args.iter().for_each(|a| wanted[a.idx()] = true);
        }
    }
    wanted
}

fn store<N: Number>(result: &mut Option<Array<N>>, value: &Array<N>, t: usize, extent: Extent) {
    let ty = Ty { time: true, ..value.ty.clone() };
    let all = result.get_or_insert_with(|| Array::filled(&ty, extent.steps, extent.rows(), 0.0));
    let len = value.data.len();
    all.data[t * len..(t + 1) * len].copy_from_slice(&value.data);
}

/// In the order the steps are made, starting from the first value.
fn add<N: Number>(result: &mut Option<Array<N>>, value: &Array<N>) {
    match result {
        None => {
            let data = value.data.iter().map(|v| N::from_f64(0.0) + *v).collect();
            *result = Some(Array { data, ..value.clone() });
        }
        Some(sum) => sum.data.iter_mut().zip(&value.data).for_each(|(s, v)| *s = *s + *v),
    }
}
