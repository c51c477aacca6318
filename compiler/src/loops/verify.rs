//! Checks that accesses stay inside their buffers, buffers inside their regions and apart from each other while they live, and that
//! nothing is read before it is written. A failure is a bug of ours.

use super::lives::Use;
use super::{Access, Instr, Program, Stmt};
use snn_runtime::kernels::bits::turned_words;
use snn_runtime::kernels::tiles::tiled_floats;
use snn_runtime::program::Region;

/// Checks a program.
pub fn verify(program: &Program) -> Result<(), String> {
    for phase in &program.phases {
        stmts(program, &phase.body, Turns { steps: None, segments: None })
            .map_err(|e| format!("phase {}: {e}", phase.name))?;
    }
    let (lives, bound) = (program.lives(), program.bound());
    for (at, buffer) in program.buffers.iter().enumerate() {
        // What nobody uses any more lies nowhere.
        if lives[at].is_none() && !bound[at] {
            continue;
        }
        let end = buffer.offset + buffer.len(program.shard_batch);
        let limit = match buffer.region {
            Region::Param => program.floats.param,
            Region::Slot => program.floats.slot,
            Region::Shared => program.floats.shared,
            Region::Shard => program.floats.shard,
            Region::Local => program.floats.local,
        };
        if end > limit || buffer.offset % 16 != 0 {
            return Err(format!("buffer {} lies at {}..{end} of {limit}", buffer.name, buffer.offset));
        }
    }
    written_before_read(program)?;
    apart(program)
}

/// Every buffer is bound, or written by a statement before the first that reads it.
fn written_before_read(program: &Program) -> Result<(), String> {
    let mut written: Vec<bool> =
        program.buffers.iter().map(|b| matches!(b.region, Region::Param | Region::Slot)).collect();
    program.inputs.iter().for_each(|b| written[b.buffer] = true);
    let mut missing = None;
    for phase in &program.phases {
        for stmt in &phase.body {
            stmt.accesses(&mut |access, how| {
                if how != Use::Write && !written[access.buffer] {
                    missing.get_or_insert((phase, access.buffer));
                }
                written[access.buffer] |= how != Use::Read;
            });
        }
    }
    if let Some((phase, buffer)) = missing {
        return Err(format!(
            "phase {}: {} is read before it is written",
            phase.name, program.buffers[buffer].name
        ));
    }
    match program.outputs.iter().find(|o| !written[o.buffer]) {
        Some(output) => Err(format!("output {} is never written", output.name)),
        None => Ok(()),
    }
}

/// Buffers that share memory do not live at the same time.
fn apart(program: &Program) -> Result<(), String> {
    let (lives, bound) = (program.lives(), program.bound());
    let life = |idx: usize| if bound[idx] { Some((0, usize::MAX)) } else { lives[idx] };
    let mut order: Vec<usize> = (0..program.buffers.len()).filter(|idx| life(*idx).is_some()).collect();
    order.sort_by_key(|idx| (program.buffers[*idx].region as usize, program.buffers[*idx].offset));
    for (k, &idx) in order.iter().enumerate() {
        let (a, Some((first, last))) = (&program.buffers[idx], life(idx)) else { continue };
        for &other in &order[k + 1..] {
            let b = &program.buffers[other];
            if b.region != a.region || b.offset >= a.offset + a.len(program.shard_batch) {
                break;
            }
            if life(other).is_some_and(|(from, to)| from <= last && first <= to) {
                return Err(format!("{} and {} overlap", a.name, b.name));
            }
        }
    }
    Ok(())
}

/// The loops around a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Turns {
    /// Steps of the time loop.
    steps: Option<usize>,
    /// How many segments of how many steps.
    segments: Option<(usize, usize)>,
}

