//! NumPy's .npz files: zip archives of .npy files, stored or deflated. Zip64 directories and encryption are not read.

use std::path::Path;

use flate2::{Crc, read::DeflateDecoder};

use super::npy::{self, Npy};
use super::read_all;
use crate::error::{Result, RuntimeError};
use crate::files;

/// An archive: its bytes and where its arrays are.
#[derive(Clone, Debug)]
pub struct Npz {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    place: String,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    offset: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Npz {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Npz> {
        Npz::parse(files::read(path)?, &path.display().to_string())
    }

    /// Reads the directory of an archive; `place` names it in errors.
    pub fn parse(bytes: Vec<u8>, place: &str) -> Result<Npz> {
        match directory(&bytes) {
            Ok(entries) => Ok(Npz { bytes, entries, place: place.into() }),
            Err((offset, message)) => Err(RuntimeError::new("E0902", message)
                .at(format!("{place}, byte {offset}"))
                .help("a .npz file as numpy.savez writes it is needed, below 4 GiB")),
        }
    }

    /// Bytes of the archive.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The names of the arrays in the order of the archive.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.strip_suffix(".npy").unwrap_or(&entry.name))
    }

    /// The array `name`. E0910 if there is none, E0902 if it is broken.
    pub fn array(&self, name: &str) -> Result<Npy> {
        let Some(index) = self.names().position(|n| n == name) else {
            let names = Vec::from_iter(self.names()).join(", ");
            return Err(RuntimeError::new("E0910", format!("there is no array `{name}` in the file"))
                .at(&self.place)
                .help(format!("it holds: {names}")));
        };
        let entry = &self.entries[index];
        let place = format!("{}, array `{name}`", self.place);
        let wrong = |message: String| {
            RuntimeError::new("E0902", message).at(format!("{place}, byte {}", entry.offset))
        };
        if entry.flags & 1 != 0 {
            return Err(wrong("the array is encrypted".into()));
        }
        let packed = self.packed(entry).ok_or_else(|| {
            wrong(format!("expected a local header and {} bytes of data, found something else", entry.packed))
        })?;
        let limit = u64::from(entry.size) + 1;
        let data = match entry.method {
            0 => packed.to_vec(),
            8 => read_all(DeflateDecoder::new(packed), limit, &place)?,
            method => return Err(wrong(format!("expected compression method 0 or 8, found {method}"))),
        };
        if data.len() as u64 != u64::from(entry.size) {
            let found = if data.len() as u64 == limit { "more".into() } else { data.len().to_string() };
            return Err(wrong(format!("expected {} unpacked bytes, found {found}", entry.size)));
        }
        let mut crc = Crc::new();
        crc.update(&data);
        if crc.sum() != entry.crc {
            return Err(wrong(format!("expected checksum {:08x}, found {:08x}", entry.crc, crc.sum())));
        }
        npy::parse(data, &place)
    }

    /// The data of an entry. Lengths of name and extra field are those of the local header: they may differ.
    fn packed(&self, entry: &Entry) -> Option<&[u8]> {
        let local = self.bytes.get(entry.offset as usize..)?;
        let start = 30 + usize::from(u16_at(local, 26)?) + usize::from(u16_at(local, 28)?);
        local.starts_with(b"PK\x03\x04").then_some(())?;
        local.get(start..)?.get(..entry.packed as usize)
    }
}

/// The entries of the central directory, or the byte where it is wrong and why.
fn directory(bytes: &[u8]) -> std::result::Result<Vec<Entry>, (usize, String)> {
    if !bytes.starts_with(b"PK") {
        let found = &bytes[..bytes.len().min(4)];
        return Err((0, format!("expected the bytes 50 4b of a zip archive, found {found:02x?}")));
    }
    // The end record is the last of its kind; only a comment of at most 2^16 bytes follows.
    let first = bytes.len().saturating_sub(22 + 0xffff);
    let end = bytes[first..].windows(4).rposition(|window| window == b"PK\x05\x06").map(|i| first + i);
    let Some(end) = end.filter(|end| end + 22 <= bytes.len()) else {
        return Err((bytes.len(), "the file is truncated: expected the end record of a zip archive".into()));
    };
    let count = u16_at(bytes, end + 10).unwrap_or(0);
    let mut at = u32_at(bytes, end + 16).unwrap_or(0) as usize;
    if count == 0xffff || at == 0xffff_ffff {
        return Err((end, "the archive has a zip64 directory, which is not read".into()));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, next) = central(bytes, at)
            .ok_or_else(|| (at, format!("expected {count} directory entries, found {}", entries.len())))?;
        if [entry.packed, entry.size, entry.offset].contains(&0xffff_ffff) {
            return Err((
                at,
                format!("`{}` has 4 GiB or more, which is not read", entry.name.escape_debug()),
            ));
        }
        entries.push(entry);
        at = next;
    }
    Ok(entries)
}

