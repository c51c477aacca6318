//! Loop IR to machine code through Cranelift; the only code that knows Cranelift. No decisions on order or memory.
//!
//! One function for each phase. All arithmetic is on four f32 lanes; what is left of a row, and all of it without `vector`, runs
//! on lane 0 of the same operations, so that both forms give the same bits. No fused multiply-add is emitted.

mod blocks;
mod function;
mod jit;
mod kernel;
mod math;
mod nest;
mod panels;
mod stages;
mod stmt;
#[cfg(test)]
mod tests;
pub mod wide;

use crate::loops::Program as Loops;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Function, Signature};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use snn_runtime::program::Program;

/// How code is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Four elements at a time.
    pub vector: bool,
    /// Matrix products in documented order.
    pub strict: bool,
    /// Use all that this machine has; otherwise what every machine of its kind has. Results are the same.
    pub native: bool,
    /// Nests that allow it in vectors that Cranelift does not have. Results are the same in strict mode.
    pub wide: Option<wide::Vectors>,
    /// Press the watch of [`snn_runtime::kernels::laps`] after each statement, numbered as [`Loops::costs`] has them.
    pub laps: bool,
}

/// Machine code for this machine.
pub fn program(loops: &Loops, options: &Options) -> Program {
    jit::program(loops, options)
}

/// CLIF of every phase before Cranelift has touched it; the same on every machine.
pub fn clif_text(loops: &Loops) -> String {
    let isa = fixed_isa();
    let mut text = String::new();
    for (idx, phase) in loops.phases.iter().enumerate() {
        let func = function::phase(loops, idx, isa.as_ref(), &TEXT, &mut ByName);
        text.push_str(&format!("; {}\n{}\n", phase.name, func.display()));
    }
    text
}

/// Machine code of every phase for an x86-64 with AVX2, as Cranelift prints it; the same on every machine.
pub fn asm_text(loops: &Loops) -> String {
    let isa = fixed_isa();
    let mut text = String::new();
    for (idx, phase) in loops.phases.iter().enumerate() {
        let mut ctx = cranelift_codegen::Context::new();
        ctx.func = function::phase(loops, idx, isa.as_ref(), &TEXT, &mut ByName);
        ctx.set_disasm(true);
        let compiled = ctx.compile(isa.as_ref(), &mut Default::default());
        let code = compiled.expect("emit: verified code compiles").vcode.clone().unwrap_or_default();
        text.push_str(&format!("; {}\n{code}\n", phase.name));
    }
    text
}

/// Flags of all code: vector code is not improved by Cranelift's optimizer (it keeps constants in registers until they spill).
fn flags() -> settings::Flags {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    let settings = [
        ("opt_level", "none"),
        ("is_pic", "false"),
        ("enable_verifier", verifier),
        ("probestack_strategy", "inline"),
    ];
    for (name, value) in settings {
        flags.set(name, value).expect("emit: a known setting");
    }
    settings::Flags::new(flags)
}

/// What vector code needs at least of an x86-64: the second level of the psABI.
const BASELINE: &[&str] = &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];

/// A machine for texts, whatever the host is: the third level of the psABI.
fn fixed_isa() -> OwnedTargetIsa {
    let third = ["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];
    isa_for("x86_64-unknown-linux-gnu", &[BASELINE, &third].concat())
}

/// A machine of a kind with features, which only x86-64 has names for.
fn isa_for(triple: &str, features: &[&str]) -> OwnedTargetIsa {
    let mut builder =
        cranelift_codegen::isa::lookup_by_name(triple).expect("emit: this kind of machine is supported");
    if triple.starts_with("x86_64") {
        for feature in features {
            builder.enable(feature).expect("emit: a known feature");
        }
    }
    builder.finish(flags()).expect("emit: consistent settings")
}

/// Texts are the same on every machine, and show what Cranelift makes.
const TEXT: Options = Options { vector: true, strict: true, native: false, wide: None, laps: false };

/// Gives functions of the runtime to a function under construction.
trait Imports {
    fn import(&mut self, func: &mut Function, name: &'static str, signature: Signature) -> FuncRef;

    /// A function of its own with that code.
    fn kernel(&mut self, func: &mut Function, code: &[u8], signature: Signature) -> FuncRef;
}

/// For texts: the name itself.
struct ByName;

impl Imports for ByName {
    fn import(&mut self, func: &mut Function, name: &'static str, signature: Signature) -> FuncRef {
        let signature = func.import_signature(signature);
        let name = ExternalName::testcase(name);
        func.import_function(ExtFuncData { name, signature, colocated: false, patchable: false })
    }

    fn kernel(&mut self, _: &mut Function, _: &[u8], _: Signature) -> FuncRef {
        unreachable!("texts are without kernels")
    }
}

/// Calling convention of the target.
fn call_conv(isa: &dyn TargetIsa) -> cranelift_codegen::isa::CallConv {
    isa.default_call_conv()
}
