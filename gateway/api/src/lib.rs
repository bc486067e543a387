//! The JSON of the HTTP surface and the TOML of a programme: the only serialised shapes that people see.
//!
//! | module | holds |
//! | --- | --- |
//! | [`request`] | what callers send; unknown fields are refused |
//! | [`read`] | from that to commands: every text, number and time checked |
//! | [`answer`] | what they get, rendered from a record alone |
//! | [`event`] | the public events of a member's stream |
//! | [`strict`] | JSON in which an object is an object and a name is a text |
//! | [`explain`] | an award as a sentence, from the programme version that the record names |
//! | [`expression`] | conditions in CEL, behind guards |
//! | [`forecast`] | the way to the next tier as a sentence |
//! | [`report`] | what finance and marketing ask for |
//! | [`programme_file`] | the programme file, with findings by line |

pub mod answer;
pub mod event;
pub mod explain;
pub mod expression;
pub mod forecast;
pub mod programme;
pub mod programme_file;
pub mod read;
pub mod report;
pub mod request;
pub mod strict;

pub use tessera_domain::Text;
