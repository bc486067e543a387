//! Reading the log: one record, or row after row.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tessera_storage::tail::Commit;
use tessera_storage::{StoreError, Stored};

use crate::folder::Folder;
use crate::rows::{self, MAGIC, RECORD_HEAD, ROW_HEAD, RecordHead, Row, RowHead};
use crate::segments::{SEGMENT, Segments, said};

/// Bytes read at once for one record; most are shorter.
const GUESS: usize = 2_048;

/// The `log/` folder.
#[derive(Clone, Debug)]
pub struct Log {
    pub(crate) segments: Segments,
}

/// Where the log ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct End {
    /// Number of the next row.
    pub row: u64,
    /// Its position.
    pub position: u64,
}

/// What stands at a position.
enum Found {
    Row(RowHead, Bytes),
    /// A row whose head is whole and whose body is not.
    Torn(RowHead, Bytes),
    Nothing,
}

impl Log {
    /// Opens or makes it.
    ///
    /// # Errors
    /// `Fatal` with one sentence.
    pub fn open(path: &Path, folder: &Arc<Folder>) -> Result<Self, StoreError> {
        Ok(Self { segments: Segments::open(path, folder)? })
    }

    /// Reads one record. Its frame is for the caller to check.
    ///
    /// # Errors
    /// `Corrupt` when what stands at that place is damaged.
    pub fn record(&self, place: u64) -> Result<(RecordHead, Stored), StoreError> {
        let damaged = || StoreError::Corrupt(format!("the record at {place} of the log"));
        let read = |from: u64, bytes: &mut [u8]| {
            let read = self.segments.read(from, bytes).map_err(|e| StoreError::Corrupt(format!("the record at {place} of the log: {}", said(&e))))?;
            Ok::<_, StoreError>(read)
        };
        let mut bytes = vec![0; GUESS];
        let have = read(place, &mut bytes)?;
        let head = RecordHead::decode(place, &bytes[..have]).ok_or_else(damaged)?;
        let end = RECORD_HEAD + head.len;
        bytes.resize(end, 0);
        if have < end && read(place + have as u64, &mut bytes[have..])? < end - have {
            return Err(damaged());
        }
        Ok((head, head.stored(Bytes::from(bytes).slice(RECORD_HEAD..))))
    }

    /// Whether the commit that an index was written up to is where it says.
    #[must_use]
    pub fn has(&self, commit: Commit) -> bool {
        let mut head = [0; ROW_HEAD];
        let read = self.segments.read(commit.start, &mut head).is_ok_and(|read| read == ROW_HEAD);
        read && RowHead::decode(commit.start, &head).is_some_and(|head| head.row == commit.number)
    }

    /// Calls `each` with every row from `from` on, in order, until it answers false or the row ends at `to`; answers where
    /// the log ends, or where it stopped. While the log is written, `to` must be a position up to which it is durable. A
    /// row that was being written when the power went is not counted, nor is it changed.
    ///
    /// # Errors
    /// `Corrupt` when a row is damaged, which shows by another one after it.
    pub fn scan(&self, from: End, to: Option<u64>, mut each: impl FnMut(Commit, Row) -> bool) -> Result<End, StoreError> {
        let mut end = from;
        let mut number = end.position / SEGMENT;
        loop {
            let base = number * SEGMENT;
            let bytes = self.segment(number)?;
            loop {
                let (head, body) = match row_at(base, &bytes, end.position) {
                    Found::Row(head, body) if head.row == end.row => (head, body),
                    // Damage in a frame harms the member whose it is, when that is read.
                    Found::Torn(head, body) if head.row == end.row && self.follows(base, &bytes, &head, end.position)? => {
                        tracing::error!(row = head.row, "a row of the log is damaged: the member whose record it is will be stopped");
                        (head, body)
                    }
                    _ => break,
                };
                let row = rows::decode(end.position, &head, &body)?;
                let start = end.position;
                end = End { row: head.row + 1, position: start + (ROW_HEAD + head.len) as u64 };
                if !each(Commit { number: head.row, start, end: end.position }, row) || to.is_some_and(|to| end.position >= to) {
                    return Ok(end);
                }
            }
            // Here the log ends, or goes on in the next segment, or is damaged: then a later row is somewhere.
            match self.first(number + 1)? {
                Some(head) if head.row == end.row => {
                    number += 1;
                    end.position = number * SEGMENT;
                }
                None if !self.later(number, &bytes, end)? => return Ok(end),
                _ => return Err(StoreError::Corrupt(format!("log row {}", end.row))),
            }
        }
    }

    /// Whether another row stands after the one at `position`.
    fn follows(&self, base: u64, bytes: &Bytes, head: &RowHead, position: u64) -> Result<bool, StoreError> {
        let after = position + (ROW_HEAD + head.len) as u64;
        let here = matches!(row_at(base, bytes, after), Found::Row(next, _) | Found::Torn(next, _) if next.row == head.row + 1);
        let number = base / SEGMENT + 1;
        Ok(here || self.first(number)?.is_some_and(|next| next.row == head.row + 1))
    }

