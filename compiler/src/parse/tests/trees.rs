//! Every construct of the language and its tree.

use super::{check, check_expr, errors, parsed};
use crate::ast::{self, print};
use crate::diag::Diagnostics;
use crate::source::Sources;

#[test]
fn operators_bind_as_documented() {
    check_expr("a + b * c - d", "(- (+ a (* b c)) d)");
    check_expr("a^b^c", "(^ a (^ b c))");
    check_expr("-a^2", "(neg (^ a 2))");
    check_expr("a^-2", "(^ a (neg 2))");
    check_expr("2^-a^b * c", "(* (^ 2 (neg (^ a b))) c)");
    check_expr("-a * b", "(* (neg a) b)");
    check_expr("a - -b", "(- a (neg b))");
    check_expr("not a == b and c or d", "(or (and (not (== a b)) c) d)");
    check_expr("a and not b", "(and a (not b))");
    check_expr("w .* x * y / z", "(/ (* (.* w x) y) z)");
    check_expr("w.*x", "(.* w x)");
    check_expr("a.b.c + (a + b) * c", "(+ a.b.c (* (+ a b) c))");
    check_expr("a<b", "(< a b)");
    check_expr("a <-b", "(< a (neg b))");
    check_expr("(a < b) == c", "(== (< a b) c)");
    check_expr("android + order + notes", "(+ (+ android order) notes)");
}

#[test]
fn numbers_have_units_on_their_line() {
    check_expr("20 ms", "20ms");
    check_expr("-65 mV + 1 % + 3 steps", "(+ (+ (neg 65mV) 1%) 3steps)");
    check_expr("2e-3", "2e-3");
    check_expr("1.5E+3 MOhm", "1.5E+3MOhm");
    check_expr("20ms", "20ms");
    check_expr("1 % * 2", "(* 1% 2)");
    check("param a = 1\nparam s = 2", "param a = 1\nparam s = 2");
    check(
        "reset r(v, s) { v = 5 s = 3 }\nreset q(v) { v = 5\n s = 2 s }",
        "reset r(v, s)\n  assign v 5\n  assign s 3\nreset q(v)\n  assign v 5\n  assign s 2s",
    );
    check("fn f(s) { let a = 5\n s }", "fn f(s)\n  let a 5\n  value s");
    check("param a = 5 s == 3 s", "param a = (== 5s 3s)");
}

