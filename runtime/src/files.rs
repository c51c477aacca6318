//! Whole files: read with a helpful error, replaced in one step. No formats.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, RuntimeError};

/// The bytes of a file. E0901 with what to do if it cannot be had.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let place = path.display().to_string();
        let packed = PathBuf::from(format!("{place}.gz"));
        match error.kind() {
            io::ErrorKind::NotFound if packed.exists() => RuntimeError::new("E0901", "there is no such file")
                .at(place)
                .help(format!("`{}` exists", packed.display())),
            io::ErrorKind::NotFound => {
                let folder =
                    path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
                let help = match folder {
                    Some(folder) => format!("the folder `{}` does not exist either", folder.display()),
                    None => {
                        "file names are relative to the .snn file; `--data NAME=PATH` replaces one".into()
                    }
                };
                RuntimeError::new("E0901", "there is no such file").at(place).help(help)
            }
            io::ErrorKind::PermissionDenied => RuntimeError::new("E0901", "the file may not be read")
                .at(place)
                .help("change its permissions, or name another file"),
            io::ErrorKind::IsADirectory => RuntimeError::new("E0901", "this is a folder, not a file")
                .at(place)
                .help("name a file inside it"),
            io::ErrorKind::OutOfMemory => {
                RuntimeError::new("E0908", "not enough memory to read the file").at(place)
            }
            _ => RuntimeError::new("E0901", format!("the file cannot be read: {error}")).at(place),
        }
    })
}

/// Writes a file under a temporary name in the same folder, flushes it to the disk and renames it: whoever looks sees the old
/// file or the new one, whole. E0906 if that fails; the temporary file is removed and the old one stays.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |error: io::Error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "the folder does not exist: create it first",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose another folder with `--out`"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space and run again",
            io::ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`)",
            _ => "check the folder and the disk",
        };
        RuntimeError::new("E0906", format!("the file cannot be written: {error}")).in_file(path).help(help)
    };
    let name = path.file_name().ok_or_else(|| failed(io::Error::other("the path names no file")))?;
    let temporary = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let result = write_whole(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = result {
        // Best effort: the error to report is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    sync_folder(path);
    Ok(())
}

fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    write(&mut file)?;
    file.into_inner().map_err(|error| error.into_error())?.sync_all()
}

/// Makes the new name survive a power cut, where folders can be flushed (not on Windows).
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
pub(crate) mod scratch {
    //! A folder for one test that is removed afterwards.

    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn new() -> Scratch {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("snn-runtime-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }

        pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }

        pub fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_come_with_help() {
        let dir = scratch::Scratch::new();
        let error = read(&dir.path().join("x.npy")).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("E0901", "there is no such file"));
        assert!(error.help.unwrap().contains("relative to the .snn file"));
        assert!(read(&dir.path().join("no/x.npy")).unwrap_err().help.unwrap().contains("folder"));
        dir.file("images.gz", b"");
        assert!(read(&dir.path().join("images")).unwrap_err().help.unwrap().contains("images.gz` exists"));
        assert_eq!(read(dir.path()).unwrap_err().code, "E0901");
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = scratch::Scratch::new();
        let path = dir.file("a.npz", b"old");
        replace(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        let error = replace(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let error = error.unwrap_err();
        assert_eq!(error.code, "E0906");
        assert!(error.help.unwrap().contains("free some space"));
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(dir.names(), ["a.npz"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = scratch::Scratch::new();
        let error = replace(&dir.path().join("out/a.npy"), |_| Ok(())).unwrap_err();
        assert_eq!(error.code, "E0906");
        assert!(error.to_string().contains("create it first"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let error = write_whole(full, |out| out.write_all(&[0; 4096])).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
