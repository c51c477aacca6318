//! Which values of a step belong together: strongly connected components over states, in an order of dependence, with
//! the pointwise work around each recurrence drawn into it.

use crate::step::{Op, StepFn, ValId};
use std::collections::BTreeSet;

/// Values that are computed together.
pub(super) struct Group {
    /// In the order of the step (operands first).
    pub members: Vec<ValId>,
    /// Goes from step to step.
    pub scan: bool,
}

/// The partition of the live values.
pub(super) struct Components {
    /// Groups, each after those it reads.
    pub order: Vec<Group>,
    /// Whether a value changes from step to step.
    pub varies: Vec<bool>,
    /// Live values that read a value (within the step; states are read through their `Prev`, which counts as a reader
    /// of `next`, unless it is in the same group).
    pub readers: Vec<Vec<ValId>>,
}

/// Finds the groups of all values that the roots depend on.
pub(super) fn find(step: &StepFn, roots: &[ValId]) -> Components {
    let edges = dependencies(step);
    let live = reachable(&edges, roots);
    let varies = step.varying();
    let mut group_of = strongly_connected(&edges, &live);
    let readers = readers(&edges, &live);
    absorb(step, &varies, &readers, &mut group_of, roots);
    let order = ordered(step, &edges, &live, &group_of);
    Components { order, varies, readers }
}

/// Operands of each value; a `Prev` depends on the `next` and `init` of its state.
fn dependencies(step: &StepFn) -> Vec<Vec<ValId>> {
    let of = |node: &crate::step::Node| match node.op {
        Op::Prev(s) => vec![step.states[s].next, step.states[s].init],
        _ => node.args.clone(),
    };
    step.graph.nodes.iter().map(of).collect()
}

fn reachable(edges: &[Vec<ValId>], roots: &[ValId]) -> Vec<bool> {
    let mut live = vec![false; edges.len()];
    let mut stack = roots.to_vec();
    while let Some(val) = stack.pop() {
        if !std::mem::replace(&mut live[val.idx()], true) {
            stack.extend(&edges[val.idx()]);
        }
    }
    live
}

fn readers(edges: &[Vec<ValId>], live: &[bool]) -> Vec<Vec<ValId>> {
    let mut readers = vec![Vec::new(); edges.len()];
    for (at, args) in edges.iter().enumerate().filter(|(at, _)| live[*at]) {
        for arg in args {
            readers[arg.idx()].push(ValId(at as u32));
        }
    }
    readers
}

/// Tarjan's algorithm without recursion. Values on no cycle get a group of their own.
fn strongly_connected(edges: &[Vec<ValId>], live: &[bool]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let n = edges.len();
    let (mut index, mut low, mut group) = (vec![NONE; n], vec![0; n], vec![NONE; n]);
    let (mut stack, mut counter, mut groups) = (Vec::new(), 0, 0);
    for root in (0..n).filter(|v| live[*v]) {
        if index[root] != NONE {
            continue;
        }
        let mut work = vec![(root, 0)];
        while let Some((v, next)) = work.pop() {
            if next == 0 {
                (index[v], low[v]) = (counter, counter);
                counter += 1;
                stack.push(v);
            }
            if let Some(w) = edges[v].get(next).map(|w| w.idx()) {
                work.push((v, next + 1));
                if index[w] == NONE {
                    work.push((w, 0));
                } else if group[w] == NONE {
                    low[v] = low[v].min(index[w]);
                }
                continue;
            }
            if low[v] == index[v] {
                while let Some(w) = stack.pop() {
                    group[w] = groups;
                    if w == v {
                        break;
                    }
                }
                groups += 1;
            }
            if let Some(&(parent, _)) = work.last() {
                low[parent] = low[parent].min(low[v]);
            }
        }
    }
    group
}

