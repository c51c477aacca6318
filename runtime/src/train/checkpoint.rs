//! Checkpoints: weights, optimizer state and the state of the training in one safetensors file. No policy on when to write.
//!
//! Tensors `param/NAME` and `slot/NAME/SLOT`, F32, in the shapes of the program's buffers; strings in `__metadata__`.
//! The header is sorted, so that equal states give equal files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::trainer::Epoch;
use crate::engine::Weights;
use crate::error::{Result, RuntimeError};
use crate::files;
use crate::program::{BufferIdx, Program};

/// Version of what the metadata mean.
const VERSION: &str = "1";

/// Where a training stands, at the end of an epoch.
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
    /// Smallest loss so far, on the test part if there is one.
    pub best: Option<f64>,
    /// Epochs since then.
    pub waited: usize,
    /// All epochs; `seconds` are not saved.
    pub history: Vec<Epoch>,
}

/// Writes weights and progress to `path`, whole or not at all. E0906.
pub fn save(path: &Path, program: &Program, weights: &Weights, progress: &Progress) -> Result<()> {
    let mut tensors = Vec::new();
    for (idx, param) in program.params.iter().enumerate() {
        tensors.push((format!("param/{}", param.name), param.buffer, weights.param(program, idx)));
    }
    for param in &program.params {
        for (slot, buffer) in &param.slots {
            tensors.push((format!("slot/{}/{slot}", param.name), *buffer, weights.slot(program, *buffer)));
        }
    }
    let mut header = BTreeMap::new();
    header.insert("__metadata__".to_string(), metadata(progress));
    let mut offset = 0;
    for (name, buffer, values) in &tensors {
        let end = offset + 4 * values.len();
        let shape = &program.plan.buffers[*buffer].shape;
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = serde_json::to_string(&header).expect("strings and numbers");
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    files::replace(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        tensors.iter().try_for_each(|(_, _, values)| write_floats(out, values))
    })
}

