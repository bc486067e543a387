//! Bytes of a log row and of an index run. Positions are bytes from the log's beginning; all numbers are little endian.
//!
//! A commit writes one row: the records of all its shards and the changes of cells, back to back.
//!
//! ```text
//! row     magic [4] | body length u32 | row u64 | records u32 | cells u32 | crc32c of body u32 | crc32c u32 | body
//! body    record* cell*
//! record  shard u16 | offset u64 | entity [22] | seq u64 | due i64, the least: as before | length u32 | crc32c u32 | frame
//! cell    key length u16 | value length u32, or all ones: removed | key | value
//! ```
//! The checksums of a row's and a record's head cover its position and what stands before them. So a record can be read
//! without the rest of its row, one in a wrong place is noticed, and damage in a frame, which has a checksum of its own,
//! harms nobody else.

use bytes::Bytes;
use tessera_storage::committer::{Admitted, Batch};
use tessera_storage::tail::{Added, Run};
use tessera_storage::{Due, EntityKey, Offset, Seq, ShardId, StoreError, Stored};

/// Begins every row.
pub const MAGIC: [u8; 4] = *b"\xABTsR";
/// Bytes of a row's head.
pub const ROW_HEAD: usize = 4 + 4 + 8 + 4 + 4 + 4 + 4;
/// Bytes before a record's frame.
pub const RECORD_HEAD: usize = 2 + 8 + EntityKey::LEN + 8 + 8 + 4 + 4;
const REMOVED: u32 = u32::MAX;
const AS_BEFORE: Due = Due::MIN;

/// A cell and its value; `None` = removed.
pub type CellChange = (Bytes, Option<Bytes>);

