//! Rules for expressions.

use super::super::{Expr, ExprKind, LocalId, Model, Norm, Over, PopId, ReduceOp, StmtKind, TraceRef, Unit};
use super::ensure;
use crate::step::Slide;
use crate::step::ops::Pw;
use std::collections::BTreeSet;

/// Where an expression stands; decides which names have a meaning.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Place {
    /// First value of a parameter; with `batch` it may read activity.
    Init {
        /// Reads the first batch.
        batch: bool,
    },
    /// Before a presentation: first values of states, delays, durations.
    Start,
    /// The step of a population.
    Body(PopId),
    /// Between populations: what arrives at inputs, outputs.
    Trace,
    /// Losses, reports, records.
    Job,
    /// An update rule.
    Optimizer,
}

/// The locals that are visible, with their unit and shape; none for those of an optimizer, whose values fit anything.
type Locals = Vec<(LocalId, Option<(Unit, Vec<usize>)>)>;

/// What an expression may read.
pub(super) struct Scope<'a> {
    pub(super) model: &'a Model,
    place: Place,
    names: &'a [String],
    locals: Locals,
}

impl<'a> Scope<'a> {
    pub(super) fn new(model: &'a Model, place: Place) -> Scope<'a> {
        Scope { model, place, names: &model.locals, locals: Vec::new() }
    }

    pub(super) fn of_optimizer(
        model: &'a Model,
        names: &'a [String],
        known: &BTreeSet<LocalId>,
    ) -> Scope<'a> {
        let locals = known.iter().map(|id| (*id, None)).collect();
        Scope { model, place: Place::Optimizer, names, locals }
    }

    pub(super) fn is_defined(&self, id: LocalId) -> bool {
        self.locals.iter().any(|(local, _)| *local == id)
    }

    pub(super) fn define(&mut self, id: LocalId, value: &Expr) -> Result<(), String> {
        self.bind(id, Some((value.unit, value.shape.clone())))
    }

    fn bind(&mut self, id: LocalId, known: Option<(Unit, Vec<usize>)>) -> Result<(), String> {
        ensure(id.idx() < self.names.len(), || format!("local {} has no name", id.0))?;
        self.locals.push((id, known));
        Ok(())
    }

    pub(super) fn defined(&self) -> usize {
        self.locals.len()
    }

    pub(super) fn forget(&mut self, before: usize) {
        self.locals.truncate(before);
    }

    /// Checks an expression and its parts.
    pub(super) fn check(&mut self, expr: &Expr) -> Result<(), String> {
        self.placed(expr)?;
        match &expr.kind {
            ExprKind::Let { local, value, body } => {
                self.check(value)?;
                let before = self.defined();
                self.define(*local, value)?;
                self.check(body)?;
                self.forget(before);
                return of(expr, body.unit, &body.shape);
            }
            ExprKind::Custom { .. } => return self.custom(expr),
            _ => expr.children().into_iter().try_for_each(|part| self.check(part))?,
        }
        self.leaf(expr)?;
        composed(expr)
    }

    fn custom(&mut self, expr: &Expr) -> Result<(), String> {
        let ExprKind::Custom { name, params, args, forward, grad, backward } = &expr.kind else {
            return Ok(());
        };
        let agree = params.len() == args.len() && params.len() == backward.len();
        ensure(agree, || format!("{name}: parameters, arguments and gradients differ in number"))?;
        args.iter().try_for_each(|arg| self.check(arg))?;
        let before = self.defined();
        for (param, arg) in params.iter().zip(args) {
            self.define(*param, arg)?;
        }
        self.check(forward)?;
        self.bind(*grad, None)?;
        backward.iter().try_for_each(|value| self.check(value))?;
        self.forget(before);
        of(expr, forward.unit, &forward.shape)
    }

