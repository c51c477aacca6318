//! Instructions of kernels, through iced-x86: rows and columns, memory, spikes. Operations are in `ops`; registers for values are chosen in
//! the parent.
//!
//! Registers of a kernel: `rdi` its frame, `rsi` its constants, `rcx` bytes of numbers before the columns at hand, `rdx` bytes of
//! spikes before them, `rax` and `r11` free; the others hold addresses of accesses as far as they go round. The last vector registers
//! are for intermediate values of one operation.

mod close;
mod ops;

use super::{Action, Kernel, Pointer, Vectors};
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register,
};
use ops::{ADD, AND, GE, GT};

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Place {
    Register(u32),
    Const(f32),
}

/// Registers that hold addresses; from the fourth on they belong to the caller.
const POINTERS: [Register; 9] = [
    Register::R8,
    Register::R9,
    Register::R10,
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
const OF_CALLER: usize = 3;
/// `lea rsi, [rip + …]`, which every kernel starts with.
const LEA: usize = 7;

/// Instructions under construction.
pub(super) struct Encoder<'a> {
    vectors: Vectors,
    kernel: &'a Kernel,
    code: Vec<Instruction>,
    /// Constants: numbers, or whole vectors with AVX2.
    constants: Vec<Vec<u32>>,
    /// Columns at hand if they do not fill a vector.
    rest: Option<usize>,
    /// The first column at hand if it is known, as in short rows; else `rcx` and `rdx` say where it is.
    column: Option<usize>,
}

/// Operands of instructions.
#[derive(Clone, Copy)]
enum Source {
    Register(Register),
    Memory(MemoryOperand),
}

