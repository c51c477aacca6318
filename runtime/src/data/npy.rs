//! NumPy's .npy files, versions 1 to 3: integers, booleans and floating-point numbers of both byte orders. No objects.

use std::path::Path;

use super::{Target, classes};
use crate::error::{Result, RuntimeError};
use crate::files;

/// An array whose elements are still the bytes of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Npy {
    /// Its axes; none for a single number.
    pub shape: Vec<usize>,
    kind: u8,
    size: usize,
    big_endian: bool,
    fortran: bool,
    data: Vec<u8>,
    place: String,
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Npy> {
    parse(files::read(path)?, &path.display().to_string())
}

/// Reads bytes; `place` names them in errors.
pub fn parse(mut bytes: Vec<u8>, place: &str) -> Result<Npy> {
    let wrong = |offset: usize, message: String| {
        RuntimeError::new("E0902", message).at(format!("{place}, byte {offset}"))
    };
    if !bytes.starts_with(b"\x93NUMPY") {
        let found = &bytes[..bytes.len().min(6)];
        return Err(wrong(
            0,
            format!("expected the bytes 93 4e 55 4d 50 59 of a .npy file, found {found:02x?}"),
        ));
    }
    let (start, length): (usize, usize) = match bytes[6..] {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        [version, ..] if version > 3 || version == 0 => {
            return Err(wrong(6, format!("expected version 1, 2 or 3, found {version}")));
        }
        _ => {
            return Err(wrong(
                bytes.len(),
                format!("expected a header, found the end after {} bytes", bytes.len()),
            ));
        }
    };
    let header = start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or_else(|| {
        let found = bytes.len() - start;
        wrong(
            bytes.len(),
            format!("the file is truncated: expected a header of {length} bytes, found {found}"),
        )
    })?;
    let Some((descr, fortran, shape)) = Header { text: header }.parse() else {
        let message = "expected a header with 'descr', 'fortran_order' and 'shape' of a simple array";
        return Err(
            wrong(start, message.into()).help("save a plain numeric array; structured arrays are not read")
        );
    };
    let (big_endian, kind, size) = match *descr {
        [order @ (b'<' | b'>' | b'|' | b'='), kind, size] => {
            (order == b'>', kind, usize::from(size.wrapping_sub(b'0')))
        }
        _ => (false, 0, 0),
    };
    if !matches!((kind, size), (b'f', 2 | 4 | 8) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'b', 1)) {
        let message =
            format!("elements of type '{}' are not read", String::from_utf8_lossy(descr).escape_debug());
        return Err(
            wrong(start, message).help("convert with .astype(numpy.float32), or numpy.int64 for labels")
        );
    }
    let expected = shape.iter().try_fold(size, |n, &d| n.checked_mul(d));
    let Some(expected) = expected else {
        return Err(wrong(start, format!("the shape {shape:?} is too large")));
    };
    let end = start + length;
    let found = bytes.len() - end;
    if found != expected {
        let what = if found < expected { "the file is truncated" } else { "the file is too long" };
        let message = format!("{what}: expected {expected} bytes of data for {shape:?}, found {found}");
        return Err(wrong(end + found.min(expected), message));
    }
    bytes.drain(..end);
    Ok(Npy { shape, kind, size, big_endian, fortran, data: bytes, place: place.into() })
}

impl Npy {
    /// Bytes of the elements, as the file has them.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Whether the elements are integers or booleans.
    pub fn is_integer(&self) -> bool {
        self.kind != b'f'
    }

    /// The elements as 32-bit numbers, row by row.
    pub fn floats(&self) -> Vec<f32> {
        self.elements(|e| match (self.kind, self.size) {
            (b'f', 2) => half(e as u16),
            (b'f', 4) => f32::from_bits(e as u32),
            (b'f', _) => f64::from_bits(e) as f32,
            (b'i', _) => self.signed(e) as f32,
            (b'b', _) => f32::from(e != 0),
            _ => e as f32,
        })
    }

    /// The array as targets: integers are classes, floating-point numbers stay. E0903 if integers have two axes.
    pub fn target(&self) -> Result<Target> {
        let axes = self.shape.iter().skip(1);
        let width = axes.fold(1usize, |n, &d| n.saturating_mul(d));
        if !self.is_integer() {
            return Ok(Target::Values { y: self.floats(), width });
        }
        if width != 1 {
            let message = format!("labels need the shape [samples], found {:?}", self.shape);
            return Err(RuntimeError::new("E0903", message)
                .at(&self.place)
                .help("save targets that are not class numbers as floating-point numbers"));
        }
        // What does not fit 63 bits is no label either way: it becomes -1 or i64::MAX and is refused there.
        let labels = self.elements(|e| match self.kind {
            b'i' => self.signed(e),
            b'b' => i64::from(e != 0),
            _ => i64::try_from(e).unwrap_or(i64::MAX),
        });
        classes(labels, &self.place)
    }

