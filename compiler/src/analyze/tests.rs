//! Tests of the core: a program to its HIR, or to the message about its one mistake.

mod params;

use super::{Overrides, program};
use crate::ast::{self, ItemKind};
use crate::diag::Diagnostics;
use crate::hir;
use crate::source::Sources;
use crate::{parse, stdlib};

/// Analyzes a program with the library; models and messages.
fn analyze(source: &str, params: &[(&str, &str)]) -> (hir::Program, Vec<String>) {
    let mut sources = Sources::new();
    let mut diags = Diagnostics::new();
    let id = sources.add("test.snn", source);
    let mut files = vec![(String::new(), parse::file(&sources, id, &mut diags))];
    for (module, text) in stdlib::MODULES {
        let id = sources.add(format!("std/{module}.snn"), *text);
        files.push((format!("std.{module}"), parse::file(&sources, id, &mut diags)));
    }
    let mut overrides = Overrides::default();
    for (name, text) in params {
        let id = sources.add("-p", format!("param x = {text}"));
        let value =
            parse::file(&sources, id, &mut diags).items.into_iter().find_map(|item| match item.kind {
                ItemKind::Param(ast::ParamDecl { default, .. }) => default,
                _ => None,
            });
        overrides.params.push((name.to_string(), value.expect("a value")));
    }
    let res = program(&files, &sources, &overrides, &mut diags);
    let messages = diags.list.iter().map(|d| {
        let (span, at) = &d.primary;
        format!("{} {} | {}: {at}", d.code.name(), d.title, sources.slice(*span))
    });
    (res, messages.collect())
}

/// The program has no messages, its models are valid, and their text holds each of these lines.
#[track_caller]
fn check(source: &str, lines: &[&str]) {
    check_with(source, &[], lines);
}

#[track_caller]
fn check_with(source: &str, params: &[(&str, &str)], lines: &[&str]) {
    let (program, messages) = analyze(source, params);
    assert!(messages.is_empty(), "{}", messages.join("\n"));
    for model in &program.models {
        assert_eq!(hir::verify::verify(model), Ok(()));
    }
    let text = hir::print::program(&program);
    for line in lines {
        assert!(text.lines().any(|found| found.trim() == *line), "no line `{line}` in\n{text}");
    }
}

/// The program has exactly this message: `code title | words at the cause: label`.
#[track_caller]
fn refused(source: &str, message: &str) {
    let (_, messages) = analyze(source, &[]);
    assert_eq!(messages, [message]);
}

/// A neuron with these statements, in a model of one population.
fn neuron(body: &str) -> String {
    format!(
        "neuron N {{ input i\n state v = 0\n {body} }}\nmodel M {{ input x: [2]\n let h = N[3]\n x -> h : dense\n output h }}"
    )
}

/// A model of two populations with these lines.
fn model(lines: &str) -> String {
    format!("model M {{ input x: [4]\n let h = Lif[3]\n let y = Integrator[2]\n {lines}\n output y.v }}")
}

#[test]
fn lines_of_a_classifier() {
    check(
        &model("x -> h : dense\n h -> y : dense(init = normal(0, 0.1), bias = zeros, delay = 1 step)"),
        &[
            "learn x->h.weight: number[3, 4] = kaiming_normal(gain = 1.414)",
            "learn h->y.weight: number[2, 3] = normal(mean = 0, std = 0.1)",
            "each 0 + 0.1 * gaussian(stream \"h->y.weight\")",
            "learn h->y.bias: number[2] = zeros",
            "input i: number = x->h.weight @ x",
            "input i: number = h->y.weight @ delayed(h.out, dt) + h->y.bias",
            "h.v = exp(-dt / 0.02) * h.v + in.i",
            "fire h.v - 1 >= 0 with atan(alpha = 2)",
            "reset h.v = where(fired, h.v - 1, h.v)",
            "output y.v = y.v after",
        ],
    );
}

#[test]
fn numbers_are_rounded_once() {
    check(
        "neuron N(E = -70.6 mV) { input i  state V = E  V = V  emit i + V / 1 mV }\nmodel M { input x: [1]  let h = N[1]  x -> h : dense  output h }",
        &["state h.V: voltage[1] = -0.0706"],
    );
    check(
        "param p = 2.5e-1 ms\nmodel M { input x: [1]  let h = Lif[1](tau = p)  x -> h : dense  output h }",
        &["h.v = exp(-dt / 0.00025) * h.v + in.i"],
    );
}

