//! The sources `std.data.…`: from their arguments to the two parts of a data set. Reads files through the readers beside.

use std::path::{Path, PathBuf};

use super::{Dataset, Target, classes, csv, digits, idx, noise, npy, npz};
use crate::error::{Result, RuntimeError};

/// The value of an argument.
#[derive(Clone, PartialEq, Debug)]
pub enum ArgValue {
    /// A number.
    Num(f64),
    /// A file, an array, a column.
    Str(String),
}

/// The sources, what they need and what they allow.
const SOURCES: &[(&str, &[&str], &[&str])] = &[
    ("digits", &[], &["split", "seed"]),
    ("idx", &["images", "labels"], &["scale", "split", "seed"]),
    ("npy", &["x"], &["y", "scale", "split", "seed"]),
    ("npz", &["file", "x"], &["y", "scale", "split", "seed"]),
    ("csv", &["file", "label"], &["scale", "split", "seed"]),
    ("noise", &["inputs", "samples"], &["classes", "steps", "rate", "scale", "split", "seed"]),
];

/// Both parts of a data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Split {
    /// The part that trains.
    pub train: Dataset,
    /// The rest.
    pub test: Dataset,
    /// Bytes that were held at most while it was read: files with what was made of them.
    pub reading: usize,
}

impl Split {
    /// Bytes of inputs and targets of both parts.
    pub fn bytes(&self) -> usize {
        self.train.bytes() + self.test.bytes()
    }
}

/// Reads the data of `std.data.<source>(args)` and splits them into those that train and those that test.
///
/// Files are relative to `base_dir`. `split` is the share that trains (0.8), chosen by `seed` (0); `scale` divides the
/// inputs (255 for `idx`, 1 otherwise). With `stream` the first axis of samples is the steps, and spikes are kept as bits
/// ([`Dataset::streamed`], [`Dataset::packed`]). E0910 if an argument is missing, unknown or wrong.
pub fn load(source: &str, args: &[(String, ArgValue)], base_dir: &Path, stream: bool) -> Result<Split> {
    let name = source.strip_prefix("std.data.").unwrap_or(source);
    let Some(&(source, needed, allowed)) = SOURCES.iter().find(|(source, ..)| *source == name) else {
        let names = Vec::from_iter(SOURCES.iter().map(|(source, ..)| *source)).join(", ");
        return Err(RuntimeError::new("E0910", format!("there is no data source `{name}`"))
            .help(format!("the sources are: {names}")));
    };
    let args = Args { source, args, base_dir };
    args.check(needed, allowed)?;
    let split = args.number("split", 0.8)?;
    if !(0.0..=1.0).contains(&split) {
        return Err(args.wrong(format!("`split` is {split}")).help("a share between 0 and 1"));
    }
    let seed = args.number("seed", 0.0)?;
    if seed < 0.0 || seed.fract() != 0.0 || seed > 9_007_199_254_740_992.0 {
        return Err(args.wrong(format!("`seed` is {seed}")).help("a whole number from 0 to 2^53"));
    }
    let scale = args.number("scale", if source == "idx" { 255.0 } else { 1.0 })?;
    if scale == 0.0 {
        return Err(args.wrong("`scale` is 0".into()).help("inputs are divided by it"));
    }
    let (mut dataset, files) = match source {
        "digits" => (digits::load()?, 0),
        "idx" => load_idx(&args.path("images")?, &args.path("labels")?)?,
        "npy" => {
            let x = args.path("x")?;
            let y = args.get("y").map(|_| npy::read(&args.path("y")?)).transpose()?;
            from_arrays(&x.display().to_string(), &npy::read(&x)?, y.as_ref())?
        }
        "npz" => {
            let file = args.path("file")?;
            let npz = npz::Npz::read(&file)?;
            let y = args.get("y").map(|_| npz.array(args.text("y")?)).transpose()?;
            let (dataset, arrays) =
                from_arrays(&file.display().to_string(), &npz.array(args.text("x")?)?, y.as_ref())?;
            (dataset, arrays + npz.bytes())
        }
        "noise" => (args.noise(seed as u64, stream && scale == 1.0)?, 0),
        _ => csv::read(&args.path("file")?, &args.column("label")?)?,
    };
    let made = dataset.bytes();
    if scale != 1.0 {
        for value in &mut dataset.x {
            *value = (f64::from(*value) / scale) as f32;
        }
        dataset.check_finite()?;
    }
    if stream {
        // Before they are split: then it is bits that change places.
        dataset = dataset.streamed()?.packed();
    }
    let packed = if dataset.bits { 4 * dataset.x.len() } else { 0 };
    let (train, test) = dataset.split(split, seed as u64);
    let moved = train.bytes() + 2 * test.bytes();
    Ok(Split { train, test, reading: (made + files.max(packed)).max(moved) })
}

