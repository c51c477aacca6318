//! The course of a training: a progress bar on a terminal, a line for each epoch elsewhere; all epochs for the report.

use indicatif::{ProgressBar, ProgressStyle};
use snn_runtime::train::trainer::{Epoch, Observer};
use std::io::IsTerminal;

/// Prints the course of a training to standard error, and keeps it.
pub struct Printer {
    /// Epochs that are done, those before a resumption first.
    pub done: Vec<Epoch>,
    bar: Option<ProgressBar>,
    quiet: bool,
    epochs: usize,
}

impl Printer {
    /// For a training of `epochs`, some of which may be `done`.
    pub fn new(epochs: usize, done: Vec<Epoch>, quiet: bool) -> Printer {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(epochs as u64);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} epochs  {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Printer { done, bar, quiet, epochs }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

impl Observer for Printer {
    fn batch(&mut self, _epoch: usize, _done: usize, _total: usize) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    fn epoch(&mut self, e: &Epoch) {
        self.done.push(*e);
        let percent = |a: Option<f64>| a.map_or(String::new(), |a| format!("  accuracy {:.2} %", 100.0 * a));
        let test =
            e.test_loss.map_or(String::new(), |l| format!("  test loss {l:.4}{}", percent(e.test_accuracy)));
        let text = format!("loss {:.4}{}{test}", e.loss, percent(e.accuracy));
        match &self.bar {
            Some(bar) => {
                bar.set_position(e.number as u64);
                bar.set_message(text);
            }
            None if !self.quiet => {
                eprintln!("epoch {}/{}  {text}  {:.2} s", e.number, self.epochs, e.seconds)
            }
            None => {}
        }
    }
}
