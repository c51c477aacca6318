//! Gradients of the rules of the standard library: through every reset, of every surrogate's curve, of neurons in time, and of
//! losses on traces. Each in the f64 interpreter, the f32 interpreter and in machine code.
//!
//! Resets by hand, with a surrogate of slope 1. Curves: the table of widths and peaks of the systems that use them, and their
//! formulas at other places, evaluated apart. Neurons: `tests/golden/neurons.py`, dual numbers in plain Python.

use super::{check, one_neuron};
use libtest_mimic::{Failed, Trial};
use snn_compiler::pipeline::Purpose;

/// One trial for each rule.
pub fn trials() -> Vec<Trial> {
    let mut list = Vec::new();
    for (reset, expected) in RESETS {
        list.push(Trial::test(format!("golden: gradients through reset {reset}"), move || {
            neuron(&format!("If[1](reset = {reset}, grad = straight)"), &[0.6, 0.7, 0.9], &[], expected)
        }));
    }
    for (curve, points) in CURVES {
        list.push(Trial::test(format!("golden: curve of surrogate {curve}"), move || {
            of_curve(curve, points)
        }));
    }
    list.push(Trial::test("golden: slope of the membrane potential rectifier", || {
        slopes("neuron Bare { input x   emit rectify(x) }", "Bare[1]", RECTIFIER)
    }));
    for Neuron { text, input, learned, gradient } in NEURONS {
        list.push(Trial::test(format!("golden: gradients of {text}"), move || {
            neuron(text, input, learned, gradient)
        }));
    }
    list.push(Trial::test("golden: gradients of RMP-Loss", || on_trace("rmp_loss()", &[0.22 / 3.0], &RMP)));
    list.push(Trial::test("golden: gradients of IM-Loss", || on_trace("im_loss(0.5)", &[1.0 / 36.0], &IM)));
    list.push(Trial::test("golden: RMP-Loss of two layers is their mean", rmp_of_two));
    list.push(Trial::test("golden: gradients of the TET loss", || {
        tet("tet(y, 0.2)", 0.918369986, &[-0.107576568, 0.007576568, -0.377029790, 0.427029790])
    }));
    list.push(Trial::test("golden: gradients of the TET loss with the target", || {
        tet("tet_target(y)", 1.018369986, &[-0.107576568, 0.107576568, -0.377029790, 0.527029790])
    }));
    list.push(Trial::test("golden: gradients of spectral regularisation", spectral));
    list.push(Trial::test("golden: outputs and memory of the ELM neuron", || elm(0, false, ELM)));
    list.push(Trial::test("golden: the ELM neuron with routed synapses", || elm(0, true, ELM)));
    list.push(Trial::test("golden: outputs and memory of the ELM neuron of the first release", || {
        elm(1, false, ELM_FIRST)
    }));
    list.push(Trial::test("golden: parameters of the ELM neuron", elm_parameters));
    list
}

/// Membranes 0.3, 0.7, 0.2 at the moment of firing, of which the second fires: losses 0.09, 0.09, 0.04 and their slopes 0.2, -0.2,
/// 0.4/3 on the membranes. From one membrane to the next: 1 - 0.3 without spike, -0.7 with one, which has slope 1.
const RMP: [f64; 3] = [0.2 + 0.7 * (-0.2 - 0.7 * 0.4 / 3.0), -0.2 - 0.7 * 0.4 / 3.0, 0.4 / 3.0];
/// A third fires: slope 2 (1/3 - 1/2) / 3 on every spike.
const IM: [f64; 3] = [-(1.0 + 0.7 * 0.3) / 9.0, -0.3 / 9.0, -1.0 / 9.0];