/// Lays out a row in `bytes` for `position`, and says in `added` where each record lies (both cleared first).
pub fn encode(bytes: &mut Vec<u8>, added: &mut Vec<Added>, position: u64, row: u64, batch: &Batch) {
    bytes.clear();
    added.clear();
    bytes.extend_from_slice(&[0; ROW_HEAD]);
    for Admitted { shard, offset, record } in &batch.records {
        let at = bytes.len();
        let place = position + at as u64;
        bytes.extend_from_slice(&shard.0.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&record.entity.0);
        bytes.extend_from_slice(&record.seq.to_le_bytes());
        bytes.extend_from_slice(&record.due.unwrap_or(AS_BEFORE).to_le_bytes());
        bytes.extend_from_slice(&len32(record.frame.len()).to_le_bytes());
        let crc = checksum(place, &bytes[at..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&record.frame);
        added.push(Added { entity: record.entity, seq: record.seq, shard: *shard, offset: *offset, place, due: record.due });
    }
    for (key, value) in &batch.cells {
        // Keys of cells have some tens of bytes.
        bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(&value.as_ref().map_or(REMOVED, |value| len32(value.len())).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let (head, body) = bytes.split_at_mut(ROW_HEAD);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&len32(body.len()).to_le_bytes());
    head[8..16].copy_from_slice(&row.to_le_bytes());
    head[16..20].copy_from_slice(&len32(batch.records.len()).to_le_bytes());
    head[20..24].copy_from_slice(&len32(batch.cells.len()).to_le_bytes());
    head[24..28].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let crc = checksum(position, &head[..28]);
    head[28..].copy_from_slice(&crc.to_le_bytes());
}

/// What stands before a row's body.
#[derive(Clone, Copy, Debug)]
pub struct RowHead {
    /// The row's number, dense from 0.
    pub row: u64,
    /// Length of the body in bytes.
    pub len: usize,
    records: usize,
    cells: usize,
    crc: u32,
}

impl RowHead {
    /// Reads the head of the row at `position`; `None` when there is none, or it is damaged.
    #[must_use]
    pub fn decode(position: u64, bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<ROW_HEAD>()?;
        let (covered, crc) = head.split_last_chunk::<4>()?;
        if !covered.starts_with(&MAGIC) || checksum(position, covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(covered.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            len: word(4)? as usize,
            row: u64::from_le_bytes(covered.get(8..16)?.try_into().ok()?),
            records: word(16)? as usize,
            cells: word(20)? as usize,
            crc: word(24)?,
        })
    }

    /// Whether the body is as it was written.
    #[must_use]
    pub fn matches(&self, body: &[u8]) -> bool {
        body.len() == self.len && crc32c::crc32c(body) == self.crc
    }
}

/// A row that was read. Frames are not looked into.
pub struct Row {
    /// Its records.
    pub records: Vec<(RecordHead, Bytes)>,
    /// Its changes of cells.
    pub cells: Vec<CellChange>,
}

/// Reads the row at `position`. A body that does not match its checksum can be read if the damage is within a frame,
/// unless cells, which have no checksum of their own, stand beside it.
///
/// # Errors
/// `Corrupt` with the row's number.
pub fn decode(position: u64, head: &RowHead, body: &Bytes) -> Result<Row, StoreError> {
    let damaged = || StoreError::Corrupt(format!("log row {}", head.row));
    if head.cells > 0 && !head.matches(body) {
        return Err(damaged());
    }
    let mut records = Vec::with_capacity(head.records);
    let mut at = 0;
    for _ in 0..head.records {
        let place = position + (ROW_HEAD + at) as u64;
        let record = body.get(at..).and_then(|rest| RecordHead::decode(place, rest)).ok_or_else(damaged)?;
        let frame = at + RECORD_HEAD..at + RECORD_HEAD + record.len;
        at = frame.end;
        if at > body.len() {
            return Err(damaged());
        }
        records.push((record, body.slice(frame)));
    }
    let mut rest = body.slice(at..);
    let mut cells = Vec::with_capacity(head.cells);
    for _ in 0..head.cells {
        cells.push(take_cell(&mut rest).ok_or_else(damaged)?);
    }
    Ok(Row { records, cells })
}

fn take_cell(rest: &mut Bytes) -> Option<CellChange> {
    let (lens, _) = rest.split_first_chunk::<6>()?;
    let key = usize::from(u16::from_le_bytes([lens[0], lens[1]]));
    let value = u32::from_le_bytes([lens[2], lens[3], lens[4], lens[5]]);
    let end = 6 + key + if value == REMOVED { 0 } else { value as usize };
    if end > rest.len() {
        return None;
    }
    let cell = rest.split_to(end);
    // Copied: a cell that is kept must not keep its row.
    Some((Bytes::copy_from_slice(&cell[6..6 + key]), (value != REMOVED).then(|| Bytes::copy_from_slice(&cell[6 + key..]))))
}

/// What stands before a record's frame.
#[derive(Clone, Copy, Debug)]
pub struct RecordHead {
    /// Whose, which and where.
    pub added: Added,
    /// Length of the frame in bytes.
    pub len: usize,
}

impl RecordHead {
    /// Reads the head of the record at `place`; `None` when it is damaged.
    #[must_use]
    pub fn decode(place: u64, bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<RECORD_HEAD>()?;
        let (covered, crc) = head.split_last_chunk::<4>()?;
        if checksum(place, covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (shard, rest) = covered.split_first_chunk::<2>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (entity, rest) = rest.split_first_chunk::<{ EntityKey::LEN }>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (due, len) = rest.split_first_chunk::<8>()?;
        let added = Added {
            entity: EntityKey(*entity),
            seq: Seq::from_le_bytes(*seq),
            shard: ShardId(u16::from_le_bytes(*shard)),
            offset: Offset::from_le_bytes(*offset),
            place,
            due: Some(Due::from_le_bytes(*due)).filter(|due| *due != AS_BEFORE),
        };
        Some(Self { added, len: u32::from_le_bytes(len.try_into().ok()?) as usize })
    }

    /// The record with its frame.
    #[must_use]
    pub fn stored(&self, frame: Bytes) -> Stored {
        Stored { entity: self.added.entity, seq: self.added.seq, offset: self.added.offset, frame }
    }
}

/// A run: where consecutive records lie. `crc32c u32 | number of the first u64 | place u64*`.
#[must_use]
pub fn encode_run(first: u64, places: &[u64]) -> Vec<u8> {
    let mut value = Vec::with_capacity(12 + 8 * places.len());
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&first.to_le_bytes());
    for place in places {
        value.extend_from_slice(&place.to_le_bytes());
    }
    let crc = crc32c::crc32c(&value[4..]);
    value[..4].copy_from_slice(&crc.to_le_bytes());
    value
}

/// Reads a run; `None` when damaged.
#[must_use]
pub fn decode_run(value: &[u8]) -> Option<Run> {
    let (crc, rest) = value.split_first_chunk::<4>()?;
    if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let places = rest.chunks_exact(8).map(|place| place.try_into().map(u64::from_le_bytes));
    Some(Run { first: u64::from_le_bytes(*first), places: places.collect::<Result<_, _>>().ok()? })
}

fn checksum(position: u64, covered: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), covered)
}

/// Lengths here are bounded by the committer's batch (a few MiB).
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
