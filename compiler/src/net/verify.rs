//! Checks that a net means something: its graph, the bodies of its scans, and where results go. Nodes are checked by
//! [`crate::step::verify`].

use super::{Net, Scan, ScanOut, Sink};
use crate::step::verify::{Kind, Place, graph, states};
use crate::step::{Op, Ty};

/// Checks a net.
pub fn verify(net: &Net) -> Result<(), String> {
    if net.steps == 0 || net.shard_batch == 0 || net.shards == 0 {
        return Err("a net has at least one step and one sample".into());
    }
    let inputs: Vec<Ty> = net.inputs.iter().map(|i| i.ty.clone()).collect();
    let mut slots = Vec::new();
    for slot in &net.slots {
        let param = net.params.get(slot.param);
        let param = param.ok_or_else(|| format!("slot {} names parameter {}", slot.name, slot.param))?;
        slots.push(Ty::tensor(&param.shape));
    }
    let scans = net.scans.iter().map(results).collect::<Result<Vec<_>, _>>()?;
    let place = Place {
        kind: Kind::Net,
        inputs: &inputs,
        params: &net.params,
        slots: &slots,
        states: &[],
        scans: &scans,
    };
    graph(&net.graph, &place)?;
    bodies(net)?;
    if net.shards != 1 && net.folds_samples_in_time() {
        return Err(format!("a scan folds over samples, which are in {} shards", net.shards));
    }
    segments(net)?;
    sinks(net, &slots)
}

/// Segments divide the presentation; a replay has the states of the scan that it makes again.
fn segments(net: &Net) -> Result<(), String> {
    let Some(segments) = &net.segments else { return Ok(()) };
    if segments.steps == 0
        || !net.steps.is_multiple_of(segments.steps)
        || segments.replays.len() != net.scans.len()
    {
        return Err(format!("segments of {} steps of {}", segments.steps, net.steps));
    }
    for (scan, of) in net.scans.iter().zip(&segments.replays) {
        let Some(of) = of else { continue };
        let same = |of: &Scan| {
            let states = of.states.iter().zip(&scan.states);
            of.states.len() == scan.states.len()
                && states.clone().all(|(a, b)| (&a.ty, a.delay) == (&b.ty, b.delay))
        };
        if !net.scans.get(*of).is_some_and(same) {
            return Err(format!("scan {} does not make scan {of} again", scan.name));
        }
    }
    Ok(())
}

/// Types of the results of a scan.
fn results(scan: &Scan) -> Result<Vec<Ty>, String> {
    let wrong = |why: String| format!("scan {}: {why}", scan.name);
    if scan.outs.is_empty() {
        return Err(wrong("has no results".into()));
    }
    let result = |out: &ScanOut| match out {
        ScanOut::Each(val) | ScanOut::Sum(val) => {
            let node =
                scan.body.nodes.get(val.idx()).ok_or_else(|| format!("gives {val}, which does not exist"))?;
            Ok(Ty { time: matches!(out, ScanOut::Each(_)), ..node.ty.clone() })
        }
        ScanOut::Final(s) => match scan.states.get(*s) {
            None => Err(format!("gives state {s} of {}", scan.states.len())),
            Some(state) if state.delay != 1 => {
                Err(format!("gives the last value of {}, which is delayed", state.name))
            }
            Some(state) => Ok(state.ty.clone()),
        },
    };
    scan.outs.iter().map(|out| result(out).map_err(wrong)).collect()
}

/// Each scan has one node; its body reads operands as they are at one step.
fn bodies(net: &Net) -> Result<(), String> {
    let mut nodes = vec![0; net.scans.len()];
    for node in &net.graph.nodes {
        let Op::Scan(k) = node.op else { continue };
        nodes[k] += 1;
        let operands: Vec<&Ty> = node.args.iter().map(|a| net.graph.ty(*a)).collect();
        body(&net.scans[k], &operands).map_err(|why| format!("scan {}: {why}", net.scans[k].name))?;
    }
    match nodes.iter().position(|n| *n != 1) {
        Some(k) => Err(format!("scan {} stands at {} nodes", net.scans[k].name, nodes[k])),
        None => Ok(()),
    }
}

fn body(scan: &Scan, operands: &[&Ty]) -> Result<(), String> {
    let inputs: Vec<Ty> = operands.iter().map(|ty| Ty { time: false, ..(*ty).clone() }).collect();
    let place = Place {
        kind: Kind::Body,
        inputs: &inputs,
        params: &[],
        slots: &[],
        states: &scan.states,
        scans: &[],
    };
    graph(&scan.body, &place)?;
    states(&scan.body, &scan.states, |node| match node.op {
        Op::StepIndex | Op::Random { .. } => Err("depends on time"),
        Op::Input(k) if operands[k].time => Err("depends on an operand with time axis"),
        _ => Ok(()),
    })
}

/// Results exist; gradients and new values have the axes of what they belong to; nothing is written twice.
fn sinks(net: &Net, slots: &[Ty]) -> Result<(), String> {
    let mut written = Vec::new();
    for output in &net.outputs {
        let wrong = |why: String| Err(format!("output {}: {why}", output.name));
        let Some(node) = net.graph.nodes.get(output.val.idx()) else {
            return wrong(format!("is {}, which does not exist", output.val));
        };
        let want = match output.sink {
            Sink::Named => continue,
            Sink::Grad(p) | Sink::Param(p) => net.params.get(p).map(|param| Ty::tensor(&param.shape)),
            Sink::Slot(s) => slots.get(s).cloned(),
        };
        match want {
            None => return wrong(format!("goes to {:?}, which does not exist", output.sink)),
            Some(want) if want != node.ty => return wrong(format!("is {}, not {want}", node.ty)),
            _ => {}
        }
        if written.contains(&output.sink) {
            return wrong(format!("{:?} is written twice", output.sink));
        }
        written.push(output.sink);
    }
    Ok(())
}
