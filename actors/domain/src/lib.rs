//! The points rules: pure, synchronous, total. No clock, no I/O, no randomness; `now` comes in.
//!
//! Rule numbers in this crate ("rule 16") are those of the programme's rule book; `README.md` lists
//! which of them stand.
//!
//! | module | holds |
//! | --- | --- |
//! | [`number`], [`time`], [`ids`] | exact decimals and fractions, zones and periods, names of things |
//! | [`basket`] | what a till sends: lines, discounts, tenders, and what each line comes to |
//! | [`programme`] | the compiled programme; [`compile`] makes it, with findings |
//! | [`rules`] | the conditions of rules, and the index that finds those that may match |
//! | [`versions`] | the history of a programme: who saved which version |
//! | [`earn`] | base, multipliers, bonuses, caps, exact to the last fraction |
//! | [`wallet`] | lots, holds, debt, `owed`: the fold of the events |
//! | [`goals`] | quests and achievements: what a sale counts for them |
//! | [`profile`] | a member's zone, birthday and segments, and what a sale found of them |
//! | [`tier`], [`keys`] | the tier's metric and its periods; which request was answered by which record |
//! | [`command`], [`record`], [`rejection`] | what is asked, what is appended, the closed list of noes |
//! | [`member`] | the state of a member, its fold, its view |
//! | [`decide`] | one file per command |
//! | [`pool`], [`merge`] | the right to spend each other's points; one member goes into another |
//! | [`finance`] | roll-forward by accounting day, IFRS 15 by cohort |
//! | [`receipts`] | for which member a receipt counts; exceptions for staff |
//! | [`simulate`] | a draft programme over what really happened |

pub mod basket;
pub mod budget;
pub mod campaigns;
pub mod command;
pub mod compile;
pub mod decide;
pub mod earn;
pub mod finance;
pub mod goals;
pub mod ids;
pub mod keys;
pub mod member;
pub mod merge;
pub mod number;
pub mod pool;
pub mod profile;
pub mod programme;
pub mod receipts;
pub mod record;
pub mod rejection;
pub mod rules;
pub mod simulate;
pub mod tier;
pub mod time;
pub mod versions;
pub mod wallet;

pub use rejection::{Code, Rejection};

/// Text that is never grown: up to 23 bytes in place, longer ones shared, so that copying it allocates nothing.
pub type Text = smol_str::SmolStr;
