//! What only initializers have: functions of whole matrices, means of functions over the normal distribution, what is measured of neurons.

use super::args::{self, Applied, Given};
use super::builtin;
use super::context::{Cx, Draw, is_poison, leaf, number, poison};
use super::declare::Decl;
use super::scope::{Place, Scope};
use super::{call, pointwise, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind, LocalId, MatrixOp, NeuronFact, Over, ReduceOp, StmtKind, Unit, constant};
use crate::source::Span;
use crate::step::Slide;
use crate::step::ops::Pw;

/// Whether a function of the language is one of these.
pub(super) fn is_whole(name: &str) -> bool {
    matches!(name, "mean_square_of" | "arriving" | "firing" | "grid" | "product") || op(name, 0).is_some()
}

/// The operation of a name; `count` is its second argument, where it has one.
fn op(name: &str, count: usize) -> Option<MatrixOp> {
    let all = [
        MatrixOp::Orthonormal,
        MatrixOp::LowRank(count),
        MatrixOp::SingularValues,
        MatrixOp::Radius,
        MatrixOp::OrderOfInputs,
        MatrixOp::OrderOfOutputs,
        MatrixOp::OrthonormalTaps,
        MatrixOp::OrthonormalKernels(count),
        MatrixOp::KernelOfSpectrum,
        MatrixOp::Frequencies,
        MatrixOp::Coordinates(count),
    ];
    all.into_iter().find(|op| op.name() == name)
}

/// A call of one of them.
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    if !matches!(scope.place, Place::Init | Place::Unknown) {
        cx.report(Code::E0309, span, format!("`{name}` in {}", scope.place.words()))
            .at("not known here")
            .help("write it in an initializer: `init mine { matrix … }`");
        return poison(span);
    }
    if name == "mean_square_of" {
        return mean_square(cx, scope, args, span);
    }
    if name == "arriving" {
        return arriving(cx, scope, name, args, span);
    }
    if name == "firing" {
        return firing(cx, scope, args, span);
    }
    if name == "grid" {
        return grid(cx, scope, args, span);
    }
    if name == "product" {
        return product(cx, scope, args, span);
    }
    let params: &'static [&'static str] = match name {
        "nearest_of_rank" => &["x", "rank"],
        "orthonormal_kernels" => &["x", "n"],
        "coordinates" => &["x", "d"],
        _ => &["x"],
    };
    let Some(mut values) = builtin::arguments(cx, scope, name, params, &[], args, span) else {
        return poison(span);
    };
    let count =
        if values.len() > 1 { values.pop().map(|n| whole_number(cx, name, n)) } else { Some(Some(0)) };
    let (Some(value), Some(Some(count))) = (values.pop(), count) else { return poison(span) };
    if is_poison(&value) || scope.place == Place::Unknown {
        return poison(span);
    }
    let Some(op) = op(name, count) else { return poison(span) };
    let (post, pre) = match *value.shape.as_slice() {
        [post, pre] => (post, pre),
        [out, of_group, height, width] => (out, of_group * height * width),
        _ => {
            cx.report(Code::E0501, value.span, format!("`{name}` wants a matrix"))
                .at(format!("{:?} values", value.shape))
                .help("use it for weights `[post, pre]`, of values that differ: `gaussian()`");
            return poison(span);
        }
    };
    let of_eigenvalues = matches!(op, MatrixOp::Radius | MatrixOp::Frequencies | MatrixOp::Coordinates(_));
    let is_odd = op == MatrixOp::Frequencies && post % 2 != 0;
    let too_many = matches!(op, MatrixOp::Coordinates(d) if d > post);
    if of_eigenvalues && post != pre || is_odd || too_many {
        cx.report(Code::E0501, value.span, format!("`{name}` of a matrix of {post} by {pre}"))
            .at(match (is_odd, too_many) {
                (true, _) => "a skew-symmetric matrix of odd size has an eigenvalue 0",
                (_, true) => "it has fewer eigenvectors than are asked for",
                _ => "only square matrices have eigenvalues",
            })
            .help("use it for weights from a population to itself, or for a `grid(n, n, …)`");
        return poison(span);
    }
    let (unit, shape) = (op.unit(value.unit), op.shape(&value.shape));
    Expr { kind: ExprKind::Matrix(op, Box::new(value)), unit, shape, span }
}

