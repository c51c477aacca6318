//! One function for a phase: its frame, loops, addresses and calls.

use super::nest::Lanes;
use super::panels::panel_floats;
use super::wide::Vectors;
use super::{Imports, Options, call_conv};
use crate::loops::{Access, Program as Loops};
use cranelift::prelude::{FunctionBuilder, FunctionBuilderContext};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, BlockArg, ConstantData, FuncRef, Function, InstBuilder, MemFlagsData, Signature, StackSlot,
    Type, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use snn_runtime::abi::Ctx;
use snn_runtime::kernels::laps::START;
use snn_runtime::program::{Parallel, Region};
use std::collections::BTreeMap;
use std::mem::offset_of;

/// The function of phase `idx`.
pub(super) fn phase(
    loops: &Loops,
    idx: usize,
    isa: &dyn TargetIsa,
    options: &Options,
    imports: &mut dyn Imports,
) -> Function {
    let mut signature = Signature::new(call_conv(isa));
    signature.params.push(AbiParam::new(types::I64));
    let mut func = Function::with_name_signature(UserFuncName::user(0, idx as u32), signature);
    let mut fb = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut fb);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let ctx = b.block_params(entry)[0];
    let in_parts = loops.phases[idx].parallel == Parallel::Parts;
    let mut f = Frame {
        b,
        loops,
        in_parts,
        imports,
        vector: options.vector,
        vectors: options.wide.filter(|_| options.vector),
        exact: options.strict,
        lanes: Lanes::Four,
        ctx,
        step: None,
        segment: None,
        first_row: None,
        panel: None,
        scratch: None,
        kernel_frame: None,
        lap: options.laps.then(|| loops.statements_before(idx)),
        functions: BTreeMap::new(),
        isa,
    };
    if options.laps {
        f.press(START);
    }
    for stmt in &loops.phases[idx].body {
        f.stmt(stmt);
    }
    f.b.ins().return_(&[]);
    f.b.seal_all_blocks();
    let Frame { b, .. } = f;
    b.finalize(isa.frontend_config());
    func
}

/// A function under construction.
pub(super) struct Frame<'a> {
    pub b: FunctionBuilder<'a>,
    pub loops: &'a Loops,
    /// Whether the function makes a part of its results.
    pub in_parts: bool,
    imports: &'a mut dyn Imports,
    pub vector: bool,
    /// Vectors of kernels.
    pub vectors: Option<Vectors>,
    /// Whether kernels divide as Cranelift does.
    pub exact: bool,
    /// Lanes that count in the element under construction.
    pub lanes: Lanes,
    /// The context.
    pub ctx: Value,
    /// Step of the enclosing time loop.
    pub step: Option<Value>,
    /// Number of the enclosing segment, and the steps of each.
    pub segment: Option<(Value, usize)>,
    /// The first row of the nests of a time loop, if some rows are done at a time.
    pub first_row: Option<Value>,
    /// The panel at hand, in loops over panels.
    pub panel: Option<Value>,
    /// Memory of this call, if it needs some.
    pub scratch: Option<StackSlot>,
    /// Frame of kernels, if there are some.
    pub kernel_frame: Option<StackSlot>,
    /// Number of the next statement, if statements are timed.
    pub lap: Option<usize>,
    functions: BTreeMap<&'static str, FuncRef>,
    isa: &'a dyn TargetIsa,
}

/// Memory of programs: valid and aligned to 4 bytes at least.
pub(super) fn memory() -> MemFlagsData {
    let mut flags = MemFlagsData::new();
    flags.set_notrap();
    flags
}

