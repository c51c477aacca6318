//! Rules of HIR that hold for every program, whatever the user wrote: ids are in range, units and shapes agree, locals are
//! defined before they are read, every kind of expression stands where it has a meaning. A violation is a bug of ours.

mod expr;

use super::{
    Bounds, Expr, Job, LocalId, Measure, Model, Optimizer, PopId, Population, Program, Running, Source,
    StateId, Stmt, StmtKind, Test, Unit,
};
use expr::{Place, Scope};
use std::collections::BTreeSet;

/// Checks one model.
pub fn verify(model: &Model) -> Result<(), String> {
    let context = |what: &str| format!("model {}: {what}", model.name);
    unique("inputs", model.inputs.iter().map(|input| &input.name)).map_err(|e| context(&e))?;
    unique("params", model.params.iter().map(|param| &param.name)).map_err(|e| context(&e))?;
    unique("states", model.states.iter().map(|state| &state.name)).map_err(|e| context(&e))?;
    unique("populations", model.populations.iter().map(|p| &p.name)).map_err(|e| context(&e))?;
    for param in &model.params {
        self::param(model, param).map_err(|e| context(&format!("{}: {e}", param.name)))?;
    }
    for (at, state) in model.states.iter().enumerate() {
        self::state(model, StateId(at as u32)).map_err(|e| context(&format!("{}: {e}", state.name)))?;
    }
    for (at, population) in model.populations.iter().enumerate() {
        self::population(model, PopId(at as u32), population)
            .map_err(|e| context(&format!("{}: {e}", population.name)))?;
    }
    for projection in &model.projections {
        self::projection(model, projection).map_err(|e| context(&format!("{}: {e}", projection.name)))?;
    }
    for output in &model.outputs {
        let mut scope = Scope::new(model, Place::Trace);
        scope.check(&output.value).map_err(|e| context(&format!("output {}: {e}", output.name)))?;
    }
    Ok(())
}

/// Checks all models, jobs and tests.
pub fn program(program: &Program) -> Result<(), String> {
    program.models.iter().try_for_each(verify)?;
    for job in program.jobs.iter().chain(program.tests.iter().map(|test| &test.job)) {
        self::job(program, job)?;
    }
    for test in &program.tests {
        let model = &program.models[test.job.model.idx()];
        let (populations, least) = (model.populations.len(), usize::from(test.draws.is_none()));
        ensure((least..=1).contains(&populations), || {
            format!("test {:?}: its model has {populations} populations", test.name)
        })?;
        for measure in test.expects.iter().flat_map(|expect| [&expect.left, &expect.right]) {
            self::measure(test, model, measure).map_err(|e| format!("test {:?}: {e}", test.name))?;
        }
    }
    Ok(())
}

/// Expressions of first values stand in tests that draw, and only they do.
fn measure(test: &Test, model: &Model, measure: &Measure) -> Result<(), String> {
    match (measure, test.draws) {
        (Measure::Drawn(value), Some(w)) => {
            let param = model.params.last().ok_or("nothing is drawn")?;
            let like = Expr { unit: param.unit, shape: param.shape.clone(), ..value.clone() };
            let mut scope = Scope::new(model, Place::Init { batch: false });
            scope.define(w, &like)?;
            scope.check(value)
        }
        (Measure::Values(_), _) => Ok(()),
        (Measure::Drawn(_), None) => Err("nothing is drawn".into()),
        (_, Some(_)) => Err("nothing is simulated".into()),
        (_, None) => Ok(()),
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        ensure(seen.insert(name), || format!("two {what} are named {name}"))?;
    }
    Ok(())
}