/// Draws pointwise work into scans: first what only one scan reads, last readers first; then what reads only one scan
/// and values that do not vary.
fn absorb(step: &StepFn, varies: &[bool], readers: &[Vec<ValId>], group: &mut [usize], roots: &[ValId]) {
    let roots: BTreeSet<ValId> = roots.iter().copied().collect();
    let scans = scan_groups(step, group);
    let shared = shared(step);
    let movable = |at: usize| {
        varies[at]
            && !shared[at]
            && matches!(
                step.graph.nodes[at].op,
                Op::Pointwise(_)
                    | Op::Spike { .. }
                    | Op::Detach
                    | Op::Straight
                    | Op::GradScale
                    | Op::Custom(_)
                    | Op::Random { .. }
                    | Op::StepIndex
            )
    };
    for at in (0..group.len()).rev() {
        if group[at] == usize::MAX
            || scans.contains(&group[at])
            || !movable(at)
            || roots.contains(&ValId(at as u32))
        {
            continue;
        }
        let mut of = readers[at].iter().map(|r| group[r.idx()]);
        if let Some(first) = of.next()
            && scans.contains(&first)
            && of.all(|g| g == first)
        {
            group[at] = first;
        }
    }
    let late = of_all_steps(step);
    for at in 0..group.len() {
        // It would be wanted before the scan is done.
        if step.graph.nodes[at].args.iter().any(|a| late[a.idx()] && !varies[a.idx()]) {
            continue;
        }
        if group[at] == usize::MAX || scans.contains(&group[at]) || !movable(at) {
            continue;
        }
        let mut of = step.graph.nodes[at].args.iter().filter(|a| varies[a.idx()]).map(|a| group[a.idx()]);
        if let Some(first) = of.next()
            && scans.contains(&first)
            && of.all(|g| g == first)
        {
            group[at] = first;
        }
    }
}

/// Values without samples through which gradients may flow: each shard would make them again, and their gradients are sums
/// over samples, for which shards would have to wait at every step.
fn shared(step: &StepFn) -> Vec<bool> {
    let mut flows: Vec<bool> = Vec::with_capacity(step.graph.nodes.len());
    for node in &step.graph.nodes {
        let from_samples = matches!(node.op, Op::Fold { axes, .. } if axes.batch);
        let here =
            matches!(node.op, Op::Param(_)) || from_samples || node.args.iter().any(|a| flows[a.idx()]);
        flows.push(here && !node.ty.batch);
    }
    flows
}

/// Values that are known when a scan has made all of its steps, and do not change with them.
fn of_all_steps(step: &StepFn) -> Vec<bool> {
    let mut late: Vec<bool> = Vec::with_capacity(step.graph.nodes.len());
    for node in &step.graph.nodes {
        let folds = matches!(node.op, Op::Fold { axes, .. } if axes.time);
        late.push(folds || node.args.iter().any(|a| late[a.idx()]));
    }
    late
}

/// Groups with more than one member, or with a state that starts at something else than 0 (which `Delay` cannot say) or is
/// its own `next`.
fn scan_groups(step: &StepFn, group: &[usize]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut scans = BTreeSet::new();
    for (at, &g) in group.iter().enumerate().filter(|(_, g)| **g != usize::MAX) {
        if !seen.insert(g) {
            scans.insert(g);
        }
        if let Op::Prev(s) = step.graph.nodes[at].op {
            let state = &step.states[s];
            let from_zero = matches!(step.graph.node(state.init).op, Op::Const(0.0));
            if !from_zero || state.next.idx() == at {
                scans.insert(g);
            }
        }
    }
    scans
}

/// Groups in an order in which each comes after those it reads: repeatedly the first (by its smallest member) that is ready.
fn ordered(step: &StepFn, edges: &[Vec<ValId>], live: &[bool], group: &[usize]) -> Vec<Group> {
    let scans = scan_groups(step, group);
    let mut members: std::collections::BTreeMap<usize, Vec<ValId>> = Default::default();
    for at in (0..group.len()).filter(|at| live[*at]) {
        members.entry(group[at]).or_default().push(ValId(at as u32));
    }
    let mut waits: std::collections::BTreeMap<usize, BTreeSet<usize>> = Default::default();
    let mut wakes: std::collections::BTreeMap<usize, BTreeSet<usize>> = Default::default();
    for (g, vals) in &members {
        let on: BTreeSet<usize> =
            vals.iter().flat_map(|v| &edges[v.idx()]).map(|a| group[a.idx()]).filter(|a| a != g).collect();
        for a in &on {
            wakes.entry(*a).or_default().insert(*g);
        }
        waits.insert(*g, on);
    }
    let first = |g: usize| members[&g][0];
    let mut ready: BTreeSet<(ValId, usize)> =
        waits.iter().filter(|(_, on)| on.is_empty()).map(|(g, _)| (first(*g), *g)).collect();
    let mut order = Vec::new();
    while let Some((_, g)) = ready.pop_first() {
        order.push(Group { members: members[&g].clone(), scan: scans.contains(&g) });
        for woken in wakes.get(&g).into_iter().flatten() {
            let on = waits.get_mut(woken).expect("every group waits");
            on.remove(&g);
            if on.is_empty() {
                ready.insert((first(*woken), *woken));
            }
        }
    }
    assert_eq!(order.len(), members.len(), "cluster: groups depend on each other in a circle");
    order
}
