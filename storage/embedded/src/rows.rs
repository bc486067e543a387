//! Bytes of a log row and of an index run.
//!
//! A flush writes one row per shard: its records back to back, in parts of at most 504 bytes of key
//! and value, because a longer item that straddles a torn unit keeps fjall from opening.
//!
//! ```text
//! key    shard u16 | offset of the first record u64 | part u16            (big endian: sorts)
//! row    count u32 | body length u32 | crc32c u32 | body                  (little endian)
//! body   (entity [22] | seq u64 | length u32 | frame)*
//! ```
//! The checksum covers shard, offset, count and body, so a row found in a wrong place is noticed.

use bytes::Bytes;
use tessera_storage::tail::Entry;
use tessera_storage::{EntityKey, NewRecord, Offset, Seq, ShardId, StoreError, Stored};

/// Bytes of a row's key.
pub const KEY: usize = 12;
/// Bytes of value in one part.
pub const PART: usize = 504 - KEY;
const HEAD: usize = 12;
const RECORD_HEAD: usize = EntityKey::LEN + 8 + 4;

/// Key of one part of a row.
#[must_use]
pub fn key(shard: ShardId, row: Offset, part: u16) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..10].copy_from_slice(&row.to_be_bytes());
    key[10..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Shard, row and part of a key.
#[must_use]
pub fn parse_key(key: &[u8]) -> Option<(ShardId, Offset, u16)> {
    let key: &[u8; KEY] = key.try_into().ok()?;
    let (shard, rest) = key.split_first_chunk::<2>()?;
    let (row, part) = rest.split_first_chunk::<8>()?;
    Some((ShardId(u16::from_be_bytes(*shard)), Offset::from_be_bytes(*row), u16::from_be_bytes(part.try_into().ok()?)))
}

/// Lays out a row in `buffer` (cleared first).
pub fn encode(buffer: &mut Vec<u8>, shard: ShardId, first: Offset, records: &[NewRecord]) {
    buffer.clear();
    buffer.extend_from_slice(&[0; HEAD]);
    for record in records {
        buffer.extend_from_slice(&record.entity.0);
        buffer.extend_from_slice(&record.seq.to_le_bytes());
        buffer.extend_from_slice(&len32(record.frame.len()).to_le_bytes());
        buffer.extend_from_slice(&record.frame);
    }
    let count = len32(records.len());
    let crc = checksum(shard, first, count, &buffer[HEAD..]);
    let body = len32(buffer.len() - HEAD);
    buffer[..4].copy_from_slice(&count.to_le_bytes());
    buffer[4..8].copy_from_slice(&body.to_le_bytes());
    buffer[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// Number of parts of the row whose first part this is; `None` when too short to tell.
#[must_use]
pub fn parts(first: &[u8]) -> Option<usize> {
    let body = u32::from_le_bytes(first.get(4..8)?.try_into().ok()?);
    Some((HEAD + body as usize).div_ceil(PART))
}

/// Reads a whole row.
///
/// # Errors
/// `Corrupt` with the row's place.
pub fn decode(shard: ShardId, row: Offset, bytes: &Bytes) -> Result<Vec<Stored>, StoreError> {
    let damaged = || StoreError::Corrupt(format!("log row at shard {}, offset {row}", shard.0));
    let word = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    let (count, body, crc) = (word(0), word(4), word(8));
    let (Some(count), Some(body), Some(crc)) = (count, body, crc) else { return Err(damaged()) };
    if bytes.len() != HEAD + body as usize || checksum(shard, row, count, &bytes[HEAD..]) != crc {
        return Err(damaged());
    }
    let mut records = Vec::with_capacity(count as usize);
    let mut at = HEAD;
    for offset in (row..).take(count as usize) {
        let head = bytes.get(at..at + RECORD_HEAD).ok_or_else(damaged)?;
        let (entity, rest) = head.split_first_chunk::<{ EntityKey::LEN }>().ok_or_else(damaged)?;
        let (seq, len) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let len = u32::from_le_bytes(len.try_into().map_err(|_| damaged())?) as usize;
        at += RECORD_HEAD;
        if at + len > bytes.len() {
            return Err(damaged());
        }
        records.push(Stored { entity: EntityKey(*entity), seq: Seq::from_le_bytes(*seq), offset, frame: bytes.slice(at..at + len) });
        at += len;
    }
    Ok(records)
}

/// Key of the run of an entity's records that starts at `first`.
#[must_use]
pub fn run_key(entity: &EntityKey, first: Seq) -> [u8; EntityKey::LEN + 8] {
    let mut key = [0; EntityKey::LEN + 8];
    key[..EntityKey::LEN].copy_from_slice(&entity.0);
    key[EntityKey::LEN..].copy_from_slice(&first.to_be_bytes());
    key
}

/// A run: where consecutive records of one entity lie. `crc32c u32 | shard u16 | first seq u64 | row u64*`.
#[must_use]
pub fn encode_run(entries: &[Entry]) -> Vec<u8> {
    let mut value = vec![0; 4];
    if let Some(first) = entries.first() {
        value.extend_from_slice(&first.shard.0.to_le_bytes());
        value.extend_from_slice(&first.seq.to_le_bytes());
    }
    for entry in entries {
        value.extend_from_slice(&entry.row.to_le_bytes());
    }
    let crc = crc32c::crc32c(&value[4..]);
    value[..4].copy_from_slice(&crc.to_le_bytes());
    value
}

/// Reads a run; `None` when damaged.
#[must_use]
pub fn decode_run(value: &[u8]) -> Option<Vec<Entry>> {
    let (crc, rest) = value.split_first_chunk::<4>()?;
    if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (shard, rest) = rest.split_first_chunk::<2>()?;
    let (first, rows) = rest.split_first_chunk::<8>()?;
    let shard = ShardId(u16::from_le_bytes(*shard));
    let rows = rows.chunks_exact(8).map(|row| Offset::from_le_bytes(row.try_into().unwrap_or_default()));
    Some((Seq::from_le_bytes(*first)..).zip(rows).map(|(seq, row)| Entry { seq, shard, row }).collect())
}

fn checksum(shard: ShardId, row: Offset, count: u32, body: &[u8]) -> u32 {
    let mut head = [0; 14];
    head[..2].copy_from_slice(&shard.0.to_le_bytes());
    head[2..10].copy_from_slice(&row.to_le_bytes());
    head[10..].copy_from_slice(&count.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), body)
}

/// Lengths here are bounded by the committer's batch (a few MiB).
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