/// `arriving(w, x)`: what the weights of the initializer would deliver of activity `x`; for statistics over all of it.
fn arriving<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    let found = builtin::arguments(cx, scope, name, &["w", "x"], &[], args, span);
    let Some([w, x]) = found.and_then(|values| <[Expr; 2]>::try_from(values).ok()) else {
        return poison(span);
    };
    if is_poison(&w) || is_poison(&x) || scope.place == Place::Unknown {
        return poison(span);
    }
    let size = x.shape.iter().product::<usize>();
    let Some(unit) = w.unit.mul(x.unit) else { return poison(span) };
    match (w.shape.as_slice(), cx.draw.over) {
        (&[post, pre], None) if size == pre => {
            let kind = ExprKind::MatVec(Box::new(w), Box::new(x));
            Expr { kind, unit, shape: vec![post], span }
        }
        (&[_, _, _, _], Some(over)) if size == over.width_in() => {
            let [height, width] = over.out_size();
            let shape = vec![over.channels[1], height, width];
            let (slide, weight) = (Slide::Conv, Some(Box::new(w)));
            Expr { kind: ExprKind::Slide { slide, over, value: Box::new(x), weight }, unit, shape, span }
        }
        _ => {
            cx.report(
                Code::E0503,
                span,
                format!("weights {:?} and activity {:?} do not fit", w.shape, x.shape),
            )
            .at("the second axis of weights is that of what sends")
            .help("give the weights of this projection, and the input or population that sends");
            poison(span)
        }
    }
}

/// `firing(w, x)`: spikes in a step of the receiving neurons on the first batch, if weights `w` brought them activity `x` and nothing else came.
fn firing<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let value = arriving(cx, scope, "firing", args, span);
    if is_poison(&value) {
        return poison(span);
    }
    let Some((pop, port)) = cx.draw.into else {
        if cx.draw.stream != "?" {
            cx.report(Code::E0309, span, "neurons fire, and these values belong to none")
                .at("`firing` is of the receiving neurons")
                .help("use it for weights of a projection: `x -> h : dense(init = rate_target(x))`");
        }
        return poison(span);
    };
    let population = &cx.model.populations[pop.idx()];
    if !population.fires {
        let title = format!("neuron `{}` does not fire", population.neuron);
        cx.report(Code::E0309, span, title)
            .at("there are no spikes")
            .help("scale what arrives instead: `lsuv(x)`");
        return poison(span);
    }
    let unit = population.ports.get(port).map_or(Unit::NONE, |port| port.unit);
    let value = unit::expect(cx, value, unit, "what arrives", span);
    if is_poison(&value) {
        return poison(span);
    }
    let kind = ExprKind::Reduce { op: ReduceOp::Firing(pop, port), over: Over::All, value: Box::new(value) };
    Expr { kind, unit: Unit::NONE, shape: Vec::new(), span }
}

/// `grid(rows, columns, e)`: a matrix of that size, each element from its row `i` and column `j`, whatever the size of the tensor.
fn grid<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let [rows, columns, e] = args else {
        cx.report(Code::E0303, span, "`grid` wants its size and what its elements are")
            .help("write `grid(rows, columns, e)` with an expression of the row `i` and the column `j`");
        return poison(span);
    };
    let mut size = |arg: &'a ast::Arg| {
        let value = super::expr::elaborate(cx, scope, &arg.value);
        if is_poison(&value) || scope.place == Place::Unknown {
            return None;
        }
        whole_number(cx, "grid", super::expr::fold(value))
    };
    let (Some(rows), Some(columns)) = (size(rows), size(columns)) else { return poison(span) };
    let shape = vec![rows, columns];
    let draw = Draw { shape: shape.clone(), over: None, ..cx.draw.clone() };
    let (value, count) = cx.drawing(draw, |cx| (super::expr::elaborate(cx, scope, &e.value), cx.draw.count));
    // What is drawn in it has streams of its own.
    cx.draw.count = count;
    if is_poison(&value) || value.shape == shape {
        return value;
    }
    if !value.shape.is_empty() {
        cx.report(Code::E0501, e.value.span, format!("{:?} values in a grid {shape:?}", value.shape))
            .at("not a number for each row and column");
        return poison(span);
    }
    everywhere(cx, value, shape, span)
}

