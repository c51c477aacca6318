//! Circuits of excitation and inhibition by `tests/golden/ei_net.py` (NumPy in double precision, gradients by complex steps): layers of
//! images (DeepEISNN, arXiv 2509.23253), with E-I Prop and without its straight-through gradient; DANN with its corrected gradients, and two
//! layers of column E-I (Cornford et al. 2021). Parameters are sixteenths, which single precision holds exactly. The dense layer is in
//! `golden.rs`.

use super::{Named, check};
use crate::differential::Given;

/// Weights of windows, stored [channel in][row][column][channel out]: images of two channels, two excitatory and two inhibitory channels. The second
/// excitatory channel is not inhibited by the second inhibitory one, so that where only that one answers divisors are replaced.
const EI: Named = &[
    (
        "c.w_ee",
        &[
            0.1875, 0.0, 0.125, 0.3125, 0.3125, 0.125, 0.0, 0.1875, 0.5, 0.375, 0.125, 0.1875, 0.1875, 0.0,
            0.375, 0.125,
        ],
    ),
    (
        "c.w_ie",
        &[
            0.375, 0.125, 0.0, 0.0, 0.1875, 0.3125, 0.125, 0.0, 0.0, 0.1875, 0.0, 0.0, 0.3125, 0.125, 0.1875,
            0.5,
        ],
    ),
    ("c.w_ei", &[0.5, 0.25, 0.375, 0.0]),
    ("c.g_i", &[0.8125, 1.1875]),
    ("c.g_e", &[1.0, 2.0]),
    ("c.b_e", &[0.0, 0.125]),
];

const DANN: Named = &[
    ("c.w_ex", &[0.1875, 0.0, 0.375, 0.125, 0.125, 0.5, 0.3125, 0.625, 0.3125, 0.125, 0.1875, 0.5]),
    ("c.w_ix", &[0.375, 0.125, 0.125, 0.1875, 0.1875, 0.3125]),
    ("c.w_ei", &[0.5, 0.25, 0.625, 0.3125, 0.5, 0.75, 0.125, 0.375]),
    ("c.alpha", &[-0.1875, 0.3125]),
    ("c.g", &[1.0, 2.0, 0.5, 1.5]),
    ("c.b", &[0.125, 0.1875, 0.0625, -0.125]),
];

const COLUMNS: Named = &[
    ("a.w_ee", &[0.875, 0.1875, 0.6875, 0.3125, 0.375, 0.8125, 0.125, 0.875, 0.3125, 0.5, 0.625, 0.8125]),
    ("a.w_ie", &[0.5, 0.375, 0.625, 0.875, 0.6875, 0.1875]),
    ("a.b_e", &[0.125, -0.1875, 0.0, -0.125]),
    ("a.b_i", &[-0.3125, 0.0625]),
    ("b.w_ee", &[0.8125, 0.625, 0.5, 0.875, 0.3125, 0.6875, 0.875, 0.1875]),
    ("b.w_ie", &[0.6875, 0.375, 0.875, 0.3125]),
    ("b.w_ei", &[0.3125, 0.1875, 0.375, 0.5]),
    ("b.w_ii", &[0.125, 0.625]),
    ("b.b_e", &[0.0625, -0.125]),
    ("b.b_i", &[0.1875]),
];

/// Two images of two channels with two rows of two pixels: most windows see zeros.
const X: [f32; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0];
/// Two samples of three inputs.
const PIXELS: [f32; 6] = [0.875, 0.3125, 0.625, 0.1875, 0.8125, 0.5];

const STRAIGHT: Named = &[
    ("loss", &[10.3119819]),
    (
        "grad c.w_ee",
        &[
            1.97302505,
            157.538462,
            -6.69281046,
            315.076923,
            -2.04881953,
            -105.025641,
            -109.584808,
            -225.054945,
            -30.6460268,
            0.0,
            -177.230769,
            -157.538462,
            19.5209093,
            -162.03956,
            5.31943028,
            210.051282,
        ],
    ),
    (
        "grad c.w_ie",
        &[
            -12.7301592,
            -0.821143373,
            -857.144096,
            9.05497885,
            76.1227056,
            6.3380862,
            439.354824,
            42.3715917,
            71.3716809,
            72.9302225,
            728.615385,
            357.869822,
            20.7211069,
            -5.62576855,
            -119.855505,
            -2.54355783,
        ],
    ),
    ("grad c.w_ei", &[1.14554035, 21.9194139, 4.52580859, -20.9387201]),
    ("grad c.g_i", &[55.7521757, 11.105223]),
    ("grad c.g_e", &[-29.416498, 19.9267399]),
    ("grad c.b_e", &[-2.0, -1.0]),
];
const STRAIGHT_X0: &[f64] =
    &[44.7242588, 19.2952348, 123.68509, -14.8675209, 36.0498581, -25.6693744, -111.758213, -25.0319511];
