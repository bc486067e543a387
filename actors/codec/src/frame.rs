//! `magic u8 | frame version u8 | type u16 | schema u16 | flags u8 | length u32 | body | crc32c u32`
//!
//! Little endian. The checksum covers entity and sequence number too, so that a frame found in
//! another's place is noticed.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bytes::Bytes;

use crate::Type;
use crate::wire::{Reading, Wire, Writing};

const MAGIC: u8 = 0xC7;
const FRAME_VERSION: u8 = 1;
const HEAD: usize = 11;
const TAIL: usize = 4;
/// Bytes of a record's body, at most.
pub const LIMIT: usize = 65_536;
/// Bytes of a snapshot's core page, at most.
pub const LARGE: usize = 64 << 20;

/// The body would be longer than a frame may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body would be longer than a frame may be")]
pub struct TooLong;

/// Why bytes cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// They are not what was written, or not in their place.
    #[error("the stored bytes are damaged: {0}")]
    Damaged(&'static str),
    /// They are whole, and newer than this program.
    #[error("the stored bytes are of a version this program does not know (type {0}, version {1}); use the version that wrote them, or a newer one")]
    Unknown(u16, u16),
}

pub(crate) fn encode<T: Wire>(kind: Type, schema: u16, entity: &[u8], seq: u64, value: &T) -> Result<Bytes, TooLong> {
    build::<T, LIMIT>(kind, schema, entity, seq, value)
}

pub(crate) fn encode_large<T: Wire>(kind: Type, schema: u16, entity: &[u8], seq: u64, value: &T) -> Result<Bytes, TooLong> {
    build::<T, LARGE>(kind, schema, entity, seq, value)
}

pub(crate) fn decode<T: Wire>(kind: Type, schema: u16, entity: &[u8], seq: u64, bytes: &[u8]) -> Result<T, Damage> {
    read::<T, LIMIT>(kind, schema, entity, seq, bytes).and_then(whole)
}

pub(crate) fn decode_large<T: Wire>(kind: Type, schema: u16, entity: &[u8], seq: u64, bytes: &[u8]) -> Result<T, Damage> {
    read::<T, LARGE>(kind, schema, entity, seq, bytes).and_then(whole)
}

/// What stands at the beginning of a body.
pub(crate) fn decode_beginning<T: Wire>(kind: Type, schema: u16, entity: &[u8], seq: u64, bytes: &[u8]) -> Result<T, Damage> {
    read::<T, LIMIT>(kind, schema, entity, seq, bytes).map(|(value, _)| value)
}

fn whole<T>((value, used_up): (T, bool)) -> Result<T, Damage> {
    if used_up { Ok(value) } else { Err(Damage::Damaged("bytes are left over")) }
}

/// What a body may come to in memory while it is read. bincode charges whole integers there and their few bytes when it
/// writes, so the limit of the bytes would refuse what it has written: the length is checked apart.
const READ: usize = LARGE * 32;

fn config<const N: usize>() -> Configuration<LittleEndian, Varint, Limit<N>> {
    standard().with_limit::<N>()
}

fn build<T: Wire, const N: usize>(kind: Type, schema: u16, entity: &[u8], seq: u64, value: &T) -> Result<Bytes, TooLong> {
    let mut frame = Vec::with_capacity(2_048);
    frame.extend_from_slice(&[MAGIC, FRAME_VERSION]);
    frame.extend_from_slice(&(kind as u16).to_le_bytes());
    frame.extend_from_slice(&schema.to_le_bytes());
    frame.extend_from_slice(&[0; 5]);
    let body = bincode::encode_into_std_write(Writing(value), &mut frame, config::<N>()).map_err(|_| TooLong)?;
    if body > N {
        return Err(TooLong);
    }
    let len = u32::try_from(body).map_err(|_| TooLong)?;
    frame[7..HEAD].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(entity, seq, &frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    Ok(frame.into())
}

fn read<T: Wire, const N: usize>(kind: Type, schema: u16, entity: &[u8], seq: u64, bytes: &[u8]) -> Result<(T, bool), Damage> {
    let short = Damage::Damaged("too short");
    let (frame, crc) = bytes.split_last_chunk::<TAIL>().ok_or(short.clone())?;
    if checksum(entity, seq, frame) != u32::from_le_bytes(*crc) {
        return Err(Damage::Damaged("the checksum is wrong"));
    }
    let (head, body) = frame.split_first_chunk::<HEAD>().ok_or(short)?;
    let [magic, version, k0, k1, s0, s1, flags, l0, l1, l2, l3] = *head;
    let (found, newer) = (u16::from_le_bytes([k0, k1]), u16::from_le_bytes([s0, s1]));
    if body.len() > N {
        return Err(Damage::Damaged("longer than a frame may be"));
    }
    if magic != MAGIC || u32::from_le_bytes([l0, l1, l2, l3]) as usize != body.len() {
        return Err(Damage::Damaged("not a frame"));
    }
    if version != FRAME_VERSION || flags != 0 || newer != schema || found != kind as u16 {
        return Err(Damage::Unknown(found, newer));
    }
    let (Reading(value), used) = bincode::decode_from_slice::<Reading<T>, _>(body, config::<READ>()).map_err(|_| Damage::Damaged("the body cannot be read"))?;
    Ok((value, used == body.len()))
}

fn checksum(entity: &[u8], seq: u64, frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(entity);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &seq.to_le_bytes()), frame)
}