impl<'a> Encoder<'a> {
    pub fn new(vectors: Vectors, kernel: &'a Kernel) -> Encoder<'a> {
        Encoder { vectors, kernel, code: Vec::new(), constants: Vec::new(), rest: None, column: None }
    }

    /// Registers for values.
    pub fn registers(&self) -> u32 {
        match self.vectors {
            Vectors::Avx512 => 32 - if self.is_close() { 3 } else { 2 },
            Vectors::Avx2 => 13,
        }
    }

    /// Whether quotients and square roots may be off by a bit.
    fn is_close(&self) -> bool {
        !self.kernel.exact && self.wide()
    }

    fn wide(&self) -> bool {
        self.vectors == Vectors::Avx512
    }

    fn vector(&self, number: u32) -> Register {
        if self.wide() { Register::ZMM0 + number } else { Register::YMM0 + number }
    }

    /// Intermediate values of one operation.
    fn temporary(&self, number: u32) -> Register {
        self.vector(self.registers() + number)
    }

    /// With AVX2 the mask of the last columns.
    fn mask_of_rest(&self) -> Register {
        self.vector(15)
    }

    fn push(&mut self, instruction: Result<Instruction, iced_x86::IcedError>) {
        let mut instruction = instruction.expect("emit: an instruction with these operands");
        // Only to tell instructions apart: targets of jumps are these numbers.
        instruction.set_ip(self.code.len() as u64 + 1);
        self.code.push(instruction);
    }

    /// An instruction that works on the columns of a mask, others become zero if the result is a register.
    fn push_masked(
        &mut self,
        instruction: Result<Instruction, iced_x86::IcedError>,
        mask: Register,
        zero: bool,
    ) {
        self.push(instruction);
        let last = self.code.last_mut().expect("just pushed");
        last.set_op_mask(mask);
        last.set_zeroing_masking(zero);
    }

    /// Number of the next instruction.
    fn here(&self) -> u64 {
        self.code.len() as u64 + 1
    }

    fn branch(&mut self, code: Code, to: u64) {
        self.push(Instruction::with_branch(code, to));
    }

    fn kept(&self) -> usize {
        self.kernel.pointers.min(POINTERS.len())
    }

    /// Where the counter of a loop lies in the frame.
    fn counter(&self, level: usize) -> MemoryOperand {
        self.frame(8 * (self.kernel.pointers + level))
    }

    /// Begins all loops, the innermost last; gives where each begins.
    pub fn begin_loops(&mut self) -> Vec<u64> {
        for register in POINTERS[..self.kept()].iter().skip(OF_CALLER) {
            self.push(Instruction::with1(Code::Push_r64, *register));
        }
        let in_registers = self.kept() == self.kernel.pointers;
        if in_registers {
            self.load_pointers();
        }
        let mut heads = vec![0; self.kernel.loops.len()];
        for (level, turns) in self.kernel.loops.iter().enumerate().rev() {
            let counter = self.counter(level);
            self.push(Instruction::with2(Code::Mov_rm64_imm32, counter, turns.count as i32));
            heads[level] = self.here();
        }
        if !in_registers {
            self.load_pointers();
        }
        self.push(Instruction::with2(Code::Xor_r32_rm32, Register::ECX, Register::ECX));
        self.push(Instruction::with2(Code::Xor_r32_rm32, Register::EDX, Register::EDX));
        heads
    }

    fn load_pointers(&mut self) {
        for (at, register) in POINTERS[..self.kept()].iter().enumerate() {
            let slot = self.frame(8 * at);
            self.push(Instruction::with2(Code::Mov_r64_rm64, *register, slot));
        }
    }

    /// Goes on to the next turn of the innermost loop that has one, or returns.
    pub fn end_loops(&mut self, heads: &[u64]) {
        let in_registers = self.kept() == self.kernel.pointers;
        // How far the loops inside have moved a pointer.
        let mut moved = vec![0; self.kernel.pointers];
        for (level, (turns, head)) in self.kernel.loops.iter().zip(heads).enumerate() {
            if turns.count < 2 {
                continue;
            }
            for (at, stride) in turns.strides.iter().enumerate().filter(|(at, s)| **s != moved[*at]) {
                let by = (stride - moved[at]) as i32;
                let slot = self.frame(8 * at);
                self.push(match in_registers {
                    true => Instruction::with2(Code::Add_rm64_imm32, POINTERS[at], by),
                    false => Instruction::with2(Code::Add_rm64_imm32, slot, by),
                });
            }
            moved = turns.strides.iter().map(|stride| turns.count as i64 * stride).collect();
            let counter = self.counter(level);
            self.push(Instruction::with1(Code::Dec_rm64, counter));
            self.branch(Code::Jne_rel32_64, *head);
        }
        for register in POINTERS[..self.kept()].iter().skip(OF_CALLER).rev() {
            self.push(Instruction::with1(Code::Pop_r64, *register));
        }
        self.push(Ok(Instruction::with(Code::VEX_Vzeroupper)));
        self.push(Ok(Instruction::with(Code::Retnq)));
    }

    /// Begins the loop over whole vectors of columns; gives where.
    pub fn begin_columns(&self) -> u64 {
        self.here()
    }

    /// Goes on to the next columns until `whole` are done.
    pub fn end_columns(&mut self, head: u64, whole: usize) {
        let lanes = self.vectors.lanes() as i32;
        self.push(Instruction::with2(Code::Add_rm64_imm32, Register::RCX, 4 * lanes));
        self.push(Instruction::with2(Code::Add_rm64_imm32, Register::RDX, lanes / 8));
        self.push(Instruction::with2(Code::Cmp_rm64_imm32, Register::RCX, 4 * whole as i32));
        self.branch(Code::Jb_rel32_64, head);
    }

    /// From here on the columns from `column` on.
    pub fn set_column(&mut self, column: usize) {
        self.column = Some(column);
    }

    /// From here on whole vectors, or `rest` columns.
    pub fn set_rest(&mut self, rest: Option<usize>) {
        self.rest = rest;
        let Some(rest) = rest else { return };
        if self.wide() {
            self.push(Instruction::with2(Code::Mov_r32_imm32, Register::EAX, (1u32 << rest) - 1));
            self.push(Instruction::with2(Code::VEX_Kmovw_kr_r32, Register::K1, Register::EAX));
        } else {
            let lanes = (0..8).map(|lane| if lane < rest { u32::MAX } else { 0 }).collect();
            let mask = self.pooled(lanes);
            let to = self.mask_of_rest();
            self.push(Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, to, mask));
        }
    }

    fn frame(&self, offset: usize) -> MemoryOperand {
        MemoryOperand::with_base_displ(Register::RDI, offset as i64)
    }

    /// A constant in memory.
    fn pooled(&mut self, lanes: Vec<u32>) -> MemoryOperand {
        let at = self.constants.iter().position(|c| *c == lanes).unwrap_or_else(|| {
            self.constants.push(lanes);
            self.constants.len() - 1
        });
        let is_one = self.wide();
        let bytes = if is_one { 4 } else { 32 };
        let displacement = (bytes * at) as i64;
        MemoryOperand::new(Register::RSI, Register::None, 1, displacement, 1, is_one, Register::None)
    }

    /// A number for all columns, as an operand.
    fn constant(&mut self, bits: u32) -> MemoryOperand {
        self.pooled(vec![bits; if self.wide() { 1 } else { 8 }])
    }

    fn number(&mut self, value: f32) -> Source {
        Source::Memory(self.constant(value.to_bits()))
    }

