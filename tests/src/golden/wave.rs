//! The wave recurrent network: a pulse that goes around a ring of eight, and loss and gradients of a small net by `tests/golden/wave.py`
//! (complex steps in plain Python). First kernels are in `tests/suite/inits/shifted_identity.snn`.

use super::{Given, check};

/// A ring that one unit reads, four steps; the loss weighs what it reads by the number of the step, from 1.
fn ring(inputs: usize, wave: &str) -> String {
    format!(
        "model Net {{
            input x: [{inputs}] stream
            let c = {wave}
            let y = Rate[1]
            x -> c
            c -> y : dense
            output y
        }}
        data given = std.data.npy(x = \"none.npy\")
        train Net on given {{ steps 4   batch 1   loss sum(sum((step_index + 1) * y, over = time), over = population) }}"
    )
}

/// The pulse stands at places 0, 7, 6, 5 in steps 0 to 3: the reader's gradient is `t + 1` there.
pub fn pulse() -> Result<(), String> {
    let text = ring(1, "Wave(1, 8)");
    let given: Given = vec![("x".into(), vec![1.0, 0.0, 0.0, 0.0]), ("mask".into(), vec![1.0])];
    let source = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let params: &[(&str, &[f64])] = &[
        ("c.x->c.h.weight", &source),
        ("c.x->c.h.bias", &[0.0; 8]),
        ("c.h->c.h.weight", &[0.0, 0.0, 1.0]),
        ("c.h->c.h.bias", &[0.0]),
        ("c->y.weight", &[1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]),
    ];
    let expected: &[(&str, &[f64])] = &[
        ("loss", &[1.0 + 2.0 * 70.0 + 3.0 * 60.0 + 4.0 * 50.0]),
        ("grad c->y.weight", &[1.0, 0.0, 0.0, 0.0, 0.0, 4.0, 3.0, 2.0]),
    ];
    check(&text, &given, 0, params, expected)
}

/// Two channels on a ring of four, four steps; the loss is `(t + 1)` times the number of the unit, from 1, times its state.
pub fn gradients() -> Result<(), String> {
    let text = ring(2, "Wave(2, 4)");
    let x = vec![1.0, 0.0, 0.0, 1.0, 0.5, -0.5, 0.0, 0.0];
    let given: Given = vec![("x".into(), x), ("mask".into(), vec![1.0])];
    // Stored [sending][receiving], kernels [in][column][out].
    let w = [0.3, 0.1, -0.5, 0.2, 0.6, -0.1, 0.25, 0.4, -0.2, 0.4, 0.2, 0.1, 0.3, 0.5, -0.3, 0.15];
    let params: &[(&str, &[f64])] = &[
        ("c.x->c.h.weight", &w),
        ("c.x->c.h.bias", &[0.1, -0.05, 0.2, 0.0, 0.05, 0.1, -0.1, 0.15]),
        ("c.h->c.h.weight", &[0.2, -0.3, -0.1, 0.15, 0.9, 0.1, 0.1, 0.0, 0.05, 0.2, -0.2, 0.8]),
        ("c.h->c.h.bias", &[0.02, -0.03]),
        ("c->y.weight", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
    ];
    let expected: &[(&str, &[f64])] = &[
        ("loss", &[177.767870000]),
        (
            "grad c.x->c.h.weight",
            &[
                30.6, 42.735, 7.6, 22.847, 86.694, 0.0, 70.806, 69.189, 25.88, 8.16, 0.64, 10.7, 35.56,
                44.34, 1.52, 37.54,
            ],
        ),
        ("grad c.x->c.h.bias", &[78.08, 67.295, 35.44, 73.147, 184.654, 68.34, 146.726, 190.329]),
        (
            "grad c.h->c.h.weight",
            &[
                54.6433, 137.4193, 53.2954, 123.134, 52.6827, 120.7695, 79.3716, 188.194, 93.417, 199.0664,
                80.0876, 208.8596,
            ],
        ),
        ("grad c.h->c.h.bias", &[253.962, 590.049]),
    ];
    check(&text, &given, 0, params, expected)
}