/// A loss on the trace of one neuron without leak, with threshold 1/2, hard reset and a surrogate of slope 1.
fn on_trace(loss: &str, value: &[f64], gradient: &[f64]) -> Result<(), Failed> {
    let neuron = "If[1](theta = 0.5, reset = hard, grad = straight)";
    let (program, given) = one_neuron(neuron, 3);
    let program = program.replace("sum(sum((step_index + 1) * h, over = time), over = population)", loss);
    let params: &[(&str, &[f64])] = &[("x->h.weight", &[0.3, 0.4, 0.2])];
    check(&program, &given, 0, params, &[("loss", value), ("grad x->h.weight", gradient)])
        .map_err(Failed::from)
}

/// The layer of [`RMP`], and one of membranes 0.1, 0.2, 0.3, of which none fires: losses 0.22 / 3 and 0.14 / 3.
fn rmp_of_two() -> Result<(), Failed> {
    let program = "model Two {
            input x: [3] stream
            let g = If[1](theta = 0.5, reset = hard, grad = straight)
            let h = If[1](theta = 0.5, reset = hard, grad = straight)
            x -> g : dense
            x -> h : dense
            output g, h
        }
        data given = std.data.npy(x = \"none.npy\")
        train Two on given { steps 3   batch 1   loss rmp_loss() }";
    let (_, given) = one_neuron("If[1]", 3);
    let params: &[(&str, &[f64])] = &[("x->g.weight", &[0.3, 0.4, 0.2]), ("x->h.weight", &[0.1; 3])];
    let half = RMP.map(|slope| slope / 2.0);
    check(program, &given, 0, params, &[("loss", &[0.06]), ("grad x->g.weight", &half)]).map_err(Failed::from)
}

/// One iteration on [[3, 1], [0, 2], [1, 0]] from [1, 0]: s = u W v = 3.3015, u = (3, 0, 1) / sqrt(10), v = (10, 3) / sqrt(109), and s^2 = 10.9. The
/// gradient of (s^2 - 1)^2 is 4 s (s^2 - 1) u v, directions held; that of the bias, |b|^4, 4 |b|^2 b.
fn spectral() -> Result<(), Failed> {
    let program = "model Three {
            input x: [2]
            let y = Rate[3]
            x -> y : dense(bias = zeros)
            output y
        }
        data given = std.data.npy(x = \"none.npy\")
        train Three on given { steps 1   batch 1   loss spectral_loss() }";
    let given = vec![("x".into(), vec![0.5, 0.25]), ("mask".into(), vec![1.0])];
    // Matrices are stored [sending][receiving].
    let params: &[(&str, &[f64])] = &[
        ("x->y.weight", &[3.0, 0.0, 1.0, 1.0, 2.0, 0.0]),
        ("x->y.weight.direction", &[1.0, 0.0]),
        ("x->y.bias", &[0.1, -0.2, 0.3]),
    ];
    let expected: &[(&str, &[f64])] = &[
        ("loss", &[98.01 + 0.0196]),
        ("grad x->y.weight", &[118.8, 0.0, 39.6, 35.64, 0.0, 11.88]),
        ("grad x->y.bias", &[0.056, -0.112, 0.168]),
    ];
    check(program, &given, 0, params, expected).map_err(Failed::from)
}

/// Two outputs, which are the weights of a step: (1, 0), then (1/2, 2); the target is the first.
fn tet(loss: &str, value: f64, gradient: &[f64]) -> Result<(), Failed> {
    let program = format!(
        "model Two {{
            input x: [2] stream
            let y = Rate[2]
            x -> y : dense
            output y
        }}
        data given = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train Two on given {{ steps 2   batch 1   loss {loss} }}"
    );
    let given = vec![
        ("x".into(), vec![1.0, 0.0, 0.0, 1.0]),
        ("target".into(), vec![1.0, 0.0]),
        ("mask".into(), vec![1.0]),
    ];
    let params: &[(&str, &[f64])] = &[("x->y.weight", &[1.0, 0.0, 0.5, 2.0])];
    check(&program, &given, 2, params, &[("loss", &[value]), ("grad x->y.weight", gradient)])
        .map_err(Failed::from)
}