fn param(model: &Model, param: &super::Param) -> Result<(), String> {
    let Bounds { low, high } = param.bounds;
    ensure(low <= high, || format!("bounds {low} … {high}"))?;
    let support = param.init.support;
    ensure(support.low <= support.high, || format!("support {} … {}", support.low, support.high))?;
    if let Some(keep) = &param.keep {
        Scope::of_optimizer(model, &keep.names, &[keep.w, keep.p].into()).check(&keep.value)?;
    }
    let mut scope = Scope::new(model, Place::Init { batch: param.init.needs.batch });
    scope.check(&param.init.value)?;
    same_unit(&param.init.value, param.unit)?;
    fits(&param.init.value, &param.shape)?;
    let is_random = param.init.value.any(&mut |e| matches!(e.kind, super::ExprKind::Random { .. }));
    ensure(is_random == param.init.needs.random, || "needs.random is wrong".into())?;
    let measures = param.init.value.any(&mut |e| matches!(e.kind, super::ExprKind::Neuron(..)));
    ensure(measures == param.init.needs.neuron, || "needs.neuron is wrong".into())?;
    let reads = !param.init.value.stored().is_empty();
    ensure(reads == param.init.needs.checkpoint, || "needs.checkpoint is wrong".into())
}

fn state(model: &Model, id: StateId) -> Result<(), String> {
    let state = &model.states[id.idx()];
    let population = model.populations.get(state.pop.idx()).ok_or("no such population")?;
    ensure(population.states.contains(&id), || format!("{} does not list it", population.name))?;
    Scope::new(model, Place::Start).check(&state.init)?;
    same_unit(&state.init, state.unit)?;
    fits(&state.init, &population.shape)
}

fn population(model: &Model, id: PopId, population: &Population) -> Result<(), String> {
    ensure(population.shape.iter().all(|n| *n > 0), || "an axis is empty".into())?;
    for state in &population.states {
        let owner = model.states.get(state.idx()).map(|state| state.pop);
        ensure(owner == Some(id), || format!("state {} is not its own", state.0))?;
    }
    for port in &population.ports {
        let checked = Scope::new(model, Place::Trace).check(&port.value);
        checked.map_err(|e| format!("input {}: {e}", port.name))?;
        same_unit(&port.value, port.unit)?;
        fits(&port.value, &population.shape).map_err(|e| format!("input {}: {e}", port.name))?;
    }
    let mut scope = Scope::new(model, Place::Body(id));
    for (at, stmt) in population.body.iter().enumerate() {
        self::stmt(&mut scope, id, stmt).map_err(|e| format!("statement {at}: {e}"))?;
    }
    scope.check(&population.emit).map_err(|e| format!("emit: {e}"))?;
    for Running { param, value, momentum } in &population.running {
        scope.check(value).map_err(|e| format!("running: {e}"))?;
        let followed = model.params.get(param.idx()).filter(|param| !param.trained);
        same_unit(value, followed.ok_or("running: no such parameter, or a trained one")?.unit)?;
        fits(value, &population.shape)?;
        ensure((0.0..=1.0).contains(momentum), || format!("running: momentum {momentum}"))?;
    }
    for (name, local) in &population.named {
        ensure(scope.is_defined(*local), || format!("let {name} is not defined in its step"))?;
    }
    if let Some(refractory) = &population.refractory {
        Scope::new(model, Place::Start).check(&refractory.duration)?;
        same_unit(&refractory.duration, Unit::TIME)?;
        for state in &refractory.holding {
            ensure(population.states.contains(state), || format!("holds state {}", state.0))?;
        }
    }
    let fires = population.body.iter().filter(|s| matches!(s.kind, StmtKind::Fire { .. })).count();
    ensure(population.fires == (fires > 0), || "fires is wrong".into())?;
    ensure(fires <= 1, || "it fires twice".into())
}