    /// Names have the unit and shape of what they stand for.
    fn leaf(&self, expr: &Expr) -> Result<(), String> {
        let model = self.model;
        let population =
            |id: PopId| model.populations.get(id.idx()).ok_or_else(|| format!("no population {}", id.0));
        match &expr.kind {
            ExprKind::Local(id) => {
                let known = self.locals.iter().rev().find(|(local, _)| local == id);
                let known = known.ok_or_else(|| format!("local {} is not defined here", id.0))?;
                known.1.as_ref().map_or(Ok(()), |(unit, shape)| of(expr, *unit, shape))
            }
            ExprKind::Param(id) => {
                let param = model.params.get(id.idx()).ok_or_else(|| format!("no param {}", id.0))?;
                of(expr, param.unit, &param.shape)
            }
            ExprKind::Normalise(norm) => self.norm(expr, norm),
            ExprKind::SpectralNorm { weight, direction, iterations } => {
                let param = model.params.get(direction.idx()).ok_or("no such direction")?;
                let senders = weight.shape.iter().skip(1).product::<usize>();
                let fits =
                    weight.shape.len() > 1 && param.shape == [senders] && !param.trained && *iterations > 0;
                ensure(fits, || format!("{} is no direction of {:?}", param.name, weight.shape))?;
                of(expr, weight.unit, &[])
            }
            ExprKind::State(id) | ExprKind::Trace(_, TraceRef::State(id)) => {
                let state = model.states.get(id.idx()).ok_or_else(|| format!("no state {}", id.0))?;
                of(expr, state.unit, &population(state.pop)?.shape)
            }
            ExprKind::Input(id) => {
                let input = model.inputs.get(id.idx()).ok_or_else(|| format!("no input {}", id.0))?;
                of(expr, Unit::NONE, &input.shape)
            }
            ExprKind::Port(id, port) => {
                let port = population(*id)?.ports.get(*port).ok_or("no such input")?;
                ensure(expr.unit == port.unit, || format!("{} of input {}", expr.unit, port.name))
            }
            ExprKind::Emit(id) => {
                let emit = &population(*id)?.emit;
                ensure(expr.unit == emit.unit, || format!("{} is not what is emitted", expr.unit))
            }
            ExprKind::Fired(id) | ExprKind::Trace(id, TraceRef::Fired) => {
                of(expr, Unit::NONE, &population(*id)?.shape)
            }
            ExprKind::Trace(id, TraceRef::AtFire) => {
                let population = population(*id)?;
                let above = population.body.iter().find_map(|s| match &s.kind {
                    StmtKind::Fire { above, .. } => Some(above),
                    _ => None,
                });
                let above = above.ok_or_else(|| format!("population {} does not fire", id.0))?;
                of(expr, above.unit, &population.shape)
            }
            ExprKind::Trace(id, TraceRef::Local(local)) => {
                let mut lets = population(*id)?.body.iter();
                let found = lets.any(|s| matches!(&s.kind, StmtKind::Let(name, _) if name == local));
                ensure(found, || format!("local {} is not a let of the population", local.0))
            }
            _ => Ok(()),
        }
    }

    /// Both statistics are there, as many of each, and none is trained.
    fn norm(&self, expr: &Expr, norm: &Norm) -> Result<(), String> {
        super::same_unit(&norm.value, Unit::NONE)?;
        super::fits(&norm.value, &expr.shape)?;
        ensure(expr.unit == Unit::NONE, || format!("a normalised {}", expr.unit))?;
        let neurons = expr.shape.iter().product::<usize>();
        for id in [norm.mean, norm.variance] {
            let param = self.model.params.get(id.idx()).ok_or_else(|| format!("no param {}", id.0))?;
            let fits = matches!(param.shape[..], [n] if n > 0 && neurons.is_multiple_of(n));
            ensure(fits && !param.trained, || format!("{} is no statistic of {neurons}", param.name))?;
        }
        Ok(())
    }