/// Output and memory (two numbers) after each of four steps, by an independent program.
type Elm = [(f64, [f64; 2]); 4];
const ELM: Elm = [
    (0.182441605, [-0.01050018, 0.014116429]),
    (0.201797935, [0.016109521, 0.028623171]),
    (0.206783547, [0.030041438, 0.046515782]),
    (0.205060687, [0.036460173, 0.062798972]),
];
const ELM_FIRST: Elm = [
    (0.170151871, [-0.022504801, 0.014686656]),
    (0.219263278, [0.034174362, 0.029822169]),
    (0.240423658, [0.064613349, 0.048379382]),
    (0.246538286, [0.079142953, 0.065209334]),
];

/// Four synapses on two branches, a memory of two, four hidden units; routed by windows, so that the second and the third input change places, or
/// not. The loss is the output of one step, the gradient of the reader the memory of that step.
fn elm(first_release: usize, routed: bool, rows: Elm) -> Result<(), Failed> {
    let (circuit, cell) = if routed { ("ElmRouted", "c.cell") } else { ("Elm", "c") };
    let synapses = if routed { "synapses = 2, " } else { "" };
    for (step, (output, memory)) in rows.into_iter().enumerate() {
        let program = format!(
            "model One {{
                input x: [4] stream
                let c = {circuit}(1, branches = 2, {synapses}memory = 2, tau_min = 2 ms, tau_max = 50 ms, first_release = {first_release})
                x -> c
                output c
            }}
            data given = std.data.npy(x = \"none.npy\")
            train One on given {{
                steps 4   dt 1 ms   batch 1
                loss sum(sum(where(step_index == {step}, c, 0), over = time), over = population)
            }}"
        );
        let steps = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0], [1.0, 1.0, 0.0, 0.0], [0.0; 4]];
        let x = steps.iter().flat_map(|&[a, b, c, d]| if routed { [a, c, b, d] } else { [a, b, c, d] });
        let given = vec![("x".into(), x.collect()), ("mask".into(), vec![1.0])];
        let names: Vec<String> =
            ELM_PARAMS.iter().map(|(name, _)| name.replace("c.", &format!("{cell}."))).collect();
        let mut params: Vec<(&str, &[f64])> =
            names.iter().zip(ELM_PARAMS).map(|(name, (_, values))| (name.as_str(), *values)).collect();
        if routed {
            params.push(("c.route", TURNS));
        }
        let gradient = format!("grad {cell}.m->{cell}.y.weight");
        check(&program, &given, 0, &params, &[("loss", &[output]), (&gradient, &memory)])?;
    }
    Ok(())
}

/// What synapses 0 to 3 hear: inputs 0, 2, 1, 3.
const TURNS: &[f64] = &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// Matrices are stored [sending][receiving].
const ELM_PARAMS: &[(&str, &[f64])] = &[
    ("c.m.tau", &[2e-3, 50e-3]),
    ("c.w", &[0.5, 0.5, 0.25, 0.5]),
    ("c.route", &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]),
    ("c.b->c.h.weight", &[-0.2, 0.0, 0.2, -0.1, 0.1, -0.2, 0.0, 0.2]),
    ("c.b->c.h.bias", &[0.05; 4]),
    ("c.m.kept->c.h.weight", &[-0.1, 0.1, -0.2, 0.0, 0.2, -0.1, 0.1, -0.2]),
    ("c.h->c.m.weight", &[-0.1, 0.1, 0.2, -0.1, 0.0, 0.2, -0.2, 0.0]),
    ("c.h->c.m.bias", &[0.0, 0.1]),
    ("c.m->c.y.weight", &[1.0, -0.5]),
    ("c.m->c.y.bias", &[0.2]),
];

