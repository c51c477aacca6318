//! Functions into executable memory. All `unsafe` of the crate is here; no code is generated here.

use super::{Imports, Options, flags, function};
use crate::loops::Program as Loops;
use cranelift_codegen::ir::{FuncRef, Function, Signature};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};
use snn_runtime::abi::PhaseFn;
use snn_runtime::kernels;
use snn_runtime::program::{Code, Phase, Program};
use std::sync::Mutex;

/// Owner of the pages of code.
struct Pages(Mutex<Option<JITModule>>);

impl Code for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        let module = self.0.get_mut().map(Option::take);
        if let Ok(Some(module)) = module {
            // SAFETY: the program that owns the pages also owns the only pointers into them and is being dropped.
            unsafe { module.free_memory() };
        }
    }
}

/// Names of the runtime become declarations of the module.
struct ByModule<'a> {
    module: &'a mut JITModule,
    known: &'a [&'static str],
    /// How many there are.
    kernels: &'a mut usize,
}

impl Imports for ByModule<'_> {
    fn import(&mut self, func: &mut Function, name: &'static str, signature: Signature) -> FuncRef {
        // Cranelift would ask the dynamic linker for a name it does not know, and panic without saying which one.
        assert!(self.known.contains(&name), "emit: the runtime has no {name}");
        let id = self.module.declare_function(name, Linkage::Import, &signature);
        self.module.declare_func_in_func(id.expect("emit: one signature for each name"), func)
    }

    fn kernel(&mut self, func: &mut Function, code: &[u8], signature: Signature) -> FuncRef {
        *self.kernels += 1;
        let name = format!("kernel {}", self.kernels);
        let id = self.module.declare_function(&name, Linkage::Local, &signature);
        let id = id.expect("emit: kernels have names of their own");
        // Constants behind the code are read as whole cache lines.
        self.module.define_function_bytes(id, 64, code, &[]).expect("emit: a kernel is defined once");
        self.module.declare_func_in_func(id, func)
    }
}

/// See [`super::program`].
pub(super) fn program(loops: &Loops, options: &Options) -> Program {
    let isa = isa_of_host(options.native);
    let mut builder = JITBuilder::with_isa(isa.clone(), default_libcall_names());
    let symbols = kernels::symbols(options.strict);
    let known: Vec<&'static str> = symbols.iter().map(|(name, _)| *name).collect();
    builder.symbols(symbols);
    let mut module = JITModule::new(builder);
    let (mut ids, mut kernels) = (Vec::new(), 0);
    let mut ctx = module.make_context();
    for (idx, phase) in loops.phases.iter().enumerate() {
        let mut imports = ByModule { module: &mut module, known: &known, kernels: &mut kernels };
        ctx.func = function::phase(loops, idx, isa.as_ref(), options, &mut imports);
        let id = module.declare_function(&phase.name, Linkage::Export, &ctx.func.signature);
        let id = id.expect("emit: phases have names of their own");
        if let Err(error) = module.define_function(id, &mut ctx) {
            panic!("emit: phase {} does not compile: {error:?}", phase.name);
        }
        module.clear_context(&mut ctx);
        ids.push(id);
    }
    module.finalize_definitions().expect("emit: memory for code");
    let phases = loops.phases.iter().zip(ids).map(|(phase, id)| {
        let code = module.get_finalized_function(id);
        // SAFETY: the function was built with exactly this signature and the convention of the platform's C.
        let code = unsafe { std::mem::transmute::<*const u8, PhaseFn>(code) };
        Phase {
            name: phase.name.clone(),
            section: phase.section,
            parallel: phase.parallel,
            joined: phase.joined,
            code,
        }
    });
    Program {
        phases: phases.collect(),
        plan: loops.memory_plan(),
        params: loops.params.clone(),
        inputs: loops.inputs.clone(),
        outputs: loops.outputs.clone(),
        code: Box::new(Pages(Mutex::new(Some(module)))),
    }
}

/// This machine, with what it has, or with what all machines of its kind have had for ten years.
fn isa_of_host(native: bool) -> OwnedTargetIsa {
    let host = cranelift_native::builder().expect("emit: this kind of machine is supported");
    if native {
        return host.finish(flags()).expect("emit: consistent settings");
    }
    super::isa_for(&host.triple().to_string(), super::BASELINE)
}

/// Runs a phase on memory that a test has laid out by the plan.
#[cfg(test)]
pub(super) fn call(program: &Program, phase: &Phase, ctx: &snn_runtime::abi::Ctx) {
    // SAFETY: tests allocate each region as large as the plan says and call phases one after another.
    unsafe { program.call(phase, ctx) }
}
