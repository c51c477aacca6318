//! Single tensors of safetensors files, for first values of other models: of our checkpoints by the names of parameters, and of states that an
//! optimizer keeps of them (`h.tau/m`), of foreign files as they are. Whole checkpoints are in [`super::checkpoint`].

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::error::{Result, RuntimeError};
use crate::files;

/// A file of tensors that was read.
pub struct File {
    bytes: Vec<u8>,
    place: String,
    is_checkpoint: bool,
}

impl File {
    /// Reads a file. E0901; E0902 if it is damaged or of another format.
    pub fn read(path: &Path) -> Result<File> {
        let place = path.display().to_string();
        let bytes = files::read(path).map_err(|error| {
            error.help("a training writes its weights to MODEL.safetensors in the folder of `--out`")
        })?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(&error, &place))?;
        let format = header.metadata().as_ref().and_then(|strings| strings.get("format"));
        let is_checkpoint = format.is_some_and(|format| format == "snn checkpoint");
        Ok(File { bytes, place, is_checkpoint })
    }

    /// Whether there is a tensor of this name. E0902 if the file is damaged.
    pub fn has(&self, name: &str) -> Result<bool> {
        let all = SafeTensors::deserialize(&self.bytes).map_err(|error| broken(&error, &self.place))?;
        Ok(all.tensor(&self.full(name)).is_ok())
    }

    /// A name as it stands in the file. Names of parameters have no `/`.
    fn full(&self, name: &str) -> String {
        match (self.is_checkpoint, name.contains('/')) {
            (false, _) => name.to_string(),
            (true, false) => format!("param/{name}"),
            (true, true) => format!("slot/{name}"),
        }
    }

    /// Axes and elements of a tensor, the last axis fastest; weights of a checkpoint as `[post, pre]`, those of a convolution as
    /// `[out, in * height * width]`. E0905 if there is no such tensor, or not of F32; E0904 if it is not finite.
    pub fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let all = SafeTensors::deserialize(&self.bytes).map_err(|error| broken(&error, &self.place))?;
        let tensor = all.tensor(&self.full(name)).map_err(|_| self.unknown(name, &all))?;
        if tensor.dtype() != Dtype::F32 {
            let message = format!("tensor `{name}` holds numbers of type {:?}, not F32", tensor.dtype());
            return Err(RuntimeError::new("E0905", message)
                .at(&self.place)
                .help("save it as 32-bit floating-point numbers"));
        }
        let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("4 bytes"));
        let values: Vec<f32> = tensor.data().chunks_exact(4).map(value).collect();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let message = format!("tensor `{name}` holds NaN or infinity in element {at}");
            return Err(RuntimeError::new("E0904", message).at(&self.place));
        }
        Ok(match *tensor.shape() {
            [pre, post] if self.is_checkpoint => {
                let turned = (0..post * pre).map(|k| values[k % pre * post + k / pre]).collect();
                (vec![post, pre], turned)
            }
            _ => (tensor.shape().to_vec(), values),
        })
    }

    fn unknown(&self, name: &str, all: &SafeTensors) -> RuntimeError {
        let mut names: Vec<&str> = all.names();
        if self.is_checkpoint {
            let kind = if name.contains('/') { "slot/" } else { "param/" };
            names = names.into_iter().filter_map(|name| name.strip_prefix(kind)).collect();
        }
        names.sort_unstable();
        let shown: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
        let more = if names.len() > shown.len() { ", …" } else { "" };
        let help = match shown.is_empty() {
            true => "it has none".to_string(),
            false if name.contains('/') => {
                format!("states of the optimizer that it has: {}{more}", shown.join(", "))
            }
            false => format!("it has {}{more}; name one: `teacher[{:?}]`", shown.join(", "), names[0]),
        };
        RuntimeError::new("E0905", format!("the file has no tensor `{name}`")).at(&self.place).help(help)
    }
}

fn broken(error: &safetensors::SafeTensorError, place: &str) -> RuntimeError {
    RuntimeError::new("E0902", format!("the file is not of the format safetensors, or damaged: {error}"))
        .at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch::Scratch;

    /// A file with one tensor of the bytes given.
    fn file(
        dir: &Scratch,
        metadata: &str,
        name: &str,
        dtype: &str,
        shape: &str,
        bytes: &[u8],
    ) -> Result<File> {
        let mut header = format!(
            "{{{metadata}\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[0,{}]}}}}",
            bytes.len()
        );
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut all = (header.len() as u64).to_le_bytes().to_vec();
        all.extend(header.as_bytes());
        all.extend(bytes);
        File::read(&dir.file("t.safetensors", &all))
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    const OURS: &str = "\"__metadata__\":{\"format\":\"snn checkpoint\"},";

    #[test]
    fn weights_of_checkpoints_are_turned_and_those_of_foreign_files_are_not() {
        let dir = Scratch::new();
        let bytes = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let ours = file(&dir, OURS, "param/x->h.weight", "F32", "[2,3]", &bytes).unwrap();
        let (shape, values) = ours.tensor("x->h.weight").unwrap();
        assert_eq!((shape, values), (vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        let state = file(&dir, OURS, "slot/x->h.weight/m", "F32", "[2,3]", &bytes).unwrap();
        assert_eq!(state.tensor("x->h.weight/m").unwrap().1, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let missing = state.tensor("x->h.weight/age").unwrap_err();
        assert!(missing.help.unwrap().ends_with("it has: `x->h.weight/m`"));
        let foreign = file(&dir, "", "h.weight", "F32", "[2,3]", &bytes).unwrap();
        let (shape, values) = foreign.tensor("h.weight").unwrap();
        assert_eq!((shape, values), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let vector = file(&dir, OURS, "param/h.bias", "F32", "[6]", &bytes).unwrap();
        assert_eq!(vector.tensor("h.bias").unwrap().0, [6]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_names_are_offered() {
        let dir = Scratch::new();
        let error = |file: Result<File>, name: &str| file.and_then(|f| f.tensor(name)).unwrap_err();
        let bytes = floats(&[1.0, 2.0]);
        let missing = error(file(&dir, OURS, "param/h.bias", "F32", "[2]", &bytes), "h.bais");
        assert_eq!(missing.code, "E0905");
        assert!(missing.help.unwrap().contains("it has `h.bias`"));
        let wrong = error(file(&dir, "", "h.bias", "F64", "[1]", &bytes), "h.bias");
        assert_eq!((wrong.code, wrong.message.contains("F64")), ("E0905", true));
        let nan = error(file(&dir, "", "b", "F32", "[2]", &floats(&[0.0, f32::NAN])), "b");
        assert_eq!((nan.code, nan.message.contains("element 1")), ("E0904", true));
        assert_eq!(File::read(&dir.path().join("none")).err().unwrap().code, "E0901");
        assert_eq!(File::read(&dir.file("d", b"no tensors")).err().unwrap().code, "E0902");
    }
}
