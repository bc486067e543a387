//! The folder itself: one process, one format version.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tessera_storage::StoreError;

use crate::{log, witness};

/// Version of the layout of the whole folder.
const FORMAT: u32 = 3;

/// An open folder; the lock is held until it is dropped.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Into how many shards entities are hashed here; fixed when the folder was made.
    pub shards: u16,
    _lock: File,
}

impl Folder {
    /// Locks the folder, making it first if it is missing or was never finished.
    ///
    /// # Errors
    /// `Fatal` with one sentence: in use, not writable, or of another format.
    pub fn open(path: &Path, shards: u16) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|e| say(path, "cannot be made", &e))?;
        let lock = File::options().create(true).truncate(false).read(true).write(true).open(path.join("LOCK"));
        let lock = lock.map_err(|e| say(path, "cannot be written to", &e))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                // One that is just ending lets go in a moment.
                Err(TryLockError::WouldBlock) if begun.elapsed() < Duration::from_secs(1) => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => {
                    let text = format!("the folder {} is in use by another process; stop that one first, or name another folder", path.display());
                    return Err(StoreError::Fatal(text));
                }
                Err(TryLockError::Error(e)) => return Err(say(path, "cannot be locked", &e)),
            }
        }
        let shards = match fs::read(path.join("FORMAT")) {
            Ok(bytes) => {
                // It may have been named just before the process ended.
                sync(path).map_err(|e| say(path, "cannot be written to", &e))?;
                parse(path, &String::from_utf8_lossy(&bytes))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => create(path, shards)?,
            Err(e) => return Err(say(path, "cannot be read", &e)),
        };
        Ok(Self { path: path.to_owned(), shards, _lock: lock })
    }

    /// Marks the folder as complete. Called once both databases exist and are synced.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn finish(&self) -> Result<(), StoreError> {
        if self.path.join("FORMAT").exists() {
            return Ok(());
        }
        let write = || -> std::io::Result<()> {
            let new = self.path.join("FORMAT.new");
            let mut file = File::create(&new)?;
            let text = format!("tessera-embedded {FORMAT}\nshards {}\n", self.shards);
            writeln!(file, "{text}crc32c {:08x}", crc32c::crc32c(text.as_bytes()))?;
            file.sync_all()?;
            fs::rename(&new, self.path.join("FORMAT"))?;
            sync(&self.path)
        };
        write().map_err(|e| say(&self.path, "cannot be written to", &e))
    }
}

/// The folder's names, and its own in the folder above, are on the disk.
fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    match path.canonicalize()?.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        // Not ours to read: then it was not us who made the folder there.
        Some(Err(_)) | None => Ok(()),
    }
}

/// Without FORMAT nothing in the folder was ever acknowledged: what is there is a first start that
/// was cut short, unless files are present that we do not make, or something was acknowledged: then FORMAT was lost.
fn create(path: &Path, shards: u16) -> Result<u16, StoreError> {
    let rows = witness::told(&path.join("ACKNOWLEDGED")).map_err(|e| say(path, "cannot be read", &e))?;
    if rows > 0 || log::holds_anything(&path.join("log")) {
        let text = format!("the folder {} holds a log but no FORMAT file: it is damaged; restore it from a backup", path.display());
        return Err(StoreError::Fatal(text));
    }
    for entry in fs::read_dir(path).map_err(|e| say(path, "cannot be read", &e))? {
        let name = entry.map_err(|e| say(path, "cannot be read", &e))?.file_name();
        match name.to_str() {
            Some("LOCK" | "FORMAT.new" | "ACKNOWLEDGED") => {}
            Some("log" | "index") => {
                fs::remove_dir_all(path.join(&name)).map_err(|e| say(path, "cannot be written to", &e))?;
            }
            _ => {
                let text = format!(
                    "the folder {} holds {} but no FORMAT file, so it is not a store; name an empty folder",
                    path.display(),
                    name.display()
                );
                return Err(StoreError::Fatal(text));
            }
        }
    }
    Ok(shards)
}

fn parse(path: &Path, text: &str) -> Result<u16, StoreError> {
    let damaged = || StoreError::Fatal(format!("the file {}/FORMAT is damaged; restore it from a backup", path.display()));
    let (body, crc) = text.split_once("crc32c ").ok_or_else(damaged)?;
    if u32::from_str_radix(crc.trim_end_matches('\n'), 16) != Ok(crc32c::crc32c(body.as_bytes())) || text != format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged());
    }
    let mut lines = body.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("tessera-embedded ")?.parse::<u32>().ok());
    let shards = lines.next().and_then(|line| line.strip_prefix("shards ")?.parse::<u16>().ok());
    match (version, shards) {
        (Some(FORMAT), Some(shards)) if shards > 0 => Ok(shards),
        (Some(other), _) if other != FORMAT => Err(StoreError::Fatal(format!(
            "the folder {} has format {other}, this version reads format {FORMAT}; use the version that wrote it",
            path.display()
        ))),
        _ => Err(damaged()),
    }
}

fn say(path: &Path, what: &str, error: &std::io::Error) -> StoreError {
    StoreError::Fatal(format!("the folder {} {what}: {error}; give this user write access to it, or name another folder", path.display()))
}