#[test]
fn resets_happen_where_the_neuron_fired() {
    let lif = |reset: &str| {
        format!("model M {{ input x: [2]\n let h = Lif[3](reset = {reset})\n x -> h : dense\n output h }}")
    };
    check(&lif("hard(to = 0.1)"), &["reset h.v = where(fired, 0.1, h.v)"]);
    check(&lif("detached_soft"), &["reset h.v = h.v - 1 * detach(fired)"]);
    check(&lif("std.reset.hard"), &["reset h.v = where(fired, 0, h.v)"]);
    check(
        &neuron("v = i fire v > 1 reset { v = v / 2 } emit fired"),
        &["reset h.v = where(fired, h.v / 2, h.v)"],
    );
    let own = "reset both(a, b) { let c = a  a = b  b = c }\n";
    let body = "state w = 0  fire v >= 1 both(v, w) v = v + i emit w";
    check(&format!("{own}{}", neuron(body)), &["let c = h.v", "reset h.w = where(fired, c, h.w)"]);
}

#[test]
fn a_state_given_to_a_rule_keeps_its_value_in_it() {
    let own = "reset copy(a, b, old) { a = b  b = old }\n";
    let body = "state w = 0  v = v + i  fire v >= 1  copy(v, w, v)  emit w";
    check(&format!("{own}{}", neuron(body)), &["let old = h.v", "reset h.w = where(fired, old, h.w)"]);
}

#[test]
fn equations_stand_where_they_are_integrated() {
    check(
        &neuron("v' = (k * i - v) / (20 ms)  let k = 2  integrate exact  emit v"),
        &["h.v' = (k * in.i - h.v) / 0.02"],
    );
    refused(
        &neuron("v' = i - v  integrate exact  emit v"),
        "E0401 `v'` is a rate (Hz), not a number | i - v: this is a number",
    );
    refused(
        &neuron("v' = (i - v) / 1 ms emit v"),
        "E0601 `N` has an equation, and nothing integrates it | v: this equation has no effect",
    );
}

#[test]
fn parameters_have_scopes() {
    let source = "neuron N(tau0: time = 2 ms) {
        input i
        learn a: layer = 0
        learn b: channel > 0 = 1
        learn tau: neuron in [1 ms, 100 ms] = tau0
        param r: neuron = uniform(5 ms, 20 ms)
        state v = 0
        v = v * exp(-dt / tau) * exp(-dt / r) + a * b * i
        emit v
    }
    model M { input x: [2]  let h = N[4, 5]  x -> h : dense  output h }";
    check(
        source,
        &[
            "learn h.a: number = 0",
            "learn h.b: number[4] >= 1.401298464324817e-45 = 1",
            "learn h.tau: time[20] in [0.001, 0.1] = tau0",
            "param h.r: time[20] = uniform(low = 5 ms, high = 20 ms)",
            "h.v = h.v * exp(-dt / repeat(h.tau, to [4, 5])) * exp(-dt / repeat(h.r, to [4, 5])) + h.a * repeat(h.b, to [4, 5]) * in.i",
        ],
    );
}

#[test]
fn functions_are_put_in_place_without_repeating_arguments() {
    check(
        &format!("fn twice(a) = a + a\n{}", neuron("v = twice(v * i) emit v")),
        &["h.v = let a = h.v * in.i in a + a"],
    );
    check(
        &neuron("v = (v + i)^2 + i^3 + abs(v)^0.5 emit v"),
        &["h.v = (let base = h.v + in.i in base * base) + in.i * in.i * in.i + sqrt(abs(h.v))"],
    );
    let guard = "fn guard(d) { forward where(d == 0, 1, d)  backward(g) g }\n";
    check(
        &format!("{guard}{}", neuron("v = i / guard(v) emit v")),
        &["h.v = in.i / guard(d = h.v){ forward where(d == 0, 1, d); backward(g) g }"],
    );
}