    /// Whether a row later than the end stands after it, in its segment or in one that follows: a write that was cut
    /// short leaves only the next.
    fn later(&self, number: u64, bytes: &Bytes, end: End) -> Result<bool, StoreError> {
        if later(number * SEGMENT, bytes, end) {
            return Ok(true);
        }
        let mut number = number + 1;
        while self.has_segment(number)? {
            if later(number * SEGMENT, &self.segment(number)?, End { position: number * SEGMENT, ..end }) {
                return Ok(true);
            }
            number += 1;
        }
        Ok(false)
    }

    fn has_segment(&self, number: u64) -> Result<bool, StoreError> {
        self.segments.has(number).map_err(|e| unreadable(number, &e))
    }

    /// The first row of a segment; `None` when it has none, or is not there.
    fn first(&self, number: u64) -> Result<Option<RowHead>, StoreError> {
        if !self.has_segment(number)? {
            return Ok(None);
        }
        let mut head = [0; ROW_HEAD];
        self.segments.read(number * SEGMENT, &mut head).map_err(|e| unreadable(number, &e))?;
        Ok(RowHead::decode(number * SEGMENT, &head))
    }

    fn segment(&self, number: u64) -> Result<Bytes, StoreError> {
        self.segments.whole(number).map(Bytes::from).map_err(|e| unreadable(number, &e))
    }

    /// Writes the last row once more and flushes it. It may be there only in memory, when the process ended between its
    /// write and its flush; before anybody is told of it, it must be on the disk. Written again, since after a flush that
    /// failed the next one may say that all is well.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn settle(&self, last: Commit) -> Result<(), StoreError> {
        let number = last.start / SEGMENT;
        let settle = || -> std::io::Result<()> {
            let mut row = vec![0; offset(last.end - last.start)];
            self.segments.read(last.start, &mut row)?;
            let file = self.segments.writable(number)?;
            file.write_all_at(&row, last.start % SEGMENT)?;
            file.sync_data()
        };
        settle().map_err(|e| StoreError::Fatal(format!("the log cannot be written: {}", said(&e))))
    }

    /// Writes zeros over what a torn row has left after the end, so that it can never be taken for a later one.
    ///
    /// # Errors
    /// `Fatal` when it cannot be written.
    pub fn clean(&self, end: End) -> Result<(), StoreError> {
        let fatal = |e: std::io::Error| StoreError::Fatal(format!("the log cannot be written: {}", said(&e)));
        for number in end.position / SEGMENT.. {
            if !self.has_segment(number)? {
                break;
            }
            let bytes = self.segment(number)?;
            let start = offset(end.position.saturating_sub(number * SEGMENT));
            if let Some(last) = bytes[start..].iter().rposition(|byte| *byte != 0) {
                let file = self.segments.writable(number).map_err(fatal)?;
                file.write_all_at(&vec![0; last + 1], start as u64).and_then(|()| file.sync_data()).map_err(fatal)?;
                tracing::info!(bytes = last + 1, "a write that was cut short, and not acknowledged, was taken off the log's end");
            }
        }
        Ok(())
    }
}

/// Whether a folder holds a log with at least one row, as far as can be read.
#[must_use]
pub fn holds_anything(path: &Path) -> bool {
    let mut head = [0; ROW_HEAD];
    let read = std::fs::File::open(path.join("00000000.log")).and_then(|file| file.read_exact_at(&mut head, 0));
    read.is_ok() && RowHead::decode(0, &head).is_some()
}

/// What stands at `position` of the segment that begins at `base`.
fn row_at(base: u64, bytes: &Bytes, position: u64) -> Found {
    let at = offset(position - base);
    let Some(head) = bytes.get(at..).and_then(|rest| RowHead::decode(position, rest)) else { return Found::Nothing };
    let body = at + ROW_HEAD..at + ROW_HEAD + head.len;
    if body.end > bytes.len() {
        return Found::Nothing;
    }
    let body = bytes.slice(body);
    if head.matches(&body) { Found::Row(head, body) } else { Found::Torn(head, body) }
}

/// Whether a row later than the end stands after it in its segment.
fn later(base: u64, bytes: &Bytes, end: End) -> bool {
    let rest = &bytes[offset(end.position - base)..];
    let mut found = memchr::memmem::find_iter(rest, &MAGIC);
    found.any(|at| RowHead::decode(end.position + at as u64, &rest[at..]).is_some_and(|head| head.row > end.row))
}

/// An offset in a segment: 16 MiB at most.
fn offset(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn unreadable(number: u64, error: &std::io::Error) -> StoreError {
    StoreError::Corrupt(format!("segment {number} of the log: {}", said(error)))
}