fn write_floats(out: &mut dyn Write, values: &[f32]) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * 4096);
    for chunk in values.chunks(4096) {
        bytes.clear();
        chunk.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Everything is a string; numbers are written so that they are read back bit by bit.
fn metadata(progress: &Progress) -> Value {
    let optional = |value: Option<f64>| value.map_or("-".to_string(), |value| value.to_string());
    let history: Vec<String> = progress
        .history
        .iter()
        .map(|e| {
            let [accuracy, test_loss, test_accuracy] =
                [e.accuracy, e.test_loss, e.test_accuracy].map(optional);
            format!("{} {} {accuracy} {test_loss} {test_accuracy}", e.number, e.loss)
        })
        .collect();
    json!({
        "format": "snn checkpoint",
        "version": VERSION,
        "model": progress.model,
        "seed": progress.seed.to_string(),
        "epoch": progress.epoch.to_string(),
        "updates": progress.updates.to_string(),
        "best": optional(progress.best),
        "waited": progress.waited.to_string(),
        "history": history.join("\n"),
    })
}

/// Reads a checkpoint into the weights; gives where the training stood. `with_slots`: with the optimizer's state, for the
/// training to go on.
///
/// E0901; E0902 if the file is damaged; E0905 if it is no checkpoint, or naming the tensor that does not fit; E0904 if a
/// tensor is not finite. The weights are then unchanged.
pub fn load(path: &Path, program: &Program, weights: &mut Weights, with_slots: bool) -> Result<Progress> {
    let checkpoint = Checkpoint::read(path)?;
    checkpoint.load(program, weights, with_slots)?;
    Ok(checkpoint.progress)
}

/// A checkpoint that was read.
struct Checkpoint {
    progress: Progress,
    bytes: Vec<u8>,
    place: String,
}

impl Checkpoint {
    fn read(path: &Path) -> Result<Checkpoint> {
        let bytes = files::read(path).map_err(|error| {
            error.help("train with `--out DIR` first: a checkpoint is written there after every epoch")
        })?;
        let place = path.display().to_string();
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(&error, &place))?;
        let none = Default::default();
        let strings = header.metadata().as_ref().unwrap_or(&none);
        let get = |key: &str| strings.get(key).map(String::as_str);
        if get("format") != Some("snn checkpoint") {
            return Err(misfit("the file holds tensors but is no checkpoint of a training".into(), &place));
        }
        if get("version") != Some(VERSION) {
            let version = get("version").unwrap_or("none");
            return Err(misfit(
                format!("the checkpoint has version {version}, this program reads {VERSION}"),
                &place,
            ));
        }
        let progress = read_progress(&get)
            .ok_or_else(|| RuntimeError::new("E0902", "the checkpoint's metadata are damaged").at(&place))?;
        Ok(Checkpoint { progress, bytes, place })
    }

    fn load(&self, program: &Program, weights: &mut Weights, with_slots: bool) -> Result<()> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| broken(&error, &self.place))?;
        let mut known: Vec<String> = Vec::new();
        let mut found: Vec<(bool, BufferIdx, TensorView)> = Vec::new();
        for param in &program.params {
            let name = format!("param/{}", param.name);
            found.push((false, param.buffer, self.find(&tensors, &name, program, param.buffer)?));
            known.push(name);
            for (slot, buffer) in &param.slots {
                if with_slots {
                    let name = format!("slot/{}/{slot}", param.name);
                    found.push((true, *buffer, self.find(&tensors, &name, program, *buffer)?));
                    known.push(name);
                }
            }
        }
        let mut names = tensors.names();
        names.sort_unstable();
        let extra = names.iter().find(|name| {
            (with_slots || name.starts_with("param/")) && !known.iter().any(|known| known == *name)
        });
        if let Some(name) = extra {
            return Err(misfit(
                format!("the checkpoint has a tensor `{name}` that the model does not have"),
                &self.place,
            ));
        }
        for (is_slot, buffer, tensor) in found {
            let range = {
                let info = &program.plan.buffers[buffer];
                info.offset..info.offset + info.width()
            };
            let region = if is_slot { &mut weights.slot } else { &mut weights.param };
            for (value, bytes) in region[range].iter_mut().zip(tensor.data().chunks_exact(4)) {
                *value = f32::from_le_bytes(bytes.try_into().expect("4 bytes"));
            }
        }
        Ok(())
    }

    /// A tensor that fits the buffer and is finite.
    fn find<'a>(
        &self,
        tensors: &SafeTensors<'a>,
        name: &str,
        program: &Program,
        buffer: BufferIdx,
    ) -> Result<TensorView<'a>> {
        let tensor = tensors.tensor(name).map_err(|_| {
            misfit(format!("the checkpoint has no tensor `{name}`, which the model has"), &self.place)
        })?;
        let shape = &program.plan.buffers[buffer].shape;
        if tensor.shape() != shape.as_slice() {
            let message =
                format!("tensor `{name}` has shape {:?}, the model's has {shape:?}", tensor.shape());
            return Err(misfit(message, &self.place));
        }
        if tensor.dtype() != Dtype::F32 {
            let message = format!("tensor `{name}` holds numbers of type {:?}, not F32", tensor.dtype());
            return Err(misfit(message, &self.place));
        }
        let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("4 bytes"));
        if let Some(at) = tensor.data().chunks_exact(4).position(|bytes| !value(bytes).is_finite()) {
            let message = format!("tensor `{name}` holds NaN or infinity in element {at}");
            return Err(RuntimeError::new("E0904", message).at(&self.place));
        }
        Ok(tensor)
    }
}

fn read_progress<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Option<Progress> {
    let optional = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
    let mut history = Vec::new();
    for line in get("history")?.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [number, loss, accuracy, test_loss, test_accuracy] = fields[..] else { return None };
        history.push(Epoch {
            number: number.parse().ok()?,
            loss: loss.parse().ok()?,
            accuracy: optional(accuracy)?,
            test_loss: optional(test_loss)?,
            test_accuracy: optional(test_accuracy)?,
            seconds: 0.0,
        });
    }
    Some(Progress {
        model: get("model")?.into(),
        seed: get("seed")?.parse().ok()?,
        epoch: get("epoch")?.parse().ok()?,
        updates: get("updates")?.parse().ok()?,
        best: optional(get("best")?)?,
        waited: get("waited")?.parse().ok()?,
        history,
    })
}

fn broken(error: &safetensors::SafeTensorError, place: &str) -> RuntimeError {
    RuntimeError::new("E0902", format!("the file is no checkpoint, or damaged: {error}")).at(place)
}

