//! Batch norm: a forward and backward pass of a batch that is not full, and the running statistics that it leaves, by
//! `tests/golden/mpbn_net.py` (NumPy in double precision, gradients by forward mode).

use super::{Named, all_engines, compare};
use snn_compiler::net::Sink;
use snn_compiler::pipeline::Purpose;

/// Samples; the batch has room for one more.
const SAMPLES: usize = 3;

/// Results of the independent program.
struct Golden {
    loss: f64,
    w: &'static [f64],
    u: &'static [f64],
    gain: &'static [f64],
    shift: &'static [f64],
    mean: &'static [f64],
    variance: &'static [f64],
}

const RAW: Golden = Golden {
    loss: 0.7705465100293717,
    w: &[
        0.0804414780216775,
        -0.033925480652523224,
        0.05306392179124513,
        0.033141292892148164,
        0.024082106217321472,
        -0.03351385281666007,
        -0.0002564672908288365,
        -0.08660063245167349,
        0.08729470986919291,
        -0.1264168690034979,
        0.013423563766659239,
        0.02915274705131474,
    ],
    u: &[
        0.18670547444129676,
        -0.1867054744412966,
        0.320790637144045,
        -0.32079063714404477,
        0.21653364343950204,
        -0.21653364343950193,
        0.6100009619427209,
        -0.6100009619427206,
    ],
    gain: &[0.15754503118475088, -0.07552147279361755],
    shift: &[0.4198545960777512, 0.1917649230741933],
    mean: &[0.3515331666666667, 0.014809583333333307],
    variance: &[0.5463408008854167, 0.8881465420729169],
};

const NORMALISED: Golden = Golden {
    loss: 0.7876343835677576,
    w: &[
        0.3231349210099614,
        -0.36536115791216645,
        0.055651114000015135,
        0.01657643357698874,
        0.4050791068042937,
        -0.4264523585853716,
        0.04547487412325754,
        -0.07240306941771361,
        0.7071046687654713,
        -0.8536885493699439,
        0.002815522547429554,
        -0.03265397104004232,
    ],
    u: &[
        0.13813383765927348,
        -0.13813383765927337,
        0.22832938118534798,
        -0.22832938118534787,
        0.21249590217287656,
        -0.2124959021728765,
        0.44681380245105573,
        -0.4468138024510556,
    ],
    gain: &[0.38818641798161224, -0.0413615759589256],
    shift: &[-0.05027331897214385, 0.18341453590182716],
    mean: &[0.31603782461852514, -0.00839998708410742],
    variance: &[0.5372430206415161, 0.8967983161584976],
};

const TDBN: Golden = Golden {
    loss: 0.5928903788070712,
    w: &[
        0.4026163169149831,
        -0.10428779841532862,
        0.03893244233685471,
        -0.01375588689722338,
        0.05595643062340726,
        -0.3054321075871167,
        0.022165353387492905,
        -0.04201865498863511,
        0.35411435483204556,
        -0.3099905954342345,
        0.007075589146549627,
        -0.012455674593738393,
    ],
    u: &[
        0.05777802710481822,
        -0.057778027104818136,
        0.33084526679750426,
        -0.33084526679750415,
        0.2345365016361438,
        -0.23453650163614376,
        0.4522166394197569,
        -0.4522166394197568,
    ],
    gain: &[-0.13283265438391828, -0.0460141733859972],
    shift: &[0.42820720424479175, 0.2969200113496327],
    mean: &[0.16720833333333335, -0.14333333333333337],
    variance: &[0.7239191123188407, 1.1800675362318842],
};

/// Carried on is the raw potential.
pub fn raw() -> Result<(), String> {
    check(&of_neuron("u * (1 - fired)"), "h", ["h.norm.gain", "h.norm.shift"], &RAW)
}

