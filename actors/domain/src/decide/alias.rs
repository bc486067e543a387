//! A member gains or loses an alias.

use super::Draft;
use crate::record::{Alias, Body};
use crate::{Code, Rejection, Text};

/// Most aliases of a member at a time.
const MOST: usize = 50;

pub(super) fn add(draft: &mut Draft<'_>, alias: &Alias) -> Result<Body, Rejection> {
    if draft.member.holds_alias(alias.hash) {
        return Err(Rejection::new(Code::AliasTaken, "/value", "this member holds this alias already"));
    }
    if draft.member.aliases.iter().filter(|held| held.until.is_none()).count() >= MOST {
        return Err(Rejection::new(Code::Invalid, "", "a member has at most 50 aliases; remove one first"));
    }
    Ok(Body::AliasAdded { alias: alias.clone() })
}

pub(super) fn remove(draft: &mut Draft<'_>, kind: &Text, hash: u128) -> Result<Body, Rejection> {
    if !draft.member.holds_alias(hash) {
        return Err(Rejection::new(Code::UnknownAlias, "", "this member does not hold this alias"));
    }
    Ok(Body::AliasRemoved { kind: kind.clone(), hash })
}
