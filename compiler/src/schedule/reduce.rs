//! Reductions and weight gradients of a net as statements: stage by stage, partial results of shards, and their combination.

use super::layout::{Layout, Place};
use super::nest::Domain;
use super::{Parts, Scheduler, name_of, phases, zero};
use crate::loops::{Access, Instr, Stmt};
use crate::step::ops::Fold;
use crate::step::{Axes, Op, Ty, ValId};

/// A reduction; over samples only its partial results.
pub(super) fn fold(s: &mut Scheduler, val: ValId, fold: Fold, axes: Axes, body: &mut Vec<Stmt>) {
    let node = s.net.graph.node(val).clone();
    let mut src = s.place(node.args[0]);
    if axes.index {
        let ty = Ty { shape: Vec::new(), ..src.ty.clone() };
        let last = !axes.batch && !axes.time;
        let dst = if last { s.place(val) } else { s.layout.value("sums of rows", &ty, false) };
        let d = Domain::flat(s.layout.rows(&src.ty, true), src.width());
        body.push(columns(&s.layout, fold, &src, &dst, &d));
        src = dst;
    }
    if axes.batch || axes.time {
        let dst = if axes.batch { partial(s, val) } else { s.place(val) };
        rows(s, fold, axes, &src, &dst, body);
    }
}

/// Along the index axis.
pub(super) fn columns(l: &Layout, fold: Fold, src: &Place, dst: &Place, domain: &Domain) -> Stmt {
    let (rows, width) = (domain.rows, domain.width);
    let src = Access { col: 1, ..l.access(src, domain) };
    Stmt::FoldColumns { fold, rows, width, src, dst: l.access(dst, domain) }
}

/// In a time loop: along neurons, then along the samples of the only shard.
pub(super) fn of_step(
    l: &mut Layout,
    fold: Fold,
    axes: Axes,
    src: &Place,
    dst: &Place,
    body: &mut Vec<Stmt>,
) {
    let ty = Ty { time: false, ..src.ty.clone() };
    let rows = l.rows(&ty, false);
    let mut src = src.clone();
    if axes.index {
        let domain = Domain { time: true, batch: ty.batch, rows, width: src.width(), flat: false };
        let of_rows = match axes.batch {
            true => l.value("sums of rows", &Ty { shape: Vec::new(), ..ty }, true),
            false => dst.clone(),
        };
        body.push(columns(l, fold, &src, &of_rows, &domain));
        src = of_rows;
    }
    if axes.batch {
        let width = src.width();
        let from = Access { row: width, col: 1, ..l.step_block(&src) };
        let to = Access { col: 1, ..l.step_block(dst) };
        body.push(Stmt::FoldRows { fold, rows, width, src: from, dst: to });
    }
}

fn partial(s: &mut Scheduler, val: ValId) -> Place {
    let place = s.layout.partial(&name_of(s.net, val), s.net.graph.ty(val));
    s.partials.insert(val, place.clone());
    place
}

/// Along samples and steps; the source has those that are folded.
fn rows(s: &Scheduler, fold: Fold, axes: Axes, src: &Place, dst: &Place, body: &mut Vec<Stmt>) {
    let l = &s.layout;
    let width = src.width();
    let column = |a: Access| Access { col: 1, ..a };
    if axes.batch && src.ty.time && !axes.time {
        let d = Domain { time: true, batch: true, rows: l.shard_batch(), width, flat: false };
        let mut to = column(l.block(dst, 0));
        to.step = width;
        let from = Access { col: 1, ..l.access(src, &d) };
        let stmt = Stmt::FoldRows { fold, rows: d.rows, width, src: from, dst: to };
        body.push(Stmt::Steps { reverse: false, body: vec![stmt] });
        return;
    }
    // Either all rows there are, or steps only: then what is left of a step is one long row.
    let (rows, width) = match axes.batch {
        true => (l.rows(&src.ty, true), width),
        false => (l.steps(), l.step_floats(src)),
    };
    let mut from = column(l.block(src, 0));
    from.row = width;
    body.push(Stmt::FoldRows { fold, rows, width, src: from, dst: column(l.block(dst, 0)) });
}

/// Partial weight gradients: one product over all steps and samples of a shard, or one for each segment, which are added. What is the same for all
/// samples has one product, and no parts.
pub(super) fn weights(s: &mut Scheduler, val: ValId, parts: &mut Parts) {
    let node = s.net.graph.node(val).clone();
    let (x, d) = (s.place(node.args[0]), s.place(node.args[1]));
    let rows = s.layout.rows(&x.ty, true);
    let (k, n) = (x.width(), d.width());
    if phases::in_parts(s.net, val) {
        let (a, b) = ((s.layout.block(&x, 0), [1, k]), (s.layout.block(&d, 0), n));
        let c = s.layout.block(&s.place(val), 0);
        parts.body.push(Stmt::MatMulShards { size: [k, rows, n], a, spikes: false, b, c });
        return;
    }
    let sum = if super::over_samples(s.net, &node) { partial(s, val) } else { s.place(val) };
    let dst = match s.layout.in_sweep() {
        true => s.layout.value("gradient of a segment", s.net.graph.ty(val), true),
        false => sum.clone(),
    };
    let (a, b, c) = (s.layout.block(&x, 0), s.layout.block(&d, 0), s.layout.block(&dst, 0));
    parts.body.push(match node.op {
        Op::Slide { slide, over } => Stmt::Slide { slide, over, rows, a: (a, k), b: Some((b, n)), c: (c, 0) },
        _ => Stmt::MatMul { size: [k, rows, n], a: (a, [1, k]), b: (b, [n, 1]), tiles: None, c: (c, n) },
    });
    if s.layout.in_sweep() {
        let width = node.ty.width();
        let column = |place: &Place| Access { col: 1, ..s.layout.block(place, 0) };
        parts.before.push(zero(column(&sum), width));
        let body = vec![Instr::Load(column(&dst)), Instr::Add(column(&sum), 0)];
        parts.body.push(Stmt::Nest { rows: 1, width, body });
    }
}

/// The sum (or other fold) of the partial results of the shards.
pub(super) fn combine(s: &Scheduler, val: ValId, body: &mut Vec<Stmt>) {
    let fold = match s.net.graph.node(val).op {
        Op::Fold { fold, .. } => fold,
        _ => Fold::Sum,
    };
    let (src, dst) = (&s.partials[&val], s.place(val));
    let width = s.layout.rows(&dst.ty, true) * dst.width();
    let at = |p: &Place| Access { col: 1, ..s.layout.block(p, 0) };
    body.push(Stmt::FoldShards { fold, width, src: at(src), dst: at(&dst) });
}
