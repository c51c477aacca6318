//! Nests in vectors that Cranelift does not have: AVX-512 or AVX2. Decides which value lies in which register; the instructions
//! themselves are in `encode`, and what a nest has to do comes from `nest`.
//!
//! A kernel is a function of one argument, the address of its frame: first an address for each access, then a word for
//! the count of each loop, then the numbers of the run. It goes over all rows and columns, and may go over steps and panels too, so that a call is worth it. The same
//! operations in the same order as in `math`, so the same bits where they have to be exact; where a body needs what is not here (a sine) or more
//! registers than there are, there is no kernel and Cranelift does it.

mod encode;

use crate::step::ops::Pw;
use encode::{Encoder, Place};

/// Vectors of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vectors {
    /// 8 numbers, 16 registers.
    Avx2,
    /// 16 numbers, 32 registers, masks.
    Avx512,
}

impl Vectors {
    /// The widest that this machine has.
    pub fn of_host() -> Option<Vectors> {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Some(Vectors::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Some(Vectors::Avx2);
            }
        }
        None
    }

    /// Numbers of a vector.
    pub fn lanes(self) -> usize {
        match self {
            Vectors::Avx2 => 8,
            Vectors::Avx512 => 16,
        }
    }
}

/// Vectors of a row that stand in the code one after the other: a loop over so few costs as much as they do.
const SHORT: usize = 2;

/// Number of an access in the frame.
pub(super) type Pointer = usize;
/// Number of an action: its result.
type Reg = usize;

/// What is done for each column, and for what.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Action {
    /// Nothing.
    Skip,
    Const(f32),
    /// A number of the run, from the frame.
    Scalar(usize),
    Load(Pointer),
    /// One number for all columns.
    Spread(Pointer),
    /// Bits as numbers.
    LoadSpikes(Pointer),
    Op(Pw, Vec<Reg>),
    Spike {
        strict: bool,
        x: Reg,
    },
    Store(Pointer, Reg),
    StoreSpikes(Pointer, Reg),
    Add(Pointer, Reg),
}

impl Action {
    fn args(&self) -> &[Reg] {
        match self {
            Action::Op(_, args) => args,
            Action::Spike { x, .. } | Action::Store(_, x) | Action::StoreSpikes(_, x) | Action::Add(_, x) => {
                std::slice::from_ref(x)
            }
            _ => &[],
        }
    }

    fn has_result(&self) -> bool {
        !matches!(
            self,
            Action::Skip | Action::Const(_) | Action::Store(..) | Action::StoreSpikes(..) | Action::Add(..)
        )
    }
}

/// A loop around the columns.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Turns {
    pub count: usize,
    /// For each access bytes from turn to turn.
    pub strides: Vec<i64>,
}

/// A nest.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Kernel {
    pub width: usize,
    /// Number of accesses.
    pub pointers: usize,
    /// The innermost first.
    pub loops: Vec<Turns>,
    /// For each access how many bytes further on memory is asked for; 0: not.
    pub ahead: Vec<i64>,
    /// Numbers of the run.
    pub scalars: usize,
    /// Whether quotients and square roots are rounded right, whatever it takes.
    pub exact: bool,
    pub actions: Vec<Action>,
}

impl Kernel {
    /// Bytes of the frame.
    pub fn frame_bytes(&self) -> usize {
        self.scalar_offset(self.scalars)
    }

    /// Where a number of the run lies in the frame.
    pub fn scalar_offset(&self, scalar: usize) -> usize {
        8 * (self.pointers + self.loops.len()) + 4 * scalar
    }

    /// Machine code, position-independent; none if there are too few registers or an operation is missing.
    pub fn assemble(&self, vectors: Vectors) -> Option<Vec<u8>> {
        let mut e = Encoder::new(vectors, self);
        let heads = e.begin_loops();
        let whole = self.width / vectors.lanes() * vectors.lanes();
        if self.width <= SHORT * vectors.lanes() {
            for column in (0..whole).step_by(vectors.lanes()) {
                e.set_column(column);
                self.columns(&mut e, None)?;
            }
            e.set_column(whole);
        } else if whole > 0 {
            let columns = e.begin_columns();
            self.columns(&mut e, None)?;
            e.end_columns(columns, whole);
        }
        if whole < self.width {
            self.columns(&mut e, Some(self.width - whole))?;
        }
        e.end_loops(&heads);
        Some(e.finish())
    }

    /// One vector of columns, or `rest` of them.
    fn columns(&self, e: &mut Encoder, rest: Option<usize>) -> Option<()> {
        e.set_rest(rest);
        let mut last_use = vec![0; self.actions.len()];
        for (at, action) in self.actions.iter().enumerate() {
            action.args().iter().for_each(|arg| last_use[*arg] = at);
        }
        let mut free: Vec<u32> = (0..e.registers()).rev().collect();
        let mut places: Vec<Option<Place>> = vec![None; self.actions.len()];
        for (at, action) in self.actions.iter().enumerate() {
            if let Action::Const(c) = action {
                places[at] = Some(Place::Const(*c));
                continue;
            }
            let args: Vec<Place> =
                action.args().iter().map(|arg| places[*arg].expect("verified: made before")).collect();
            for (n, arg) in action.args().iter().enumerate() {
                let is_first = !action.args()[..n].contains(arg);
                if let (true, Some(Place::Register(r))) = (last_use[*arg] == at && is_first, places[*arg]) {
                    free.push(r);
                }
            }
            let mut to = 0;
            if action.has_result() {
                to = free.pop()?;
                places[at] = Some(Place::Register(to));
            }
            e.action(action, &args, to)?;
            if action.has_result() && last_use[at] == 0 {
                free.push(to);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
