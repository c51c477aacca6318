//! Runs all trials; a filter on the command line selects by name.

use libtest_mimic::{Arguments, Trial};

fn main() {
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(snn_tests::corpus::trials());
    trials.extend(snn_tests::errors::trials());
    trials.extend(snn_tests::snapshots::trials());
    trials.extend(snn_tests::tidy::trials());
    libtest_mimic::run(&args, trials).exit();
}
