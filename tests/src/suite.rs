//! Runs all trials; a filter on the command line selects by name.

use libtest_mimic::{Arguments, Trial};

fn main() {
    // The trials of the command line start this binary as the command line.
    if std::env::var_os(snn_tests::cli::AS_PROGRAM).is_some() {
        std::process::exit(snnc::commands::run(clap::Parser::parse()));
    }
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(snn_tests::corpus::trials());
    trials.extend(snn_tests::errors::trials());
    trials.extend(snn_tests::golden::trials());
    trials.extend(snn_tests::updates::trials());
    trials.extend(snn_tests::gradients::trials());
    trials.extend(snn_tests::growth::trials());
    trials.extend(snn_tests::inits::trials());
    trials.extend(snn_tests::carried::trials());
    trials.extend(snn_tests::checkpoints::trials());
    trials.extend(snn_tests::cli::trials());
    trials.extend(snn_tests::length::trials());
    trials.extend(snn_tests::memory::trials());
    trials.extend(snn_tests::laziness::trials());
    trials.extend(snn_tests::regularisers::trials());
    trials.extend(snn_tests::studies::trials());
    trials.extend(snn_tests::diagnoses::trials());
    trials.extend(snn_tests::snapshots::trials());
    trials.extend(snn_tests::tidy::trials());
    libtest_mimic::run(&args, trials).exit();
}