fn stmts(program: &Program, body: &[Stmt], turns: Turns) -> Result<(), String> {
    for stmt in body {
        let check = |a: &Access, rows: usize, width: usize| access(program, a, rows, width, turns);
        match stmt {
            Stmt::Steps { body, .. } => {
                let steps = Some(turns.segments.map_or(program.steps, |(_, steps)| steps));
                stmts(program, body, Turns { steps, ..turns })?;
            }
            Stmt::Segments { count, steps, body, .. } => {
                if turns != (Turns { steps: None, segments: None }) || count * steps != program.steps {
                    return Err(format!("{count} segments of {steps} steps"));
                }
                stmts(program, body, Turns { steps: None, segments: Some((*count, *steps)) })?;
            }
            Stmt::Nest { rows, width, body } => {
                for (at, instr) in body.iter().enumerate() {
                    match instr {
                        Instr::Load(a) => check(a, *rows, *width)?,
                        Instr::Store(a, x) | Instr::Add(a, x) => {
                            before(*x, at)?;
                            check(a, *rows, *width)?;
                        }
                        Instr::Op(op, args) => {
                            if args.len() != op.info().arity {
                                return Err(format!("{} has {} operands", op.info().name, args.len()));
                            }
                            args.iter().try_for_each(|x| before(*x, at))?;
                        }
                        Instr::Spike { x, .. } => before(*x, at)?,
                        Instr::StepIndex if turns.steps.is_none() => {
                            return Err("step index outside of the time loop".into());
                        }
                        Instr::Const(_) | Instr::Scalar(_) | Instr::StepIndex => {}
                    }
                }
            }
            Stmt::MatMul { size: [m, k, n], a, b, tiles, c } => {
                if let Some(tiles) = tiles {
                    corner(program, tiles, tiled_floats(*k, *n) - 1, turns)?;
                }
                left(program, [*m, *k], a, turns)?;
                corner(program, &b.0, (k - 1) * b.1[0] + (n - 1) * b.1[1], turns)?;
                corner(program, &c.0, (m - 1) * c.1 + n - 1, turns)?;
            }
            Stmt::MatMulShards { size: [m, k, n], a, spikes, b, c } => {
                let last =
                    if *spikes { 2 * turned_words(*k, *m) - 1 } else { (m - 1) * a.1[0] + (k - 1) * a.1[1] };
                corner(program, &a.0, last, turns)?;
                corner(program, &b.0, (k - 1) * b.1 + n - 1, turns)?;
                corner(program, c, m * n - 1, turns)?;
            }
            Stmt::MatMulEach { size: [m, k, n], a, b, tiles, c } => {
                corner(program, tiles, tiled_floats(*k, *n) - 1, turns)?;
                corner(program, &a.0, (m - 1) * a.1 + k - 1, turns)?;
                corner(program, &b.0, (k - 1) * b.1[0] + (n - 1) * b.1[1], turns)?;
                corner(program, c, m * n - 1, turns)?;
            }
            Stmt::Slide { slide, over, rows, a, b, c } => {
                let mut operands = slide.operands(over).into_iter();
                for (access, stride) in [Some(*a), *b].into_iter().flatten() {
                    let width: usize = operands.next().ok_or("too many operands")?.iter().product();
                    corner(program, &access, (rows - 1) * stride + width - 1, turns)?;
                }
                let width: usize = slide.shape(over).iter().product();
                corner(program, &c.0, (rows - 1) * c.1 + width - 1, turns)?;
            }
            Stmt::Tile { rows, width, src, dst, .. } => {
                corner(program, src, rows * width - 1, turns)?;
                corner(program, dst, tiled_floats(*rows, *width) - 1, turns)?;
            }
            Stmt::Turn { rows, width, src, dst } => {
                left(program, [*rows, *width], &(*src, [*width, 1]), turns)?;
                corner(program, dst, 2 * turned_words(*rows, *width) - 1, turns)?;
            }
            Stmt::FoldColumns { rows, width, src, dst, .. } => {
                check(src, *rows, *width)?;
                check(dst, *rows, 1)?;
            }
            Stmt::FoldRows { rows, width, src, dst, .. } => {
                check(src, *rows, *width)?;
                check(dst, 1, *width)?;
            }
            Stmt::FoldShards { width, src, dst, .. } => {
                check(src, 1, *width)?;
                check(dst, 1, *width)?;
            }
            Stmt::Arrange { width, src, keys, dst } => {
                [src, keys, dst].into_iter().try_for_each(|access| check(access, 1, *width))?;
            }
            Stmt::Random { rows, width, dst, .. } => check(dst, *rows, *width)?,
            Stmt::Repeat { rows, width, times, src, dst } => {
                check(src, *rows, *width)?;
                check(dst, *rows, width * times)?;
            }
            Stmt::SumBlocks { rows, width, times, src, dst } => {
                check(src, *rows, width * times)?;
                check(dst, *rows, *width)?;
            }
        }
    }
    Ok(())
}

fn before(reg: usize, at: usize) -> Result<(), String> {
    if reg < at { Ok(()) } else { Err(format!("r{at} reads r{reg}")) }
}

/// A left factor: numbers, or whole rows of spikes.
fn left(
    program: &Program,
    [m, k]: [usize; 2],
    (a, strides): &(Access, [usize; 2]),
    turns: Turns,
) -> Result<(), String> {
    let info = &program.buffers[a.buffer];
    if !info.spikes {
        return corner(program, a, (m - 1) * strides[0] + (k - 1) * strides[1], turns);
    }
    let (rows, width) = if strides[1] == 1 { (m, k) } else { (k, m) };
    let floats = info.row_floats();
    if width != info.width() || [a.offset, a.segment, a.step].iter().any(|stride| stride % floats != 0) {
        return Err(format!("a product reads parts of rows of spikes of {}", info.name));
    }
    corner(program, a, rows * floats - 1, turns)
}