/// Two outputs, 45 branches of 100 synapses: 54002 trained numbers with a memory of 100, 8002 with one of 20 (Spieler et al. 2024).
fn elm_parameters() -> Result<(), Failed> {
    for (inputs, circuit, memory, expected) in [
        (4500, "Elm(2, branches = 45", 100, 54_002),
        (4500, "Elm(2, branches = 45", 20, 8_002),
        (1278, "ElmRouted(2, branches = 45, synapses = 100", 100, 54_002),
        (1278, "ElmRouted(2, branches = 45, synapses = 100", 20, 8_002),
    ] {
        let text = format!(
            "model One {{ input x: [{inputs}]   let c = {circuit}, memory = {memory})   x -> c   output c }}
            data given = std.data.npy(x = \"none.npy\")
            train One on given {{ steps 1   batch 1   loss sum(last(c), over = population) }}"
        );
        let net = super::net_of(&text, Purpose::Gradient { relaxed: false }, 0, true)?;
        let trained = net.params.iter().filter(|param| param.trained);
        let count: usize = trained.map(|param| param.shape.iter().product::<usize>()).sum();
        if count != expected {
            return Err(format!("{count} parameters of {circuit}, memory = {memory}), not {expected}").into());
        }
    }
    Ok(())
}

/// A neuron, its input at each step, its learned values with their gradients, and the gradient of its input.
struct Neuron {
    text: &'static str,
    input: &'static [f64],
    learned: &'static [(&'static str, f64, f64)],
    gradient: &'static [f64],
}

fn neuron(text: &str, input: &[f64], learned: &[(&str, f64, f64)], gradient: &[f64]) -> Result<(), Failed> {
    let (program, given) = one_neuron(text, input.len());
    let names: Vec<(String, [f64; 1], [f64; 1])> =
        learned.iter().map(|(name, value, gradient)| (format!("h.{name}"), [*value], [*gradient])).collect();
    let grads: Vec<String> = names.iter().map(|(name, ..)| format!("grad {name}")).collect();
    let mut params: Vec<(&str, &[f64])> = vec![("x->h.weight", input)];
    let mut expected: Vec<(&str, &[f64])> = vec![("grad x->h.weight", gradient)];
    for ((name, value, gradient), grad) in names.iter().zip(&grads) {
        params.push((name, value));
        expected.push((grad, gradient));
    }
    check(&program, &given, 0, &params, &expected).map_err(Failed::from)
}

/// The slope at each place: a neuron without memory, of which every step passes `t + 1` times the slope to its weight.
fn of_curve(curve: &str, points: &[(f64, f64)]) -> Result<(), Failed> {
    let bare = "neuron Bare(grad = atan) { input x   fire x >= 0 with grad   emit fired }";
    slopes(bare, &format!("Bare[1](grad = {curve})"), points)
}

/// The slope of what a declared neuron without memory emits.
fn slopes(declared: &str, neuron: &str, points: &[(f64, f64)]) -> Result<(), Failed> {
    let (program, given) = one_neuron(neuron, points.len());
    let program = format!("{declared} {program}");
    let places: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    let slopes: Vec<f64> = points.iter().enumerate().map(|(t, (_, y))| (t + 1) as f64 * y).collect();
    let params: &[(&str, &[f64])] = &[("x->h.weight", &places)];
    check(&program, &given, 0, params, &[("grad x->h.weight", &slopes)]).map_err(Failed::from)
}

/// Inputs 0.6, 0.7, 0.9; the neuron integrates without leak, the threshold is 1, every spike has slope 1.
const RESETS: &[(&str, &[f64])] = &[
    // What the spike takes away is what its own slope adds: nothing passes to the next step.
    ("soft", &[1.0, 2.0, 3.0]),
    ("detached_soft", &[6.0, 5.0, 3.0]),
    // d after/d before = 1 - 0.6 without spike, -1.3 with one.
    ("hard", &[0.24, -1.9, 3.0]),
    ("detached_hard", &[3.0, 2.0, 3.0]),
    ("soft_by(amount = 0.5)", &[2.75, 3.5, 3.0]),
    ("detached_soft_by(amount = 0.5)", &[6.0, 5.0, 3.0]),
    // 1 - 0.3 without spike, 0.5 - 0.65 with one.
    ("scaled(keep = 0.5)", &[2.085, 1.55, 3.0]),
    ("adaptive", &[1.0, 2.0, 3.0]),
    ("adaptive(more = 0.25)", &[0.6875, 1.25, 3.0]),
    ("none", &[6.0, 5.0, 3.0]),
];