impl Frame<'_> {
    /// An integer.
    pub fn int(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// A 64-bit field of the context.
    pub fn field(&mut self, offset: usize) -> Value {
        let ctx = self.ctx;
        self.b.ins().load(types::I64, memory(), ctx, offset as i32)
    }

    /// `x + k`
    pub fn plus(&mut self, x: Value, k: i64) -> Value {
        if k == 0 { x } else { self.b.ins().iadd_imm_s(x, k) }
    }

    /// `x + i * k`
    pub fn plus_times(&mut self, x: Value, i: Value, k: i64) -> Value {
        if k == 0 {
            return x;
        }
        let product = if k == 1 { i } else { self.b.ins().imul_imm_s(i, k) };
        self.b.ins().iadd(x, product)
    }

    /// `for i in (0..extent) step by`, or from the last to the first (`by` is 1 then).
    pub fn repeat(&mut self, extent: i64, by: i64, reverse: bool, body: impl FnOnce(&mut Self, Value)) {
        if extent <= 0 {
            return;
        }
        let zero = self.int(0);
        if extent <= by {
            return body(self, zero);
        }
        let limit = self.int(extent);
        self.repeat_to(limit, by, |f, i| {
            let i = if reverse {
                let last = f.int(extent - 1);
                f.b.ins().isub(last, i)
            } else {
                i
            };
            body(f, i)
        });
    }

    /// `for i in (from..to) step by`.
    pub fn repeat_from(&mut self, from: usize, to: usize, by: usize, body: impl FnOnce(&mut Self, Value)) {
        self.repeat((to - from) as i64, by as i64, false, |f, i| {
            let i = f.plus(i, from as i64);
            body(f, i);
        });
    }

    /// `for i in 0..limit step by` with at least one turn.
    pub fn repeat_to(&mut self, limit: Value, by: i64, body: impl FnOnce(&mut Self, Value)) {
        let (head, exit) = (self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(head, types::I64);
        let zero = self.int(0);
        self.b.ins().jump(head, &[BlockArg::from(zero)]);
        self.b.switch_to_block(head);
        body(self, i);
        let next = self.plus(i, by);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, limit);
        self.b.ins().brif(more, head, &[BlockArg::from(next)], exit, &[]);
        self.b.switch_to_block(exit);
    }

    /// `if a == b { body }`
    pub fn when_equal(&mut self, a: Value, b: i64, body: impl FnOnce(&mut Self)) {
        let (then, exit) = (self.b.create_block(), self.b.create_block());
        let is_equal = self.b.ins().icmp_imm_s(IntCC::Equal, a, b);
        self.b.ins().brif(is_equal, then, &[], exit, &[]);
        self.b.switch_to_block(then);
        body(self);
        self.b.ins().jump(exit, &[]);
        self.b.switch_to_block(exit);
    }

    /// Address of the first row that is done, column 0, of an access at the current step.
    pub fn address(&mut self, a: &Access) -> Value {
        let info = &self.loops.buffers[a.buffer];
        let base = match info.region {
            Region::Param => offset_of!(Ctx, param),
            Region::Slot => offset_of!(Ctx, slot),
            Region::Shared => offset_of!(Ctx, shared),
            Region::Shard => offset_of!(Ctx, shard),
            Region::Local => offset_of!(Ctx, local),
        };
        let base = self.field(base);
        let constant = (info.offset + a.offset) as i64 + a.shift as i64 * a.step as i64;
        let mut address = self.plus(base, 4 * constant);
        if a.shard != 0 {
            let shard = self.field(offset_of!(Ctx, shard_idx));
            address = self.plus_times(address, shard, 4 * a.shard as i64);
        }
        if a.segment != 0 {
            let (segment, _) = self.segment.expect("verified: within segments");
            address = self.plus_times(address, segment, 4 * a.segment as i64);
        }
        if a.step != 0 {
            let step = self.step.expect("verified: within a time loop");
            address = self.plus_times(address, step, 4 * a.step as i64);
        }
        if let Some(panel) = self.panel {
            address = self.plus_times(address, panel, 4 * panel_floats(self.loops, a) as i64);
        }
        if let Some(row) = self.first_row {
            address = self.plus_times(address, row, 4 * a.row as i64);
        }
        address
    }

    /// The step of the presentation, in a time loop.
    pub fn now(&mut self) -> Option<Value> {
        let step = self.step?;
        Some(match self.segment {
            Some((segment, steps)) => self.plus_times(step, segment, steps as i64),
            None => step,
        })
    }

    /// Ends the lap of a statement that is no time loop, if statements are timed.
    pub fn end_lap(&mut self) {
        if let Some(lap) = self.lap {
            self.press(lap as u64);
            self.lap = Some(lap + 1);
        }
    }

    fn press(&mut self, lap: u64) {
        let lap = self.int(lap as i64);
        self.call("snn_lap", &[types::I64], None, &[lap]);
    }

    /// Calls a function of the runtime.
    pub fn call(
        &mut self,
        name: &'static str,
        params: &[Type],
        result: Option<Type>,
        args: &[Value],
    ) -> Option<Value> {
        let func = match self.functions.get(name) {
            Some(func) => *func,
            None => {
                let mut signature = Signature::new(call_conv(self.isa));
                signature.params.extend(params.iter().map(|t| AbiParam::new(*t)));
                signature.returns.extend(result.map(AbiParam::new));
                let func = self.imports.import(self.b.func, name, signature);
                self.functions.insert(name, func);
                func
            }
        };
        let call = self.b.ins().call(func, args);
        result.map(|_| self.b.inst_results(call)[0])
    }

    /// Calls a kernel with its frame.
    pub fn call_kernel(&mut self, code: &[u8], frame: Value) {
        // Kernels follow one convention on all systems.
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.push(AbiParam::new(types::I64));
        let func = self.imports.kernel(self.b.func, code, signature);
        self.b.ins().call(func, &[frame]);
    }

    /// Four times the same number.
    pub fn number(&mut self, value: f32) -> Value {
        let bytes: Vec<u8> = value.to_bits().to_le_bytes().repeat(4);
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(types::F32X4, constant)
    }

    /// Four times the same integer.
    pub fn integers(&mut self, value: i32) -> Value {
        let bytes: Vec<u8> = value.to_le_bytes().repeat(4);
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(types::I32X4, constant)
    }
}
