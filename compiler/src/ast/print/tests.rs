//! Tests of the printer: canonical text, and that it is parsed to the same tree and printed the same again.

use crate::ast::File;
use crate::diag::{Diagnostics, render};
use crate::parse;
use crate::source::Sources;

#[track_caller]
fn parsed(text: &str) -> (File, Sources) {
    let mut sources = Sources::new();
    let file = sources.add("a.snn", text);
    let mut diags = Diagnostics::new();
    let tree = parse::file(&sources, file, &mut diags);
    assert!(diags.list.is_empty(), "{text}\n{}", render::to_text(&diags, &sources, false));
    (tree, sources)
}

/// The words of all comments: formatting may join or move comments, not lose them.
fn comment_words(tree: &File) -> Vec<String> {
    let words = tree.comments.iter().flat_map(|c| c.text.split_whitespace());
    let mut words: Vec<String> =
        words.map(|w| w.trim_start_matches('/').to_string()).filter(|w| !w.is_empty()).collect();
    words.sort();
    words
}

/// Formats, checks that nothing is lost, and gives the text.
#[track_caller]
fn formatted(text: &str) -> String {
    let (tree, sources) = parsed(text);
    let once = super::file(&tree, &sources);
    let (again, again_sources) = parsed(&once);
    assert_eq!(super::debug_tree(&again), super::debug_tree(&tree), "another tree:\n{once}");
    assert_eq!(comment_words(&again), comment_words(&tree), "other comments:\n{once}");
    assert_eq!(super::file(&again, &again_sources), once, "not stable");
    assert!(
        once.is_empty() || once.ends_with('\n') && !once.contains(" \n") && !once.contains("\n\n\n"),
        "{once:?}"
    );
    once
}

#[track_caller]
fn check(text: &str, want: &str) {
    assert_eq!(formatted(text), want);
}

/// A text that is canonical already.
#[track_caller]
fn check_same(text: &str) {
    check(text, text);
}

#[track_caller]
fn check_expr(text: &str, want: &str) {
    check(&format!("param a = {text}"), &format!("param a = {want}\n"));
}

#[test]
fn expressions_have_as_few_parentheses_as_possible() {
    check_expr("((a)+(b*c))-(d-e)", "a + b * c - (d - e)");
    check_expr("(a*b)*c/(d*e)", "a * b * c / (d * e)");
    check_expr("(a+b)*c", "(a + b) * c");
    check_expr("(a^b)^c", "(a^b)^c");
    check_expr("a^(b^c)", "a^b^c");
    check_expr("(-a)^2", "(-a)^2");
    check_expr("-(a^2)", "-a^2");
    check_expr("-(a*b)", "-(a * b)");
    check_expr("(-a)*b", "-a * b");
    check_expr("a^(-2)*(-b)", "a^-2 * -b");
    check_expr("--a - (-b)", "--a - -b");
    check_expr("not (a and b) or (not c)", "not (a and b) or not c");
    check_expr("(not a) == b", "(not a) == b");
    check_expr("not (a == b)", "not a == b");
    check_expr("(a<b)==(c<d)", "(a < b) == (c < d)");
    check_expr("a and (b or c)", "a and (b or c)");
    check_expr("a or (b or c)", "a or (b or c)");
    check_expr("(20 ms)^2 + 20ms", "(20 ms)^2 + 20 ms");
    check_expr("20 ms^2", "(20 ms)^2");
    check_expr("-65mV*2.50e-3", "-65 mV * 2.50e-3");
    check_expr("f( a,k=1 , )+Lif[ 3 ]( )", "f(a, k = 1) + Lif[3]");
    check_expr("[ 1,2 , ]", "[1, 2]");
    check_expr("h[ 0 .. n-1 ].v", "h[0..n - 1].v");
    check_expr("\"a\\\"b\\\\\"", "\"a\\\"b\\\\\"");
    check_expr("x .*y", "x .* y");
    check_expr("mean(*.v)", "mean(*.v)");
}

