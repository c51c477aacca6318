//! Checkpoints: safetensors files with parameters, optimizer state and the position of the training.
//!
//! Tensors `param/NAME` and `slot/NAME/SLOT` in the shapes of the plan (weight matrices `[in, out]`); the rest is text in the
//! metadata. Written under a temporary name and renamed, so that a file is whole or not there.

use crate::engine::Weights;
use crate::error::RuntimeError;
use crate::program::{BufferInfo, Program};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Where a training stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Progress {
    /// Name of the model.
    pub model: String,
    /// Seed of the run.
    pub seed: u64,
    /// Complete epochs.
    pub epoch: usize,
    /// Updates made.
    pub updates: u64,
    /// Best test loss so far, and epochs since then (early stopping).
    pub best: Option<f64>,
    /// Epochs since the best.
    pub waited: usize,
}

fn tensors(program: &Program) -> Vec<(String, BufferInfo, bool)> {
    let mut list = Vec::new();
    for param in &program.params {
        list.push((format!("param/{}", param.name), program.plan.buffers[param.buffer].clone(), false));
        for (slot, buffer) in &param.slots {
            list.push((format!("slot/{}/{slot}", param.name), program.plan.buffers[*buffer].clone(), true));
        }
    }
    list
}

/// Writes a checkpoint.
pub fn save(
    path: &Path,
    program: &Program,
    weights: &Weights,
    progress: &Progress,
) -> Result<(), RuntimeError> {
    let mut data: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, info, is_slot) in tensors(program) {
        let region = if is_slot { &weights.slot } else { &weights.param };
        let values = &region[info.offset..info.offset + info.width()];
        data.push((name, info.shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    }
    let views: Vec<(String, TensorView)> = data
        .iter()
        .map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes of that shape");
            (name.clone(), view)
        })
        .collect();
    let mut bytes = safetensors::serialize(views, None).map_err(|e| {
        RuntimeError::new("E0906", format!("the checkpoint cannot be written: {e}")).in_file(path)
    })?;
    insert_metadata(&mut bytes, progress);
    crate::record::write_atomic(path, &bytes)
}

/// Puts the metadata into the header, in a fixed order (the library takes an unordered map).
fn insert_metadata(bytes: &mut Vec<u8>, p: &Progress) {
    let text = |s: &str| serde_json::to_string(s).expect("a string is JSON");
    let best = p.best.map_or(String::new(), |b| format!("{:016x}", b.to_bits()));
    let fields = [
        ("best", best),
        ("epoch", p.epoch.to_string()),
        ("model", p.model.clone()),
        ("seed", p.seed.to_string()),
        ("snnc", env!("CARGO_PKG_VERSION").to_string()),
        ("updates", p.updates.to_string()),
        ("waited", p.waited.to_string()),
    ];
    let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{}:{}", text(k), text(v))).collect();
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = String::from_utf8_lossy(&bytes[8..8 + len]).trim_end().to_string();
    let rest = header.strip_prefix('{').expect("an object");
    let comma = if rest == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{{{}}}{comma}{rest}", fields.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend_from_slice(header.as_bytes());
    whole.extend_from_slice(&bytes[8 + len..]);
    *bytes = whole;
}

/// Reads a checkpoint into the weights. Slots that the file lacks are an error only if `with_slots`.
pub fn load(
    path: &Path,
    program: &Program,
    weights: &mut Weights,
    with_slots: bool,
) -> Result<Progress, RuntimeError> {
    let bytes = std::fs::read(path).map_err(|e| {
        RuntimeError::new("E0901", format!("the checkpoint cannot be read: {e}"))
            .in_file(path)
            .help("train with `--out DIR` first; `--resume` continues from the file written there")
    })?;
    let broken = |e: String| RuntimeError::new("E0902", format!("not a checkpoint: {e}")).in_file(path);
    let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    for (name, info, is_slot) in tensors(program) {
        if is_slot && !with_slots {
            continue;
        }
        let tensor = file.tensor(&name).map_err(|_| misfit(path, &name, "is not in the file"))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != info.shape {
            let found = format!(
                "is {:?} {:?} in the file, {:?} in the model",
                tensor.dtype(),
                tensor.shape(),
                info.shape
            );
            return Err(misfit(path, &name, &found));
        }
        let region = if is_slot { &mut weights.slot } else { &mut weights.param };
        let values =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")));
        region[info.offset..info.offset + info.width()].iter_mut().zip(values).for_each(|(w, v)| *w = v);
    }
    Ok(progress_of(&metadata))
}

fn misfit(path: &Path, name: &str, what: &str) -> RuntimeError {
    RuntimeError::new("E0905", format!("the checkpoint does not fit the model: `{name}` {what}"))
        .in_file(path)
        .help("use the file of the same model text, or train again")
}

fn progress_of(m: &HashMap<String, String>) -> Progress {
    let number = |key: &str| m.get(key).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    Progress {
        model: m.get("model").cloned().unwrap_or_default(),
        seed: number("seed"),
        epoch: number("epoch") as usize,
        updates: number("updates"),
        best: m.get("best").and_then(|b| u64::from_str_radix(b, 16).ok()).map(f64::from_bits),
        waited: number("waited") as usize,
    }
}