#[test]
fn a_neuron_takes_functions() {
    let source = "fn bent(x) = max(x, 0.1 * x)
    neuron N(act = relu) { input i  emit act(i) }
    model M { input x: [2]  let h = N[2](act = bent)  let k = N[2]  x -> h : dense  h -> k : one_to_one  output k }";
    check(source, &["emit max(in.i, 0.1 * in.i)", "emit relu(in.i)", "input i: number = h.out"]);
}

#[test]
fn comparisons_and_conditions() {
    check(
        &neuron("v = where(i > 1 and not (v <= 2), t / 1 s, step_index) emit v"),
        &["h.v = where(1 < in.i and not(h.v <= 2), step_index * dt / 1, step_index)"],
    );
    check(&neuron("fire v <= i emit fired"), &["fire in.i - h.v >= 0"]);
}

#[test]
fn random_numbers_have_streams_of_their_own() {
    check(
        &neuron("v = random() + gaussian() fire i > random() emit fired"),
        &["h.v = random(stream \"h.random0\") + gaussian(stream \"h.random1\")"],
    );
}

const INHIBITED: &str = "circuit Inhibited(n, ratio = 4) {
    input x >= 0
    let m = n / ratio
    learn w_ex: [n, x] >= 0 = exponential(1 / n)
    learn w_ix: [m, x] >= 0 = abs(by_input(x))
    learn w_ei: [n, m] >= 0 = 1 / m
    population e[n] excitatory: Lif(tau = 2 * dt)
    population i[m] inhibitory: Rate
    i.in = w_ix * x
    e.in = w_ex * x - w_ei * i
    output e
}\n";

#[test]
fn circuits_are_flattened() {
    let source = format!(
        "{INHIBITED}model M {{ input x: [6]\n c -> d\n let d = Inhibited(4)\n let c = Inhibited(8)\n x -> c\n output d, c.e.v }}"
    );
    check(
        &source,
        &[
            "learn c.w_ex: number[8, 6] >= 0 = exponential(scale = 0.125)",
            "learn c.w_ix: number[2, 6] >= 0 = abs(by_input(x))",
            "learn d.w_ix: number[1, 8] >= 0 = abs(by_input(x))",
            "each abs(required(0 < mean(c.e.out * c.e.out, over = all), \"its input is silent on the first batch\", \
             0 + 1 / sqrt(8 * mean(c.e.out * c.e.out, over = all)) * gaussian(stream \"d.w_ix\")))",
            "learn c.w_ei: number[8, 2] >= 0 = 1 / m",
            "population c.i[2] inhibitory: Rate",
            "input i: number = d.w_ex @ c.e.out - d.w_ei @ d.i.out",
            "output c.e.v = c.e.v after",
        ],
    );
}

#[test]
fn circuits_hold_circuits() {
    let source = "circuit Inner(n) { input a  let e = Rate[n]  a -> e : dense  output e }
    circuit Outer(n) { input b  let p = Inner(n)  let q = Inner(2 * n)  b -> p  p -> q  output q }
    model M { input x: [3]  let o = Outer(4)  o.b = 2 * x  let y = Rate[8]  o -> y : one_to_one  output y, o.p.e }";
    check(
        source,
        &[
            "population o.p.e[4]: Rate",
            "learn o.p.a->o.p.e.weight: number[4, 3] = kaiming_normal(gain = 1.414)",
            "input in: number = o.p.a->o.p.e.weight @ (2 * x)",
            "input in: number = o.q.a->o.q.e.weight @ o.p.e.out",
            "output o.p.e = o.p.e.out",
        ],
    );
}

#[test]
fn projections_add_up_and_have_names() {
    check(
        &model(
            "x -> h : dense\n x -> h : dense(weight = 0.5)\n h -> {y, h} : dense(delay = 2 ms, learn = false)",
        ),
        &[
            "param x->h#2.weight: number[3, 4] = 0.5",
            "param h->y.weight: number[2, 3] = kaiming_normal(gain = 1.414)",
            "input i: number = x->h.weight @ x + x->h#2.weight @ x + h->h.weight @ delayed(h.out, 0.002)",
        ],
    );
    check(
        "model M { input x: [4]\n population e[2] excitatory: Lif\n population i[2] inhibitory: Lif\n x -> e : dense\n e -> i : dense(init = exponential(1))\n i -> e : one_to_one(weight = -1, delay = 1 step)\n output e }",
        &[
            "learn e->i.weight: number[2, 2] >= 0 = exponential(scale = 1)",
            "input i: number = x->e.weight @ x + -1 * delayed(i.out, dt)",
        ],
    );
}

