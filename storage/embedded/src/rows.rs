//! Bytes of a log row and of an index run.
//!
//! A commit writes one row: the records of all its shards back to back, in parts of at most 504 bytes
//! of key and value, because a longer item that straddles a torn unit keeps fjall from opening. Rows are
//! numbered, so that keys only grow: the tables that fjall makes of them never overlap, and are never merged.
//!
//! ```text
//! key     row u64 | part u16                                              (big endian: sorts)
//! row     count u32 | body length u32 | crc32c u32 | body                 (little endian)
//! body    record*
//! record  shard u16 | offset u64 | entity [22] | seq u64 | length u32 | crc32c u32 | frame
//! ```
//! The row's checksum covers its number, count and length; a record's covers the row's number and what stands before
//! it. A frame has its own. So a record can be read without the rest of its row, one found in a wrong place is
//! noticed, and damage in a frame harms nobody else.

use bytes::Bytes;
use tessera_storage::committer::Admitted;
use tessera_storage::tail::{Added, Place, Run};
use tessera_storage::{EntityKey, Offset, Seq, ShardId, StoreError, Stored};

/// Bytes of a row's key.
pub const KEY: usize = 10;
/// Bytes of value in one part.
pub const PART: usize = 504 - KEY;
const ROW_HEAD: usize = 12;
/// Bytes before a record's frame.
pub const RECORD_HEAD: usize = 2 + 8 + EntityKey::LEN + 8 + 4 + 4;

/// Key of one part of a row.
#[must_use]
pub fn key(row: u64, part: u16) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(&row.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Row and part of a key.
#[must_use]
pub fn parse_key(key: &[u8]) -> Option<(u64, u16)> {
    let (row, part) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*row), u16::from_be_bytes(part.try_into().ok()?)))
}

/// Lays out a row in `bytes`, and says in `added` where each record lies (both cleared first).
pub fn encode(bytes: &mut Vec<u8>, added: &mut Vec<Added>, row: u64, records: &[Admitted]) {
    bytes.clear();
    added.clear();
    bytes.extend_from_slice(&[0; ROW_HEAD]);
    for Admitted { shard, offset, record } in records {
        let at = bytes.len();
        bytes.extend_from_slice(&shard.0.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&record.entity.0);
        bytes.extend_from_slice(&record.seq.to_le_bytes());
        bytes.extend_from_slice(&len32(record.frame.len()).to_le_bytes());
        let crc = checksum(row, &bytes[at..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&record.frame);
        added.push(Added { entity: record.entity, seq: record.seq, shard: *shard, offset: *offset, place: Place { row, at: len32(at) } });
    }
    let body = len32(bytes.len() - ROW_HEAD);
    bytes[..4].copy_from_slice(&len32(records.len()).to_le_bytes());
    bytes[4..8].copy_from_slice(&body.to_le_bytes());
    let crc = checksum(row, &bytes[..8]);
    bytes[8..ROW_HEAD].copy_from_slice(&crc.to_le_bytes());
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
    pub fn decode(place: Place, bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<RECORD_HEAD>()?;
        let (covered, crc) = head.split_last_chunk::<4>()?;
        if checksum(place.row, covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (shard, rest) = covered.split_first_chunk::<2>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (entity, rest) = rest.split_first_chunk::<{ EntityKey::LEN }>()?;
        let (seq, len) = rest.split_first_chunk::<8>()?;
        let added = Added {
            entity: EntityKey(*entity),
            seq: Seq::from_le_bytes(*seq),
            shard: ShardId(u16::from_le_bytes(*shard)),
            offset: Offset::from_le_bytes(*offset),
            place,
        };
        Some(Self { added, len: u32::from_le_bytes(len.try_into().ok()?) as usize })
    }

    /// The record with its frame.
    #[must_use]
    pub fn stored(&self, frame: Bytes) -> Stored {
        Stored { entity: self.added.entity, seq: self.added.seq, offset: self.added.offset, frame }
    }
}

/// Number of parts of the row whose first part this is; `None` when its head is damaged.
#[must_use]
pub fn parts(row: u64, first: &[u8]) -> Option<usize> {
    row_head(row, first).map(|(_, body)| (ROW_HEAD + body).div_ceil(PART))
}

/// Count of records, and length of the body.
fn row_head(row: u64, bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, _) = bytes.split_first_chunk::<ROW_HEAD>()?;
    let (covered, crc) = head.split_last_chunk::<4>()?;
    let (count, body) = covered.split_first_chunk::<4>()?;
    let body = u32::from_le_bytes(body.try_into().ok()?);
    (checksum(row, covered) == u32::from_le_bytes(*crc)).then_some((u32::from_le_bytes(*count) as usize, body as usize))
}

/// Reads the heads of a whole row. Frames are not looked into.
///
/// # Errors
/// `Corrupt` with the row's number.
pub fn decode(row: u64, bytes: &Bytes) -> Result<Vec<(RecordHead, Bytes)>, StoreError> {
    let damaged = || StoreError::Corrupt(format!("log row {row}"));
    let (count, body) = row_head(row, bytes).ok_or_else(damaged)?;
    if bytes.len() != ROW_HEAD + body {
        return Err(damaged());
    }
    let mut records = Vec::with_capacity(count);
    let mut at = ROW_HEAD;
    for _ in 0..count {
        let head = bytes.get(at..).and_then(|rest| RecordHead::decode(Place { row, at: len32(at) }, rest)).ok_or_else(damaged)?;
        let frame = at + RECORD_HEAD..at + RECORD_HEAD + head.len;
        at = frame.end;
        if at > bytes.len() {
            return Err(damaged());
        }
        records.push((head, bytes.slice(frame)));
    }
    Ok(records)
}

/// Key of the run of an entity's records that starts at `first`.
#[must_use]
pub fn entity_run_key(entity: &EntityKey, first: Seq) -> [u8; EntityKey::LEN + 8] {
    let mut key = [0; EntityKey::LEN + 8];
    key[..EntityKey::LEN].copy_from_slice(&entity.0);
    key[EntityKey::LEN..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Key of the run of a shard's records that starts at `first`.
#[must_use]
pub fn shard_run_key(shard: ShardId, first: Offset) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..].copy_from_slice(&first.to_be_bytes());
    key
}

/// A run: where consecutive records lie. `crc32c u32 | number of the first u64 | first row u64 | (rows after it u32 | at u32)*`.
#[must_use]
pub fn encode_run(first: u64, places: &[Place]) -> Vec<u8> {
    let base = places.first().map_or(0, |place| place.row);
    let mut value = Vec::with_capacity(20 + 8 * places.len());
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&first.to_le_bytes());
    value.extend_from_slice(&base.to_le_bytes());
    for place in places {
        // A window has 65,536 records: rows within it are near one another.
        value.extend_from_slice(&u32::try_from(place.row - base).unwrap_or(u32::MAX).to_le_bytes());
        value.extend_from_slice(&place.at.to_le_bytes());
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
    let (base, rest) = rest.split_first_chunk::<8>()?;
    let base = u64::from_le_bytes(*base);
    let places = rest.chunks_exact(8).map(|place| {
        let (row, at) = place.split_first_chunk::<4>()?;
        Some(Place { row: base + u64::from(u32::from_le_bytes(*row)), at: u32::from_le_bytes(at.try_into().ok()?) })
    });
    Some(Run { first: u64::from_le_bytes(*first), places: places.collect::<Option<_>>()? })
}

fn checksum(row: u64, covered: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&row.to_le_bytes()), covered)
}

/// Lengths here are bounded by the committer's batch (a few MiB).
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
