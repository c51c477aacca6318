//! A stopwatch that generated code presses after each statement, if it was compiled to be measured. One thread only: each thread
//! has a watch of its own, and [`take`] reads that of the caller.

use std::cell::RefCell;
use std::time::Instant;

/// Presses the watch without a statement before it.
pub const START: u64 = u64::MAX;

#[derive(Default)]
struct Watch {
    seconds: Vec<f64>,
    pressed: Option<Instant>,
}

thread_local! {
    static WATCH: RefCell<Watch> = RefCell::default();
}

/// `(statement)`
pub type LapFn = extern "C" fn(u64);

/// Statement number `idx` is done; what went by since the watch was pressed last is its time.
pub extern "C" fn snn_lap(idx: u64) {
    WATCH.with_borrow_mut(|watch| {
        let now = Instant::now();
        let before = watch.pressed.replace(now);
        if idx == START {
            return;
        }
        let idx = idx as usize;
        if watch.seconds.len() <= idx {
            watch.seconds.resize(idx + 1, 0.0);
        }
        watch.seconds[idx] += before.map_or(0.0, |before| (now - before).as_secs_f64());
    });
}

/// Seconds of each statement since the last call of this thread.
pub fn take() -> Vec<f64> {
    WATCH.with_borrow_mut(|watch| std::mem::take(&mut watch.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_has_its_own_sum() {
        snn_lap(1);
        assert_eq!(take(), vec![0.0, 0.0], "nothing was pressed before");
        snn_lap(START);
        snn_lap(0);
        snn_lap(2);
        snn_lap(0);
        let seconds = take();
        assert!(seconds.len() == 3 && seconds[0] > 0.0 && seconds[1] == 0.0 && seconds[2] > 0.0);
        assert_eq!(take().len(), 0);
    }
}
