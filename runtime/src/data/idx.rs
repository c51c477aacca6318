//! IDX files, the format of MNIST: big-endian header, then bytes. Plain or gzip. Only elements of unsigned bytes.

use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::read_all;
use crate::error::{Result, RuntimeError};
use crate::files;

/// An array of bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idx {
    /// Its axes, one at least.
    pub shape: Vec<usize>,
    /// Its elements, row by row.
    pub data: Vec<u8>,
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Idx> {
    parse(files::read(path)?, &path.display().to_string())
}

/// Reads bytes; `place` names them in errors. E0902 says what was expected and found, and at which byte.
pub fn parse(bytes: Vec<u8>, place: &str) -> Result<Idx> {
    let mut bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        read_all(MultiGzDecoder::new(&bytes[..]), u64::MAX, place)?
    } else {
        bytes
    };
    let wrong = |offset: usize, message: String| {
        Err(RuntimeError::new("E0902", message).at(format!("{place}, byte {offset}")))
    };
    let Some(&[a, b, kind, rank]) = bytes.first_chunk::<4>() else {
        return wrong(
            bytes.len(),
            format!("expected a magic number of 4 bytes, found {} bytes", bytes.len()),
        );
    };
    if [a, b, kind] != [0, 0, 8] || rank == 0 {
        let help = "an IDX file of unsigned bytes is needed, as MNIST has; other arrays can be saved as .npy";
        let message =
            format!("expected the bytes 00 00 08 and a rank, found {a:02x} {b:02x} {kind:02x} {rank:02x}");
        return wrong(0, message).map_err(|e| e.help(help));
    }
    let header = 4 + 4 * usize::from(rank);
    let Some(axes) = bytes.get(4..header) else {
        return wrong(
            bytes.len(),
            format!("expected a header of {header} bytes, found {} bytes", bytes.len()),
        );
    };
    let shape: Vec<usize> =
        axes.as_chunks::<4>().0.iter().map(|axis| u32::from_be_bytes(*axis) as usize).collect();
    let Some(count) = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) else {
        return wrong(4, format!("the shape {shape:?} is too large"));
    };
    let found = bytes.len() - header;
    if found != count {
        let what = if found < count { "the file is truncated" } else { "the file is too long" };
        let offset = header + found.min(count);
        let message = format!("{what}: expected {count} bytes of data for {shape:?}, found {found}");
        let help = "the shape is what the header (bytes 0 …) says: images have 3 axes, labels 1; if that is right, \
                    fetch the file again";
        return wrong(offset, message).map_err(|e| e.help(help));
    }
    bytes.drain(..header);
    Ok(Idx { shape, data: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const GOOD: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    fn fails(bytes: &[u8]) -> String {
        let error = parse(bytes.to_vec(), "f").unwrap_err();
        assert_eq!(error.code, "E0902");
        format!("{} @ {}", error.message, error.place.unwrap())
    }

    #[test]
    fn plain_and_gzip_are_the_same() {
        let plain = parse(GOOD.to_vec(), "f").unwrap();
        assert_eq!(plain, Idx { shape: vec![2, 3], data: vec![1, 2, 3, 4, 5, 6] });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(GOOD).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(parse(gzip.clone(), "f").unwrap(), plain);
        for cut in 2..gzip.len() {
            fails(&gzip[..cut]);
        }
    }

    #[test]
    fn errors_say_expected_found_and_where() {
        assert_eq!(
            fails(&GOOD[..16]),
            "the file is truncated: expected 6 bytes of data for [2, 3], found 4 @ f, byte 16"
        );
        let long = [GOOD, &[0]].concat();
        assert_eq!(
            fails(&long),
            "the file is too long: expected 6 bytes of data for [2, 3], found 7 @ f, byte 18"
        );
        assert!(fails(b"\x89PNG").contains("found 89 50 4e 47 @ f, byte 0"));
        assert!(fails(&[&[0, 0, 8, 3][..], &[0xff; 12]].concat()).contains("too large"));
        for cut in 0..GOOD.len() {
            fails(&GOOD[..cut]);
        }
    }
}
