//! Checks that a graph or step means something: operands first, types that follow from operands, indices in range. No user
//! errors: whatever is found here is a mistake of the compiler.

use super::{Axes, Fragment, Graph, Input, Node, Op, Param, Slide, State, StepFn, Ty};
use snn_runtime::windows::Windows;

/// What the nodes of a graph may name, and where the graph stands.
pub(crate) struct Place<'a> {
    /// For messages.
    pub kind: Kind,
    pub inputs: &'a [Ty],
    pub params: &'a [Param],
    pub slots: &'a [Ty],
    pub states: &'a [State],
    /// For each scan the type of each of its results.
    pub scans: &'a [Vec<Ty>],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A step of a model.
    Step,
    /// The body of a scan.
    Body,
    /// A surrogate or rule.
    Fragment,
    /// A whole presentation.
    Net,
}

/// Checks a step.
pub fn verify(step: &StepFn) -> Result<(), String> {
    let inputs: Vec<Ty> = step.inputs.iter().map(of_one_step).collect();
    let (params, states) = (&step.params, &step.states);
    let place = Place { kind: Kind::Step, inputs: &inputs, params, slots: &[], states, scans: &[] };
    graph(&step.graph, &place)?;
    self::states(&step.graph, states, |node| match node.op {
        Op::StepIndex | Op::Random { once: false, .. } => Err("depends on time"),
        Op::Input(k) if step.inputs[k].ty.time => Err("depends on an input with time axis"),
        _ => Ok(()),
    })?;
    for (name, val) in &step.outputs {
        if val.idx() >= step.graph.nodes.len() {
            return Err(format!("output {name} is {val}, which does not exist"));
        }
    }
    Ok(())
}

fn of_one_step(input: &Input) -> Ty {
    Ty { time: false, ..input.ty.clone() }
}

/// Checks the nodes of a graph and the functions they name.
pub(crate) fn graph(graph: &Graph, place: &Place) -> Result<(), String> {
    for (at, node) in graph.nodes.iter().enumerate() {
        let wrong = |why: String| format!("%{at} ({:?}) {why}", node.op);
        if let Some(arg) = node.args.iter().find(|a| a.idx() >= at) {
            return Err(wrong(format!("reads {arg}, which does not stand before it")));
        }
        let args: Vec<&Ty> = node.args.iter().map(|a| graph.ty(*a)).collect();
        allowed(node, place).and_then(|()| self::node(graph, node, &args, place)).map_err(wrong)?;
    }
    for surrogate in &graph.surrogates {
        for part in std::iter::once(&surrogate.derivative).chain(&surrogate.primitive) {
            fragment(part, 1).map_err(|why| format!("surrogate {}: {why}", surrogate.name))?;
        }
    }
    graph.customs.iter().try_for_each(|rule| {
        fragment(rule, rule.results.len()).map_err(|why| format!("rule {}: {why}", rule.name))
    })
}

fn fragment(fragment: &Fragment, results: usize) -> Result<(), String> {
    let nodes = &fragment.graph.nodes;
    let n = nodes.iter().filter_map(|n| if let Op::Input(k) = n.op { Some(k + 1) } else { None }).max();
    let mut inputs = vec![Ty::SCALAR; n.unwrap_or(0)];
    for node in nodes {
        if let Op::Input(k) = node.op {
            inputs[k] = node.ty.clone();
        }
    }
    let place =
        Place { kind: Kind::Fragment, inputs: &inputs, params: &[], slots: &[], states: &[], scans: &[] };
    graph(&fragment.graph, &place)?;
    if fragment.results.len() != results {
        return Err(format!("has {} results, not {results}", fragment.results.len()));
    }
    match fragment.results.iter().find(|r| r.idx() >= nodes.len()) {
        Some(result) => Err(format!("gives {result}, which does not exist")),
        None => Ok(()),
    }
}

/// Checks states: `init` and `next` have no axes but those of the state, and `init` is made only of nodes that `steady` accepts.
pub(crate) fn states(
    graph: &Graph,
    states: &[State],
    steady: impl Fn(&Node) -> Result<(), &'static str>,
) -> Result<(), String> {
    for state in states {
        let wrong = |why: &str| Err(format!("state {}: {why}", state.name));
        if state.delay == 0 {
            return wrong("has delay 0");
        }
        if state.ty.time {
            return wrong("has a time axis");
        }
        for (word, val) in [("init", state.init), ("next", state.next)] {
            match graph.nodes.get(val.idx()) {
                None => return wrong(&format!("{word} {val} does not exist")),
                Some(node) if !fits(&node.ty, &state.ty) => {
                    return wrong(&format!("{word} {val} is {}, the state {}", node.ty, state.ty));
                }
                _ => {}
            }
        }
        let mut stack = vec![state.init];
        while let Some(val) = stack.pop() {
            let node = graph.node(val);
            let found = if matches!(node.op, Op::Prev(_)) { Err("depends on a state") } else { steady(node) };
            if let Err(why) = found {
                return wrong(&format!("init {} {why} ({val})", state.init));
            }
            stack.extend(&node.args);
        }
    }
    Ok(())
}

