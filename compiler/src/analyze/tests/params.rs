//! `param`s of a file that name rules, and what `-p` puts in their place.

use super::{analyze, check, check_with};

#[test]
fn params_name_rules() {
    let source = "param first = kaiming_normal\nparam rule = soft\nparam cell = Lif\nparam shape = atan(alpha = 3)\nparam twice = square
    fn square(a) = a * a
    circuit Block(n, init = kaiming_normal) { input z  let b = Lif[n]  z -> b : dense(init = init)  output b }
    model M {
        input x: [2]
        let h = cell[2](reset = rule, grad = shape, theta = twice(2))
        let c = Block(3, init = first)
        x -> h : dense(init = first)
        h -> c
        output c.b
    }";
    let plain = "gaussian(stream \"x->h.weight\")";
    check(
        source,
        &[
            &format!("each 0 + 1 * {plain}"),
            "fire h.v - 4 >= 0 with atan(alpha = 3)",
            "reset h.v = where(fired, h.v - 4, h.v)",
        ],
    );
    let given = [("first", "normal(0, 0.25)"), ("rule", "hard(to = -1)"), ("twice", "exp"), ("cell", "If")];
    check_with(
        source,
        &given,
        &[
            &format!("each 0 + 0.25 * {plain}"),
            "each 0 + 0.25 * gaussian(stream \"c.z->c.b.weight\")",
            "h.v = h.v + in.i",
            "reset h.v = where(fired, -1, h.v)",
        ],
    );
    let message = |name, value| analyze(source, &[(name, value)]).1;
    assert_eq!(
        message("first", "soft"),
        ["E0301 `soft` is a reset rule, not an initializer | soft: this is a reset rule"]
    );
    assert_eq!(
        message("first", "0.5"),
        ["E0301 `first` is an initializer, and a number is given | 0.5: this is a number"]
    );
    assert_eq!(message("rule", "sof"), ["E0201 nothing is named `sof` here | sof: unknown name"]);
    assert_eq!(
        message("cell", "atan"),
        ["E0301 `atan` is a surrogate, not a neuron | atan: this is a surrogate"]
    );
    let number = "param n = 2\nmodel M { input x: [2]  let h = Lif[n]  x -> h : dense  output h }";
    let (_, messages) = analyze(number, &[("n", "zeros")]);
    assert_eq!(messages, ["E0301 `zeros` is an initializer, not a number | zeros: this is an initializer"]);
    let (_, messages) = analyze("param a = hard(to = b)\nparam b = a", &[]);
    assert!(messages[0].starts_with("E0310"), "{messages:?}");
}
