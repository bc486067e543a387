//! Who holds an alias, and who held it: a late sale belongs to the holder of its time (rule 2).
//!
//! One cell an alias, `alias/<hash>`: `(member u128 | from i64 | until i64)*`, big endian, oldest first. The last one that
//! never ends holds it now. Part of the stored format.

use std::sync::Arc;

use bytes::Bytes;
use tessera_cluster::Clock;
use tessera_domain::ids::MemberId;
use tessera_domain::decide::AHEAD;
use tessera_domain::time::{Millis, NEVER};
use tessera_storage::{Cells, StoreError};

/// Holders that are remembered (2 KiB); of more, the oldest are forgotten.
const HOLDERS: usize = 64;
/// How often a change is tried while others change the same alias.
const TRIES: u32 = 16;

/// One holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holder {
    member: MemberId,
    from: Millis,
    until: Millis,
}

/// All aliases.
#[derive(Clone)]
pub(crate) struct Aliases {
    cells: Arc<dyn Cells>,
    clock: Clock,
}

/// What a reservation met.
pub(crate) enum Reserved {
    /// It was free.
    Fresh,
    /// It was this member's already.
    Mine,
    /// Another's.
    Taken,
}

impl Aliases {
    pub(crate) fn new(cells: Arc<dyn Cells>, clock: Clock) -> Self {
        Self { cells, clock }
    }

    /// Who holds it now.
    pub(crate) async fn holder(&self, hash: u128) -> Result<Option<MemberId>, StoreError> {
        let holders = decode(self.cells.get(key(hash)).await?.as_deref())?;
        Ok(now(&holders).map(|holder| holder.member))
    }

    /// Whose it was at an instant. Before anybody held it, and between two holders, it is the next one's: a card is older
    /// than its enrolment. Beside it whose it had been until less than [`AHEAD`] before: a till's clock may be that far
    /// ahead, so a request of that time may have been answered while it was still theirs.
    pub(crate) async fn holder_at(&self, hash: u128, at: Millis) -> Result<(Option<MemberId>, Option<MemberId>), StoreError> {
        let holders = decode(self.cells.get(key(hash)).await?.as_deref())?;
        let next = holders.partition_point(|holder| holder.until <= at);
        let before = next.checked_sub(1).map(|last| holders[last]).filter(|last| last.until > at.saturating_sub(AHEAD));
        Ok((holders.get(next).map(|holder| holder.member), before.map(|holder| holder.member)))
    }

    /// Takes it for a member, if it is free.
    pub(crate) async fn reserve(&self, hash: u128, member: MemberId) -> Result<Reserved, StoreError> {
        let mut met = Reserved::Fresh;
        self.change(hash, |holders| match now(holders) {
            Some(holder) => {
                met = if holder.member == member { Reserved::Mine } else { Reserved::Taken };
                false
            }
            None => {
                met = Reserved::Fresh;
                holders.push(Holder { member, from: self.clock.now(), until: NEVER });
                true
            }
        })
        .await?;
        Ok(met)
    }

    /// Undoes a reservation that was not needed.
    pub(crate) async fn give_back(&self, hash: u128, member: MemberId) -> Result<(), StoreError> {
        self.change(hash, |holders| match now(holders) {
            Some(holder) if holder.member == member => {
                holders.pop();
                true
            }
            _ => false,
        })
        .await
    }

    /// The member holds it no longer, if it has held it since `since` or longer.
    pub(crate) async fn end(&self, hash: u128, member: MemberId, since: Millis) -> Result<(), StoreError> {
        self.change(hash, |holders| match holders.last_mut() {
            Some(holder) if holder.member == member && holder.until == NEVER && holder.from <= since => {
                holder.until = self.clock.now();
                true
            }
            _ => false,
        })
        .await
    }

    /// What was one member's, now or before, is another's.
    pub(crate) async fn hand_over(&self, hash: u128, from: MemberId, to: MemberId) -> Result<(), StoreError> {
        self.change(hash, |holders| {
            let mut theirs = holders.iter_mut().filter(|holder| holder.member == from).peekable();
            let any = theirs.peek().is_some();
            theirs.for_each(|holder| holder.member = to);
            any
        })
        .await
    }