/// The directory entry at a byte and where the next one is.
fn central(bytes: &[u8], at: usize) -> Option<(Entry, usize)> {
    let entry = bytes.get(at..)?;
    entry.starts_with(b"PK\x01\x02").then_some(())?;
    let name = 46 + usize::from(u16_at(entry, 28)?);
    let next = at + name + usize::from(u16_at(entry, 30)?) + usize::from(u16_at(entry, 32)?);
    let entry = Entry {
        name: String::from_utf8_lossy(entry.get(46..name)?).into_owned(),
        flags: u16_at(entry, 8)?,
        method: u16_at(entry, 10)?,
        crc: u32_at(entry, 16)?,
        packed: u32_at(entry, 20)?,
        size: u32_at(entry, 24)?,
        offset: u32_at(entry, 42)?,
    };
    Some((entry, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Array, npz_bytes};

    /// `x = [0, 1, 2]` of unsigned bytes, deflated by zipfile of Python with zip64 fields in the local header, as numpy does.
    const DEFLATED: &str = "\
        504b03042d00000008000000210048ea66ecffffffffffffffff05001400782e6e707901001000830000000000000047\
        000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a\
        12774bcc294e058a17672416a402f91ac63a9a3a0ab50a14002e06462600504b01022d032d00000008000000210048ea\
        66ec4700000083000000050000000000000000000000800100000000782e6e7079504b05060000000001000100330000\
        007e0000000000";

    fn archive() -> Vec<u8> {
        let x = Array::F32 { shape: vec![2, 2], data: &[1.0, 2.0, 3.0, 4.0] };
        let y = Array::U32 { shape: vec![2], data: &[0, 1] };
        npz_bytes(&[("x".into(), x), ("y".into(), y)]).unwrap()
    }

    #[test]
    fn stored_arrays_are_read() {
        let npz = Npz::parse(archive(), "f").unwrap();
        assert_eq!(Vec::from_iter(npz.names()), ["x", "y"]);
        let x = npz.array("x").unwrap();
        assert_eq!((x.shape.clone(), x.floats()), (vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]));
        assert!(npz.array("y").unwrap().is_integer());
        let error = npz.array("z").unwrap_err();
        assert_eq!((error.code, error.help.as_deref()), ("E0910", Some("it holds: x, y")));
    }

    #[test]
    fn deflated_arrays_are_read() {
        let byte = |i| u8::from_str_radix(&DEFLATED[i..i + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..DEFLATED.len()).step_by(2).map(byte).collect();
        let npz = Npz::parse(bytes.clone(), "f").unwrap();
        assert_eq!(npz.array("x").unwrap().floats(), [0.0, 1.0, 2.0]);
        any_damage_is_an_error_or_harmless(&bytes);
    }

    #[test]
    fn damage_does_not_panic() {
        any_damage_is_an_error_or_harmless(&archive());
    }

    fn any_damage_is_an_error_or_harmless(good: &[u8]) {
        let read = |bytes: Vec<u8>| {
            Npz::parse(bytes, "f")
                .and_then(|npz| npz.names().map(|name| npz.array(name)).collect::<Result<Vec<_>>>())
        };
        for cut in 0..good.len() {
            assert_eq!(read(good[..cut].to_vec()).unwrap_err().code, "E0902");
        }
        for (i, flip) in (0..good.len()).flat_map(|i| [1u8, 0x80, 0xff].map(|flip| (i, flip))) {
            let mut bad = good.to_vec();
            bad[i] ^= flip;
            let _ = read(bad);
        }
    }
}