/// A tensor of one number: the row counts for nothing.
pub(super) fn everywhere(cx: &mut Cx, value: Expr, shape: Vec<usize>, span: Span) -> Expr {
    let row = Expr { kind: ExprKind::Iota(0), unit: Unit::NONE, shape, span };
    let none = pointwise::make(cx, Pw::Mul, vec![row, Expr { unit: value.unit, ..number(0.0, span) }], span);
    pointwise::make(cx, Pw::Add, vec![value, none], span)
}

/// `product(a, b)` of matrices `[n, k]` and `[k, m]`.
fn product<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let found = builtin::arguments(cx, scope, "product", &["a", "b"], &[], args, span);
    let Some([a, b]) = found.and_then(|values| <[Expr; 2]>::try_from(values).ok()) else {
        return poison(span);
    };
    if is_poison(&a) || is_poison(&b) || scope.place == Place::Unknown {
        return poison(span);
    }
    match (a.shape.as_slice(), b.shape.as_slice(), a.unit.mul(b.unit)) {
        (&[n, inner], &[outer, m], Some(unit)) if inner == outer => {
            Expr { kind: ExprKind::Product(Box::new(a), Box::new(b)), unit, shape: vec![n, m], span }
        }
        _ => {
            cx.report(Code::E0501, span, format!("a product of {:?} and {:?} values", a.shape, b.shape))
                .at("columns of the first are not rows of the second")
                .help(
                    "give them their sizes: `product(grid(n_out, 3, gaussian()), grid(3, n_in, gaussian()))`",
                );
            poison(span)
        }
    }
}

/// An argument of `grid`, or the second one of a function of a whole matrix.
fn whole_number(cx: &mut Cx, name: &str, value: Expr) -> Option<usize> {
    let what = match name {
        "nearest_of_rank" => "a rank",
        "orthonormal_kernels" => "a number of kernels",
        "grid" => "the size of a grid",
        _ => "a number of eigenvectors",
    };
    let value = unit::plain(cx, value, what);
    if is_poison(&value) {
        return None;
    }
    // A grid is held as a whole, and so has no more than some hundred million elements.
    let (least, most) = if name == "grid" { (1.0, 10_000.0) } else { (0.0, 1e9) };
    let known = constant::eval_free(&value).filter(|r| (least..=most).contains(r) && r.fract() == 0.0);
    if known.is_none() {
        cx.report(Code::E0502, value.span, format!("{what} is a whole number"))
            .at("not a whole number that is known")
            .help(match name {
                "grid" => "write numbers from 1 to 10000, for example `grid(8, 8, i - j)`".to_string(),
                _ => format!("write for example `{name}(w, 10)`"),
            });
    }
    known.map(|r| r as usize)
}

/// `mean_square_of(f, sigma)`: the mean of `f(z)^2`, z normal with std `sigma`.
fn mean_square<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let (Some(f), 1..=2) = (args.first(), args.len()) else {
        cx.report(Code::E0303, span, "`mean_square_of` wants a function")
            .help("write `mean_square_of(tanh)`, or with a standard deviation `mean_square_of(tanh, 2)`");
        return poison(span);
    };
    let sigma = match args.get(1) {
        Some(arg) => super::expr::constant(cx, scope, &arg.value, "a standard deviation"),
        None => number(1.0, span),
    };
    let sigma = unit::plain(cx, sigma, "a standard deviation");
    let local = cx.fresh("z");
    let z = Expr { kind: ExprKind::Local(local), unit: Unit::NONE, shape: Vec::new(), span };
    let value = match args::rule(cx, scope, &f.value) {
        Some(rule) => applied(cx, scope.place, rule, z, span),
        None => None,
    };
    let Some(value) = value else {
        cx.report(Code::E0301, f.value.span, "`mean_square_of` wants a function of one number")
            .at("not such a function")
            .help("write its name: `mean_square_of(tanh)`");
        return poison(span);
    };
    if scope.place == Place::Unknown || is_poison(&value) || is_poison(&sigma) {
        return poison(span);
    }
    let value = unit::plain(cx, value, "what `mean_square_of` is of");
    let known = constant::eval_free(&sigma).and_then(|sigma| gauss(&value, local, sigma));
    match known.filter(|mean| mean.is_finite()) {
        Some(mean) => number(mean, span),
        None => {
            cx.report(Code::E0305, span, "this mean is not a finite number that is known before a run")
                .at("not known")
                .help("use a function of one number that reads neither `dt` nor `steps`");
            poison(span)
        }
    }
}

