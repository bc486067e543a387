//! Entity keys, and the hashes that stand for what callers send. All are part of the stored format.

use sha2::{Digest, Sha256};
use tessera_domain::campaigns::CampaignKey;
use tessera_domain::ids::MemberId;
use tessera_domain::time::Day;
use tessera_storage::EntityKey;

/// Kinds of entities. A number is never used again.
const MEMBER: u16 = 1;
const HISTORY: u16 = 2;
const CLOSE: u16 = 3;
const RECEIPTS: u16 = 4;
const EXCEPTIONS: u16 = 5;
const BUDGET: u16 = 6;
/// Books that a source's transaction ids are spread over.
const BOOKS: u64 = 256;
/// The one programme of a node.
const PROGRAMME: u32 = 0;

/// `kind u16 | programme u32 | id u128`, big endian.
#[must_use]
pub fn member_key(member: MemberId) -> EntityKey {
    let mut key = [0; EntityKey::LEN];
    key[..2].copy_from_slice(&MEMBER.to_be_bytes());
    key[2..6].copy_from_slice(&PROGRAMME.to_be_bytes());
    key[6..].copy_from_slice(&member.0.to_be_bytes());
    EntityKey(key)
}

/// The history of the node's programme.
#[must_use]
pub fn programme_key() -> EntityKey {
    let mut key = [0; EntityKey::LEN];
    key[..2].copy_from_slice(&HISTORY.to_be_bytes());
    key[2..6].copy_from_slice(&PROGRAMME.to_be_bytes());
    EntityKey(key)
}

/// The closes of one shard's accounting days.
#[must_use]
pub fn close_key(shard: u16) -> EntityKey {
    let mut key = [0; EntityKey::LEN];
    key[..2].copy_from_slice(&CLOSE.to_be_bytes());
    key[2..6].copy_from_slice(&PROGRAMME.to_be_bytes());
    key[20..].copy_from_slice(&shard.to_be_bytes());
    EntityKey(key)
}

fn of_kind(kind: u16, id: u128) -> EntityKey {
    let mut key = [0; EntityKey::LEN];
    key[..2].copy_from_slice(&kind.to_be_bytes());
    key[2..6].copy_from_slice(&PROGRAMME.to_be_bytes());
    key[6..].copy_from_slice(&id.to_be_bytes());
    EntityKey(key)
}

/// The book of a store's receipts of one business date.
#[must_use]
pub fn receipts_key(source: &str, store: &str, date: Day) -> EntityKey {
    of_kind(RECEIPTS, hash(&[b"receipts", source.as_bytes(), store.as_bytes(), &date.0.to_le_bytes()]))
}

/// One of the books of a source's own transaction ids.
#[must_use]
pub fn receipts_of_source_key(source: &str, fingerprint: u64) -> EntityKey {
    of_kind(RECEIPTS, hash(&[b"transactions", source.as_bytes(), &(fingerprint % BOOKS).to_le_bytes()]))
}

/// The budget of a campaign.
#[must_use]
pub fn budget_key(campaign: CampaignKey) -> EntityKey {
    of_kind(BUDGET, campaign.0.into())
}

/// What staff must look at.
#[must_use]
pub fn exceptions_key() -> EntityKey {
    of_kind(EXCEPTIONS, 0)
}

/// The member of an entity's key; `None`: it is another kind of entity.
#[must_use]
pub fn member_of(key: &EntityKey) -> Option<MemberId> {
    let (kind, rest) = key.0.split_first_chunk::<2>()?;
    let id = <[u8; 16]>::try_from(rest.get(4..)?).ok()?;
    (u16::from_be_bytes(*kind) == MEMBER).then(|| MemberId(u128::from_be_bytes(id)))
}

/// The member that an enrolment makes: derived from its key, so that a retry makes no second one.
#[must_use]
pub fn enrolled_id(api_key: &str, idempotency_key: &str) -> MemberId {
    MemberId(hash(&[b"member", api_key.as_bytes(), idempotency_key.as_bytes()]))
}

/// The member that a purchase under an unknown alias makes, where the programme says so; `turn`: how many it made before,
/// who gave it up.
#[must_use]
pub fn enrolled_by_alias(alias: u128, turn: u32) -> MemberId {
    match turn {
        0 => MemberId(hash(&[b"member by alias", &alias.to_be_bytes()])),
        _ => MemberId(hash(&[b"member by alias", &alias.to_be_bytes(), &turn.to_be_bytes()])),
    }
}

/// What is kept of an alias.
#[must_use]
pub fn alias_hash(kind: &str, value: &str) -> u128 {
    hash(&[b"alias", kind.as_bytes(), value.as_bytes()])
}

/// What is kept of an `Idempotency-Key`; never 0.
#[must_use]
pub fn header_hash(api_key: &str, idempotency_key: &str) -> u128 {
    hash(&[b"header", api_key.as_bytes(), idempotency_key.as_bytes()]).max(1)
}

/// The first 128 bits of SHA-256 over the parts, each preceded by its length.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    digest.iter().take(16).fold(0, |value, byte| (value << 8) | u128::from(*byte))
}