fn misfit(message: String, place: &str) -> RuntimeError {
    RuntimeError::new("E0905", message).at(place).help("use the checkpoint with the program that wrote it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;
    use crate::kernels::fixture;

    fn progress() -> Progress {
        let epoch = |number, test_loss| Epoch {
            number,
            loss: 0.1 + 0.2,
            accuracy: Some(1.0 / 3.0),
            test_loss,
            test_accuracy: None,
            seconds: 0.0,
        };
        Progress {
            model: "Digits \"x\"".into(),
            seed: u64::MAX,
            epoch: 2,
            updates: 1 << 40,
            best: Some(1e-300),
            waited: 1,
            history: vec![epoch(1, None), epoch(2, Some(f64::INFINITY))],
        }
    }

    fn filled(program: &Program) -> Weights {
        let mut weights = Weights::zeroed(program).unwrap();
        weights.param.iter_mut().enumerate().for_each(|(i, w)| *w = i as f32 / 3.0);
        weights.slot.iter_mut().enumerate().for_each(|(i, m)| *m = -(i as f32) / 7.0);
        weights
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = Scratch::new();
        let path = dir.path().join("c.safetensors");
        let program = fixture::logistic::<4, 3, 2>(2);
        let weights = filled(&program);
        save(&path, &program, &weights, &progress()).unwrap();
        let mut loaded = Weights::zeroed(&program).unwrap();
        assert_eq!(load(&path, &program, &mut loaded, true).unwrap(), progress());
        assert_eq!((&loaded.param[..], &loaded.slot[..]), (&weights.param[..], &weights.slot[..]));
        let eval = fixture::logistic_eval::<4, 3, 2>(1);
        let mut loaded = Weights::zeroed(&eval).unwrap();
        load(&path, &eval, &mut loaded, false).unwrap();
        assert_eq!(loaded.param[..], weights.param[..]);
        let first = std::fs::read(&path).unwrap();
        save(&path, &program, &weights, &progress()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(dir.names(), ["c.safetensors"]);
    }

    #[test]
    fn misfits_name_the_tensor_and_change_nothing() {
        let dir = Scratch::new();
        let path = dir.path().join("c.safetensors");
        let program = fixture::logistic::<4, 3, 2>(2);
        save(&path, &program, &filled(&program), &progress()).unwrap();
        let check = |program: &Program, all: bool, message: &str| {
            let mut weights = Weights::zeroed(program).unwrap();
            let error = load(&path, program, &mut weights, all).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), ("E0905", message));
            assert!(weights.param.iter().all(|&w| w == 0.0));
        };
        let other = fixture::logistic::<5, 3, 2>(2);
        check(&other, true, "tensor `param/x->y.weight` has shape [4, 3], the model's has [5, 3]");
        let mut renamed = fixture::logistic::<4, 3, 2>(2);
        renamed.params[1].name = "z.bias".into();
        check(&renamed, true, "the checkpoint has no tensor `param/z.bias`, which the model has");
        let mut fewer = fixture::logistic::<4, 3, 2>(2);
        fewer.params.pop();
        check(&fewer, false, "the checkpoint has a tensor `param/y.bias` that the model does not have");
        let eval = fixture::logistic_eval::<4, 3, 2>(2);
        check(&eval, true, "the checkpoint has a tensor `slot/x->y.weight/m` that the model does not have");
    }

    #[test]
    fn damaged_and_foreign_files_are_errors() {
        let dir = Scratch::new();
        let program = fixture::logistic::<4, 3, 2>(2);
        let path = dir.path().join("c.safetensors");
        save(&path, &program, &filled(&program), &progress()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let code = |bytes: &[u8]| Checkpoint::read(&dir.file("d", bytes)).err().map(|error| error.code);
        for len in [0, 7, 8, 100, whole.len() - 1] {
            assert_eq!(code(&whole[..len]), Some("E0902"), "{len}");
        }
        let text = String::from_utf8_lossy(&whole).replace("\"version\":\"1\"", "\"version\":\"9\"");
        assert!(code(text.as_bytes()).is_some());
        let foreign =
            b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"}}                                ";
        assert_eq!(code(&foreign[..72]), Some("E0905"));
        assert_eq!(Checkpoint::read(&dir.path().join("none")).err().unwrap().code, "E0901");
        let mut nan = filled(&program);
        nan.param[5] = f32::NAN;
        save(&path, &program, &nan, &progress()).unwrap();
        let error = load(&path, &program, &mut nan, true).unwrap_err();
        assert_eq!((error.code, error.message.contains("element 5")), ("E0904", true));
    }
}