#[test]
fn calls_instances_ranges_and_lists() {
    check_expr("f(x, k = 1, reset = soft,)", "(call f x k=1 reset=soft)");
    check_expr("std.data.digits()", "(call std.data.digits)");
    check_expr("Lif[128](tau = 10 ms)", "(instance Lif [128] tau=10ms)");
    check_expr("Lif[8, 8]", "(instance Lif [8 8])");
    check_expr("h[0..5].v", "(range h 0 5 .v)");
    check_expr("h[n - 1..m]", "(range h (- n 1) m)");
    check_expr("[1, -2, [a]]", "(list 1 (neg 2) (list a))");
    check_expr("[]", "(list)");
    check_expr("mean(*.v)", "(call mean *.v)");
    check_expr(r#""a \"b\" \\ // c""#, r#""a \"b\" \\ // c""#);
    check_expr("f(\n  a,  // one\n  b\n)", "(call f a b)");
}

#[test]
fn small_declarations() {
    check(
        "use std.neuron.{Lif, Integrator}\nuse std.reset",
        "use std.neuron [\"Lif\", \"Integrator\"]\nuse std.reset []",
    );
    check("param tau: time = 10 ms; param n = 3,\nparam m", "param tau: time = 10ms\nparam n = 3\nparam m");
    check("data d = std.data.digits(split = 0.8)", "data d (call std.data.digits split=0.8)");
    check("reset soft(v, theta) { v = v - theta }", "reset soft(v, theta)\n  assign v (- v theta)");
    check(
        "surrogate atan(alpha = 2) { primitive(x) = x derivative(x) = alpha }",
        "surrogate atan(alpha = 2)\n  derivative x alpha\n  primitive x x",
    );
    check("fn square(x) = x * x", "fn square(x)\n  value (* x x)");
    check("fn f(x, by = 1) { let y = x + by   y * y }", "fn f(x, by = 1)\n  let y (+ x by)\n  value (* y y)");
    check(
        "fn f(a, b) { forward a * b backward(g) g * b, g * a }",
        "fn f(a, b)\n  value (* a b)\n  backward g [(* g b) (* g a)]",
    );
    check("fn f(forward) { forward - 1 }", "fn f(forward)\n  value (- forward 1)");
    check(
        "init k(gain = 2) { let s = gain sample normal(0, s) }",
        "init k(gain = 2)\n  let s gain\n  sample (call normal 0 s)",
    );
    check("init d { value where(i == j, 1, 0) }", "init d()\n  value (call where (== i j) 1 0)");
    check(
        "optimizer sgd(lr = 0.1) { state m = 0, n = 1 update { m = g; w = w - lr * m } }",
        "optimizer sgd(lr = 0.1)\n  state m = 0\n  state n = 1\n  update\n    assign m g\n    assign w (- w (* lr m))",
    );
}

#[test]
fn neurons_have_all_their_lines() {
    check(
        "/// Doc.\n///\n/// More.\nneuron N(tau: time = 20 ms, reset = soft, grad) {\n\
         input i input I: current = 0 pA input x >= 0 = 0.5\n\
         state v = 0, w: current = 0 pA\n\
         learn a: layer >= 0 nS = 5 nS learn t: neuron in [1 ms, 100 ms] = 20 ms learn b: channel < 2 * c = 1\n\
         param p: neuron = uniform(5 ms, 20 ms)\n\
         let k = exp(-dt / tau)\n\
         v' = (E - v) / tau\n\
         step { integrate exact fire (v) >= theta with grad(2) reset(v, theta) refractory 2 ms holding v, w, fire = 3 }\n\
         reset { v = 0; w = w + b }\n\
         state = 3 step { } emit fired }",
        r#"
neuron N(tau: time = 20ms, reset = soft, grad)
  doc "Doc."
  doc ""
  doc "More."
  input i
  input I: current = 0pA
  input x >= 0 = 0.5
  state v = 0
  state w: current = 0pA
  learn a: layer >= 0nS = 5nS
  learn t: neuron in [1ms 100ms] = 20ms
  learn b: channel < (* 2 c) = 1
  param p: neuron = (call uniform 5ms 20ms)
  step
    let k (call exp (/ (neg dt) tau))
  equation v (/ (- E v) tau)
  step
    integrate exact
    fire (>= v theta) with (call grad 2)
    reset (reset v theta)
    refractory 2ms holding v w
    assign fire 3
  step
    reset
      assign v 0
      assign w (+ w b)
  step
    assign state 3
  step
  emit fired"#,
    );
}

#[test]
fn words_are_keywords_only_where_a_statement_begins() {
    check(
        "neuron step(input, step = fn) { input state state learn = 0 step { let = let + 1 integrate = 2 fire(v, 1) \
         refractory = reset reset(emit) let let = 3 } emit emit }",
        "
neuron step(input, step = fn)
  input state
  state learn = 0
  step
    assign let (+ let 1)
    assign integrate 2
    reset (fire v 1)
    assign refractory reset
    reset (reset emit)
    let let 3
  emit emit",
    );
    check(
        "model model { input input: [4] stream input stream: [2]\nstream -> let : dense let output = 3 input -> let output let }",
        "
model model()
  input input: [4] stream
  input stream: [2]
  projection stream -> let : dense
  let output 3
  projection input -> let
  output [let]",
    );
    check(
        "param a = model\nneuron N { emit data }\nparam b = test + fn\ndata test = train(on = on)\ntrain data on test",
        "param a = model\nneuron N()\n  emit data\nparam b = (+ test fn)\ndata test (call train on=on)\nTrain data on test",
    );
}

#[test]
fn circuits_and_models_have_all_their_lines() {
    check(
        "circuit C(n, ratio = 4) { input x >= 0 let m = n / ratio learn w: [n, x] >= 0 = exponential(1 / n)\n\
         population e[n] excitatory: Lif(tau = 2 * dt) population i[m, 2] inhibitory: Rate population o[1]: Lif\n\
         i.in = w * x, e.in = w .* x; let c = Inhibited(128) x -> c x -> {e, i} : dense\n\
         e -> o : dense(delay = 1 step) { init = normal(0, 1), bias = 0 } e.v -> o : one_to_one { weight = 2 }\n\
         param f: [n, m] = 1 output e, o.v,\n output c }",
        "
circuit C(n, ratio = 4)
  input x >= 0
  let m (/ n ratio)
  learn w: [n x] >= 0 = (call exponential (/ 1 n))
  population e [n] excitatory (call Lif tau=(* 2 dt))
  population i [m 2] inhibitory Rate
  population o [1] Lif
  drive i.in (* w x)
  drive e.in (.* w x)
  let c (call Inhibited 128)
  projection x -> c
  projection x -> e i : dense
  projection e -> o : (call dense delay=1step init=(call normal 0 1) bias=0)
  projection e.v -> o : (call one_to_one weight=2)
  param f: [n m] = 1
  output [e o.v]
  output [c]",
    );
    check(
        "model M { input x: [8, 8] >= 0 input y: [64] stream let h = Lif[128](tau = 10 ms) output h.v, y }",
        "
model M()
  input x: [8 8] >= 0
  input y: [64] stream
  let h (instance Lif [128] tau=10ms)
  output [h.v y]",
    );
}

#[test]
fn jobs_have_free_settings() {
    check(
        "train M on d.train { steps 20   dt 1 ms   batch 64 gradient tbptt(10) loss cross_entropy(mean(y.v)) + 1e-3 * r(h)\n\
         clip 1 early_stop(patience = 5) optimizer adam(lr = cosine(2e-3, 1e-4)), seed 7 steps 9 }",
        "
Train M on d.train
  steps [20]
  dt [1ms]
  batch [64]
  gradient [(call tbptt 10)]
  loss [(+ (call cross_entropy (call mean y.v)) (* 1e-3 (call r h)))]
  clip [1]
  early_stop [(call early_stop patience=5)]
  optimizer [(call adam lr=(call cosine 2e-3 1e-4))]
  seed [7]
  steps [9]",
    );
    check(
        "train M on d { steps 20, dt 1 ms, metric a, loss, b, gradient bptt, clip -1, loss (a + b) * 2, early_stop(p = 1) }",
        "
Train M on d
  steps [20]
  dt [1ms]
  metric [a loss b]
  gradient [bptt]
  clip [(neg 1)]
  loss [(* (+ a b) 2)]
  early_stop [(call early_stop p=1)]",
    );
    check("evaluate M on d.test { metric accuracy, rate }", "Evaluate M on d.test\n  metric [accuracy rate]");
    check("simulate M for 1 s", "Simulate M for 1s");
    check(
        "simulate M on d for 50 ms { record spikes(h), h[0..5].v, x = [1, 2] report rate(h) }",
        "Simulate M on d for 50ms\n  record [(call spikes h) (range h 0 5 .v)]\n  x = [(list 1 2)]\n  report [(call rate h)]",
    );
    check(
        "simulate one(Lif[5](tau = 20 ms), i = 0.1) for 6 steps { dt 0.1 ms }",
        "Simulate (call one (instance Lif [5] tau=20ms) i=0.1) for 6steps\n  dt [0.1ms]",
    );
    check(
        "test \"a \\\"b\\\"\" { simulate one(Lif, i = 1) for 1 s expect rate within 1 % of 1 / a expect a == b; expect c < d }",
        "test \"a \\\"b\\\"\"\n  Simulate (call one Lif i=1) for 1s\n  expect rate within 1% of (/ 1 a)\n  expect (== a b)\n  expect (< c d)",
    );
}

#[test]
fn whole_texts_may_have_marks_and_windows_lines() {
    check("\u{feff}param a = 1\r\n// c\r\n/// d\r\nparam b = 2\r\n", "param a = 1\nparam b = 2\n  doc \"d\"");
    check("", "");
    check("// only a comment", "");
    let (tree, ..) = parsed("//// no doc\n/// doc\n// c\nparam a = 1 /// t\n/// end");
    let comments: Vec<(&str, bool)> = tree.comments.iter().map(|c| (&c.text[..], c.own_line)).collect();
    assert_eq!(comments, [("//// no doc", true), ("// c", true), ("/// t", false), ("/// end", true)]);
    assert_eq!(tree.items[0].doc, ["doc"]);
}

#[test]
fn blocks_of_the_language_reference_parse() {
    let page = include_str!("../../../../docs/language.md");
    let mut n_blocks = 0;
    for (at, block) in page.split("\n```").enumerate().filter(|(at, _)| at % 2 == 1) {
        let (_, text) = block.split_once('\n').expect("a block has lines");
        assert_eq!(errors(text), Vec::<String>::new(), "block {at}:\n{text}");
        n_blocks += 1;
    }
    assert!(n_blocks > 5);
}

#[test]
fn spans_end_with_the_last_token() {
    let (tree, sources, _) =
        parsed("neuron N { input i   // c\n fire i >= 1\n\n  emit fired } // d\n\nparam a = (1)  ");
    assert_eq!(sources.slice(tree.items[1].span), "param a = (1)");
    let ast::ItemKind::Neuron(neuron) = &tree.items[0].kind else { panic!("a neuron") };
    let ast::NeuronItem::Step(stmts) = &neuron.items[1] else { panic!("a step") };
    assert_eq!(sources.slice(stmts[0].span), "fire i >= 1");
}

#[test]
fn one_expression_is_parsed_alone() {
    let parse = |text: &str| {
        let mut sources = Sources::new();
        let file = sources.add("-p", text);
        let mut diags = Diagnostics::new();
        let expr = crate::parse::expression(&sources, file, &mut diags);
        assert_eq!(expr.is_some(), diags.list.is_empty());
        expr.map(|e| print::expr(&e))
    };
    assert_eq!(parse(" 5  ms ").as_deref(), Some("5 ms"));
    assert_eq!(parse("(1+2)*a").as_deref(), Some("(1 + 2) * a"));
    for wrong in ["", " ", "5 ms 6", "1 +", "(", "1 < 2 < 3", "\0", "param a = 1"] {
        assert_eq!(parse(wrong), None, "{wrong:?}");
    }
}