/// Whether a value can be repeated to a type.
pub(crate) fn fits(have: &Ty, want: &Ty) -> bool {
    have.time <= want.time && have.batch <= want.batch && (have.shape.is_empty() || have.shape == want.shape)
}

/// Operations and axes that this kind of graph has.
fn allowed(node: &Node, place: &Place) -> Result<(), String> {
    let kind = place.kind;
    let allowed = match &node.op {
        Op::Slot(_) | Op::Delay { .. } | Op::Last | Op::AtLast => kind == Kind::Net,
        Op::Arrange => kind == Kind::Net && !node.ty.time && !node.ty.batch,
        op if op.is_weight_gradient() => kind == Kind::Net,
        Op::Scan(_) | Op::ScanOut(_) => kind == Kind::Net,
        Op::Param(_) => matches!(kind, Kind::Step | Kind::Net),
        Op::Prev(_) => matches!(kind, Kind::Step | Kind::Body),
        Op::Scalar(_) | Op::StepIndex | Op::Random { .. } => kind != Kind::Fragment,
        Op::Fold { axes, .. } if kind == Kind::Body => !axes.time,
        Op::Iota(_) => false,
        _ => true,
    };
    if !allowed {
        return Err(format!("does not belong in a {kind:?}"));
    }
    if node.ty.time && matches!(kind, Kind::Step | Kind::Body) {
        return Err(format!("has a time axis in a {kind:?}"));
    }
    Ok(())
}

/// Number of operands, indices and type of a node.
fn node(graph: &Graph, node: &Node, args: &[&Ty], place: &Place) -> Result<(), String> {
    let arity = match &node.op {
        Op::Pointwise(op) => op.info().arity,
        Op::MatMul { .. } | Op::Outer | Op::Straight | Op::GradScale | Op::Arrange => 2,
        Op::Slide { slide, .. } => slide.arity(),
        Op::Const(_) | Op::Scalar(_) | Op::StepIndex | Op::Param(_) | Op::Slot(_) | Op::Input(_) => 0,
        Op::Prev(_) | Op::Random { .. } | Op::Iota(_) => 0,
        Op::Custom(k) => index(&graph.customs, *k, "rule")?.results.len() + 1,
        Op::Scan(_) => args.len(),
        _ => 1,
    };
    if args.len() != arity {
        return Err(format!("has {} operands, not {arity}", args.len()));
    }
    match &node.op {
        Op::Random { .. } => Ok(()),
        Op::Delay { .. } => holds(fits(args[0], &node.ty) && node.ty.time, node, args[0]),
        Op::Straight | Op::GradScale | Op::Custom(_) => {
            let all = args[1..].iter().try_fold(args[0].clone(), |ty, arg| join(&ty, arg));
            let all = if let Op::Custom(_) = node.op { all.unwrap_or(node.ty.clone()) } else { all? };
            holds(
                fits(args[0], &node.ty) && fits(&Ty { shape: vec![], ..node.ty.clone() }, &all),
                node,
                args[0],
            )
        }
        Op::Spike { surrogate: Some(s), .. } => {
            index(&graph.surrogates, *s, "surrogate")?;
            same(node, args[0])
        }
        _ => same(node, &expected(graph, node, args, place)?),
    }
}

