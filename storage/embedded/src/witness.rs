//! What was acknowledged, told by a second file: at least so many rows of the log.
//!
//! A row at the log's end that cannot be read was torn by a cut of power, or was damaged later. One that nobody was
//! promised may go; one that was acknowledged may not, and only something outside the log can tell the two apart. So
//! after each durable commit the number of rows is written here, without a flush: what survives is at most what was
//! durable, never more, and a log that has less than this has lost something.
//!
//! Two slots of 512 bytes, written in turn, so that a torn one leaves the other: `rows u64 | crc32c u32`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tessera_storage::StoreError;

const SLOT: u64 = 512;
const LEN: usize = 12;

/// The file, open for writing.
#[derive(Debug)]
pub struct Witness {
    file: File,
    turn: u64,
}

impl Witness {
    /// Opens it beside a log that has `rows`.
    ///
    /// # Errors
    /// `Fatal` when the log has less than was acknowledged, or the file cannot be written.
    pub fn open(path: &Path, rows: u64) -> Result<Self, StoreError> {
        let fatal = |e: std::io::Error| StoreError::Fatal(format!("{} cannot be opened: {e}", path.display()));
        let exists = path.exists();
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(fatal)?;
        match newest(&file) {
            Some(told) if told > rows => {
                let text = format!("the log holds {rows} commits, but {told} were acknowledged: the log is damaged; restore the folder from a backup");
                return Err(StoreError::Fatal(text));
            }
            None if exists && rows > 0 => tracing::warn!(path = %path.display(), "the witness of what was acknowledged is damaged; it is written anew"),
            Some(_) | None => {}
        }
        Ok(Self { file, turn: 0 })
    }

    /// Notes that the log durably has `rows`.
    ///
    /// # Errors
    /// What the disk said.
    pub fn note(&mut self, rows: u64) -> std::io::Result<()> {
        let mut slot = [0; LEN];
        slot[..8].copy_from_slice(&rows.to_le_bytes());
        slot[8..].copy_from_slice(&crc32c::crc32c(&rows.to_le_bytes()).to_le_bytes());
        self.turn ^= 1;
        self.file.write_all_at(&slot, self.turn * SLOT)
    }
}

/// How many rows were acknowledged, as far as a file tells; 0 when there is none, or it tells nothing.
///
/// # Errors
/// When a file that is there cannot be opened.
pub fn told(path: &Path) -> std::io::Result<u64> {
    match File::open(path) {
        Ok(file) => Ok(newest(&file).unwrap_or(0)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn newest(file: &File) -> Option<u64> {
    (0..2).filter_map(|slot| read(file, slot)).max()
}

fn read(file: &File, slot: u64) -> Option<u64> {
    let mut bytes = [0; LEN];
    file.read_exact_at(&mut bytes, slot * SLOT).ok()?;
    let (rows, crc) = bytes.split_first_chunk::<8>()?;
    (crc32c::crc32c(rows).to_le_bytes() == *crc).then(|| u64::from_le_bytes(*rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_less_than_was_acknowledged_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ACKNOWLEDGED");
        let mut witness = Witness::open(&path, 0).expect("new");
        for rows in 1..=3 {
            witness.note(rows).expect("written");
        }
        assert!(Witness::open(&path, 3).is_ok());
        assert!(Witness::open(&path, 4).is_ok(), "a commit that was durable and not noted yet");
        assert!(Witness::open(&path, 2).is_err());
    }
}