    fn source(&mut self, place: Place) -> Source {
        match place {
            Place::Register(r) => Source::Register(self.vector(r)),
            Place::Const(c) => self.number(c),
        }
    }

    /// A value in a register, which is `temporary` if it is a constant.
    fn in_register(&mut self, place: Place, temporary: Register) -> Register {
        match place {
            Place::Register(r) => self.vector(r),
            Place::Const(c) => {
                self.spread_constant(temporary, c);
                temporary
            }
        }
    }

    fn spread_constant(&mut self, to: Register, value: f32) {
        let mut memory = self.constant(value.to_bits());
        memory.is_broadcast = false;
        if self.wide() {
            self.push(Instruction::with2(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, to, memory));
        } else {
            self.push(Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, to, memory));
        }
    }

    /// The address of an access; of columns if `index` is `rcx` or `rdx`.
    fn address(&mut self, pointer: Pointer, index: Register) -> MemoryOperand {
        let base = match POINTERS.get(pointer) {
            Some(register) => *register,
            None => {
                let slot = self.frame(8 * pointer);
                self.push(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, slot));
                Register::RAX
            }
        };
        let (index, bytes) = match (self.column, index) {
            (Some(column), Register::RCX) => (Register::None, 4 * column),
            (Some(column), Register::RDX) => (Register::None, column / 8),
            _ => (index, 0),
        };
        let needs_one = base == Register::RBP || base == Register::R13;
        let size = if needs_one || bytes > 0 { 1 } else { 0 };
        MemoryOperand::new(base, index, 1, bytes as i64, size, false, Register::None)
    }

    fn three(&mut self, [wide, narrow]: [Code; 2], to: Register, a: Register, b: Source) {
        let code = if self.wide() { wide } else { narrow };
        self.push(match b {
            Source::Register(b) => Instruction::with3(code, to, a, b),
            Source::Memory(b) => Instruction::with3(code, to, a, b),
        });
    }

    fn load(&mut self, pointer: Pointer, to: Register) {
        let from = self.address(pointer, Register::RCX);
        let ahead = self.kernel.ahead[pointer];
        if ahead != 0 {
            let line = MemoryOperand { displacement: from.displacement + ahead, displ_size: 1, ..from };
            self.push(Instruction::with1(Code::Prefetcht0_m8, line));
        }
        match (self.wide(), self.rest) {
            (true, None) => self.push(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, to, from)),
            (true, Some(_)) => {
                let load = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, to, from);
                self.push_masked(load, Register::K1, true);
            }
            (false, None) => self.push(Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, to, from)),
            (false, Some(_)) => {
                let mask = self.mask_of_rest();
                self.push(Instruction::with3(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, mask, from));
            }
        }
    }

    fn store(&mut self, pointer: Pointer, x: Register) {
        let to = self.address(pointer, Register::RCX);
        match (self.wide(), self.rest) {
            (true, None) => self.push(Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, to, x)),
            (true, Some(_)) => {
                let store = Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, to, x);
                self.push_masked(store, Register::K1, false);
            }
            (false, None) => self.push(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, to, x)),
            (false, Some(_)) => {
                let mask = self.mask_of_rest();
                self.push(Instruction::with3(Code::VEX_Vmaskmovps_m256_ymm_ymm, to, mask, x));
            }
        }
    }

    fn spread(&mut self, from: MemoryOperand, to: Register) {
        let code =
            if self.wide() { Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32 } else { Code::VEX_Vbroadcastss_ymm_m32 };
        self.push(Instruction::with2(code, to, from));
    }

    fn load_spikes(&mut self, pointer: Pointer, to: Register) {
        let from = self.address(pointer, Register::RDX);
        let is_byte = self.rest.is_some_and(|rest| rest <= 8);
        if self.wide() {
            let code = if is_byte { Code::VEX_Kmovb_kr_km8 } else { Code::VEX_Kmovw_kr_km16 };
            self.push(Instruction::with2(code, Register::K2, from));
            self.ones(to);
            return;
        }
        let (all, bits) = (self.temporary(0), (0..8).map(|lane| 1 << lane).collect());
        let bits = self.pooled(bits);
        self.push(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, from));
        let low = Register::XMM0 + (all as u32 - Register::YMM0 as u32);
        self.push(Instruction::with2(Code::VEX_Vmovd_xmm_rm32, low, Register::EAX));
        self.push(Instruction::with2(Code::VEX_Vpbroadcastd_ymm_xmmm32, all, low));
        self.push(Instruction::with3(Code::VEX_Vpand_ymm_ymm_ymmm256, all, all, bits));
        self.push(Instruction::with3(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, all, all, bits));
        let one = self.number(1.0);
        self.three(AND, to, all, one);
    }

    /// 1 in the columns of mask k2, else 0.
    fn ones(&mut self, to: Register) {
        let mut one = self.constant(1f32.to_bits());
        one.is_broadcast = false;
        let ones = Instruction::with2(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, to, one);
        self.push_masked(ones, Register::K2, true);
    }

    /// Bit 29 of 1.0 is set; as a sign it is what masks are made of.
    fn store_spikes(&mut self, pointer: Pointer, x: Register) {
        let is_byte = self.rest.is_some_and(|rest| rest <= 8);
        if self.wide() {
            let test = Instruction::with3(Code::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32, Register::K2, x, x);
            match self.rest {
                Some(_) => self.push_masked(test, Register::K1, false),
                None => self.push(test),
            }
            let to = self.address(pointer, Register::RDX);
            let code = if is_byte { Code::VEX_Kmovb_m8_kr } else { Code::VEX_Kmovw_m16_kr };
            self.push(Instruction::with2(code, to, Register::K2));
            return;
        }
        let signs = self.temporary(0);
        let to = self.address(pointer, Register::RDX);
        self.push(Instruction::with3(Code::VEX_Vpslld_ymm_ymm_imm8, signs, x, 2));
        self.push(Instruction::with2(Code::VEX_Vmovmskps_r32_ymm, Register::R11D, signs));
        self.push(Instruction::with2(Code::Mov_rm8_r8, to, Register::R11L));
    }

    /// A comparison as a mask: `k2`, or `to` with AVX2.
    fn compare(&mut self, predicate: i32, a: Register, b: Source, to: Register) {
        let wide = self.wide();
        let (code, to) = match wide {
            true => (Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, Register::K2),
            false => (Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8, to),
        };
        self.push(match b {
            Source::Register(b) => Instruction::with4(code, to, a, b, predicate),
            Source::Memory(b) => Instruction::with4(code, to, a, b, predicate),
        });
    }

    /// A comparison as 1 or 0.
    fn truth(&mut self, predicate: i32, a: Register, b: Source, to: Register) {
        let mask = self.temporary(1);
        self.compare(predicate, a, b, mask);
        if self.wide() {
            return self.ones(to);
        }
        let one = self.number(1.0);
        self.three(AND, to, mask, one);
    }

    /// What an action does; none if it cannot be done here.
    pub fn action(&mut self, action: &Action, args: &[Place], to: u32) -> Option<()> {
        let to = self.vector(to);
        match action {
            Action::Skip | Action::Const(_) => {}
            Action::Scalar(k) => {
                let from = self.frame(self.kernel.scalar_offset(*k));
                self.spread(from, to);
            }
            Action::Load(p) => self.load(*p, to),
            Action::Spread(p) => {
                let from = self.address(*p, Register::None);
                self.spread(from, to);
            }
            Action::LoadSpikes(p) => self.load_spikes(*p, to),
            Action::Op(op, _) => return self.op(*op, args, to),
            Action::Spike { strict, .. } => {
                let (temporary, zero) = (self.temporary(0), self.number(0.0));
                let x = self.in_register(args[0], temporary);
                self.truth(if *strict { GT } else { GE }, x, zero, to);
            }
            Action::Store(p, _) => {
                let x = self.in_register(args[0], self.temporary(0));
                self.store(*p, x);
            }
            Action::StoreSpikes(p, _) => {
                let x = self.in_register(args[0], self.temporary(1));
                self.store_spikes(*p, x);
            }
            Action::Add(p, _) => {
                let before = self.temporary(0);
                self.load(*p, before);
                let x = self.source(args[0]);
                self.three(ADD, before, before, x);
                self.store(*p, before);
            }
        }
        Some(())
    }

    /// Machine code: the address of the constants, the instructions, the constants.
    pub fn finish(self) -> Vec<u8> {
        let block = InstructionBlock::new(&self.code, LEA as u64);
        let encoded = BlockEncoder::encode(64, block, BlockEncoderOptions::NONE);
        let code = encoded.expect("emit: instructions that can be encoded").code_buffer;
        let constants = (LEA + code.len()).next_multiple_of(64);
        let mut bytes = vec![0x48, 0x8d, 0x35];
        bytes.extend(((constants - LEA) as i32).to_le_bytes());
        bytes.extend(code);
        bytes.resize(constants, 0xcc);
        bytes.extend(self.constants.iter().flatten().flat_map(|lane| lane.to_le_bytes()));
        bytes
    }
}
