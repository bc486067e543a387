//! Frozen bytes of everything stored: the only user of bincode.
//!
//! | module | holds |
//! | --- | --- |
//! | [`frame`] | magic, versions, type id, length, checksum |
//! | [`wire`] | how fields become bytes; the macros that freeze a layout |
//! | [`layout`] | the frozen layouts, one list of fields per type |
//!
//! Invariants: a layout that has shipped never changes (golden bytes in `tests/golden`); variants have
//! written tags, never their place in an enum; a length in the bytes cannot make us allocate more
//! than a frame may hold.

pub mod frame;
mod layout;
pub mod wire;

use bytes::Bytes;
use tessera_domain::budget::BudgetRecord;
use tessera_domain::keys::Page;
use tessera_domain::member::Member;
use tessera_domain::receipts::{BookRecord, Change};
use tessera_domain::record::{Beginning, Record};
use tessera_domain::versions::VersionRecord;

pub use frame::{Damage, TooLong};

/// What a frame holds. A registry: a number is never used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// A member's record.
    MemberRecord = 1,
    /// The core page of a member's snapshot.
    MemberCore = 2,
    /// A sealed page of keys.
    KeyPage = 3,
    /// A record of a programme's history.
    VersionRecord = 4,
    /// A close of accounting days.
    CloseRecord = 5,
    /// What a book of receipts records.
    BookRecord = 6,
    /// A change of the list of exceptions.
    ExceptionRecord = 7,
    /// What the budget of a campaign records.
    BudgetRecord = 8,
}

/// Frames a member's record.
///
/// # Errors
/// [`TooLong`] when its body is longer than a frame may be.
pub fn encode_record(entity: &[u8], seq: u64, record: &Record) -> Result<Bytes, TooLong> {
    frame::encode(Type::MemberRecord, 1, entity, seq, record)
}

/// Reads a member's record back.
///
/// # Errors
/// [`Damage`] when the bytes are damaged, misplaced, or of a version this program does not know.
pub fn decode_record(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<Record, Damage> {
    frame::decode(Type::MemberRecord, 1, entity, seq, bytes)
}

/// Reads what stands at its beginning.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_beginning(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<Beginning, Damage> {
    frame::decode_beginning(Type::MemberRecord, 1, entity, seq, bytes)
}

/// Frames a record of a programme's history.
///
/// # Errors
/// As [`encode_record`].
pub fn encode_version(entity: &[u8], seq: u64, record: &VersionRecord) -> Result<Bytes, TooLong> {
    frame::encode(Type::VersionRecord, 1, entity, seq, record)
}

/// Reads a record of a programme's history back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_version(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<VersionRecord, Damage> {
    frame::decode(Type::VersionRecord, 1, entity, seq, bytes)
}

/// Frames the core page of a snapshot that stands after `seq`.
///
/// # Errors
/// Never in practice: snapshots have a limit of their own, far above a state's size.
pub fn encode_core(entity: &[u8], member: &Member) -> Result<Bytes, TooLong> {
    frame::encode_large(Type::MemberCore, 1, entity, member.seq, member)
}

/// Reads a core page back, without its sealed key pages.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_core(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<(Member, layout::Sealed), Damage> {
    let layout::Core(member, sealed) = frame::decode_large(Type::MemberCore, 1, entity, seq, bytes)?;
    Ok((member, sealed))
}

/// Frames a sealed page of keys; `number` takes the place of a sequence number.
///
/// # Errors
/// Never in practice: a page holds 512 entries.
pub fn encode_page(entity: &[u8], number: u64, page: &Page) -> Result<Bytes, TooLong> {
    frame::encode(Type::KeyPage, 1, entity, number, page)
}

/// Reads a sealed page back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_page(entity: &[u8], number: u64, bytes: &[u8]) -> Result<Page, Damage> {
    frame::decode(Type::KeyPage, 1, entity, number, bytes)
}

/// Frames what a book of receipts records.
///
/// # Errors
/// `TooLong` when the body would be longer than a frame may be.
pub fn encode_book(entity: &[u8], seq: u64, record: &BookRecord) -> Result<Bytes, TooLong> {
    frame::encode(Type::BookRecord, 1, entity, seq, record)
}

/// Reads it back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_book(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<BookRecord, Damage> {
    frame::decode(Type::BookRecord, 1, entity, seq, bytes)
}

/// Frames a change of the list of exceptions.
///
/// # Errors
/// `TooLong` when the body would be longer than a frame may be.
pub fn encode_exception(entity: &[u8], seq: u64, change: &Change) -> Result<Bytes, TooLong> {
    frame::encode(Type::ExceptionRecord, 1, entity, seq, change)
}

/// Reads it back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_exception(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<Change, Damage> {
    frame::decode(Type::ExceptionRecord, 1, entity, seq, bytes)
}

/// Frames what the budget of a campaign records.
///
/// # Errors
/// `TooLong` when the body would be longer than a frame may be.
pub fn encode_budget(entity: &[u8], seq: u64, record: &BudgetRecord) -> Result<Bytes, TooLong> {
    frame::encode(Type::BudgetRecord, 1, entity, seq, record)
}

/// Reads it back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_budget(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<BudgetRecord, Damage> {
    frame::decode(Type::BudgetRecord, 1, entity, seq, bytes)
}

/// Frames a close of accounting days.
///
/// # Errors
/// `TooLong` when the body would be longer than a frame may be.
pub fn encode_close(entity: &[u8], seq: u64, record: &Closed) -> Result<Bytes, TooLong> {
    frame::encode(Type::CloseRecord, 1, entity, seq, record)
}

/// Reads a close back.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_close(entity: &[u8], seq: u64, bytes: &[u8]) -> Result<Closed, Damage> {
    frame::decode(Type::CloseRecord, 1, entity, seq, bytes)
}

pub use layout::{Closed, Sealed};
