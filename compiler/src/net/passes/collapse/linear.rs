//! How values of a body depend on its states and on the operands with time axis: with constant factors, or it is not said.

use crate::net::{Net, Scan};
use crate::step::ops::Pw;
use crate::step::{Op, ValId};
use std::collections::BTreeMap;

/// A sum of states and operands with factors.
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    /// Factor of each state.
    pub states: BTreeMap<usize, f64>,
    /// Factor of each operand with time axis.
    pub operands: BTreeMap<usize, f64>,
    /// Whether something else is added.
    pub rest: bool,
}

impl Linear {
    fn times(mut self, factor: f64) -> Linear {
        self.states.values_mut().chain(self.operands.values_mut()).for_each(|v| *v *= factor);
        self
    }

    fn plus(mut self, other: Linear) -> Linear {
        for (k, v) in other.states {
            *self.states.entry(k).or_default() += v;
        }
        for (k, v) in other.operands {
            *self.operands.entry(k).or_default() += v;
        }
        self.rest |= other.rest;
        self
    }
}

/// A value of a body.
#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    /// Depends neither on states nor on operands with time axis.
    Fixed,
    Linear(Linear),
}

impl From<Value> for Linear {
    fn from(value: Value) -> Linear {
        match value {
            Value::Linear(linear) => linear,
            Value::Number(c) => Linear { rest: c != 0.0, ..Linear::default() },
            Value::Fixed => Linear { rest: true, ..Linear::default() },
        }
    }
}

/// All values of a body; none if one is something else than a sum with constant factors.
pub(super) fn values(net: &Net, scan: &Scan, operands: &[ValId]) -> Option<Vec<Linear>> {
    let mut values: Vec<Value> = Vec::with_capacity(scan.body.nodes.len());
    for node in &scan.body.nodes {
        let args: Vec<Value> = node.args.iter().map(|a| values[a.idx()].clone()).collect();
        let one = |k| BTreeMap::from([(k, 1.0)]);
        values.push(match &node.op {
            Op::Const(c) => Value::Number(*c),
            Op::Prev(s) => Value::Linear(Linear { states: one(*s), ..Linear::default() }),
            Op::Input(k) if net.graph.ty(operands[*k]).time => {
                Value::Linear(Linear { operands: one(*k), ..Linear::default() })
            }
            Op::StepIndex | Op::Random { .. } => return None,
            Op::Pointwise(op) if args.iter().any(|a| matches!(a, Value::Linear(_))) => pointwise(*op, args)?,
            Op::Pointwise(_) | Op::Input(_) | Op::Scalar(_) => Value::Fixed,
            _ => return None,
        });
    }
    Some(values.into_iter().map(Linear::from).collect())
}

fn pointwise(op: Pw, args: Vec<Value>) -> Option<Value> {
    let mut args = args.into_iter();
    let (a, b) = (args.next()?, args.next());
    Some(Value::Linear(match (op, a, b) {
        (Pw::Neg, a, _) => Linear::from(a).times(-1.0),
        (Pw::Add, a, Some(b)) => Linear::from(a).plus(b.into()),
        (Pw::Sub, a, Some(b)) => Linear::from(a).plus(Linear::from(b).times(-1.0)),
        (Pw::Mul, Value::Linear(x), Some(Value::Number(c)))
        | (Pw::Mul, Value::Number(c), Some(Value::Linear(x))) => x.times(c),
        (Pw::Div, Value::Linear(x), Some(Value::Number(c))) => x.times(1.0 / c),
        _ => return None,
    }))
}
