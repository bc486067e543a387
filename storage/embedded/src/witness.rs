//! What was acknowledged, told by a second file: at least so many records and so many cells.
//!
//! fjall takes damage in its journal for a torn tail and cuts it off. A tail that nobody was promised may go; one that was
//! acknowledged may not, and only something outside the journal can tell the two apart. So after each durable commit the
//! totals are written here, without a flush: what survives is at most what was durable, never more, and a log that has
//! less than this has lost something.
//!
//! Two slots of 512 bytes, written in turn, so that a torn one leaves the other: `records u64 | cells u64 | crc32c u32`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tessera_storage::StoreError;

const SLOT: u64 = 512;
const LEN: usize = 20;

/// Records in all shards, and writes of cells, since the folder was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Totals {
    /// Σ heads of the shards.
    pub records: u64,
    /// Commits that changed a cell.
    pub cells: u64,
}

/// The file, open for writing.
#[derive(Debug)]
pub struct Witness {
    file: File,
    totals: Totals,
    turn: u64,
}

impl Witness {
    /// Opens it beside a log that stands at `found`.
    ///
    /// # Errors
    /// `Fatal` when the log has less than was acknowledged, or the file cannot be written.
    pub fn open(path: &Path, found: Totals) -> Result<Self, StoreError> {
        let fatal = |e: std::io::Error| StoreError::Fatal(format!("{} cannot be opened: {e}", path.display()));
        let exists = path.exists();
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(fatal)?;
        let told = (0..2).filter_map(|slot| read(&file, slot)).fold(None, |most: Option<Totals>, one| Some(most.map_or(one, |most| most.max(one))));
        match told {
            Some(told) if told.records > found.records || told.cells > found.cells => {
                let text = format!(
                    "the log holds {} records and {} changes of cells, but {} and {} were acknowledged: the log is damaged; restore the folder from a backup",
                    found.records, found.cells, told.records, told.cells
                );
                return Err(StoreError::Fatal(text));
            }
            None if exists && found != Totals::default() => tracing::warn!(path = %path.display(), "the witness of what was acknowledged is damaged; it is written anew"),
            Some(_) | None => {}
        }
        Ok(Self { file, totals: found, turn: 0 })
    }

    /// Notes a durable commit.
    ///
    /// # Errors
    /// What the disk said.
    pub fn note(&mut self, records: u64, cells: bool) -> std::io::Result<()> {
        self.totals.records += records;
        self.totals.cells += u64::from(cells);
        let mut slot = [0; LEN];
        slot[..8].copy_from_slice(&self.totals.records.to_le_bytes());
        slot[8..16].copy_from_slice(&self.totals.cells.to_le_bytes());
        let crc = crc32c::crc32c(&slot[..16]);
        slot[16..].copy_from_slice(&crc.to_le_bytes());
        self.turn ^= 1;
        self.file.write_all_at(&slot, self.turn * SLOT)
    }

    /// Writes of cells so far.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.totals.cells
    }
}

fn read(file: &File, slot: u64) -> Option<Totals> {
    let mut bytes = [0; LEN];
    file.read_exact_at(&mut bytes, slot * SLOT).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    Some(Totals { records: number(0)?, cells: number(8)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_less_than_was_acknowledged_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ACKNOWLEDGED");
        let mut witness = Witness::open(&path, Totals::default()).expect("new");
        for _ in 0..3 {
            witness.note(2, true).expect("written");
        }
        assert!(Witness::open(&path, Totals { records: 6, cells: 3 }).is_ok());
        assert!(Witness::open(&path, Totals { records: 7, cells: 3 }).is_ok(), "a commit that was durable and not noted yet");
        assert!(Witness::open(&path, Totals { records: 5, cells: 3 }).is_err());
        assert!(Witness::open(&path, Totals { records: 6, cells: 2 }).is_err());
    }
}
