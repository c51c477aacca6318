//! Writes results: .npz archives of arrays, and any file at once or not at all. Bytes depend on the content only.

use std::io::{self, Write};
use std::path::Path;

use flate2::Crc;

use crate::error::{Result, RuntimeError};
use crate::files;

/// An array to write, row by row.
#[derive(Clone, PartialEq, Debug)]
pub enum Array<'a> {
    /// 32-bit floating-point numbers.
    F32 {
        /// The axes; their product is the number of elements.
        shape: Vec<usize>,
        /// The elements.
        data: &'a [f32],
    },
    /// 32-bit unsigned integers.
    U32 {
        /// The axes; their product is the number of elements.
        shape: Vec<usize>,
        /// The elements.
        data: &'a [u32],
    },
}

/// Writes `<name>.npy` for each array into a .npz archive that `numpy.load` reads. E0903 if a shape does not fit its
/// data, E0906 if the file cannot be written; then whatever was at `path` stays as it was.
pub fn write_npz(path: &Path, arrays: &[(String, Array)]) -> Result<()> {
    let archive = Archive::new(arrays).map_err(|e| e.in_file(path))?;
    files::replace(path, |out| archive.write(out))
}

/// Writes a file at once or not at all: under a temporary name in the same folder, then renamed. E0906 if it fails.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, |out| out.write_all(bytes))
}

/// The archive of [`write_npz`] in memory.
pub fn npz_bytes(arrays: &[(String, Array)]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    Archive::new(arrays)?.write(&mut out).map_err(|e| RuntimeError::new("E0906", e.to_string()))?;
    Ok(out)
}

/// Bytes of 2^13 elements at a time through `sink`: no second copy of a large array.
fn each_chunk<E>(
    array: &Array,
    mut sink: impl FnMut(&[u8]) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut go = |words: &mut dyn Iterator<Item = u32>| {
        buffer.clear();
        buffer.extend(words.flat_map(u32::to_le_bytes));
        sink(&buffer)
    };
    match array {
        Array::F32 { data, .. } => {
            data.chunks(1 << 13).try_for_each(|c| go(&mut c.iter().map(|v| v.to_bits())))
        }
        Array::U32 { data, .. } => data.chunks(1 << 13).try_for_each(|c| go(&mut c.iter().copied())),
    }
}

/// A zip archive whose headers are made; entries are stored, without compression and with the oldest date there is.
struct Archive<'a> {
    /// Local header with name and .npy header, then the array.
    entries: Vec<(Vec<u8>, &'a Array<'a>)>,
    directory: Vec<u8>,
}

impl<'a> Archive<'a> {
    fn new(arrays: &'a [(String, Array<'a>)]) -> Result<Archive<'a>> {
        let large = || {
            RuntimeError::new(
                "E0906",
                "the arrays do not fit a .npz file of less than 4 GiB and 65535 arrays",
            )
            .help("record fewer values or steps")
        };
        let (mut entries, mut directory, mut offset) = (Vec::new(), Vec::new(), 0u32);
        for (i, (name, array)) in arrays.iter().enumerate() {
            if arrays[..i].iter().any(|(other, _)| other == name) {
                return Err(RuntimeError::new("E0906", format!("two arrays are called `{name}`")));
            }
            let (header, count) = npy_header(name, array)?;
            let size = count.checked_mul(4).and_then(|n| n.checked_add(header.len()));
            let size = size.and_then(|n| u32::try_from(n).ok()).ok_or_else(large)?;
            let file_name = format!("{name}.npy");
            let mut crc = Crc::new();
            crc.update(&header);
            let Ok(()) = each_chunk(array, |bytes| {
                crc.update(bytes);
                Ok::<(), std::convert::Infallible>(())
            });
            // Version 2.0, names in UTF-8, stored, 1980-01-01 0:00; the same fields in both headers.
            let mut fields = Vec::new();
            for half in [20u16, 0x800, 0, 0, 0x21] {
                fields.extend(half.to_le_bytes());
            }
            for word in [crc.sum(), size, size] {
                fields.extend(word.to_le_bytes());
            }
            fields.extend(u16::try_from(file_name.len()).map_err(|_| large())?.to_le_bytes());
            fields.extend([0; 2]);

            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&fields);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(file_name.bytes());

            let local = [b"PK\x03\x04", &fields[..], file_name.as_bytes(), &header].concat();
            let length = (local.len() - header.len()) as u32;
            offset = offset.checked_add(length).and_then(|n| n.checked_add(size)).ok_or_else(large)?;
            entries.push((local, array));
        }
        let count =
            u16::try_from(arrays.len()).ok().filter(|&n| n < u16::MAX).ok_or_else(large)?.to_le_bytes();
        let length = u32::try_from(directory.len()).map_err(|_| large())?;
        offset.checked_add(length).filter(|&n| n < u32::MAX).ok_or_else(large)?;
        directory.extend(b"PK\x05\x06\0\0\0\0");
        directory.extend([count, count].concat());
        directory.extend([length.to_le_bytes(), offset.to_le_bytes()].concat());
        directory.extend([0; 2]);
        Ok(Archive { entries, directory })
    }

    fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        for (header, array) in &self.entries {
            out.write_all(header)?;
            each_chunk(array, |bytes| out.write_all(bytes))?;
        }
        out.write_all(&self.directory)
    }
}