/// Carried on is the normalised potential.
pub fn normalised() -> Result<(), String> {
    check(&of_neuron("hat * (1 - fired)"), "h", ["h.norm.gain", "h.norm.shift"], &NORMALISED)
}

/// Statistics of all steps together, between projection and neuron.
pub fn threshold_dependent() -> Result<(), String> {
    let neuron = "neuron Leaky {
            input x
            state u = 0
            step { u = 0.25 * u + x   fire u > 0.5 with tanh_window   u = u * (1 - fired) }
            emit fired
        }";
    let layer = "let n = TdBn[2, 2](theta = 0.5)
            let h = Leaky[2, 2]
            x -> n : dense
            n -> h : one_to_one";
    check(&program(neuron, layer), "n", ["n.gain", "n.shift"], &TDBN)
}

fn of_neuron(carried: &str) -> String {
    let neuron = format!(
        "neuron Normal {{
            input x
            state u = 0
            step {{
                u = 0.25 * u + x
                let hat = batch_norm(u)
                fire hat > 0.5 with tanh_window
                u = {carried}
            }}
            emit fired
        }}"
    );
    program(&neuron, "let h = Normal[2, 2]\n            x -> h : dense")
}

fn program(neuron: &str, layer: &str) -> String {
    format!(
        "{neuron}
        model Net {{
            input x: [3] stream
            {layer}
            let y = Integrator[2](tau = 20 ms)
            h -> y : dense
            output y.v
        }}
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train Net on none {{ steps 4   dt 1 ms   batch 4   loss cross_entropy(mean(y.v))   optimizer sgd }}"
    )
}

fn check(text: &str, of: &str, [gain, shift]: [&str; 2], golden: &Golden) -> Result<(), String> {
    let x = [
        [0.9, 0.3, 0.6, 0.1, 0.7, 0.2, 0.8, 0.8, 0.1, 0.3, 0.5, 0.9],
        [0.2, 0.8, 0.5, 0.9, 0.1, 0.4, 0.3, 0.2, 0.7, 0.6, 0.9, 0.2],
        [0.5, 0.1, 0.9, 0.4, 0.6, 0.8, 0.1, 0.9, 0.3, 0.7, 0.2, 0.4],
    ];
    let given = vec![
        ("x".to_string(), x.concat()),
        ("target".to_string(), vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0]),
        ("mask".to_string(), vec![1.0; SAMPLES]),
    ];
    let (mean, variance) = (format!("{of}.norm.mean"), format!("{of}.norm.variance"));
    let weights = format!("x->{of}.weight");
    let params: Named = &[
        (&weights, &[0.8, 0.2, 0.6, 0.5, 0.4, 0.9, -0.3, 0.5, 0.3, 0.5, 0.7, -0.5]),
        ("h->y.weight", &[0.5, -0.3, -0.4, 0.6, 0.3, 0.1, 0.2, -0.2]),
        (gain, &[0.9, -0.7]),
        (shift, &[0.3, 0.4]),
        (&mean, &[0.1, -0.2]),
        (&variance, &[0.8, 1.3]),
    ];
    let gradients: Named = &[
        ("loss", &[golden.loss]),
        (&format!("grad {weights}"), golden.w),
        ("grad h->y.weight", golden.u),
        (&format!("grad {gain}"), golden.gain),
        (&format!("grad {shift}"), golden.shift),
    ];
    all_engines(
        text,
        Purpose::Gradient { relaxed: false },
        (&given, SAMPLES, 2),
        params,
        |engine, _, got, near| compare(engine, got, gradients, near),
    )?;
    all_engines(text, Purpose::Train, (&given, SAMPLES, 2), params, |engine, net, got, near| {
        let sink = |name: &str| {
            let param = net.params.iter().position(|p| p.name == name);
            format!("{name} {:?}", Sink::Param(param.unwrap_or(usize::MAX)))
        };
        compare(engine, got, &[(&sink(&mean), golden.mean), (&sink(&variance), golden.variance)], near)
    })
}