#[test]
fn axes_of_populations_are_kept() {
    check(
        "model M { input x: [4, 4]\n let h = Rate[2, 3]\n let k = Rate[6]\n learn w: [h, x] = 0\n h.in = w * x\n h -> k : one_to_one\n let l = Rate[2, 3]\n k -> l : dense(bias = 1)\n output l }\n",
        &[
            "input in: number = repeat(w @ x, to [2, 3])",
            "input in: number = repeat(h.out, to [6])",
            "input in: number = k->l.weight @ k.out + repeat(k->l.bias, to [2, 3])",
        ],
    );
}

#[test]
fn overrides_replace_params() {
    let source = "param tau: time = 10 ms\nparam slow = 2 * tau\nmodel M { input x: [2]  let h = Lif[2](tau = slow)  x -> h : dense  output h }";
    check(source, &["h.v = exp(-dt / 0.02) * h.v + in.i"]);
    check_with(source, &[("tau", "5 ms")], &["h.v = exp(-dt / 0.01) * h.v + in.i"]);
    let (_, messages) = analyze(source, &[("tau", "5")]);
    assert_eq!(messages, ["E0401 `tau` is a time (s), not a number | 5: this is a number"]);
    let (_, messages) = analyze(source, &[("tua", "5 ms")]);
    assert_eq!(messages, ["E0206 the file has no `param tua` | 5 ms: given on the command line"]);
}

#[test]
fn the_file_wins_over_the_library() {
    let source = "fn normal(a = 1, b = 2) = a + b * 0
    model M { input x: [2]  let h = Lif[2]  x -> h : dense(init = normal(3, 4))  h -> h : dense(init = kaiming_normal(gain = 1), delay = 1 step)  output h }";
    check(source, &["each 3 + 4 * 0", "each 0 + 0.7071067811865475 * gaussian(stream \"h->h.weight\")"]);
}

#[test]
fn one_mistake_gives_one_message() {
    refused(
        &neuron("let k = exp(-1 ms / tua)  v = k * v + i  let m = k + v  fire m > k  emit m"),
        "E0201 nothing is named `tua` here | tua: unknown name",
    );
    refused(
        &model(
            "let z = Liff[5](tau = 2 ms)\n x -> z : dense\n z -> y : dense\n h -> z : dense(delay = 1 step)\n x -> h : dense",
        ),
        "E0201 nothing is named `Liff` here | Liff: unknown name",
    );
    refused(
        &model(
            "let z = Lif[n]\n x -> z : dense\n z -> y : dense\n x -> h : dense\n y -> h : dense(delay = 1 step)",
        ),
        "E0201 nothing is named `n` here | n: unknown name",
    );
    refused(
        "fn f(x) = x + 1 mV\nfn g(x) = f(x) * f(x)\nneuron N { input i  let a = g(i)  emit a }\nmodel M { input x: [2]  let h = N[2]  let k = N[3]  x -> h : dense  x -> k : dense  output h, k }",
        "E0401 `+` wants the same unit on both sides: a number and a voltage (V) | 1 mV: this is a voltage (V)",
    );
}

#[test]
fn mistakes_in_the_library_are_shown_where_it_is_used() {
    refused(
        &model("x -> h : dense(init = uniform(5 mV))\n h -> y : dense"),
        "E0401 `-` wants the same unit on both sides: a number and a voltage (V) | uniform(5 mV): in this use of `uniform`",
    );
    refused(
        "model M { input x: [2]\n let h = IafPscExp[2]\n x -> h : dense\n output h }",
        "E0401 `x->h.weight` is a current (A), not a number | x -> h : dense: this is a number",
    );
}

#[test]
fn units_of_arguments() {
    refused(
        &model("let z = Lif[2](tau = 20)\n x -> z : dense\n x -> h : dense\n h -> y : dense"),
        "E0401 `tau` is a time (s), not a number | 20: this is a number",
    );
    check(&neuron("v = max(v - i, 0) + 0 emit v"), &[]);
    check(
        "neuron N { input I: current\n state V: voltage = 0\n V' = (0 - V + 1 MOhm * I) / 5 ms\n integrate exact\n fire V > 0\n reset { V = 0 }\n emit fired }\nmodel M { input x: [1]  let h = N[1]  x -> h : dense(init = normal(0, 5 pA))  output h }",
        &["fire h.V > 0"],
    );
}