    fn signed(&self, element: u64) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        (element << unused) as i64 >> unused
    }

    /// The bits of all elements through `f`, row by row whatever the order in the file.
    fn elements<T: Copy>(&self, f: impl Fn(u64) -> T) -> Vec<T> {
        let bits = |chunk: &[u8]| {
            let fold = |n: u64, &byte: &u8| n << 8 | u64::from(byte);
            f(if self.big_endian { chunk.iter().fold(0, fold) } else { chunk.iter().rev().fold(0, fold) })
        };
        let flat: Vec<T> = self.data.chunks_exact(self.size).map(bits).collect();
        // An empty array may have other axes whose product is too large for strides.
        if !self.fortran || self.shape.len() < 2 || flat.is_empty() {
            return flat;
        }
        // Row-major index counts up; `at` is its place in the column-major data.
        let mut strides = vec![1; self.shape.len()];
        for axis in 1..strides.len() {
            strides[axis] = strides[axis - 1] * self.shape[axis - 1];
        }
        let (mut index, mut at) = (vec![0; self.shape.len()], 0);
        let mut out = Vec::with_capacity(flat.len());
        for _ in 0..flat.len() {
            out.push(flat[at]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * index[axis];
                index[axis] = 0;
            }
        }
        out
    }
}

/// A 16-bit floating-point number.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

/// The part of a header's Python dictionary that is not read yet.
struct Header<'a> {
    text: &'a [u8],
}

impl<'a> Header<'a> {
    /// Type, Fortran order, shape; nothing if the text is anything else.
    fn parse(mut self) -> Option<(&'a [u8], bool, Vec<usize>)> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.take(b'{')?;
        while self.take(b'}').is_none() {
            let key = self.string()?;
            self.take(b':')?;
            match key {
                b"descr" => descr = Some(self.string()?),
                b"fortran_order" => fortran = Some(self.boolean()?),
                b"shape" => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.take(b',').is_none() {
                self.take(b'}')?;
                break;
            }
        }
        Some((descr?, fortran?, shape?))
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.text = self.text.trim_ascii_start().strip_prefix(&[byte])?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let text = self.text.trim_ascii_start();
        let quote = *text.first().filter(|q| matches!(q, b'\'' | b'"'))?;
        let end = text[1..].iter().position(|&c| c == quote)? + 1;
        self.text = &text[end + 1..];
        Some(&text[1..end])
    }

    fn boolean(&mut self) -> Option<bool> {
        let text = self.text.trim_ascii_start();
        let value = text.starts_with(b"True");
        self.text = text.strip_prefix(if value { b"True".as_slice() } else { b"False" })?;
        Some(value)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut axes = Vec::new();
        self.take(b'(')?;
        while self.take(b')').is_none() {
            let text = self.text.trim_ascii_start();
            let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
            axes.push(std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?);
            self.text = text[digits..].strip_prefix(b"L").unwrap_or(&text[digits..]);
            if self.take(b',').is_none() {
                self.take(b')')?;
                break;
            }
        }
        Some(axes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.bytes());
        out.extend(data);
        out
    }

    fn floats(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<f32> {
        parse(file(descr, fortran, shape, data), "f").unwrap().floats()
    }

    #[test]
    fn types_and_byte_orders_are_read() {
        assert_eq!(floats("<f4", "False", "(1,)", &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(floats(">f8", "False", "(1,)", &(-2.5f64).to_be_bytes()), [-2.5]);
        assert_eq!(floats("<f2", "False", "(4,)", &[0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c])[..2], [1.0, -2.0]);
        assert_eq!(floats(">i2", "False", "(2,)", &[0xff, 0xfe, 1, 0]), [-2.0, 256.0]);
        assert_eq!(floats("|u1", "False", "()", &[200]), [200.0]);
        assert_eq!(floats("|b1", "False", "(2,)", &[0, 1]), [0.0, 1.0]);
    }

    #[test]
    fn fortran_order_becomes_rows() {
        assert_eq!(floats("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(floats("|u1", "True", "(2, 1, 2)", &[1, 3, 2, 4]), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn integers_are_classes_and_floats_values() {
        let target =
            |descr, shape, data: &[u8]| parse(file(descr, "False", shape, data), "f").unwrap().target();
        assert_eq!(
            target("|u1", "(3,)", &[0, 2, 1]).unwrap(),
            Target::Classes { labels: vec![0, 2, 1], n: 3, names: None }
        );
        assert_eq!(target("<f4", "(1,)", &[0; 4]).unwrap(), Target::Values { y: vec![0.0], width: 1 });
        assert_eq!(target("|u1", "(1, 2)", &[0, 1]).unwrap_err().code, "E0903");
        assert_eq!(target("|i1", "(1,)", &[255]).unwrap_err().code, "E0909");
        assert_eq!(target("<u8", "(1,)", &[255; 8]).unwrap_err().code, "E0909");
    }

    #[test]
    fn wrong_files_are_errors() {
        let good = file("<f4", "False", "(2,)", &[0; 8]);
        for cut in 0..good.len() {
            assert_eq!(parse(good[..cut].to_vec(), "f").unwrap_err().code, "E0902", "{cut}");
        }
        for (i, flip) in (0..good.len()).flat_map(|i| [1u8, 4, 0x80, 0xff].map(|flip| (i, flip))) {
            let mut bad = good.clone();
            bad[i] ^= flip;
            if let Ok(array) = parse(bad, "f") {
                array.floats();
                let _ = array.target();
            }
        }
        let error =
            |descr, shape, data: &[u8]| parse(file(descr, "False", shape, data), "f").unwrap_err().message;
        assert!(error("<f4", "(3,)", &[0; 8]).contains("expected 12 bytes of data for [3], found 8"));
        assert!(error("<f4", "(1,)", &[0; 8]).contains("too long"));
        assert!(error("<f4", "(4294967296, 4294967296)", &[]).contains("too large"));
        assert!(error("|O", "(1,)", &[0; 8]).contains("'|O'"));
    }
}