fn stmt(scope: &mut Scope, id: PopId, stmt: &Stmt) -> Result<(), String> {
    let model = scope.model;
    let shape = &model.populations[id.idx()].shape;
    let own = |state: StateId| {
        let found = model.states.get(state.idx()).filter(|state| state.pop == id);
        found.ok_or_else(|| format!("state {} is not its own", state.0))
    };
    match &stmt.kind {
        StmtKind::Let(local, value) => {
            scope.check(value)?;
            scope.define(*local, value)
        }
        StmtKind::Assign { state, value, .. } => {
            scope.check(value)?;
            same_unit(value, own(*state)?.unit)?;
            fits(value, shape)
        }
        StmtKind::Integrate { equations, .. } => equations.iter().try_for_each(|(state, value)| {
            scope.check(value)?;
            let rate = own(*state)?.unit.div(Unit::TIME).ok_or("unit overflows")?;
            same_unit(value, rate)?;
            fits(value, shape)
        }),
        StmtKind::Fire { above, below, surrogate, .. } => {
            let diff = &super::difference(above, below.as_ref());
            scope.check(diff)?;
            fits(diff, shape)?;
            let Some(surrogate) = surrogate else { return Ok(()) };
            let before = scope.defined();
            scope.define(surrogate.x, diff)?;
            scope.check(&surrogate.derivative)?;
            surrogate.primitive.iter().try_for_each(|primitive| scope.check(primitive))?;
            scope.forget(before);
            Ok(())
        }
    }
}

fn projection(model: &Model, projection: &super::Projection) -> Result<(), String> {
    let target = model.populations.get(projection.target.idx()).ok_or("no such target")?;
    ensure(projection.port < target.ports.len(), || "no such input".into())?;
    let source = match projection.source {
        Source::Input(id) => model.inputs.get(id.idx()).map(|_| ()),
        Source::Population(id) => model.populations.get(id.idx()).map(|_| ()),
    };
    source.ok_or("no such source")?;
    if let Some(weight) = projection.weight {
        ensure(weight.idx() < model.params.len(), || "no such weight".into())?;
    }
    Scope::new(model, Place::Start).check(&projection.delay)?;
    same_unit(&projection.delay, Unit::TIME)
}

fn job(program: &Program, job: &Job) -> Result<(), String> {
    let model = program.models.get(job.model.idx()).ok_or("a job without a model")?;
    let context = |e: String| format!("job of {}: {e}", model.name);
    if let Some((data, _)) = job.data {
        ensure(data < program.data.len(), || context("no such data".into()))?;
    }
    ensure(job.dt > 0.0 && job.dt.is_finite(), || context(format!("dt is {}", job.dt)))?;
    ensure(job.steps > 0 && job.batch > 0, || context("no steps or no samples".into()))?;
    for drive in &job.drives {
        ensure(drive.input.idx() < model.inputs.len(), || context("no such input".into()))?;
    }
    for value in job.loss.iter().chain(job.results()) {
        Scope::new(model, Place::Job).check(value).map_err(context)?;
    }
    match &job.train {
        Some(train) => optimizer(model, &train.optimizer).map_err(context),
        None => Ok(()),
    }
}

fn optimizer(model: &Model, optimizer: &Optimizer) -> Result<(), String> {
    let mut known: BTreeSet<LocalId> = [optimizer.w, optimizer.g].into();
    known.extend(optimizer.states.iter().map(|state| state.local));
    for (id, start) in optimizer.states.iter().flat_map(|state| &state.starts) {
        let trained = model.params.get(id.idx()).filter(|param| param.trained);
        ensure(trained.is_some_and(|param| param.shape == start.shape), || {
            format!("{} is a state of no such parameter", start.name)
        })?;
        param(model, start).map_err(|e| format!("{}: {e}", start.name))?;
    }
    for (local, value) in &optimizer.body {
        Scope::of_optimizer(model, &optimizer.names, &known).check(value)?;
        ensure(local.idx() < optimizer.names.len(), || format!("local {} has no name", local.0))?;
        known.insert(*local);
    }
    Ok(())
}

/// A number that is 0 fits every unit: what arrives at an input that nothing reaches.
fn same_unit(expr: &Expr, unit: Unit) -> Result<(), String> {
    ensure(expr.unit == unit || expr::is_zero(expr), || format!("{} where {unit} is wanted", expr.unit))
}

/// One number for all, or one for each element.
fn fits(expr: &Expr, shape: &[usize]) -> Result<(), String> {
    let fits = expr.shape.is_empty() || expr.shape == shape;
    ensure(fits, || format!("shape {:?} where {shape:?} is wanted", expr.shape))
}