fn access(program: &Program, a: &Access, rows: usize, width: usize, turns: Turns) -> Result<(), String> {
    let last = width.saturating_sub(1) * a.col;
    let spikes = program.buffers.get(a.buffer).is_some_and(|b| b.spikes);
    if spikes && a.col != 1 {
        return Err("a column of spikes at every column".to_string());
    }
    let last = if spikes { last / 32 } else { last };
    corner(program, a, rows.saturating_sub(1) * a.row + last, turns)
}

/// Checks the elements nearest to and farthest from the start, over all steps and shards.
fn corner(program: &Program, a: &Access, beyond: usize, turns: Turns) -> Result<(), String> {
    let buffer =
        program.buffers.get(a.buffer).ok_or_else(|| format!("buffer {} does not exist", a.buffer))?;
    let last_step = match (a.step, turns.steps) {
        (0, _) => 0,
        (_, None) => return Err(format!("step of {} outside of the time loop", buffer.name)),
        (_, Some(steps)) => steps as isize - 1,
    };
    let segments = match (a.segment, turns.segments) {
        (0, _) => 0,
        (_, None) => return Err(format!("segment of {} outside of segments", buffer.name)),
        (segment, Some((count, _))) => (count - 1) * segment,
    };
    let at = |step: isize| a.offset as isize + (step + a.shift) * a.step as isize;
    let parts = if a.shard > 0 { (program.shards - 1) * a.shard } else { 0 };
    let (start, end) = (at(0), at(last_step) + (beyond + parts + segments) as isize);
    let len = buffer.len(program.shard_batch) as isize;
    if start < 0 || end >= len {
        return Err(format!("access {start}..={end} of {}, which has {len}", buffer.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::{Floats, Phase};
    use snn_runtime::program::{Binding, BufferInfo, Parallel, Section};

    /// Copies 8 floats of an input to an output, through a buffer.
    fn program() -> Program {
        let buffer = |name: &str, offset| BufferInfo {
            name: name.into(),
            region: Region::Shard,
            offset,
            time: None,
            batch: true,
            shape: vec![4],
            spikes: false,
            panels: false,
        };
        let access =
            |buffer| Access { buffer, offset: 0, shard: 0, segment: 0, step: 0, shift: 0, row: 4, col: 1 };
        let copy = |from, to| Stmt::Nest {
            rows: 2,
            width: 4,
            body: vec![Instr::Load(access(from)), Instr::Store(access(to), 0)],
        };
        let body = vec![copy(0, 1), copy(1, 2)];
        Program {
            phases: vec![Phase {
                name: "p".into(),
                section: Section::Forward,
                parallel: Parallel::Shards,
                joined: false,
                body,
            }],
            buffers: vec![buffer("x", 0), buffer("mid", 16), buffer("y", 32)],
            inputs: vec![Binding { name: "x".into(), buffer: 0 }],
            outputs: vec![Binding { name: "y".into(), buffer: 2 }],
            shard_batch: 2,
            shards: 1,
            steps: 1,
            floats: Floats { shard: 48, ..Floats::default() },
            ..Program::default()
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Program), why: &str) {
        let mut program = program();
        assert_eq!(verify(&program), Ok(()));
        change(&mut program);
        let error = verify(&program).expect_err("refused");
        assert!(error.contains(why), "{error}");
    }

    fn first_access(program: &mut Program) -> &mut Access {
        match &mut program.phases[0].body[0] {
            Stmt::Nest { body, .. } => match &mut body[0] {
                Instr::Load(access) => access,
                _ => unreachable!(),
            },
            _ => unreachable!(),
        }
    }

    #[test]
    fn accesses_stay_inside_their_buffers() {
        refused(|p| first_access(p).offset = 1, "access 1..=8 of x, which has 8");
        refused(|p| first_access(p).row = 5, "access 0..=8 of x");
        refused(|p| first_access(p).step = 4, "outside of the time loop");
        refused(|p| first_access(p).buffer = 9, "does not exist");
    }

    #[test]
    fn nothing_is_read_before_it_is_written() {
        refused(|p| p.phases[0].body.reverse(), "mid is read before it is written");
        refused(|p| p.phases[0].body.truncate(1), "output y is never written");
    }

    #[test]
    fn living_buffers_do_not_overlap() {
        refused(|p| p.buffers[1].offset = 0, "x and mid overlap");
        refused(|p| p.buffers[1].offset = 40, "lies at 40..48");
        refused(|p| p.buffers[1].offset = 48, "lies at 48..56 of 48");
    }
}
