//! Buffers and how their elements are addressed. Not where they lie in their regions.

use super::nest::Domain;
use crate::loops::Access;
use crate::net::Net;
use crate::step::Ty;
use snn_runtime::program::{BufferInfo, Region};

/// Buffers begin at multiples of 64 bytes.
pub(super) const ALIGN: usize = 16;

/// A buffer and the axes of what is in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    /// Index into the buffers.
    pub buffer: usize,
    /// Axes.
    pub ty: Ty,
    /// Added to the step of the enclosing time loop.
    pub shift: isize,
    /// Floats from shard to shard (partial results).
    pub shard: usize,
    /// Whether a time axis is that of the presentation, and not that of a segment.
    pub whole: bool,
}

impl Place {
    /// Product of the index axes.
    pub fn width(&self) -> usize {
        self.ty.width()
    }
}

/// All buffers of a program. Where they lie in their regions is decided by [`super::memory`], when all statements are known.
pub(super) struct Layout {
    pub buffers: Vec<BufferInfo>,
    shard_batch: usize,
    shards: usize,
    steps: usize,
    /// Steps of a segment, while statements of a sweep over the segments are made.
    segment: Option<usize>,
    params: Vec<Place>,
    slots: Vec<Place>,
    inputs: Vec<Place>,
}

impl Layout {
    /// The buffers that the runtime knows: parameters and slots in order, then inputs.
    pub fn new(net: &Net) -> Layout {
        let mut l = Layout {
            buffers: Vec::new(),
            shard_batch: net.shard_batch,
            shards: net.shards,
            steps: net.steps,
            segment: None,
            params: Vec::new(),
            slots: Vec::new(),
            inputs: Vec::new(),
        };
        for param in &net.params {
            let place = l.buffer(&param.name, Region::Param, &Ty::tensor(&param.shape), None);
            l.params.push(place);
        }
        for slot in &net.slots {
            let param = &net.params[slot.param];
            let name = format!("{}/{}", param.name, slot.name);
            let place = l.buffer(&name, Region::Slot, &Ty::tensor(&param.shape), None);
            l.slots.push(place);
        }
        for input in &net.inputs {
            let place = l.value(&input.name, &input.ty, false);
            l.inputs.push(place);
        }
        l
    }

    pub fn param(&self, p: usize) -> Place {
        self.params[p].clone()
    }

    pub fn slot(&self, s: usize) -> Place {
        self.slots[s].clone()
    }

    pub fn input(&self, k: usize) -> Place {
        self.inputs[k].clone()
    }

    /// A new buffer for a value. `of_shards`: each shard makes its own, even if it has no samples.
    pub fn value(&mut self, name: &str, ty: &Ty, of_shards: bool) -> Place {
        let region = if ty.batch || of_shards { Region::Shard } else { Region::Shared };
        let time = ty.time.then_some(self.steps);
        self.buffer(name, region, ty, time)
    }

    /// A new buffer for a sequence that has only the steps of a segment.
    pub fn of_segment(&mut self, name: &str, ty: &Ty, steps: usize) -> Place {
        Place { whole: false, ..self.buffer(name, Region::Shard, ty, Some(steps)) }
    }

    /// A new buffer for a state at the start of each segment; `slots` of them for a state that is read several steps later.
    pub fn starts(&mut self, name: &str, ty: &Ty, slots: usize, steps: usize) -> Place {
        let ty = Ty { time: true, ..ty.clone() };
        Place { whole: false, ..self.buffer(name, Region::Shard, &ty, Some(self.steps / steps * slots)) }
    }

    /// Statements made from now on are those of a segment of so many steps, or of the presentation.
    pub fn sweep(&mut self, segment: Option<usize>) {
        self.segment = segment;
    }

    /// Whether statements are those of a segment.
    pub fn in_sweep(&self) -> bool {
        self.segment.is_some()
    }

    /// A new buffer for a state that is read several steps later.
    pub fn history(&mut self, name: &str, ty: &Ty, slots: usize, of_shards: bool) -> Place {
        let region = if ty.batch || of_shards { Region::Shard } else { Region::Shared };
        let ty = Ty { time: true, ..ty.clone() };
        Place { whole: false, ..self.buffer(name, region, &ty, Some(slots)) }
    }

    /// A new buffer in which every shard has a part for a value without samples.
    pub fn partial(&mut self, name: &str, ty: &Ty) -> Place {
        debug_assert!(!ty.batch);
        let len = if ty.time { self.steps } else { 1 } * ty.width();
        // Whole cache lines, so that shards on two threads do not write the same one.
        let part = len.next_multiple_of(ALIGN);
        let all = Ty::tensor(&[self.shards, part]);
        let place = self.buffer(&format!("{name} of each shard"), Region::Shared, &all, None);
        Place { ty: ty.clone(), shard: part, ..place }
    }

    fn buffer(&mut self, name: &str, region: Region, ty: &Ty, time: Option<usize>) -> Place {
        self.buffers.push(BufferInfo {
            name: name.to_string(),
            region,
            offset: 0,
            time,
            batch: ty.batch,
            shape: ty.shape.clone(),
            spikes: false,
            panels: false,
        });
        Place { buffer: self.buffers.len() - 1, ty: ty.clone(), shift: 0, shard: 0, whole: true }
    }

    pub fn shard_batch(&self) -> usize {
        self.shard_batch
    }

    /// Steps of what statements are made for: the presentation, or a segment.
    pub fn steps(&self) -> usize {
        self.segment.unwrap_or(self.steps)
    }

    /// Rows of a value: its samples, and with `flat` its steps too.
    pub fn rows(&self, ty: &Ty, flat: bool) -> usize {
        (if ty.batch { self.shard_batch } else { 1 }) * if flat && ty.time { self.steps() } else { 1 }
    }

    /// Floats of one step.
    pub fn step_floats(&self, place: &Place) -> usize {
        self.rows(&place.ty, false) * place.width()
    }

    /// Adjacent floats from `at` on.
    pub fn block(&self, place: &Place, at: usize) -> Access {
        let segment = match self.segment {
            Some(steps) if place.ty.time && place.whole => steps * self.step_floats(place),
            _ => 0,
        };
        let (buffer, shard) = (place.buffer, place.shard);
        Access { buffer, offset: at, shard, segment, step: 0, shift: 0, row: 0, col: 0 }
    }

    /// The same, of the current step of a time loop.
    pub fn step_block(&self, place: &Place) -> Access {
        let mut access = self.block(place, 0);
        if place.ty.time {
            access.step = self.step_floats(place);
            access.shift = place.shift;
        }
        access
    }

    /// The element at a row and column of a domain.
    pub fn access(&self, place: &Place, domain: &Domain) -> Access {
        let mut access = if domain.flat { self.block(place, 0) } else { self.step_block(place) };
        let has_rows = place.ty.batch || domain.flat && place.ty.time;
        access.row = if has_rows { place.width() } else { 0 };
        access.col = if place.ty.shape.is_empty() { 0 } else { 1 };
        access
    }
}
