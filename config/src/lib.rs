//! Settings of a node: one name for each, in the file, in the environment (`TESSERA_NAME`) and as a flag (`--name`).
//!
//! | module | holds |
//! | --- | --- |
//! | [`fields`] | every setting: its name, what it means, its default, how it is read |
//! | [`settings`] | [`Settings`], and from where each came |
//!
//! Later sources win: default, file, environment, flag. Invariant: a wrong setting names itself, where it stands and
//! what would be right, and nothing starts.

pub mod fields;
pub mod settings;

pub use fields::{FIELDS, Field};
pub use settings::{Origin, Settings, Shown};