#[test]
fn recursion_is_refused() {
    refused(
        "fn f(x) = g(x)\nfn g(x) = f(x)\nparam a = f(1)",
        "E0310 the function `f` uses itself | f(x): this would never end",
    );
    refused("param a = b\nparam b = a", "E0310 `a` is computed from itself | a: this would never end");
    refused(
        "circuit C { input x\n let c = C\n x -> c\n output c }\nmodel M { input x: [2]\n let c = C\n x -> c\n output c }",
        "E0310 the circuit `C` uses itself | C: this would never end",
    );
    let loops = "circuit R { input x\n learn w: [2, x] = 1\n let e = Rate[2]\n e.in = w * x\n output w * x }";
    refused(
        &format!("{loops}\nmodel M {{ let a = R\n let b = R\n a -> b\n b -> a\n output b }}"),
        "E0310 `x` depends on itself | x: this would never end",
    );
}

#[test]
fn growth_is_bounded() {
    let mut text = "fn f0(x) = x + 1\n".to_string();
    for k in 1..50 {
        text += &format!("fn f{k}(x) = f{}(x) + f{}(x * 2)\n", k - 1, k - 1);
    }
    let (_, messages) = analyze(&format!("{text}{}", neuron("v = f49(i) emit v")), &[]);
    assert!(messages[0].starts_with("E0310 more than"), "{messages:?}");
    let deep = format!("{}i{}", "abs(".repeat(120), ")".repeat(120));
    check(&neuron(&format!("v = {deep} emit v")), &[]);
    check(&neuron(&format!("v = {} emit v", vec!["i"; 900].join(" + "))), &[]);
}

#[test]
fn unused_declarations_are_checked() {
    refused("fn f(x) = y", "E0201 nothing is named `y` here | y: unknown name");
    refused("surrogate s(a) { derivative(x) = a * z }", "E0201 nothing is named `z` here | z: unknown name");
    refused("reset r(v, a) { v = a + z }", "E0201 nothing is named `z` here | z: unknown name");
    refused(
        "init k(a) { sample a * gausian() }",
        "E0201 nothing is named `gausian` here | gausian: unknown name",
    );
    refused("neuron N(a) { input i  emit a * i * z }", "E0201 nothing is named `z` here | z: unknown name");
    refused(
        "circuit C(n) { input x  let e = Rate[n]  x -> e : dens  output e }",
        "E0705 there is no projection `dens` | dens: unknown kind of projection",
    );
    check(
        "fn f(x, by = 1) = x * by + target\nreset r(v) { v = -v }\ninit k(a) { value where(i == j, a, 0) }",
        &[],
    );
    check(INHIBITED, &[]);
    check(
        "circuit C(n, spiking = Lif(tau = 5 ms)) { input x  population e[n]: spiking  x -> e : dense  output e }",
        &[],
    );
}

#[test]
fn unused_names_are_warned_of() {
    refused("param a = 1", "W0201 nothing reads the param `a` | a: not used");
    refused(
        "neuron N(tau = 1) { input i  emit i }",
        "W0201 nothing reads the parameter `tau` | tau: not used",
    );
    check("neuron N(_tau = 1) { input i  emit i }", &[]);
    refused(
        "circuit C { input x  let k = 2  let e = Rate[2]  x -> e : dense  output e }",
        "W0201 nothing reads the let `k` | k: not used",
    );
}

#[test]
fn initializers_know_their_place() {
    refused(
        &model("x -> h : dense(init = normal(0, mean(h.v)))\n h -> y : dense(init = h)"),
        "E0501 an initializer gives [3] values for [2, 3] | h: another size",
    );
    refused(
        &model("x -> h : dense(init = 1 + random() * epoch)\n h -> y : dense"),
        "E0309 `epoch` has no value in an initializer | epoch: only in losses and optimizers",
    );
    refused(
        "init bad { value gaussian() }\n",
        "E0309 `bad` draws random numbers | gaussian(): random numbers are drawn here",
    );
    check(
        &model(
            "x -> h : dense(init = -abs(normal(0, 1)) / fan_in)\n h -> y : dense(init = 0.5 * kaiming_normal)",
        ),
        &[],
    );
}

