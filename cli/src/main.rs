//! `snnc`: arguments to the driver, its exit code to the shell.

use clap::Parser;

fn main() {
    std::panic::set_hook(Box::new(|info| {
        eprintln!("internal error: {info}");
        eprintln!("This is a bug of snnc. Please report it with the file that you ran.");
    }));
    let cli = snnc::args::Cli::parse();
    // Deep recursion over syntax trees is bounded by the parser; the stack is large enough for its bound.
    let run = std::thread::Builder::new().stack_size(64 << 20).spawn(move || snnc::commands::run(cli));
    let code = run.map(|t| t.join().unwrap_or(101)).unwrap_or(101);
    std::process::exit(code);
}