/// At 0 and 1 it is the identity, as in the release.
const RECTIFIER: &[(f64, f64)] = &[
    (-2.0, 0.160249952),
    (-1.0, 0.209986842),
    (-0.25, 0.287257959),
    (0.0, 1.0),
    (0.1, 0.5054752),
    (0.25, 0.988654299),
    (0.4, 1.516553158),
    (0.5, 1.657187089),
    (1.0, 1.0),
    (1.25, 0.287257959),
    (8.0, 0.083333333),
];

/// Slopes at places `x`. The first twelve are those of the seed systems: peaks, ends of windows, half widths.
const CURVES: &[(&str, &[(f64, f64)])] = &[
    ("sigmoid_grad(4)", &[(0.0, 1.0), (0.5, 0.419974342), (-0.5, 0.419974342), (2.0, 0.001340951)]),
    ("rect(1)", &[(0.0, 1.0), (0.5, 1.0), (-0.5, 1.0), (0.50001, 0.0), (-0.50001, 0.0)]),
    ("rect(2)", &[(0.0, 0.5), (1.0, 0.5), (1.0001, 0.0)]),
    ("triangle(1)", &[(0.0, 1.0), (0.25, 0.75), (-0.75, 0.25), (1.0, 0.0), (1.5, 0.0)]),
    ("clamp_ste", &[(0.0, 1.0), (0.5, 1.0), (-0.5, 1.0), (0.50001, 0.0), (-0.50001, 0.0)]),
    (
        "tanh_window(3)",
        &[
            (-0.6, 0.0),
            (-0.5, 0.299464709),
            (-0.25, 0.988654299),
            (0.0, 1.657187089),
            (0.25, 0.988654299),
            (0.5, 0.299464709),
            (0.6, 0.0),
        ],
    ),
    ("sigmoid_grad(1)", &[(0.0, 0.25), (1.0, 0.196611933), (-1.0, 0.196611933)]),
    ("damped_triangle(alpha = 1, gamma = 1)", &[(0.0, 1.0), (0.5, 0.5), (-0.5, 0.5), (1.0, 0.0)]),
    ("arctan_bell(10)", &[(0.0, 1.0), (0.316227766, 0.5), (-0.316227766, 0.5), (1.0, 0.090909091)]),
    ("fast_sigmoid(10)", &[(0.0, 1.0), (0.1, 0.25), (-0.1, 0.25), (1.0, 0.008264463)]),
    ("multi_gauss(0.5)", &[(0.0, 0.878223273), (0.5, 0.517716391), (1.0, 0.086903971), (-1.0, 0.086903971)]),
    ("damped_triangle", &[(0.0, 0.3), (0.5, 0.15), (-0.9, 0.03), (1.5, 0.0)]),
    // The rest of the library.
    ("atan(2)", &[(0.0, 1.0), (0.5, 0.288400439), (-1.0, 0.091999668)]),
    ("gaussian_bell(0.4)", &[(0.0, 0.997355701), (0.4, 0.604926811), (-0.8, 0.134977416)]),
    ("erf_grad(2)", &[(0.25, 0.878782579), (0.5, 0.415107497), (-1.0, 0.020666985)]),
    ("two_sided_exp(2)", &[(0.0, 1.0), (0.5, 0.367879441), (-0.5, 0.367879441)]),
    ("soft_sign(2)", &[(0.0, 1.0), (0.5, 0.25), (-1.0, 0.111111111)]),
    ("power_tail(2)", &[(0.0, 1.0), (0.5, 0.25), (-1.0, 0.111111111)]),
    ("power_tail(3)", &[(0.0, 1.0), (1.0, 0.125)]),
    ("leaky_relu_grad(0.1, 1)", &[(-0.5, 0.1), (0.0, 1.0), (3.0, 1.0)]),
    ("rect_leaky(1, 0.01)", &[(-1.5, 0.01), (-1.0, 0.5), (0.0, 0.5), (1.0, 0.5), (1.5, 0.01)]),
    ("log_tailed(0.01)", &[(-1.0, 0.01), (0.5, 1.0), (1.0, 1.0), (4.0, 0.25)]),
    ("log_both(2)", &[(0.0, 2.0), (0.5, 1.0), (-1.5, 0.5)]),
    ("sigmoid_log(4, 1)", &[(-0.5, 0.419974342), (0.0, 1.0), (1.0, 0.5), (3.0, 0.25)]),
    ("tanh_bell(2)", &[(0.0, 1.0), (0.5, 0.419974342), (-0.5, 0.419974342)]),
    ("straight", &[(-7.0, 1.0), (0.0, 1.0), (7.0, 1.0)]),
];