/// The type that follows from the operands.
fn expected(graph: &Graph, node: &Node, args: &[&Ty], place: &Place) -> Result<Ty, String> {
    Ok(match &node.op {
        Op::Const(_) | Op::Scalar(_) => Ty::SCALAR,
        Op::StepIndex => Ty { time: place.kind == Kind::Net, ..Ty::SCALAR },
        Op::Param(k) => Ty::tensor(&index(place.params, *k, "parameter")?.shape),
        Op::Slot(k) => index(place.slots, *k, "slot")?.clone(),
        Op::Input(k) => index(place.inputs, *k, "input")?.clone(),
        Op::Prev(s) => index(place.states, *s, "state")?.ty.clone(),
        Op::Pointwise(_) => args.iter().try_fold(Ty::SCALAR, |ty, arg| join(&ty, arg))?,
        Op::MatMul { transposed } => matmul(args[0], args[1], *transposed)?,
        Op::Outer => match (args[0].shape.as_slice(), args[1].shape.as_slice()) {
            ([k], [n]) => Ty::tensor(&[*k, *n]),
            _ => return Err(format!("multiplies {} by {}", args[0], args[1])),
        },
        // In a step everything is of one step, and the fold is of all of them.
        Op::Fold { axes, .. } if place.kind == Kind::Step && axes.time => {
            Ty { time: false, ..folded(&Ty { time: true, ..args[0].clone() }, *axes)? }
        }
        Op::Slide { slide, over } => slid(*slide, over, args)?,
        Op::Arrange if args[0] != args[1] => return Err(format!("arranges {} as {}", args[0], args[1])),
        Op::Fold { axes, .. } => folded(args[0], *axes)?,
        Op::Last => Ty { time: false, ..with_time(args[0], true)? },
        Op::AtLast => Ty { time: true, ..with_time(args[0], false)? },
        Op::Repeat { times } => Ty { shape: vec![flat(args[0])? * times], ..args[0].clone() },
        Op::SumBlocks { times } => match flat(args[0])? {
            n if *times > 0 && n % times == 0 => Ty { shape: vec![n / times], ..args[0].clone() },
            n => return Err(format!("sums {times} neighbours of {n}")),
        },
        Op::Rows { times } => match (args[0].shape.as_slice(), args[0].time || args[0].batch) {
            ([n], false) => Ty::tensor(&[*times, *n]),
            _ => return Err(format!("makes rows of {}", args[0])),
        },
        Op::SumRows => match (args[0].shape.as_slice(), args[0].time || args[0].batch) {
            ([_, n], false) => Ty::tensor(&[*n]),
            _ => return Err(format!("sums the rows of {}", args[0])),
        },
        Op::Scan(scan) => index(index(place.scans, *scan, "scan")?, 0, "result of the scan")?.clone(),
        Op::ScanOut(out) => match graph.node(node.args[0]).op {
            Op::Scan(scan) => index(&place.scans[scan], *out, "result of the scan")?.clone(),
            _ => return Err(format!("reads {}, which is no scan", node.args[0])),
        },
        _ => args.first().map_or(node.ty.clone(), |ty| (*ty).clone()),
    })
}

fn matmul(x: &Ty, w: &Ty, transposed: bool) -> Result<Ty, String> {
    let (k, n) = match w.shape.as_slice() {
        [k, n] if !transposed => (*k, *n),
        [n, k] if transposed => (*k, *n),
        _ => return Err(format!("multiplies by {w}, which is no matrix")),
    };
    if w.time || w.batch || x.shape != [k] {
        return Err(format!("multiplies {x} by {w}"));
    }
    Ok(Ty { shape: vec![n], ..x.clone() })
}

fn slid(slide: Slide, over: &Windows, args: &[&Ty]) -> Result<Ty, String> {
    if !slide.fits(over) {
        return Err(format!("slides over {over:?}"));
    }
    let mut ty = Ty::tensor(&slide.shape(over));
    for (arg, shape) in args.iter().zip(slide.operands(over)) {
        if arg.shape != shape || shape.len() == 2 && (arg.time || arg.batch) {
            return Err(format!("is {} of {arg}, not {shape:?}", slide.name()));
        }
        ty.time |= arg.time;
        ty.batch |= arg.batch;
    }
    Ok(if slide == Slide::ConvToWeights { Ty::tensor(&ty.shape) } else { ty })
}

fn folded(x: &Ty, axes: Axes) -> Result<Ty, String> {
    let has = axes.time <= x.time && axes.batch <= x.batch && (!axes.index || !x.shape.is_empty());
    if !has || axes == Axes::default() {
        return Err(format!("folds {x} along {axes}"));
    }
    let shape = if axes.index { vec![] } else { x.shape.clone() };
    Ok(Ty { time: x.time && !axes.time, batch: x.batch && !axes.batch, shape })
}

fn with_time(x: &Ty, time: bool) -> Result<Ty, String> {
    if x.time == time { Ok(x.clone()) } else { Err(format!("reads {x}")) }
}

fn flat(x: &Ty) -> Result<usize, String> {
    if x.shape.len() <= 1 { Ok(x.width()) } else { Err(format!("reads {x}, which has two index axes")) }
}

fn join(a: &Ty, b: &Ty) -> Result<Ty, String> {
    match a.shape.is_empty() || b.shape.is_empty() || a.shape == b.shape {
        true => Ok(a.join(b)),
        false => Err(format!("combines {a} and {b}")),
    }
}

fn same(node: &Node, ty: &Ty) -> Result<(), String> {
    if node.ty == *ty { Ok(()) } else { Err(format!("has type {}, not {ty}", node.ty)) }
}

fn holds(good: bool, node: &Node, arg: &Ty) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("has type {} of an operand {arg}", node.ty)) }
}

fn index<'a, T>(list: &'a [T], k: usize, what: &str) -> Result<&'a T, String> {
    list.get(k).ok_or_else(|| format!("names {what} {k} of {}", list.len()))
}
