//! Statements other than nests: time loops, reductions, kernels of the runtime.

use super::function::Frame;
use super::nest::Lanes;
use crate::loops::{Access, Stmt};
use crate::step::Slide;
use crate::step::ops::Fold;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use snn_runtime::abi::Ctx;
use snn_runtime::kernels::shards::PARTS;
use snn_runtime::windows::Windows;
use std::mem::offset_of;

impl Frame<'_> {
    /// A statement.
    pub fn stmt(&mut self, stmt: &Stmt) {
        if self.in_panels(stmt) {
            return;
        }
        if let Stmt::Steps { reverse, body } = stmt {
            return self.steps(*reverse, body);
        }
        if let Stmt::Segments { reverse, count, steps, body } = stmt {
            return self.repeat(*count as i64, 1, *reverse, |f, segment| {
                let outer = f.segment.replace((segment, *steps));
                for stmt in body {
                    f.stmt(stmt);
                }
                f.segment = outer;
            });
        }
        self.work(stmt);
        self.end_lap();
    }

    /// The statements of a time loop, step after step.
    pub fn every_step(&mut self, reverse: bool, body: &[Stmt]) {
        let steps = self.segment.map_or(self.loops.steps, |(_, steps)| steps);
        self.repeat(steps as i64, 1, reverse, |f, step| {
            let outer = f.step.replace(step);
            for stmt in body {
                f.stmt(stmt);
            }
            f.step = outer;
        });
    }

    /// A statement that is no time loop.
    fn work(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Steps { .. } | Stmt::Segments { .. } => unreachable!("a time loop"),
            Stmt::Nest { rows, width, body } => self.nest(*rows, *width, body),
            Stmt::MatMul { size, a, b, tiles, c } => self.matmul(*size, a, b, tiles.as_ref(), c),
            Stmt::Tile { rows, width, swapped, src, dst } => self.tile(*rows, *width, *swapped, src, dst),
            Stmt::MatMulShards { size, a, spikes, b, c } => self.matmul_shards(*size, a, *spikes, b, c),
            Stmt::MatMulEach { size, a, b, tiles, c } => self.matmul_each(*size, a, b, tiles, c),
            Stmt::Slide { slide, over, rows, a, b, c } => self.slide(*slide, over, *rows, a, b.as_ref(), c),
            Stmt::Turn { rows, width, src, dst } => {
                let args =
                    [self.int(*rows as i64), self.int(*width as i64), self.address(src), self.address(dst)];
                self.call("snn_turn_spikes", &[types::I64; 4], None, &args);
            }
            Stmt::FoldColumns { fold, rows, width, src, dst } => {
                self.fold_columns(*fold, *rows, *width, src, dst)
            }
            Stmt::FoldRows { fold, rows, width, src, dst } => {
                self.fold_rows(*fold, *rows as i64, *width, src, dst)
            }
            Stmt::FoldShards { fold, width, src, dst } => self.fold_shards(*fold, *width, src, dst),
            Stmt::Arrange { width, src, keys, dst } => {
                let mut args = [src, keys, dst].map(|access| self.address(access)).to_vec();
                args.push(self.int(*width as i64));
                self.call("snn_arrange", &[types::I64; 4], None, &args);
            }
            Stmt::Random { gaussian, stream, batch, rows, width, dst } => {
                let name = if *gaussian { "snn_gaussian_row" } else { "snn_uniform_row" };
                self.random(name, *stream, *batch, *rows, *width, dst);
            }
            Stmt::Repeat { rows, width, times, src, dst } => {
                self.blocks(*rows, *width, *times, src, dst, true)
            }
            Stmt::SumBlocks { rows, width, times, src, dst } => {
                self.blocks(*rows, *width, *times, src, dst, false)
            }
        }
    }

    fn matmul(
        &mut self,
        size: [usize; 3],
        a: &(Access, [usize; 2]),
        b: &(Access, [usize; 2]),
        tiles: Option<&Access>,
        c: &(Access, usize),
    ) {
        if self.loops.buffers[a.0.buffer].spikes {
            return self.matmul_of_spikes(size, a, b, tiles, c);
        }
        if let Some(tiles) = tiles {
            return self.matmul_tiled(size, a, b, tiles, c);
        }
        let mut args: Vec<Value> = size.iter().map(|s| self.int(*s as i64)).collect();
        for (access, strides) in [a, b] {
            args.push(self.address(access));
            args.extend(strides.map(|s| self.int(s as i64)));
        }
        args.push(self.address(&c.0));
        args.push(self.int(c.1 as i64));
        args.push(self.int(0));
        self.call("snn_matmul", &[types::I64; 12], None, &args);
    }

    fn matmul_tiled(
        &mut self,
        size: [usize; 3],
        a: &(Access, [usize; 2]),
        b: &(Access, [usize; 2]),
        tiles: &Access,
        c: &(Access, usize),
    ) {
        let mut args: Vec<Value> = size.iter().map(|s| self.int(*s as i64)).collect();
        let [row, gap] = self.strides(&a.0, a.1[0]);
        args.extend([self.address(&a.0), row, self.int(a.1[1] as i64), gap, self.address(&b.0)]);
        args.extend(b.1.map(|s| self.int(s as i64)));
        args.extend([self.address(tiles), self.address(&c.0)]);
        args.extend(self.strides(&c.0, c.1));
        self.call("snn_matmul_tiled", &[types::I64; 14], None, &args);
    }

    fn tile(&mut self, rows: usize, width: usize, swapped: bool, src: &Access, dst: &Access) {
        let sizes = [rows as i64, width as i64, i64::from(swapped)].map(|s| self.int(s));
        let mut args = sizes.to_vec();
        args.extend([self.address(src), self.address(dst)]);
        args.push(if self.in_parts { self.field(offset_of!(Ctx, shard_idx)) } else { self.int(0) });
        args.push(self.int(if self.in_parts { PARTS as i64 } else { 1 }));
        self.call("snn_tile_columns", &[types::I64; 7], None, &args);
    }

    fn slide(
        &mut self,
        slide: Slide,
        over: &Windows,
        rows: usize,
        a: &(Access, usize),
        b: Option<&(Access, usize)>,
        c: &(Access, usize),
    ) {
        let (name, part) = match slide {
            Slide::Conv => ("snn_conv", 0),
            Slide::ExactConv => ("snn_conv", 3),
            Slide::ConvToImage => ("snn_conv", 1),
            Slide::ConvToWeights => ("snn_conv", 2),
            Slide::Mean => ("snn_pool", 0),
            Slide::MeanToImage => ("snn_pool", 1),
            Slide::Max => ("snn_pool", 2),
            Slide::MaxToImage => ("snn_pool", 3),
            Slide::Border => ("snn_border", 0),
            Slide::BorderToImage => ("snn_border", 1),
        };
        let mut args = vec![self.int(part), self.int(rows as i64)];
        args.extend(over.packed().map(|word| self.int(word as i64)));
        for operand in [Some(a), b, Some(c)] {
            let (address, stride) = match operand {
                Some((access, stride)) => (self.address(access), *stride),
                None => (self.int(0), 0),
            };
            args.extend([address, self.int(stride as i64)]);
        }
        self.call(name, &[types::I64; 14], None, &args);
    }

    fn matmul_shards(
        &mut self,
        size: [usize; 3],
        a: &(Access, [usize; 2]),
        spikes: bool,
        b: &(Access, usize),
        c: &Access,
    ) {
        let mut args: Vec<Value> = size.iter().map(|s| self.int(*s as i64)).collect();
        args.push(self.address(&a.0));
        args.push(self.int(i64::from(spikes)));
        args.extend(a.1.map(|s| self.int(s as i64)));
        args.push(self.address(&b.0));
        args.extend(self.strides(&b.0, b.1));
        args.push(self.address(c));
        args.extend(self.part_of_shards());
        self.call("snn_matmul_shards", &[types::I64; 14], None, &args);
    }

    fn matmul_each(
        &mut self,
        size: [usize; 3],
        a: &(Access, usize),
        b: &(Access, [usize; 2]),
        tiles: &Access,
        c: &Access,
    ) {
        let mut args: Vec<Value> = size.iter().map(|s| self.int(*s as i64)).collect();
        args.extend([self.address(&a.0), self.int(a.1 as i64), self.address(&b.0)]);
        args.extend(b.1.map(|s| self.int(s as i64)));
        args.extend([self.address(tiles), self.address(c)]);
        args.extend(self.strides(c, size[2]));
        args.extend(self.part_of_shards());
        self.call("snn_matmul_each", &[types::I64; 15], None, &args);
    }

    /// Which part is made, of how many shards, and how far apart those lie.
    fn part_of_shards(&mut self) -> [Value; 3] {
        [offset_of!(Ctx, shard_idx), offset_of!(Ctx, shards), offset_of!(Ctx, shard_stride)]
            .map(|offset| self.field(offset))
    }

    fn matmul_of_spikes(
        &mut self,
        size: [usize; 3],
        a: &(Access, [usize; 2]),
        b: &(Access, [usize; 2]),
        tiles: Option<&Access>,
        c: &(Access, usize),
    ) {
        let mut args: Vec<Value> = size.iter().map(|s| self.int(*s as i64)).collect();
        args.push(self.address(&a.0));
        args.push(self.int(i64::from(a.1[1] != 1)));
        args.push(self.address(&b.0));
        args.extend(b.1.map(|s| self.int(s as i64)));
        args.push(match tiles {
            Some(tiles) => self.address(tiles),
            None => self.int(0),
        });
        args.push(self.address(&c.0));
        args.extend(self.strides(&c.0, c.1));
        self.call("snn_matmul_spikes", &[types::I64; 12], None, &args);
    }

    /// One accumulator for each row; four rows at once, since each addition waits for the one before.
    fn fold_columns(&mut self, fold: Fold, rows: usize, width: usize, src: &Access, dst: &Access) {
        let (from, to) = (self.address(src), self.address(dst));
        let fours = rows / 4 * 4;
        self.repeat(fours as i64, 4, false, |f, row| {
            f.fold_some_rows(fold, 4, row, width, (src, from), (dst, to))
        });
        self.repeat_from(fours, rows, 1, |f, row| {
            f.fold_some_rows(fold, 1, row, width, (src, from), (dst, to))
        });
    }

    fn fold_some_rows(
        &mut self,
        fold: Fold,
        rows: i64,
        row: Value,
        width: usize,
        (src, from): (&Access, Value),
        (dst, to): (&Access, Value),
    ) {
        let from = self.plus_times(from, row, 4 * src.row as i64);
        let to = self.plus_times(to, row, 4 * dst.row as i64);
        let mut accs = Vec::new();
        for k in 0..rows {
            let from = self.plus(from, 4 * k * src.row as i64);
            let (var, first) = (self.b.declare_var(types::F32X4), self.first(fold, src, from));
            self.b.def_var(var, first);
            accs.push((var, from));
        }
        self.repeat(4 * width as i64, 4, false, |f, column| {
            for (var, from) in &accs {
                let (acc, x) = (f.b.use_var(*var), f.read(src, *from, column, Lanes::One));
                let acc = f.fold_pair(fold, acc, x);
                f.b.def_var(*var, acc);
            }
        });
        let zero = self.int(0);
        for (k, (var, _)) in accs.iter().enumerate() {
            let acc = self.b.use_var(*var);
            let to = self.plus(to, 4 * k as i64 * dst.row as i64);
            self.write(&Access { col: 0, ..*dst }, to, zero, Lanes::One, acc);
        }
    }

    /// Sums start from 0, other folds from their first element (which they then meet once more: that changes nothing).
    fn first(&mut self, fold: Fold, src: &Access, from: Value) -> Value {
        if fold == Fold::Sum {
            return self.number(0.0);
        }
        let zero = self.int(0);
        self.read(src, from, zero, Lanes::One)
    }

    fn fold_rows(&mut self, fold: Fold, rows: i64, width: usize, src: &Access, dst: &Access) {
        let (from, to) = (self.address(src), self.address(dst));
        let rows = self.int(rows);
        self.fold_to(fold, rows, src.row, width, (src, from), (dst, to));
    }

    /// Rows `stride` floats apart, for each column. 16 columns at once: a cache line of each row.
    fn fold_to(
        &mut self,
        fold: Fold,
        rows: Value,
        stride: usize,
        width: usize,
        src: (&Access, Value),
        dst: (&Access, Value),
    ) {
        let fours = if self.vector { width / 4 * 4 } else { 0 };
        let lines = fours / 16 * 16;
        let some = |lanes, groups| {
            move |f: &mut Self, column| {
                f.fold_some_columns(fold, rows, stride, (lanes, groups, column), src, dst);
            }
        };
        self.repeat(4 * lines as i64, 64, false, some(Lanes::Four, 4));
        self.repeat_from(4 * lines, 4 * fours, 16, some(Lanes::Four, 1));
        self.repeat_from(4 * fours, 4 * width, 4, some(Lanes::One, 1));
    }

    fn fold_some_columns(
        &mut self,
        fold: Fold,
        rows: Value,
        stride: usize,
        (lanes, groups, column): (Lanes, i64, Value),
        (src, from): (&Access, Value),
        (dst, to): (&Access, Value),
    ) {
        let columns: Vec<Value> = (0..groups).map(|k| self.plus(column, 16 * k)).collect();
        let mut accs = Vec::new();
        for column in &columns {
            let first = match fold {
                Fold::Sum => self.number(0.0),
                _ => self.read(src, from, *column, lanes),
            };
            let var = self.b.declare_var(types::F32X4);
            self.b.def_var(var, first);
            accs.push(var);
        }
        self.repeat_to(rows, 1, |f, row| {
            let from = f.plus_times(from, row, 4 * stride as i64);
            for (var, column) in accs.iter().zip(&columns) {
                let (acc, x) = (f.b.use_var(*var), f.read(src, from, *column, lanes));
                let acc = f.fold_pair(fold, acc, x);
                f.b.def_var(*var, acc);
            }
        });
        for (var, column) in accs.iter().zip(&columns) {
            let acc = self.b.use_var(*var);
            self.write(dst, to, *column, lanes, acc);
        }
    }

    fn fold_shards(&mut self, fold: Fold, width: usize, src: &Access, dst: &Access) {
        // Row `r` is shard `r`, whichever shard this context is of.
        let mut from = self.address(&Access { shard: 0, ..*src });
        let mut to = self.address(dst);
        let shards = self.field(offset_of!(Ctx, shards));
        let mut of_part = width;
        if self.in_parts {
            // Whole cache lines; the first part also makes what is left at the end.
            of_part = width / (16 * PARTS) * 16;
            let rest = width - of_part * PARTS;
            let part = self.field(offset_of!(Ctx, shard_idx));
            self.when_equal(part, 0, |f| {
                let at = f.int(4 * (of_part * PARTS) as i64);
                let (from, to) = (f.b.ins().iadd(from, at), f.b.ins().iadd(to, at));
                f.fold_to(fold, shards, src.shard, rest, (src, from), (dst, to));
            });
            from = self.plus_times(from, part, 4 * of_part as i64);
            to = self.plus_times(to, part, 4 * of_part as i64);
        }
        self.fold_to(fold, shards, src.shard, of_part, (src, from), (dst, to));
    }

    fn random(
        &mut self,
        name: &'static str,
        stream: u64,
        batch: bool,
        rows: usize,
        width: usize,
        dst: &Access,
    ) {
        let to = self.address(dst);
        let key = self.field(offset_of!(Ctx, key));
        let first = if batch { self.field(offset_of!(Ctx, first_sample)) } else { self.int(0) };
        let stream = self.int(stream as i64);
        let step = match self.now() {
            Some(step) => step,
            None => self.int(0),
        };
        self.repeat(rows as i64, 1, false, |f, row| {
            let to = f.plus_times(to, row, 4 * dst.row as i64);
            let sample = f.b.ins().iadd(first, row);
            let n = f.int(width as i64);
            f.call(name, &[types::I64; 6], None, &[to, n, key, stream, step, sample]);
        });
    }

    /// `Repeat` and `SumBlocks`: column `c` of the short side stands for `times` columns of the long one.
    fn blocks(&mut self, rows: usize, width: usize, times: usize, src: &Access, dst: &Access, repeat: bool) {
        let (from, to) = (self.address(src), self.address(dst));
        let (long, short) = (4 * times as i64, 4);
        let (step_from, step_to) = if repeat { (short, long) } else { (long, short) };
        self.repeat(rows as i64, 1, false, |f, row| {
            let from = f.plus_times(from, row, 4 * src.row as i64);
            let to = f.plus_times(to, row, 4 * dst.row as i64);
            f.repeat(width as i64, 1, false, |f, column| {
                let from = f.plus_times(from, column, step_from);
                let to = f.plus_times(to, column, step_to);
                let var = f.b.declare_var(types::F32X4);
                let zero = f.int(0);
                let first = if repeat { f.read(src, from, zero, Lanes::One) } else { f.number(0.0) };
                f.b.def_var(var, first);
                f.repeat(4 * times as i64, 4, false, |f, k| {
                    let acc = f.b.use_var(var);
                    if repeat {
                        f.write(dst, to, k, Lanes::One, acc);
                    } else {
                        let x = f.read(src, from, k, Lanes::One);
                        let sum = f.b.ins().fadd(acc, x);
                        f.b.def_var(var, sum);
                    }
                });
                if !repeat {
                    let acc = f.b.use_var(var);
                    f.write(dst, to, zero, Lanes::One, acc);
                }
            });
        });
    }
}
