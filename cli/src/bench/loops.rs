//! `bench`, loop by loop: what each statement of a program takes, and how far that is from what the machine could do. One thread.

use snn_compiler::loops::cost::Cost;
use snn_runtime::kernels::roofline::Roofline;

/// A statement and its time.
pub struct Lap {
    /// What it has to do.
    pub cost: Cost,
    /// Milliseconds of a step.
    pub ms: f64,
    /// Milliseconds that arithmetic and memory of this machine need for it at least.
    pub bound_ms: f64,
}

/// Joins costs with measured seconds of one step.
pub fn laps(costs: Vec<Cost>, seconds: &[f64], roofline: &Roofline) -> Vec<Lap> {
    let all = costs.into_iter().enumerate();
    all.map(|(idx, cost)| {
        let bound_ms = 1e3 * roofline.seconds(cost.operations, cost.bytes, cost.footprint);
        Lap { cost, ms: 1e3 * seconds.get(idx).copied().unwrap_or(0.0), bound_ms }
    })
    .collect()
}

/// Statements that take less than this share of all are added up in the table.
const SHOWN: f64 = 0.01;

/// The table for people.
pub fn table(name: &str, laps: &[Lap], roofline: &Roofline) -> String {
    let all: f64 = laps.iter().map(|lap| lap.ms).sum();
    let mut text = format!(
        "\n{name}, one thread, loop by loop (at most {:.0} Gop/s; {:.0} GB/s in the first cache, {:.0} GB/s in memory)\n",
        1e-9 * roofline.operations,
        1e-9 * roofline.bandwidth.first().map_or(0.0, |b| b.1),
        1e-9 * roofline.bandwidth.last().map_or(0.0, |b| b.1),
    );
    text.push_str(&format!("{:>9} {:>6} {:>9} {:>9} {:>8}  loop\n", "ms", "share", "Mop", "MB", "of best"));
    let (shown, rest): (Vec<&Lap>, Vec<&Lap>) = laps.iter().partition(|lap| lap.ms >= SHOWN * all);
    for lap in shown {
        text.push_str(&format!(
            "{:>9.3} {:>5.1}% {:>9.2} {:>9.2} {:>7.0}%  {}: {}\n",
            lap.ms,
            100.0 * lap.ms / all,
            1e-6 * lap.cost.operations,
            1e-6 * lap.cost.bytes,
            100.0 * lap.bound_ms / lap.ms.max(1e-12),
            lap.cost.phase,
            lap.cost.what,
        ));
    }
    let ms: f64 = rest.iter().map(|lap| lap.ms).sum();
    let share = 100.0 * ms / all.max(1e-12);
    text.push_str(&format!("{ms:>9.3} {share:>5.1}% {:>28}  {} others\n", "", rest.len()));
    text
}