#[test]
fn declarations_have_one_form() {
    check(
        "use std.neuron.{Lif,Integrator}\nuse std.reset",
        "use std.neuron.{Lif, Integrator}\nuse std.reset\n",
    );
    check("param tau:time=10ms;param n=3", "param tau: time = 10 ms\nparam n = 3\n");
    check(
        "surrogate s(a=2){primitive(x)=x derivative(x)=a}",
        "surrogate s(a = 2) {\n    primitive(x) = x\n    derivative(x) = a\n}\n",
    );
    check("surrogate s { derivative(x) = 1 }", "surrogate s { derivative(x) = 1 }\n");
    check("fn f(x,by=1){let y=x+by   y*y}", "fn f(x, by = 1) {\n    let y = x + by\n    y * y\n}\n");
    check("fn f(x) { x * x }", "fn f(x) = x * x\n");
    check("fn f(x) { let y = x; -y }", "fn f(x) {\n    let y = x\n    (-y)\n}\n");
    check(
        "fn f(a,b){forward a*b backward(g)g*b,g*a}",
        "fn f(a, b) {\n    forward a * b\n    backward(g) g * b, g * a\n}\n",
    );
    check("init k( ){sample normal(0,1)}", "init k { sample normal(0, 1) }\n");
    check(
        "init k(a=1){value a verify w==a verify mean(w)within 1%of a for[3,2]into Lif(tau=1ms)}",
        "init k(a = 1) {\n    value a\n    verify w == a\n    verify mean(w) within 1 % of a for [3, 2] into Lif(tau = 1 ms)\n}\n",
    );
    check(
        "init k(a=1){let b=a require b>0 else\"b is \\\"0\\\"\",\"more\" require a!=0 else \"a\"value a}",
        "init k(a = 1) {\n    let b = a\n    require b > 0 else \"b is \\\"0\\\"\", \"more\"\n    require a != 0 else \"a\"\n    value a\n}\n",
    );
    check(
        "optimizer o(lr=1){update{w=w-lr*g}state m=0,n=1}",
        "optimizer o(lr = 1) {\n    update { w = w - lr * g }\n    state m = 0, n = 1\n}\n",
    );
    check("reset soft( v,theta ){\nv=v-theta}", "reset soft(v, theta) {\n    v = v - theta\n}\n");
    check("reset soft( v,theta ){v=v-theta}", "reset soft(v, theta) { v = v - theta }\n");
    check("data d=std.data.digits( )", "data d = std.data.digits()\n");
    check("neuron N{}", "neuron N {}\n");
}

#[test]
fn neurons_and_models_have_a_line_for_each_statement() {
    check(
        "neuron N(tau=1){input i;input x>=0=0.5 state v=0,w:current=0pA state u=1
         learn a:layer>=0nS=5nS param p:neuron in[1ms,2ms]=1ms let k=1 v'=-v/tau step{integrate exact}
         fire(v)>=1 with atan(2) reset(v,1) reset{v=0} reset{v=0;w=1} refractory 2ms holding v,w step{} emit fired}",
        "\
neuron N(tau = 1) {
    input i
    input x >= 0 = 0.5
    state v = 0, w: current = 0 pA
    state u = 1
    learn a: layer >= 0 nS = 5 nS
    param p: neuron in [1 ms, 2 ms] = 1 ms
    let k = 1
    v' = -v / tau
    step { integrate exact }
    fire v >= 1 with atan(2)
    reset(v, 1)
    reset { v = 0 }
    reset {
        v = 0
        w = 1
    }
    refractory 2 ms holding v, w
    step {}
    emit fired
}
",
    );
    check(
        "model M{input x:[8,8]stream>=0 let h=Lif[8](tau=1ms)population e[3]excitatory:Lif
         x->h:dense{init=normal(0,1)bias=0}h->{e,h}:dense(delay=1step)x->h e.in=w*x output e.v,h}",
        "\
model M {
    input x: [8, 8] stream >= 0
    let h = Lif[8](tau = 1 ms)
    population e[3] excitatory: Lif
    x -> h : dense(init = normal(0, 1), bias = 0)
    h -> {e, h} : dense(delay = 1 step)
    x -> h
    e.in = w * x
    output e.v, h
}
",
    );
}

#[test]
fn jobs_have_a_line_for_each_setting() {
    check(
        "train M on d{steps 20,dt 1ms batch 64 loss (a+b)*2 early_stop(p=1) metric a,b x=3}",
        "train M on d {\n    steps 20\n    dt 1 ms\n    batch 64\n    loss (a + b) * 2\n    early_stop(p = 1)\n    metric a, b\n    x = 3\n}\n",
    );
    check("evaluate M on d.test{metric a,b}", "evaluate M on d.test { metric a, b }\n");
    check("simulate M for 1step{}", "simulate M for 1 step\n");
    check(
        "test \"x\"{expect a<b simulate one(N,i=1)for 6steps{dt 1ms} expect c within 1% of d}",
        "test \"x\" {\n    expect a < b\n    simulate one(N, i = 1) for 6 steps { dt 1 ms }\n    expect c within 1 % of d\n}\n",
    );
}

#[test]
fn comments_and_blank_lines_are_kept() {
    check_same(
        "\
// A file.
//
// With a header.

// About a.
param a = 1 // one
param b = 2

// Alone.

/// Doc.
///
///  Indented.
neuron N(tau = 1) { // head
    // first
    input i // in

    state v = 0
    // middle

    step {
        // own
        v = v + i // trailing

        // last
    } // step
    emit v
    // end
} // neuron
// behind

// at the end
",
    );
}

