//! What a population does in a step, as a list.

use super::linear::updates;
use super::text::Words;
use super::{peers, statement, update};
use snn_compiler::hir::constant;
use snn_compiler::hir::print::number;
use snn_compiler::hir::unit::quantity;
use snn_compiler::hir::{ExprKind, Polarity, Population, StmtKind, difference};

/// The text of a population.
pub fn text(words: &Words, pop: &Population) -> String {
    let kind = match pop.polarity {
        Polarity::Mixed => "",
        Polarity::Excitatory => " excitatory",
        Polarity::Inhibitory => " inhibitory",
    };
    let mut out = format!("{}{:?}{kind}: {}\n", pop.name, pop.shape, pop.neuron);
    let mut line = |text: String| out.push_str(&format!("    {text}\n"));
    starts(words, pop).into_iter().for_each(&mut line);
    for port in &pop.ports {
        let origin = if port.driven { "arrives" } else { "nothing arrives, its default:" };
        line(format!("{origin} {} = {}", port.name, words.expr(&port.value)));
    }
    let steps = steps(words, pop);
    for (at, (first, more)) in steps.iter().enumerate() {
        line(format!("{}. {first}", at + 1));
        more.iter().for_each(|text| line(format!("   {text}")));
    }
    if reads_spikes_before(pop) {
        line("fired[-1] is the spike of the step before, 0 in the first step".to_string());
    }
    refractory(words, pop).into_iter().for_each(&mut line);
    line(emits(words, pop));
    for followed in &pop.running {
        let name = &words.model.params[followed.param.idx()].name;
        let (value, share) = (words.in_step(pop, &followed.value, false), number(followed.momentum));
        line(format!(
            "{name} moves by {share} of the way to the mean of {value} at the end, after each batch of a training"
        ));
    }
    let known = update::of(words.model, pop, &words.env);
    known.iter().flat_map(peers::lines).for_each(&mut line);
    out
}

fn starts(words: &Words, pop: &Population) -> Option<String> {
    let first = |id: &snn_compiler::hir::StateId| {
        let state = &words.model.states[id.idx()];
        let value = match constant::eval(&state.init, &words.env) {
            Some(known) => quantity(known, state.unit),
            None => words.expr(&state.init),
        };
        format!("{} = {value}", words.state(*id))
    };
    let all: Vec<String> = pop.states.iter().map(first).collect();
    (!all.is_empty()).then(|| format!("starts with {}", all.join(", ")))
}

/// Each statement: a line, and lines that say it in words.
fn steps(words: &Words, pop: &Population) -> Vec<(String, Vec<String>)> {
    let mut fired_before = pop.fires;
    let mut list = Vec::new();
    for stmt in &pop.body {
        list.extend(match &stmt.kind {
            StmtKind::Let(local, value) => {
                let name = words.model.locals.get(local.idx()).cloned().unwrap_or_default();
                vec![(format!("{name} = {}", words.in_step(pop, value, fired_before)), Vec::new())]
            }
            StmtKind::Fire { above, below, strict, surrogate } => {
                fired_before = false;
                let diff = difference(above, below.as_ref());
                vec![statement::fire(words, pop, &diff, *strict, surrogate.as_ref())]
            }
            StmtKind::Assign { state, value, .. } if !fired_before && pop.fires => {
                vec![statement::after_spike(words, pop, stmt, *state, value)]
            }
            StmtKind::Assign { state, value, .. } => match updates(stmt, &words.env) {
                Some(forms) => statement::linear(words, pop, &forms, fired_before),
                None => {
                    let text = words.in_step(pop, value, fired_before);
                    vec![(format!("{} <- {text}", words.state(*state)), Vec::new())]
                }
            },
            StmtKind::Integrate { solver, equations } => {
                statement::integrate(words, pop, stmt, *solver, equations, fired_before)
            }
        });
    }
    list
}

/// Whether the spike is read before `fire`.
fn reads_spikes_before(pop: &Population) -> bool {
    let until = pop.body.iter().take_while(|stmt| !matches!(stmt.kind, StmtKind::Fire { .. }));
    let reads = |e: &snn_compiler::hir::Expr| e.any(&mut |e| matches!(e.kind, ExprKind::Fired(_)));
    pop.fires && until.flat_map(|stmt| stmt.exprs()).any(reads)
}

fn refractory(words: &Words, pop: &Population) -> Option<String> {
    let refractory = pop.refractory.as_ref()?;
    let seconds = constant::eval(&refractory.duration, &words.env)?;
    let steps = (seconds / words.env.dt - 1e-6).ceil().max(0.0);
    let held: Vec<String> = refractory.holding.iter().map(|id| words.state(*id)).collect();
    let held = match held.is_empty() {
        true => String::new(),
        false => format!(" and {} is held", held.join(", ")),
    };
    Some(format!("after a spike it does not fire for {} ({steps} steps){held}", words.time(seconds)))
}

fn emits(words: &Words, pop: &Population) -> String {
    match &pop.emit.kind {
        ExprKind::Fired(_) => "emits its spikes, 0 or 1".to_string(),
        _ => format!("emits {}", words.in_step(pop, &pop.emit, false)),
    }
}