const STRAIGHT_X1: &[f64] =
    &[-14.0073952, -10.2688966, 73.8698134, 47.4030436, -14.3701475, 25.962374, 114.672668, -35.7570821];

const REPLACED: Named = &[
    ("loss", &[-102.05744]),
    (
        "grad c.w_ee",
        &[
            0.0,
            0.0,
            0.0,
            -157.538462,
            -4.64399093,
            157.538462,
            -59.0769231,
            78.7692308,
            0.0,
            -236.307692,
            0.0,
            0.0,
            0.0,
            0.0,
            -6.69281046,
            105.025641,
        ],
    ),
    (
        "grad c.w_ie",
        &[
            0.0,
            0.0,
            39.3846154,
            0.0,
            29.4682407,
            2.71689265,
            590.769231,
            -10.2248521,
            59.0769231,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            65.4643677,
            3.44482891,
        ],
    ),
    ("grad c.w_ei", &[0.347401919, 45.1282051, 0.857147803, 39.7896121]),
    ("grad c.g_i", &[125.120143, 0.650377905]),
    ("grad c.g_e", &[2.59320138, -52.5128205]),
    ("grad c.b_e", &[-8.0, 3.0]),
];
const REPLACED_X0: &[f64] =
    &[88.6153846, 4.30769231, 68.9230769, 22.1538462, 93.3491124, -11.0769231, 39.3846154, -88.6153846];
const REPLACED_X1: &[f64] =
    &[27.8753537, 24.6153846, -49.2307692, 8.61538462, 24.6153846, 8.67768851, -29.5384615, -28.1025641];

const DANN_GRADIENTS: Named = &[
    ("loss", &[8.38825325]),
    (
        "grad c.w_ex",
        &[
            2.22671343,
            2.84502283,
            -0.265916473,
            9.59851628,
            1.90131901,
            12.3284322,
            -3.93080172,
            8.10707244,
            2.13360699,
            7.58672753,
            -2.07340254,
            9.15357129,
        ],
    ),
    ("grad c.w_ix", &[-3.780981, -6.88692503, -3.40280189, -12.381239, -3.70849129, -9.79092727]),
    (
        "grad c.w_ei",
        &[
            -0.472163775,
            -1.77533495,
            0.669011001,
            -4.57788715,
            -0.409120111,
            -2.56935813,
            1.2332307,
            -5.82377867,
        ],
    ),
    ("grad c.alpha", &[-0.327947591, -1.02321957]),
    ("grad c.g", &[-0.0652353714, 1.16319944, -1.85437375, 4.51535108]),
    ("grad c.b", &[1.5, 3.0, -1.5, 3.0]),
];

const COLUMN_GRADIENTS: Named = &[
    ("loss", &[23.0]),
    (
        "grad a.w_ee",
        &[
            1.58295973,
            -2.31476199,
            -2.82632132,
            4.19655035,
            17.2595853,
            19.2311925,
            15.5591067,
            9.32092113,
            9.32785852,
            8.19538449,
            6.11663371,
            6.83835368,
        ],
    ),
    ("grad a.w_ie", &[-0.511571189, 0.874021925, -4.94051989, -11.3577444, -2.70158107, -5.10582676]),
    ("grad a.b_e", &[19.4030291, 18.4934153, 14.2313392, 13.0397639]),
    ("grad a.b_i", &[-5.59887792, -11.2999294]),
    (
        "grad b.w_ee",
        &[5.07616138, 1.74877071, 1.79927931, 11.4979537, 4.32309437, -5.49302219, 4.90039689, 13.7762458],
    ),
    ("grad b.w_ie", &[2.04092494, 1.48278107, 1.04490738, 2.67168741]),
    ("grad b.w_ei", &[-3.71896366, 2.69547899, -4.48295193, -10.2077477]),
    ("grad b.w_ii", &[-0.616002004, -1.99439924]),
    ("grad b.b_e", &[7.41439049, 8.53482662]),
    ("grad b.b_i", &[2.99779606]),
];