/// The data set, and the bytes of files that were held beside it.
fn load_idx(images: &Path, labels: &Path) -> Result<(Dataset, usize)> {
    let (x, y) = (idx::read(images)?, idx::read(labels)?);
    if y.shape.len() != 1 {
        let message = format!("labels need the shape [samples], found {:?}", y.shape);
        return Err(RuntimeError::new("E0903", message)
            .in_file(labels)
            .help("are `images` and `labels` swapped?"));
    }
    if x.shape[0] != y.shape[0] {
        let message = format!("there are {} images but {} labels", x.shape[0], y.shape[0]);
        return Err(RuntimeError::new("E0903", message)
            .at(format!("{} and {}", images.display(), labels.display()))
            .help("both files must be of the same set"));
    }
    let target = classes(y.data.iter().map(|&label| i64::from(label)), &labels.display().to_string())?;
    let data = x.data.iter().map(|&byte| f32::from(byte)).collect();
    let shape = sample_shape(&x.shape[1..]);
    let dataset = Dataset::new(&images.display().to_string(), data, x.shape[0], shape, target)?;
    Ok((dataset, x.data.len() + y.data.len()))
}

/// The data set, and the bytes of the arrays.
fn from_arrays(place: &str, x: &npy::Npy, y: Option<&npy::Npy>) -> Result<(Dataset, usize)> {
    let Some((&samples, shape)) = x.shape.split_first() else {
        return Err(RuntimeError::new("E0903", "`x` is a single number, not samples").at(place));
    };
    let found = y.map_or(samples, |y| y.shape.first().copied().unwrap_or(0));
    if samples != found {
        let message = format!("`x` has {samples} samples but `y` has {found}");
        return Err(RuntimeError::new("E0903", message).at(place).help("both need the same first axis"));
    }
    let target = y.map_or(Ok(Target::None), npy::Npy::target)?;
    let dataset = Dataset::new(place, x.floats(), samples, sample_shape(shape), target)?;
    Ok((dataset, x.bytes() + y.map_or(0, npy::Npy::bytes)))
}

/// One number for each sample is a shape of [1], not of [].
fn sample_shape(axes: &[usize]) -> Vec<usize> {
    if axes.is_empty() { vec![1] } else { axes.to_vec() }
}

struct Args<'a> {
    source: &'static str,
    args: &'a [(String, ArgValue)],
    base_dir: &'a Path,
}

impl<'a> Args<'a> {
    fn wrong(&self, message: String) -> RuntimeError {
        RuntimeError::new("E0910", message).at(format!("std.data.{}", self.source))
    }

