//! Values of a net or body that are statements of their own: products, shifts in time, repeats, random numbers.

use super::layout::{Layout, Place};
use super::nest::Domain;
use super::{Scheduler, copy, zero};
use crate::loops::{Access, Instr, Stmt};
use crate::step::ops::Fold;
use crate::step::{Node, Op, ValId};

/// The statements of a value of a net that is neither fused nor a reduction nor a scan.
pub(super) fn statement(s: &mut Scheduler, val: ValId, body: &mut Vec<Stmt>) {
    let node = s.net.graph.node(val);
    let dst = s.place(val);
    let args: Vec<Place> = node.args.iter().map(|a| s.place(*a)).collect();
    let l = &s.layout;
    match &node.op {
        Op::Delay { steps } => delay(l, &args[0], *steps, &dst, body),
        Op::Last => {
            let floats = l.step_floats(&dst);
            body.push(copy(l.block(&args[0], (l.steps() - 1) * floats), l.block(&dst, 0), floats));
        }
        Op::AtLast => {
            let floats = l.step_floats(&dst);
            let before = (l.steps() - 1) * floats;
            if before > 0 {
                body.push(zero(l.block(&dst, 0), before));
            }
            body.push(copy(l.block(&args[0], 0), l.block(&dst, before), floats));
        }
        // Rows are steps and samples alike.
        Op::MatMul { .. } | Op::Slide { .. } | Op::Repeat { .. } | Op::SumBlocks { .. } => {
            let domain = Domain::flat(l.rows(&node.ty, true), node.ty.width());
            body.push(of_rows(l, node, &args, &dst, &domain));
        }
        Op::Rows { .. } | Op::SumRows => {
            let domain = Domain::flat(1, node.ty.width());
            body.push(of_rows(l, node, &args, &dst, &domain));
        }
        Op::Arrange => {
            let [src, keys, dst] = [&args[0], &args[1], &dst].map(|p| Access { col: 1, ..l.block(p, 0) });
            body.push(Stmt::Arrange { width: node.ty.width(), src, keys, dst });
        }
        Op::Random { .. } => {
            let domain = Domain::of(&node.ty, l);
            let random = of_rows(l, node, &args, &dst, &domain);
            match node.ty.time {
                true => body.push(Stmt::Steps { reverse: false, body: vec![random] }),
                false => body.push(random),
            }
        }
        other => unreachable!("schedule: {other:?} is no statement"),
    }
}

/// A statement on the rows of a domain: all rows there are, or those of the step of the enclosing time loop.
pub(super) fn of_rows(l: &Layout, node: &Node, args: &[Place], dst: &Place, domain: &Domain) -> Stmt {
    let (rows, width) = (domain.rows, domain.width);
    let first = |p: &Place| Access { row: 0, col: 0, ..l.access(p, domain) };
    let src = |p: &Place| Access { col: 1, ..l.access(p, domain) };
    let to = src(dst);
    match &node.op {
        Op::MatMul { transposed } => {
            let (x, w) = (&args[0], &args[1]);
            let (k, n) = (x.width(), dst.width());
            let strides = if *transposed { [1, k] } else { [n, 1] };
            Stmt::MatMul {
                size: [rows, k, n],
                a: (first(x), [k, 1]),
                b: (l.block(w, 0), strides),
                tiles: None,
                c: (first(dst), n),
            }
        }
        Op::Slide { slide, over } => {
            let row = |p: &Place| (first(p), l.access(p, domain).row);
            // Weights are the same for all rows.
            let weights = |p: &Place| (l.block(p, 0), 0);
            let b = args.get(1).map(|p| if p.ty.shape.len() == 2 { weights(p) } else { row(p) });
            Stmt::Slide { slide: *slide, over: *over, rows, a: row(&args[0]), b, c: row(dst) }
        }
        Op::Repeat { times } => {
            Stmt::Repeat { rows, width: args[0].width(), times: *times, src: src(&args[0]), dst: to }
        }
        Op::SumBlocks { times } => {
            Stmt::SumBlocks { rows, width, times: *times, src: src(&args[0]), dst: to }
        }
        Op::Rows { times } => {
            let column = |p: &Place| Access { col: 1, ..l.block(p, 0) };
            let width = args[0].width();
            let body =
                vec![Instr::Load(column(&args[0])), Instr::Store(Access { row: width, ..column(dst) }, 0)];
            Stmt::Nest { rows: *times, width, body }
        }
        Op::SumRows => {
            let column = |p: &Place| Access { col: 1, ..l.block(p, 0) };
            let (rows, width) = (args[0].ty.shape[0], dst.width());
            let src = Access { row: width, ..column(&args[0]) };
            Stmt::FoldRows { fold: Fold::Sum, rows, width, src, dst: column(dst) }
        }
        Op::Random { gaussian, stream, .. } => {
            let (gaussian, stream, batch) = (*gaussian, *stream, node.ty.batch);
            Stmt::Random { gaussian, stream, batch, rows, width, dst: to }
        }
        other => unreachable!("schedule: {other:?} has no rows"),
    }
}

/// `dst[t] = src[t - steps]`, 0 outside.
fn delay(l: &Layout, src: &Place, steps: isize, dst: &Place, body: &mut Vec<Stmt>) {
    let floats = l.step_floats(dst);
    let shift = steps.unsigned_abs().min(l.steps());
    let kept = (l.steps() - shift) * floats;
    let (from, to, gap) = match steps >= 0 {
        true => (0, shift * floats, 0),
        false => (shift * floats, 0, kept),
    };
    if kept > 0 {
        body.push(copy(l.block(src, from), l.block(dst, to), kept));
    }
    if shift > 0 {
        body.push(zero(l.block(dst, gap), shift * floats));
    }
}
