//! Small functions on values: surrogates and backward rules. They know nothing but their parameters and constants.

use super::expr::{Scope, expr};
use crate::hir::constant::ConstEnv;
use crate::hir::{self, LocalId};
use crate::step::{Fragment, Graph, Op, SurrogateFn, Ty, ValId};
use std::collections::BTreeMap;

struct FragmentScope {
    graph: Graph,
    env: ConstEnv,
    locals: BTreeMap<LocalId, ValId>,
}

impl Scope for FragmentScope {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }
    fn env(&self) -> ConstEnv {
        self.env
    }
    fn local(&mut self, local: LocalId) -> Option<ValId> {
        self.locals.get(&local).copied()
    }
    fn bind(&mut self, local: LocalId, val: ValId) {
        self.locals.insert(local, val);
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        panic!("lower: {:?} in a surrogate or backward rule", e.kind)
    }
    fn mask(&mut self) -> ValId {
        panic!("lower: reduction over samples in a surrogate or backward rule")
    }
}

/// A fragment with the given parameters and their types.
pub(super) fn fragment(
    name: &str,
    params: &[LocalId],
    tys: &[Ty],
    results: &[hir::Expr],
    env: ConstEnv,
) -> Fragment {
    let mut scope = FragmentScope { graph: Graph::default(), env, locals: BTreeMap::new() };
    for (k, (param, ty)) in params.iter().zip(tys).enumerate() {
        let val = scope.graph.push(Op::Input(k), &[], ty.clone());
        scope.bind(*param, val);
    }
    let results = results.iter().map(|e| expr(&mut scope, e)).collect();
    Fragment { name: name.to_string(), graph: scope.graph, results }
}

/// A surrogate in place.
pub(super) fn surrogate(s: &hir::Surrogate, ty: &Ty, env: ConstEnv) -> SurrogateFn {
    let one =
        |e: &hir::Expr| fragment(&s.text, &[s.x], std::slice::from_ref(ty), std::slice::from_ref(e), env);
    SurrogateFn {
        name: s.text.clone(),
        derivative: one(&s.derivative),
        primitive: s.primitive.as_ref().map(one),
    }
}