#[test]
fn inputs_of_models_and_neurons() {
    check(
        "neuron N { input a = 0.5\n input b >= 0\n emit a + b }\nmodel M { input x: [2] stream\n let h = N[2]\n x -> h.b : one_to_one\n let k = N[2]\n x -> k : one_to_one(into = b, weight = 3)\n output h, k }",
        &[
            "input a: number = 0.5 (default)",
            "input b: number = x",
            "input b: number = 3 * x",
            "input x: [2] stream",
        ],
    );
    refused(
        "model M { input x\n let h = Lif[2]\n x -> h : dense\n output h }",
        "E0502 the input `x` of a model has no size | x: how many values?",
    );
}

#[test]
fn sizes() {
    refused(
        &model("let z = Lif[2 * dt]\n x -> z : dense\n x -> h : dense\n h -> y : dense"),
        "E0402 a size wants a number without a unit, not a time (s) | 2 * dt: this is a time (s)",
    );
    refused(
        &model("let z = Lif[100000, 100000]\n x -> z : dense\n x -> h : dense\n h -> y : dense"),
        "E0502 too many values | 100000, 100000: more than 2147483648",
    );
    refused(
        &model("let z = Lif[h]\n x -> z : dense\n x -> h : dense\n h -> y : dense"),
        "E0305 population `h` has no value before a run | h: this changes at every step",
    );
}

/// The programs of the language reference, one after the other.
fn examples() -> Vec<&'static str> {
    let text = include_str!("../../../docs/language.md");
    text.split("```snn\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Numbers of a fixed sequence.
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 33) as usize
}

/// A text whose words were exchanged, left out or repeated in a few places.
fn mutated(text: &str, seed: &mut u64) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    let is_name = |word: &str| word.chars().next().is_some_and(char::is_alphanumeric);
    let names: Vec<usize> = (0..words.len()).filter(|at| is_name(words[*at])).collect();
    for _ in 0..1 + next(seed) % 3 {
        let (mut a, mut b) = (next(seed) % words.len(), next(seed) % words.len());
        if !next(seed).is_multiple_of(4) {
            (a, b) = (names[a % names.len()], names[b % names.len()]);
        }
        match next(seed) % 3 {
            0 => words[a] = words[b],
            1 => words[a] = "",
            _ => words.swap(a, b),
        }
    }
    words.concat()
}

#[test]
fn broken_programs_give_messages_and_valid_ones_valid_models() {
    let mut seed = 7;
    let extra = [INHIBITED, "model M { input x: [6]  let c = Inhibited(8)  x -> c  output c }"].concat();
    let mut texts: Vec<String> = examples().into_iter().map(String::from).collect();
    texts.extend(stdlib::MODULES.iter().map(|(_, text)| text.to_string()));
    texts.push(extra);
    let all = [
        "Lif",
        "CubaLif",
        "Alif",
        "Plif",
        "ArLif",
        "MprIf",
        "MpbnLif",
        "BatchNorm",
        "Qif",
        "Eif",
        "Izhikevich",
        "Poisson",
        "Latency",
    ];
    for name in all {
        let library = stdlib::MODULES.iter().find(|(_, text)| text.contains(&format!("neuron {name}")));
        let text =
            library.and_then(|(_, text)| text.split("\n\n").find(|t| t.contains(&format!("neuron {name}"))));
        let model = format!(
            "model M {{ input x: [6]  let h = {name}[3]  x -> h : dense  h -> h : dense(delay = 1 step)  output h }}"
        );
        texts.push(format!("{}\n{model}", text.unwrap_or_default()));
    }
    let rounds: usize = std::env::var("SNN_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    for _ in 0..rounds {
        for text in &texts {
            let text = mutated(text, &mut seed);
            let (program, messages) = analyze(&text, &[]);
            if messages.iter().all(|message| message.starts_with('W')) {
                for model in &program.models {
                    assert_eq!(hir::verify::verify(model), Ok(()), "{text}");
                }
            }
        }
    }
}