const NEURONS: &[Neuron] = &[
    Neuron {
        text: "LateLif[1]",
        input: &[0.6, 0.7, 0.9, 0.2, 0.8, 0.4],
        learned: &[],
        gradient: &[1.655731476, 2.250219283, 2.93738116, 4.500542987, 4.872840618, 1.288874675],
    },
    Neuron {
        text: "CubaLif[1]",
        input: &[0.4, 0.3, -0.2, 0.5, 0.1, 0.3],
        learned: &[],
        gradient: &[5.968271336, 5.036991906, 3.761441415, 2.410430452, 0.674434894, 0.112470912],
    },
    Neuron {
        text: "AlphaLif[1]",
        input: &[0.9, 0.5, -0.4, 0.8, 0.6, 0.3],
        learned: &[],
        gradient: &[1.283121726, 0.740186894, 0.310151805, 0.07095757, 0.010845388, 0.0],
    },
    Neuron {
        text: "Alif[1]",
        input: &[0.6, 0.7, 0.9, 0.2, 1.1, 0.4],
        learned: &[],
        gradient: &[0.628750135, 1.162247874, 1.30680901, 2.830848616, 2.862288402, 4.996034585],
    },
    Neuron {
        text: "Lsnn[1]",
        input: &[0.1, 0.2, 0.15, 0.1, 0.3, 0.2],
        learned: &[],
        gradient: &[4.850464158, 4.918110394, 3.397537069, 0.749071129, 0.0, 0.0],
    },
    Neuron {
        text: "SpikeNetLif[1](tau = 2)",
        input: &[0.9, 1.9, 0.4, 0.9, 0.3, 0.2],
        learned: &[],
        gradient: &[0.128224087, 0.118178832, 0.482167227, 0.38241078, 0.924089622, 0.742425622],
    },
    Neuron {
        text: "Plif[1]",
        input: &[1.2, 0.9, 1.5, 0.3, 1.2, 0.4],
        learned: &[("w", 0.0, 1.567910939)],
        gradient: &[0.514450532, 0.835554459, 0.809751044, 1.005111409, 1.546801659, 0.964267441],
    },
    Neuron {
        text: "ArLifMemoryless[1]",
        input: &[0.8, 0.9, 1.5, -0.3, 1.2, 0.4],
        learned: &[("a", 0.3, -6.16803013)],
        gradient: &[0.579715086, 1.421345143, 1.519388017, 0.83984403, 3.88104426, 2.321381061],
    },
    Neuron {
        text: "TernaryLif[1]",
        input: &[0.4, 0.4, -0.9, 0.2, 1.3],
        learned: &[("size", 1.5, 4.0)],
        gradient: &[1.8909375, 2.60625, 3.15, 6.0, 0.0],
    },
    Neuron {
        text: "IntegerLif[1]",
        input: &[0.4, 1.3, -0.9, 2.2, 5.9, 0.3],
        learned: &[],
        gradient: &[1.0, 2.0, 3.804917698, 4.0, 5.707376547, 6.0],
    },
];