/// The header of a .npy file, version 1.0, a multiple of 64 bytes long, and the number of elements.
fn npy_header(name: &str, array: &Array) -> Result<(Vec<u8>, usize)> {
    let (descr, shape, count) = match array {
        Array::F32 { shape, data } => ("<f4", shape, data.len()),
        Array::U32 { shape, data } => ("<u4", shape, data.len()),
    };
    if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(count) {
        let message = format!("array `{name}` of shape {shape:?} cannot hold {count} elements");
        return Err(RuntimeError::new("E0903", message));
    }
    let axes: String = shape.iter().map(|d| format!("{d},")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    let length = (text.len() + 11).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - 1 - text.len()));
    text.push('\n');
    let Ok(length) = u16::try_from(length) else {
        return Err(RuntimeError::new("E0903", format!("array `{name}` has {} axes, too many", shape.len())));
    };
    Ok(([b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], text.as_bytes()].concat(), count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::npz::Npz;
    use crate::files::scratch::Scratch;

    #[test]
    fn arrays_come_back_and_bytes_repeat() {
        let folder = Scratch::new();
        let path = folder.path().join("r.npz");
        let x: Vec<f32> = (0..20_000).map(|v| v as f32).collect();
        let arrays = [
            ("x".to_string(), Array::F32 { shape: vec![2, 10_000], data: &x }),
            ("spikes/h".to_string(), Array::U32 { shape: vec![0], data: &[] }),
        ];
        write_npz(&path, &arrays).unwrap();
        let bytes = files::read(&path).unwrap();
        assert_eq!(bytes, npz_bytes(&arrays).unwrap());
        let npz = Npz::parse(bytes, "r").unwrap();
        let back = npz.array("x").unwrap();
        assert_eq!((back.shape.clone(), back.floats()), (vec![2, 10_000], x));
        assert_eq!(npz.array("spikes/h").unwrap().shape, [0]);
        assert_eq!(folder.names(), ["r.npz"]);
    }

    #[test]
    fn wrong_arrays_are_refused() {
        let one = |shape| ("a".to_string(), Array::F32 { shape, data: &[0.0] });
        assert_eq!(npz_bytes(&[one(vec![2])]).unwrap_err().code, "E0903");
        assert_eq!(npz_bytes(&[one(vec![usize::MAX, 2])]).unwrap_err().code, "E0903");
        assert_eq!(npz_bytes(&[one(vec![1; 40_000])]).unwrap_err().code, "E0903");
        assert_eq!(npz_bytes(&[one(vec![1]), one(vec![])]).unwrap_err().code, "E0906");
    }
}