    /// Every kind stands where it has a meaning.
    fn placed(&self, expr: &Expr) -> Result<(), String> {
        let place = self.place;
        let is_body = matches!(place, Place::Body(_));
        let is_activity = matches!(place, Place::Trace | Place::Job | Place::Init { batch: true });
        let fits = match &expr.kind {
            ExprKind::State(id) => self.model.states.get(id.idx()).map(|s| Place::Body(s.pop)) == Some(place),
            ExprKind::Fired(id) | ExprKind::Port(id, _) => place == Place::Body(*id),
            ExprKind::Emit(_) | ExprKind::Trace(..) | ExprKind::Input(_) => is_activity,
            ExprKind::MatVec(..) | ExprKind::Slide { .. } | ExprKind::Delayed { .. } => is_activity,
            ExprKind::Normalise(_) => is_body,
            ExprKind::StepIndex => is_body || is_activity,
            ExprKind::Training => is_body || is_activity || place == Place::Start,
            ExprKind::Random { once: true, .. } if place == Place::Start => true,
            ExprKind::Random { .. } => {
                is_body || is_activity || matches!(place, Place::Init { .. } | Place::Optimizer)
            }
            ExprKind::Iota(_) | ExprKind::Matrix(..) | ExprKind::Product(..) | ExprKind::Neuron(..) => {
                matches!(place, Place::Init { .. })
            }
            ExprKind::Element(..) | ExprKind::Extent(..) | ExprKind::Required { .. } => {
                matches!(place, Place::Init { .. })
            }
            ExprKind::File { .. } => false,
            ExprKind::SpectralNorm { .. } | ExprKind::Arranged(..) | ExprKind::Since(..) => {
                place == Place::Job
            }
            ExprKind::Target => place == Place::Job,
            ExprKind::Scalar(_) => matches!(place, Place::Job | Place::Optimizer),
            ExprKind::Reduce { over: Over::Time, .. } => {
                matches!(place, Place::Job | Place::Init { batch: true })
            }
            ExprKind::Reduce { over: Over::Batch, .. } => is_activity,
            _ => true,
        };
        ensure(fits, || format!("{:?} in {place:?}", expr.kind))
    }
}

/// The unit and shape must be these.
fn of(expr: &Expr, unit: Unit, shape: &[usize]) -> Result<(), String> {
    ensure(expr.unit == unit && expr.shape == shape, || {
        format!("{} {:?} should be {unit} {shape:?}: {:?}", expr.unit, expr.shape, expr.kind)
    })
}

/// Unit and shape follow from those of the parts.
fn composed(expr: &Expr) -> Result<(), String> {
    match &expr.kind {
        ExprKind::Dt => of(expr, Unit::TIME, &[]),
        ExprKind::StepIndex | ExprKind::Steps | ExprKind::Training | ExprKind::Scalar(_) => {
            of(expr, Unit::NONE, &[])
        }
        ExprKind::Delayed { value, delay } => {
            ensure(delay.unit == Unit::TIME || is_zero(delay), || format!("a delay of {}", delay.unit))?;
            of(expr, value.unit, &value.shape)
        }
        ExprKind::Product(a, b) => {
            let (&[n, inner], &[outer, m]) = (a.shape.as_slice(), b.shape.as_slice()) else {
                return Err(format!("a product of {:?} and {:?}", a.shape, b.shape));
            };
            ensure(inner == outer, || format!("a product of {:?} and {:?}", a.shape, b.shape))?;
            of(expr, a.unit.mul(b.unit).ok_or("unit overflows")?, &[n, m])
        }
        ExprKind::Matrix(op, value) => {
            ensure(matches!(value.shape.len(), 2 | 4), || format!("{} of {:?}", op.name(), value.shape))?;
            of(expr, op.unit(value.unit), &op.shape(&value.shape))
        }
        ExprKind::Element(_, index) => {
            let shape = index.iter().map(|e| &e.shape).find(|shape| !shape.is_empty());
            let shape = shape.cloned().unwrap_or_default();
            for e in index {
                super::fits(e, &shape)?;
                super::same_unit(e, Unit::NONE)?;
            }
            of(expr, Unit::NONE, &shape)
        }
        ExprKind::Extent(..) => of(expr, Unit::NONE, &[]),
        ExprKind::Required { value, .. } => of(expr, value.unit, &value.shape),
        ExprKind::Arranged(value, keys) => {
            ensure(value.shape == keys.shape, || format!("{:?} as {:?}", value.shape, keys.shape))?;
            of(expr, value.unit, &value.shape)
        }
        ExprKind::Detach(value)
        | ExprKind::Since(value, _)
        | ExprKind::GradScale(value, _)
        | ExprKind::StraightThrough(value, _) => of(expr, value.unit, &value.shape),
        ExprKind::Repeat(value) => {
            let size = |e: &Expr| e.shape.iter().product::<usize>();
            let fits = expr.shape.starts_with(&value.shape) || size(expr) == size(value);
            ensure(fits && expr.unit == value.unit, || {
                format!("{:?} is repeated to {:?}", value.shape, expr.shape)
            })
        }
        ExprKind::MatVec(w, x) => {
            let senders = x.shape.iter().product::<usize>();
            let receivers = expr.shape.iter().product::<usize>();
            ensure(w.shape == [receivers, senders], || {
                format!("weights {:?} from {:?} to {:?}", w.shape, x.shape, expr.shape)
            })?;
            ensure(w.unit.mul(x.unit) == Some(expr.unit), || format!("{} of weights", expr.unit))
        }
        ExprKind::Slide { slide, over, value, weight } => {
            let size = |shape: &[usize]| shape.iter().product::<usize>();
            let of_weight = weight.as_ref().map_or(Some(value.unit), |w| w.unit.mul(value.unit));
            let [out, of_group] = [over.channels[1], over.channels[0] / over.groups];
            let kernel = [out, of_group, over.kernel[0], over.kernel[1]];
            let fits = slide.fits(over)
                && (*slide == Slide::Conv) == weight.is_some()
                && weight.as_ref().is_none_or(|w| w.shape == kernel)
                && size(&value.shape) == over.width_in()
                && size(&expr.shape) == over.width_out();
            ensure(fits, || format!("{} {over:?} of {:?}", slide.name(), value.shape))?;
            ensure(of_weight == Some(expr.unit), || format!("{} of weights", expr.unit))
        }
        ExprKind::Reduce { op, over, value } => {
            let unit = match op {
                ReduceOp::Variance => value.unit.powi(2).ok_or("unit overflows")?,
                ReduceOp::Firing(..) => Unit::NONE,
                _ => value.unit,
            };
            let keeps = matches!(over, Over::Time | Over::Batch);
            of(expr, unit, if keeps { &value.shape } else { &[] })
        }
        ExprKind::Pointwise(op, args) => pointwise(expr, *op, args),
        _ => Ok(()),
    }
}