/// A convolutional layer that does not spike; the loss is its output times `target`, summed over both samples.
fn conv_text(layer: &str, source: &str) -> String {
    format!(
        "neuron Through {{ input i   emit i }}
        model One {{
            input x: [2, 2, 2] >= 0
            let c = EiConv(2, kernel = 2, ratio = 1, spiking = Through, {layer})
            {source}
            output c
        }}
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train One on none {{ steps 1   batch 2   loss 2 * sum(last(c) * target, over = population) }}"
    )
}

/// The layer, of both samples; and of each alone the gradient of its input, which is a weight there.
fn conv(layer: &str, width: usize, expected: Named, of_inputs: [&[f64]; 2]) -> Result<(), String> {
    let target: Vec<f32> = (0..2 * width).map(|k| (k % 7) as f32 - 3.0).collect();
    let mask = vec![1.0, 1.0];
    let given: Given =
        vec![("x".into(), X.to_vec()), ("target".into(), target.clone()), ("mask".into(), mask.clone())];
    check(&conv_text(layer, "x -> c"), &given, width, EI, expected)?;
    let source = "learn p: [2, 2, 2] >= 0 = 1
            population q[2, 2, 2]: Rate
            q.in = p * x
            q -> c";
    for (sample, expected) in of_inputs.into_iter().enumerate() {
        let image: Vec<f64> = X[8 * sample..8 * (sample + 1)].iter().map(|v| f64::from(*v)).collect();
        let mut own = target[width * sample..width * (sample + 1)].to_vec();
        own.resize(2 * width, 0.0);
        let given: Given =
            vec![("x".into(), vec![1.0; 16]), ("target".into(), own), ("mask".into(), mask.clone())];
        let params: Vec<(&str, &[f64])> = [("p", &image[..])].into_iter().chain(EI.iter().copied()).collect();
        check(&conv_text(layer, source), &given, width, &params, &[("grad p", expected)])?;
    }
    Ok(())
}

/// E-I Prop: the gradient passes straight through replaced divisors, that of `w_ei` is divided by the inputs of a window.
pub fn straight() -> Result<(), String> {
    conv("stride = 1, padding = 1", 18, STRAIGHT, [STRAIGHT_X0, STRAIGHT_X1])
}

/// The gradient of a replaced divisor goes to the smallest one.
pub fn replaced() -> Result<(), String> {
    conv("stride = 2, padding = 1, guard = replace_zero", 8, REPLACED, [REPLACED_X0, REPLACED_X1])
}

pub fn dann() -> Result<(), String> {
    let text = "neuron Rectified { input i   emit relu(i) }
        model One {
            input x: [3] >= 0
            let c = Dann(4, ratio = 2, unit = Rectified)
            x -> c
            output c
        }
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train One on none { steps 1   batch 2   loss 2 * sum(last(c) * target, over = population) }";
    let given: Given = vec![
        ("x".into(), PIXELS.to_vec()),
        ("target".into(), vec![1.0, -1.0, 0.5, 2.0, 0.5, 3.0, -2.0, 1.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    check(text, &given, 4, DANN, DANN_GRADIENTS)
}

/// Spiking, four steps, late spikes count more.
pub fn columns() -> Result<(), String> {
    let text = "fn late(s) = sum(sum((step_index + 1) * s, over = time), over = population)
        model One {
            input x: [3] >= 0
            let a = ColumnEiFirst(6, ratio = 2)
            let b = ColumnEi(3, ratio = 2)
            x -> a
            b.x = a.e
            b.q = a.i
            output b.e, b.i
        }
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train One on none { steps 4   batch 2   loss 2 * late(b.e * target) + late(b.i) }";
    let given: Given = vec![
        ("x".into(), PIXELS.to_vec()),
        ("target".into(), vec![1.0, -2.0, 0.5, 3.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    check(text, &given, 2, COLUMNS, COLUMN_GRADIENTS)
}