    fn check(&self, needed: &[&str], allowed: &[&str]) -> Result<()> {
        let list = || Vec::from_iter(needed.iter().chain(allowed).map(|name| format!("`{name}`"))).join(", ");
        for (i, (name, _)) in self.args.iter().enumerate() {
            if !needed.contains(&name.as_str()) && !allowed.contains(&name.as_str()) {
                let message = format!("std.data.{} has no argument `{name}`", self.source);
                return Err(self.wrong(message).help(format!("its arguments are: {}", list())));
            }
            if self.args[..i].iter().any(|(other, _)| other == name) {
                return Err(self
                    .wrong(format!("argument `{name}` is given twice"))
                    .help("remove one of them"));
            }
        }
        match needed.iter().find(|name| self.get(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(self.wrong(format!("argument `{name}` is missing")).help(format!(
                "std.data.{}({name} = \"…\"); its arguments are: {}",
                self.source,
                list()
            ))),
        }
    }

    fn get(&self, name: &str) -> Option<&'a ArgValue> {
        self.args.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        match self.get(name) {
            None => Ok(default),
            Some(ArgValue::Num(value)) if value.is_finite() => Ok(*value),
            Some(_) => Err(self
                .wrong(format!("argument `{name}` is not a finite number"))
                .help(format!("write `{name} = {default}`, for example"))),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        match self.get(name) {
            Some(ArgValue::Str(value)) => Ok(value),
            _ => Err(self
                .wrong(format!("argument `{name}` is not a text"))
                .help(format!("write `{name} = \"…\"`"))),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        Ok(self.base_dir.join(self.text(name)?))
    }

    /// A whole number from 1.
    fn count(&self, name: &str, default: f64) -> Result<usize> {
        let value = self.number(name, default)?;
        if value < 1.0 || value.fract() != 0.0 || value > 1e9 {
            return Err(self.wrong(format!("`{name}` is {value}")).help("a whole number from 1"));
        }
        Ok(value as usize)
    }

    fn noise(&self, seed: u64, stream: bool) -> Result<Dataset> {
        let steps = self.get("steps").map(|_| self.count("steps", 1.0)).transpose()?;
        let rate = self.number("rate", 0.1)?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(self
                .wrong(format!("`rate` is {rate}"))
                .help("a probability of a spike in a step, 0 … 1"));
        }
        let classes = self.get("classes").map_or(Ok(0), |_| self.count("classes", 2.0))?;
        let sizes = [self.count("samples", 1.0)?, self.count("inputs", 1.0)?, classes];
        noise::make(sizes, steps, rate as f32, seed, stream)
    }

    /// A column by its name or number.
    fn column(&self, name: &str) -> Result<String> {
        match self.get(name) {
            Some(ArgValue::Num(value)) => Ok(value.to_string()),
            _ => Ok(self.text(name)?.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Target;
    use crate::record::{Array, npz_bytes};
    use std::fs;

    fn args(list: &[(&str, &str)]) -> Vec<(String, ArgValue)> {
        let value = |text: &str| text.parse().map_or_else(|_| ArgValue::Str(text.into()), ArgValue::Num);
        list.iter().map(|&(name, text)| (name.to_string(), value(text))).collect()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("snn-source-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn digits_split_as_asked() {
        let Split { train, test, .. } = load("std.data.digits", &[], Path::new(""), false).unwrap();
        assert_eq!((train.samples, test.samples, train.target_width()), (1438, 359, 10));
        let args = args(&[("split", "0.5"), ("seed", "1")]);
        let other = load("digits", &args, Path::new(""), false).unwrap();
        assert_eq!(other.train.samples, 899);
    }

    #[test]
    fn files_are_read_and_scaled() {
        let folder = folder("files");
        fs::write(folder.join("i"), [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 255, 51]).unwrap();
        fs::write(folder.join("l"), [0, 0, 8, 1, 0, 0, 0, 2, 0, 3]).unwrap();
        fs::write(folder.join("short"), [0, 0, 8, 1, 0, 0, 0, 1, 0]).unwrap();
        let sorted = |source, list: &[_]| {
            let (mut x, n) = load(source, &args(list), &folder, false)
                .map(|both| (both.train.x.clone(), both.train.target_width()))?;
            x.sort_by(f32::total_cmp);
            Ok::<_, RuntimeError>((x, n))
        };
        let all = ("split", "1");
        assert_eq!(sorted("idx", &[("images", "i"), ("labels", "l"), all]).unwrap(), (vec![0.2, 1.0], 4));
        assert_eq!(sorted("idx", &[("images", "i"), ("labels", "short")]).unwrap_err().code, "E0903");
        assert_eq!(sorted("idx", &[("images", "l"), ("labels", "i")]).unwrap_err().code, "E0903");
        assert_eq!(sorted("idx", &[("images", "none"), ("labels", "l")]).unwrap_err().code, "E0901");
        let x = Array::F32 { shape: vec![2], data: &[2.0, 4.0] };
        let y = Array::U32 { shape: vec![2], data: &[1, 0] };
        fs::write(folder.join("d.npz"), npz_bytes(&[("a".into(), x), ("b".into(), y)]).unwrap()).unwrap();
        let npz = [("file", "d.npz"), ("x", "a"), ("y", "b"), ("scale", "2"), all];
        assert_eq!(sorted("npz", &npz).unwrap(), (vec![1.0, 2.0], 2));
        fs::write(folder.join("x.npy"), npy::tests::file("|u1", "False", "(2, 1)", &[7, 9])).unwrap();
        fs::write(folder.join("y.npy"), npy::tests::file("<f4", "False", "(2, 3)", &[0; 24])).unwrap();
        assert_eq!(sorted("npy", &[("x", "x.npy"), ("y", "y.npy"), all]).unwrap(), (vec![7.0, 9.0], 3));
        fs::write(folder.join("t.csv"), "a,l\n1,x\n2,y\n").unwrap();
        let both = load("csv", &args(&[("file", "t.csv"), ("label", "1"), all]), &folder, false).unwrap();
        // The text beside two numbers and two labels.
        assert_eq!(both.reading, 12 + 16);
        assert!(matches!(both.train.target, Target::Classes { n: 2, names: Some(_), .. }));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn wrong_arguments_are_errors_with_help() {
        let fails = |source, list: &[_]| {
            let error = load(source, &args(list), Path::new(""), false).unwrap_err();
            assert!(error.code == "E0910" && error.help.is_some(), "{error}");
        };
        fails("mnist", &[]);
        fails("digits", &[("shuffle", "1")]);
        fails("digits", &[("split", "1.5")]);
        fails("digits", &[("split", "half")]);
        fails("digits", &[("seed", "-1")]);
        fails("digits", &[("seed", "1"), ("seed", "2")]);
        fails("idx", &[("images", "i")]);
        fails("npy", &[("x", "3"), ("y", "y")]);
        fails("csv", &[("file", "t"), ("label", "l"), ("scale", "0")]);
    }
}