fn pointwise(expr: &Expr, op: Pw, args: &[Expr]) -> Result<(), String> {
    let name = op.info().name;
    ensure(args.len() == op.info().arity, || format!("{name} of {} operands", args.len()))?;
    let shape = args.iter().map(|a| &a.shape).find(|shape| !shape.is_empty());
    let shape = shape.cloned().unwrap_or_default();
    for arg in args {
        super::fits(arg, &shape).map_err(|e| format!("{name}: {e}"))?;
    }
    ensure(expr.shape == shape, || format!("{name} of {shape:?} has shape {:?}", expr.shape))?;
    let unit = unit_of(op, args).map_err(|e| format!("{name}: {e}"))?;
    ensure(unit.is_none_or(|unit| unit == expr.unit), || format!("{name} has unit {}", expr.unit))
}

/// The unit of the result; none if any unit is right (an exponent that is not a number of the program).
fn unit_of(op: Pw, args: &[Expr]) -> Result<Option<Unit>, String> {
    let a = &args[0];
    let plain = |expr: &Expr| super::same_unit(expr, Unit::NONE);
    Ok(match op {
        Pw::Neg | Pw::Abs | Pw::Relu => Some(a.unit),
        Pw::Floor | Pw::Round => Some(a.unit),
        Pw::Sign | Pw::Not => Some(Unit::NONE),
        Pw::Exp | Pw::Ln | Pw::Tanh | Pw::Sigmoid | Pw::Exprel | Pw::Sin | Pw::Cos | Pw::Arctan | Pw::Erf => {
            plain(a)?;
            Some(Unit::NONE)
        }
        Pw::Sqrt => Some(a.unit.sqrt().ok_or("no such unit")?),
        Pw::Mul => Some(a.unit.mul(args[1].unit).ok_or("no such unit")?),
        Pw::Div => Some(a.unit.div(args[1].unit).ok_or("no such unit")?),
        Pw::Pow => {
            plain(&args[1])?;
            match super::super::constant::eval_free(&args[1]) {
                Some(exponent) => Some(a.unit.pow(exponent).ok_or("no such unit")?),
                None => a.unit.is_none().then_some(Unit::NONE),
            }
        }
        Pw::Add | Pw::Sub | Pw::Min | Pw::Max => Some(common(a, &args[1])?),
        Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne => {
            common(a, &args[1])?;
            Some(Unit::NONE)
        }
        Pw::And | Pw::Or => Some(Unit::NONE),
        Pw::Select => Some(common(&args[1], &args[2])?),
    })
}

fn common(a: &Expr, b: &Expr) -> Result<Unit, String> {
    if is_zero(a) {
        return Ok(if is_zero(b) && b.unit.is_none() { a.unit } else { b.unit });
    }
    super::same_unit(b, a.unit)?;
    Ok(a.unit)
}

/// Whether it is the number 0.
pub(super) fn is_zero(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(0.0))
}