/// The value of a function of one number.
fn applied<'a>(cx: &mut Cx<'a>, place: Place, mut rule: Applied<'a>, z: Expr, span: Span) -> Option<Expr> {
    match rule.decl {
        Decl::Builtin(name) => {
            let op = Pw::from_name(name).filter(|op| op.info().arity == 1)?;
            Some(pointwise::make(cx, op, vec![z], span))
        }
        Decl::Fn(f) => {
            *rule.given.iter_mut().find(|given| given.is_none())? = Some(Given::Value(z));
            let decl = rule.decl;
            let values = args::complete(cx, place, rule, span);
            let value = cx.within(decl, span, |cx| call::function(cx, place, f, values, span));
            Some(value.unwrap_or_else(|| poison(span)))
        }
        _ => None,
    }
}

/// What is measured of the neuron that the weights of an initializer belong to.
pub(super) fn neuron_fact(cx: &mut Cx, name: &str, span: Span) -> Option<Expr> {
    let fact = NeuronFact::from_name(name)?;
    let Some((pop, port)) = cx.draw.into else {
        if cx.draw.stream != "?" {
            cx.report(Code::E0309, span, "a neuron is measured, and these values belong to none")
                .at(format!("`{name}` is of the receiving neuron"))
                .help("use it for weights of a projection; in a test write `draw … for [10, 5] into Lif`, in a promise `verify … for [10, 5] into Lif`");
        }
        return Some(poison(span));
    };
    let population = &cx.model.populations[pop.idx()];
    let fire = population.body.iter().find_map(|stmt| match &stmt.kind {
        StmtKind::Fire { above, surrogate, .. } => Some((above.unit, surrogate.is_some())),
        _ => None,
    });
    let Some((membrane, has_surrogate)) = fire else {
        let title = format!(
            "`{name}` of population `{}`, whose neuron `{}` does not fire",
            population.name, population.neuron
        );
        cx.report(Code::E0309, span, title).at("what is compared by `fire` is measured").help(
            "give a number in its place, or these weights another initializer: `init = kaiming_normal`",
        );
        return Some(poison(span));
    };
    let of_surrogate = matches!(fact, NeuronFact::SurrogateMean | NeuronFact::SurrogateAtZero);
    if of_surrogate && !has_surrogate {
        let title = format!("`{name}` of neuron `{}`, which has no surrogate", population.neuron);
        cx.report(Code::E0309, span, title)
            .at("nothing stands for the derivative of its spikes")
            .help("add one: `fire v >= theta with atan`");
        return Some(poison(span));
    }
    let port_unit = population.ports.get(port).map_or(Unit::NONE, |port| port.unit);
    let unit = fact.unit(membrane, port_unit).unwrap_or_default();
    Some(leaf(ExprKind::Neuron(pop, port, fact), unit, span))
}

/// Nodes and weights of Gauss and Legendre's formula of order 4 (8 points would gain nothing at this width), on [-1, 1].
const NODES: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_2),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_2),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
];
/// Panels on each unit: kinks at halves, quarters, … lie between panels.
const PANELS: i32 = 256;
/// Beyond so many standard deviations nothing counts.
const REACH: i32 = 12;

/// The mean of the square of an expression of a local that is normal with std `sigma`. Gauss and Hermite's formula would do badly for narrow or
/// oscillating functions.
fn gauss(value: &Expr, local: LocalId, sigma: f64) -> Option<f64> {
    let half = 0.5 / f64::from(PANELS);
    let mut sum = 0.0;
    for panel in -REACH * PANELS..REACH * PANELS {
        let middle = f64::from(panel) / f64::from(PANELS) + half;
        for (node, weight) in NODES {
            let u = middle + half * node;
            let f = constant::eval_in(value, None, &mut vec![(local, Some(sigma * u))])?;
            sum += weight * half * f * f * (-u * u / 2.0).exp();
        }
    }
    Some(sum / (2.0 * std::f64::consts::PI).sqrt())
}
