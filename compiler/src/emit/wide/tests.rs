//! Which kernels there are. What they compute is compared with the interpreter in the tests of `emit`.

use super::{Action, Kernel, Turns, Vectors};
use crate::step::ops::Pw;

fn kernel(width: usize, actions: Vec<Action>) -> Kernel {
    let rows = Turns { count: 3, strides: vec![256; 2] };
    Kernel { width, pointers: 2, loops: vec![rows], ahead: vec![0; 2], scalars: 1, exact: true, actions }
}

/// `n` values that are all needed at the end.
fn held(n: usize) -> Vec<Action> {
    let mut actions: Vec<Action> = (0..n).map(|_| Action::Load(0)).collect();
    let mut sum = 0;
    for k in 1..n {
        actions.push(Action::Op(Pw::Add, vec![sum, k]));
        sum = actions.len() - 1;
    }
    actions.push(Action::Store(1, sum));
    actions
}

#[test]
fn registers_are_used_again_and_when_they_run_out_there_is_no_kernel() {
    for vectors in [Vectors::Avx2, Vectors::Avx512] {
        let mut chain = vec![Action::Load(0)];
        chain.extend((0..200).map(|k| Action::Op(Pw::Add, vec![k, k])));
        chain.push(Action::Store(1, 200));
        assert!(kernel(64, chain).assemble(vectors).is_some());
        assert!(kernel(64, held(10)).assemble(vectors).is_some());
        assert!(kernel(64, held(40)).assemble(vectors).is_none());
    }
}

#[test]
fn functions_are_left_to_others() {
    for op in [Pw::Exp, Pw::Sin, Pw::Pow] {
        let actions = vec![Action::Load(0), Action::Op(op, vec![0, 0]), Action::Store(1, 1)];
        assert!(kernel(64, actions).assemble(Vectors::Avx512).is_none());
    }
}

#[test]
fn constants_lie_once_behind_the_code() {
    let actions = vec![
        Action::Const(0.15625),
        Action::Load(0),
        Action::Op(Pw::Add, vec![1, 0]),
        Action::Op(Pw::Mul, vec![2, 0]),
        Action::Store(1, 3),
    ];
    for (vectors, times) in [(Vectors::Avx512, 1), (Vectors::Avx2, 8)] {
        let code = kernel(64, actions.clone()).assemble(vectors).unwrap();
        let bytes = 0.15625f32.to_le_bytes();
        let found = code.as_chunks::<4>().0.iter().filter(|four| **four == bytes).count();
        assert_eq!(found, times);
    }
}
