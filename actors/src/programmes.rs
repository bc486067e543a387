//! Programme versions in the store: every text that has served, immutable and numbered.
//!
//! A version is a run of cells `programme/<n>/<part>` of at most 400 bytes, closed by `programme/<n>`:
//! `saved_at i64 | parts u32 | sha-256 of the text`. Only the closing cell makes it a version.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tessera_domain::time::Millis;
use tessera_storage::{Cells, StoreError};

/// Bytes of one part: a cell stays within one row of the store.
const PART: usize = 400;

/// A version as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// From 1.
    pub number: u32,
    /// When it was saved.
    pub saved_at: Millis,
    /// The file's text.
    pub text: String,
}

/// Reads every version, oldest first.
///
/// # Errors
/// `Corrupt` when a part is missing or its hash is wrong.
pub async fn read(cells: &dyn Cells) -> Result<Vec<Kept>, StoreError> {
    let mut all = Vec::new();
    for number in 1_u32.. {
        let Some(closing) = cells.get(closing_key(number)).await? else { break };
        let damaged = || StoreError::Corrupt(format!("programme version {number}"));
        let (saved_at, rest) = closing.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (parts, sha) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let mut text = Vec::new();
        for part in 0..u32::from_le_bytes(*parts) {
            text.extend_from_slice(&cells.get(part_key(number, part)).await?.ok_or_else(damaged)?);
        }
        if Sha256::digest(&text).as_slice() != sha {
            return Err(damaged());
        }
        all.push(Kept { number, saved_at: Millis::from_le_bytes(*saved_at), text: String::from_utf8(text).map_err(|_| damaged())? });
    }
    Ok(all)
}

/// Saves `text` as the next version, unless it is the last one's.
///
/// # Errors
/// `Conflict`-like `Unavailable` when another saved that number meanwhile.
pub async fn save(cells: &dyn Cells, versions: &[Kept], text: &str, now: Millis) -> Result<Option<Kept>, StoreError> {
    if versions.last().is_some_and(|last| last.text == text) {
        return Ok(None);
    }
    let number = versions.last().map_or(1, |last| last.number + 1);
    let mut parts = 0_u32;
    for part in text.as_bytes().chunks(PART) {
        let key = part_key(number, parts);
        // A part that is there was left by a save that was cut short.
        let before = cells.get(key.clone()).await?;
        cells.compare_and_set(key, before, Some(Bytes::copy_from_slice(part))).await?;
        parts += 1;
    }
    let mut closing = Vec::with_capacity(44);
    closing.extend_from_slice(&now.to_le_bytes());
    closing.extend_from_slice(&parts.to_le_bytes());
    closing.extend_from_slice(&Sha256::digest(text.as_bytes()));
    let outcome = cells.compare_and_set(closing_key(number), None, Some(closing.into())).await?;
    if !outcome.applied {
        return Err(StoreError::Unavailable(format!("another process saved programme version {number}")));
    }
    Ok(Some(Kept { number, saved_at: now, text: text.to_owned() }))
}

fn closing_key(number: u32) -> Bytes {
    format!("programme/{number}").into()
}

fn part_key(number: u32, part: u32) -> Bytes {
    format!("programme/{number}/{part}").into()
}
