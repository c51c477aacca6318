//! Time loops and nests over buffers in panels (`schedule/panels`): panel by panel, all steps of 32 neurons before the next ones. Everything
//! else finds its way by strides: see [`snn_runtime::kernels::panels`].

use super::function::Frame;
use super::kernel::Loop;
use super::nest::{Body, Role};
use crate::loops::{Access, Instr, Program, Stmt};
use crate::schedule::panels::Neurons;
use cranelift_codegen::ir::Value;
use snn_runtime::kernels::panels::PANEL;

/// Panels that take turns at each step at most.
const NEAR: usize = 4;

impl Frame<'_> {
    /// A statement panel by panel, if it touches some; gives whether it did it.
    pub fn in_panels(&mut self, stmt: &Stmt) -> bool {
        let Some(columns) = self.columns_in_panels(stmt).filter(|_| self.panel.is_none()) else {
            return false;
        };
        let part = self.of_panel(stmt);
        if self.in_one_kernel(columns / PANEL, &part) {
            return true;
        }
        let lap = self.lap;
        self.repeat((columns / PANEL) as i64, 1, false, |f, panel| {
            f.panel = Some(panel);
            f.lap = lap;
            f.stmt(&part);
            f.panel = None;
        });
        true
    }

    /// A nest, or a time loop of one, with all panels as one kernel, if it can be one.
    fn in_one_kernel(&mut self, panels: usize, part: &Stmt) -> bool {
        let (nest, steps) = match part {
            Stmt::Steps { reverse, body } if body.len() == 1 => (&body[0], Some(*reverse)),
            nest => (nest, None),
        };
        let Stmt::Nest { rows, width, body } = nest else { return false };
        if body.contains(&Instr::StepIndex) {
            return false;
        }
        let count = self.loops.steps;
        let roles = self.roles_of_first(body, steps.map(|reverse| if reverse { count - 1 } else { 0 }));
        let info = self.loops;
        let of_row = |a: &Access| 4 * a.row as i64;
        let of_step = |a: &Access| 4 * a.step as i64 * if steps == Some(true) { -1 } else { 1 };
        let of_panel = |a: &Access| 4 * panel_floats(info, a) as i64;
        let body = Body { instrs: body, roles: &roles };
        let done = match steps {
            Some(_) => {
                // Each step waits for the one before: of few samples there is too little to do meanwhile, so that some panels take turns.
                let most = (NEAR * PANEL / (rows * width)).max(1);
                let near = (1..=most).rev().find(|near| panels.is_multiple_of(*near)).unwrap_or(1);
                let of_panels = |a: &Access| near as i64 * of_panel(a);
                let steps: Loop = (count, &of_step);
                // Steps lie one behind the other, but not always in the order of their addresses.
                let ahead = Some(2);
                let loops =
                    [(*rows, &of_row as _), (near, &of_panel as _), steps, (panels / near, &of_panels as _)];
                self.in_loops(&loops, ahead, *width, body)
            }
            None => self.in_loops(&[(*rows, &of_row), (panels, &of_panel)], None, *width, body),
        };
        if done {
            self.end_lap();
        }
        done
    }

    /// Where the accesses of a nest begin: at a step of a time loop, if it is in one, in the first panel.
    fn roles_of_first(&mut self, body: &[Instr], step: Option<usize>) -> Vec<Role> {
        let step = step.map(|step| self.int(step as i64));
        let outer = std::mem::replace(&mut self.step, step);
        self.panel = Some(self.int(0));
        let starts = body.iter().map(|instr| match instr {
            Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => Role::Do(Some(self.address(a))),
            _ => Role::Do(None),
        });
        let roles = starts.collect();
        (self.step, self.panel) = (outer, None);
        roles
    }

    /// Columns of the buffers in panels that a loop touches; none if there are none, or if it is a nest that does not ask where they lie.
    fn columns_in_panels(&self, stmt: &Stmt) -> Option<usize> {
        let mut columns = None;
        let mut others = false;
        stmt.accesses(&mut |a, _| {
            let info = &self.loops.buffers[a.buffer];
            match info.panels {
                true => columns = Some(info.width()),
                false => others |= a.col == 1,
            }
        });
        match stmt {
            Stmt::Nest { rows: 1, .. } if !others && self.loops.shard_batch > 1 => None,
            Stmt::Steps { .. } | Stmt::Nest { .. } | Stmt::FoldRows { .. } => columns,
            _ => None,
        }
    }

    /// A statement on the columns of one panel.
    fn of_panel(&self, stmt: &Stmt) -> Stmt {
        match stmt {
            Stmt::Steps { reverse, body } => {
                Stmt::Steps { reverse: *reverse, body: body.iter().map(|stmt| self.of_panel(stmt)).collect() }
            }
            Stmt::Nest { body, .. } => {
                let domain = Neurons::of(self.loops, stmt).expect("marked: a nest of panels");
                let one_row = domain.is_flat && self.is_of_panels(body);
                let part = |a: &Access| match one_row {
                    true => Access { row: 0, ..self.part(a) },
                    false => self.part(&domain.in_rows(self.loops, *a)),
                };
                let body = body.iter().map(|instr| match instr {
                    Instr::Load(a) => Instr::Load(part(a)),
                    Instr::Store(a, x) => Instr::Store(part(a), *x),
                    Instr::Add(a, x) => Instr::Add(part(a), *x),
                    other => other.clone(),
                });
                let (rows, samples) = (self.loops.shard_batch, self.loops.shard_batch);
                match one_row {
                    true => Stmt::Nest { rows: 1, width: samples * PANEL, body: body.collect() },
                    false => Stmt::Nest { rows, width: PANEL, body: body.collect() },
                }
            }
            Stmt::FoldRows { fold, rows, src, dst, .. } => {
                Stmt::FoldRows { fold: *fold, rows: *rows, width: PANEL, src: self.part(src), dst: *dst }
            }
            _ => unreachable!("marked: loops, nests, sums of rows"),
        }
    }

    /// Whether what a nest goes along is in panels only: then all samples of a panel are one row.
    fn is_of_panels(&self, body: &[Instr]) -> bool {
        body.iter().all(|instr| match instr {
            Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => {
                a.col == 0 || self.loops.buffers[a.buffer].panels
            }
            _ => true,
        })
    }

    /// The rows of an access in one panel.
    fn part(&self, a: &Access) -> Access {
        if !self.loops.buffers[a.buffer].panels {
            return *a;
        }
        let step = if a.step == 0 { 0 } else { self.loops.shard_batch * PANEL };
        Access { row: PANEL, step, ..*a }
    }

    /// Row stride and gap of a factor for kernels.
    pub fn strides(&mut self, a: &Access, row: usize) -> [Value; 2] {
        let is_in_panels = self.loops.buffers[a.buffer].panels;
        let row = if is_in_panels { PANEL } else { row };
        [row, self.loops.gap(a.buffer)].map(|floats| self.int(floats as i64))
    }
}

/// Floats from panel to panel, for an access that goes along the columns.
pub(super) fn panel_floats(loops: &Program, a: &Access) -> usize {
    let info = &loops.buffers[a.buffer];
    match (a.col, info.panels) {
        (0, _) => 0,
        (_, true) => loops.gap(a.buffer),
        _ if info.spikes => PANEL / 32,
        _ => PANEL,
    }
}