#[test]
fn comments_inside_of_a_statement_move_to_its_line() {
    check(
        "param a = f(\n    // first\n    1, // one\n    2 // two\n) // three\nparam b = 1 // four\n    + 2",
        "// first\nparam a = f(1, 2) // one // two // three\nparam b = 1 + 2 // four\n",
    );
    check("/// doc\nfn f(x) = // is\n  /// not a doc\n  x\n", "// not a doc\n/// doc\nfn f(x) = x // is\n");
    check("reset r(v) { // why\n v = 0 }", "reset r(v) { // why\n    v = 0\n}\n");
    check("reset r(v) { v = 0 } // why", "reset r(v) { v = 0 } // why\n");
    check("reset r(v) { v = 0 // why\n}", "reset r(v) {\n    v = 0 // why\n}\n");
    check("param a = 1; // c\nparam b = 2 ; // d", "param a = 1 // c\nparam b = 2 // d\n");
    check("/// a\n// b\n/// c\nparam x = 1\n/// end", "// b\n/// a\n/// c\nparam x = 1\n/// end\n");
    check("param x = 1 /// t\n\n\n\n/// d\nparam y = 1", "param x = 1 /// t\n\n/// d\nparam y = 1\n");
    check("// only\n\n\n// two", "// only\n\n// two\n");
    check("", "");
    check("\u{feff}// a\r\nparam a = 1 // b\r\n", "// a\nparam a = 1 // b\n");
}

#[test]
fn one_line_declarations_may_stand_together() {
    check_same(
        "use std.reset\nuse std.init\n\nparam a = 1\nparam b = 2\n\nneuron N {\n    emit 1\n}\n\nparam c = 3\n",
    );
    check("neuron N {\n    emit 1\n}\nparam c = 3\n", "neuron N {\n    emit 1\n}\n\nparam c = 3\n");
    check("param a = 1\n/// doc\nparam b = 2\n", "param a = 1\n\n/// doc\nparam b = 2\n");
    check("param a = 1\n\n\n\nparam b = 2\n", "param a = 1\n\nparam b = 2\n");
}

#[test]
fn long_lines_are_broken() {
    let name = "a_rather_long_name_of_a_value";
    check(
        &format!("param x = f({name} + 1, {name}, k = {name}, l = {name})"),
        &format!("param x = f(\n    {name} + 1,\n    {name},\n    k = {name},\n    l = {name},\n)\n"),
    );
    check(
        &format!("param x = {name} * 2 + {name} - ({name} + {name})"),
        &format!("param x = {name} * 2\n    + {name}\n    - ({name} + {name})\n"),
    );
    check(
        &format!("neuron N({name} = 1, {name}_2 = 1, {name}_3 = 1) {{ emit 1 }}"),
        &format!("neuron N(\n    {name} = 1,\n    {name}_2 = 1,\n    {name}_3 = 1,\n) {{\n    emit 1\n}}\n"),
    );
    let list = formatted(&format!("param x = [{}]", "0.25, ".repeat(100)));
    assert!(list.lines().count() < 12 && list.lines().all(|l| l.len() <= 100), "{list}");
    let deep = formatted(&format!("param x = {}1{}", format!("f({name}, ").repeat(20), ")".repeat(20)));
    assert!(deep.lines().count() > 20, "{deep}");
    check_same(&format!("// {}\nparam a = 1\n", "long ".repeat(40).trim_end()));
}

#[test]
fn the_language_reference_is_stable() {
    let page = include_str!("../../../../docs/language.md");
    for block in page.split("\n```").skip(1).step_by(2) {
        let (_, text) = block.split_once('\n').expect("a block has lines");
        formatted(text);
    }
}

/// Comments at every place between two tokens survive.
#[test]
fn comments_survive_everywhere() {
    let page = include_str!("../../../../docs/language.md");
    for block in page.split("\n```").skip(1).step_by(2) {
        let (_, text) = block.split_once('\n').expect("a block has lines");
        let tokens = parse::scan(text).tokens;
        for step in [1, 3] {
            for comment in [" // X\n", "\n// X\n", "\n\n/// X\n\n", " /// X\n"] {
                let mut busy = String::new();
                let mut at = 0;
                for (n, token) in tokens.iter().enumerate() {
                    let (start, end) = (token.start as usize, token.end as usize);
                    let gap = &text[at..start];
                    busy.push_str(gap);
                    let may_break =
                        gap.contains([' ', '\n']) && !gap.contains('/') && !is_unit(&text[start..end]);
                    if may_break && n % step == 0 {
                        busy.push_str(&comment.replace('X', &format!("c{n}")));
                    }
                    busy.push_str(&text[start..end]);
                    at = end;
                }
                formatted(&busy);
            }
        }
    }
}

/// Units must stay on the line of their number.
fn is_unit(word: &str) -> bool {
    matches!(word, "%" | "step" | "steps" | "s" | "ms" | "mV" | "pA" | "nS" | "V")
}

#[test]
fn the_standard_library_is_stable() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).expect("the standard library") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|e| e == "snn") {
            formatted(&std::fs::read_to_string(&path).expect("a readable file"));
            n_files += 1;
        }
    }
    assert!(n_files > 3);
}
