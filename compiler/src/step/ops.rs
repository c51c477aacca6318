//! THE table of pointwise operations: one row each, with redundant facts that the tests compare. No evaluation order, no IR.
//!
//! An operation works element by element on f32 (f64 in the reference interpreter). Conditions are the numbers 0 and 1.
//! To add one: a variant, its row, and what the exhaustive matches in `interp` and `emit` ask for.

/// A pointwise operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Pw {
    /// `-a`
    Neg,
    /// `|a|`
    Abs,
    /// `e^a`
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-a)`
    Sigmoid,
    /// `(e^a - 1) / a`, 1 at 0.
    Exprel,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Inverse tangent.
    Arctan,
    /// Error function: `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `a`.
    Erf,
    /// Largest whole number that is not above.
    Floor,
    /// Nearest whole number, ties to even.
    Round,
    /// -1, 0, 1.
    Sign,
    /// `max(a, 0)`, derivative 0 at 0.
    Relu,
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a ^ b`; the exponent is not differentiated.
    Pow,
    /// The smaller; of NaN and a number the second.
    Min,
    /// The larger; of NaN and a number the second.
    Max,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// Both are not 0.
    And,
    /// One is not 0.
    Or,
    /// It is 0.
    Not,
    /// `a != 0 ? b : c`; differentiable in `a` as `a * b + (1 - a) * c`, so that gradients pass through spikes.
    Select,
}

/// What the adjoint needs of a value: decides what the tape keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Neither operands nor result: sums.
    Nothing,
    /// The operands.
    Input,
    /// The result.
    Output,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// The operation.
    pub op: Pw,
    /// Name in printed IR; functions of the language have the same name.
    pub name: &'static str,
    /// Number of operands.
    pub arity: usize,
    /// One line for people.
    pub doc: &'static str,
    /// What its adjoint needs.
    pub needs: Needs,
    /// Derivative zero everywhere: comparisons, rounding.
    pub flat: bool,
    /// Functions of the runtime compute it, many numbers a call; no instruction does.
    pub function: bool,
    /// Rough cost in additions, for the choice between storing and recomputing.
    pub cost: u32,
    /// Operand values between which it is smooth and tested.
    pub domain: (f64, f64),
    /// Largest absolute difference allowed between f32 and f64 over the domain.
    pub tolerance: f64,
}

macro_rules! ops {
    ($($op:ident $name:literal $arity:literal $needs:ident $flat:literal $function:literal $cost:literal ($lo:literal, $hi:literal) $tol:literal $doc:literal;)*) => {
        /// Every operation, in the order of the enum.
        pub const OPS: &[OpInfo] = &[$(OpInfo {
            op: Pw::$op, name: $name, arity: $arity, doc: $doc, needs: Needs::$needs,
            flat: $flat, function: $function, cost: $cost, domain: ($lo, $hi), tolerance: $tol,
        }),*];
    };
}

ops! {
    Neg "neg" 1 Nothing false false 1 (-9.0, 9.0) 0.0 "-a";
    Abs "abs" 1 Input false false 1 (0.1, 9.0) 0.0 "absolute value";
    Exp "exp" 1 Output false true 12 (-9.0, 5.0) 4e-5 "e^a";
    Ln "log" 1 Input false true 14 (0.01, 9.0) 2e-6 "natural logarithm";
    Sqrt "sqrt" 1 Output false false 6 (0.01, 9.0) 1e-6 "square root";
    Tanh "tanh" 1 Output false true 16 (-5.0, 5.0) 1e-6 "hyperbolic tangent";
    Sigmoid "sigmoid" 1 Output false true 14 (-9.0, 9.0) 1e-6 "1 / (1 + e^-a)";
    Exprel "exprel" 1 Input false true 18 (-5.0, 2.0) 4e-6 "(e^a - 1) / a, 1 at 0";
    Sin "sin" 1 Input false true 20 (-3.0, 3.0) 2e-6 "sine";
    Cos "cos" 1 Input false true 20 (-3.0, 3.0) 2e-6 "cosine";
    Arctan "arctan" 1 Input false true 20 (-5.0, 5.0) 2e-6 "inverse tangent";
    Erf "erf" 1 Input false true 40 (-3.0, 3.0) 2e-7 "error function";
    Floor "floor" 1 Nothing true false 2 (0.1, 0.9) 0.0 "largest whole number that is not above";
    Round "round" 1 Nothing true false 2 (0.6, 1.4) 0.0 "nearest whole number, ties to even";
    Sign "sign" 1 Nothing true false 2 (0.1, 9.0) 0.0 "-1, 0 or 1";
    Relu "relu" 1 Input false false 1 (0.1, 9.0) 0.0 "max(a, 0), derivative 0 at 0";
    Add "add" 2 Nothing false false 1 (-9.0, 9.0) 2e-6 "a + b";
    Sub "sub" 2 Nothing false false 1 (-9.0, 9.0) 2e-6 "a - b";
    Mul "mul" 2 Input false false 1 (-9.0, 9.0) 1e-5 "a * b";
    Div "div" 2 Input false false 6 (0.5, 9.0) 1e-5 "a / b";
    Pow "pow" 2 Input false true 30 (0.5, 3.0) 1e-4 "a ^ b";
    Min "min" 2 Input false false 1 (-9.0, 9.0) 0.0 "the smaller";
    Max "max" 2 Input false false 1 (-9.0, 9.0) 0.0 "the larger";
    Lt "lt" 2 Nothing true false 1 (-9.0, 9.0) 0.0 "a < b";
    Le "le" 2 Nothing true false 1 (-9.0, 9.0) 0.0 "a <= b";
    Eq "eq" 2 Nothing true false 1 (-9.0, 9.0) 0.0 "a == b";
    Ne "ne" 2 Nothing true false 1 (-9.0, 9.0) 0.0 "a != b";
    And "and" 2 Nothing true false 1 (0.0, 1.0) 0.0 "both are not 0";
    Or "or" 2 Nothing true false 1 (0.0, 1.0) 0.0 "one is not 0";
    Not "not" 1 Nothing true false 1 (0.1, 1.0) 0.0 "it is 0";
    Select "where" 3 Input false false 1 (0.1, 1.0) 0.0 "b where a is not 0, else c";
}

impl Pw {
    /// The row of this operation.
    pub fn info(self) -> &'static OpInfo {
        &OPS[self as usize]
    }

    /// The operation of a name in the language (`exp`, `max`, …).
    pub fn from_name(name: &str) -> Option<Pw> {
        OPS.iter().find(|row| row.name == name).map(|row| row.op)
    }
}

/// Ways to combine the values along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Fold {
    /// Sum, ascending.
    Sum,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Smallest that is not 0; 0 if all are 0.
    MinNonzero,
}

impl Fold {
    /// The word in printed IR.
    pub fn name(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Max => "max",
            Fold::Min => "min",
            Fold::MinNonzero => "min_nonzero",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in OPS.iter().enumerate() {
            assert_eq!(row.op as usize, at, "{}", row.name);
        }
    }
}
