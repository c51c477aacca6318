//! Text of nets: inputs, values with the bodies of scans in place, results. Values are printed by [`crate::step::print`].

use super::{Net, Output, Sink};
use crate::step::print::{GraphText, number, params};
use std::fmt::{Display, Formatter, Result};

impl Display for Net {
    fn fmt(&self, f: &mut Formatter) -> Result {
        writeln!(f, "net {} steps, {} x {} samples {{", self.steps, self.shards, self.shard_batch)?;
        for (k, input) in self.inputs.iter().enumerate() {
            writeln!(f, "  input {k} {} : {}", input.name, input.ty)?;
        }
        params(f, &self.params)?;
        for (k, slot) in self.slots.iter().enumerate() {
            writeln!(f, "  slot {k} {} of {} = {}", slot.name, self.param(slot.param), number(slot.init))?;
        }
        let text = GraphText { graph: &self.graph, states: &[], net: Some(self) };
        if let Some(segments) = &self.segments {
            writeln!(f, "  in segments of {} steps", segments.steps)?;
        }
        text.lines(f, "  ")?;
        for output in &self.outputs {
            writeln!(f, "  {} = {}", self.sink(output), text.operand(output.val))?;
        }
        writeln!(f, "}}")
    }
}

impl Net {
    fn param(&self, k: usize) -> &str {
        self.params.get(k).map_or("?", |param| &param.name)
    }

    fn sink(&self, output: &Output) -> String {
        match output.sink {
            Sink::Named => format!("output {}", output.name),
            Sink::Grad(p) => format!("grad {}", self.param(p)),
            Sink::Param(p) => format!("new {}", self.param(p)),
            Sink::Slot(s) => match self.slots.get(s) {
                Some(slot) => format!("new slot {s} {} of {}", slot.name, self.param(slot.param)),
                None => format!("new slot {s}"),
            },
        }
    }
}