    async fn change(&self, hash: u128, mut change: impl FnMut(&mut Vec<Holder>) -> bool) -> Result<(), StoreError> {
        let mut before = self.cells.get(key(hash)).await?;
        for _ in 0..TRIES {
            let mut holders = decode(before.as_deref())?;
            if !change(&mut holders) {
                return Ok(());
            }
            let outcome = self.cells.compare_and_set(key(hash), before, encode(&holders)).await?;
            if outcome.applied {
                return Ok(());
            }
            before = outcome.before;
        }
        Err(StoreError::Unavailable("others change this alias all the time; try again".into()))
    }
}

fn now(holders: &[Holder]) -> Option<Holder> {
    holders.last().filter(|holder| holder.until == NEVER).copied()
}

fn key(hash: u128) -> Bytes {
    let mut key = Vec::with_capacity(22);
    key.extend_from_slice(b"alias/");
    key.extend_from_slice(&hash.to_be_bytes());
    key.into()
}

fn encode(holders: &[Holder]) -> Option<Bytes> {
    let kept = &holders[holders.len().saturating_sub(HOLDERS)..];
    let mut bytes = Vec::with_capacity(32 * kept.len());
    for holder in kept {
        bytes.extend_from_slice(&holder.member.0.to_be_bytes());
        bytes.extend_from_slice(&holder.from.to_be_bytes());
        bytes.extend_from_slice(&holder.until.to_be_bytes());
    }
    (!bytes.is_empty()).then(|| bytes.into())
}

fn decode(cell: Option<&[u8]>) -> Result<Vec<Holder>, StoreError> {
    let damaged = || StoreError::Corrupt("an alias".into());
    let holder = |bytes: &[u8]| {
        let (member, rest) = bytes.split_first_chunk::<16>()?;
        let (from, until) = rest.split_first_chunk::<8>()?;
        let until = Millis::from_be_bytes(until.try_into().ok()?);
        Some(Holder { member: MemberId(u128::from_be_bytes(*member)), from: Millis::from_be_bytes(*from), until })
    };
    let cell = cell.unwrap_or_default();
    if !cell.len().is_multiple_of(32) {
        return Err(damaged());
    }
    cell.chunks(32).map(|bytes| holder(bytes).ok_or_else(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_storage::{MemoryStore, Store};

    #[tokio::test]
    async fn rule_02_an_alias_is_its_holders_of_the_time() {
        let clock = Clock::started(1_000_000, tessera_cluster::clock::system_now());
        let aliases = Aliases::new(MemoryStore::default().cells(), clock.clone());
        let [first, second] = [MemberId(1), MemberId(2)];
        assert!(matches!(aliases.reserve(7, first).await, Ok(Reserved::Fresh)));
        assert!(matches!(aliases.reserve(7, first).await, Ok(Reserved::Mine)));
        assert!(matches!(aliases.reserve(7, second).await, Ok(Reserved::Taken)));
        aliases.end(7, second, NEVER).await.expect("not its to end");
        assert_eq!(aliases.holder(7).await.expect("reads"), Some(first));
        aliases.end(7, first, NEVER).await.expect("ends");
        let moved = clock.now();
        assert_eq!(aliases.holder(7).await.expect("reads"), None);
        assert_eq!(aliases.holder_at(7, moved + 60_000).await.expect("reads"), (None, Some(first)));
        assert_eq!(aliases.holder_at(7, moved + AHEAD).await.expect("reads"), (None, None));
        assert!(matches!(aliases.reserve(7, second).await, Ok(Reserved::Fresh)));
        // Before anybody held it: a card is older than its enrolment.
        for (at, whose, before) in [(0, first, None), (999_999, first, None), (moved + 60_000, second, Some(first))] {
            assert_eq!(aliases.holder_at(7, at).await.expect("reads"), (Some(whose), before), "{at}");
        }
        aliases.give_back(7, second).await.expect("gives back");
        assert_eq!(aliases.holder_at(7, 0).await.expect("reads"), (Some(first), None));
    }
}
