//! An award as a sentence (rule 9): rendered from the programme version that the record names.

use tessera_domain::earn::{Award, Source, WHOLE_BASKET};
use tessera_domain::programme::Programme;

/// Rule id, kind and sentence of an award.
pub struct Explained<'a> {
    pub rule: &'a str,
    pub kind: &'static str,
    pub text: &'a str,
}

/// Explains one award.
#[must_use]
pub fn explain<'a>(programme: &'a Programme, award: &Award) -> Explained<'a> {
    // A rule that the version does not have can only come from another version's record.
    let unknown = ("", "");
    match award.source {
        Source::Base(rule) => {
            let (rule, text) = programme.earn.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, &*r.text));
            Explained { rule, kind: "base", text }
        }
        Source::Multiplier(rule) => {
            let (rule, text) = programme.multipliers.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, &*r.text));
            Explained { rule, kind: "multiplier", text }
        }
        Source::Bonus(rule) => {
            let (rule, text) = programme.bonuses.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, &*r.text));
            Explained { rule, kind: "bonus", text }
        }
        Source::PurchaseCap(_) => Explained { rule: "", kind: "cap", text: "The most that one purchase can earn" },
        Source::MemberCap(_) => Explained { rule: "", kind: "cap", text: "The most that you can earn in this period" },
    }
}

/// Id of the line that an award is on; `None`: the whole basket.
#[must_use]
pub fn line<'a>(basket: &'a tessera_domain::basket::Basket, award: &Award) -> Option<&'a str> {
    if award.line == WHOLE_BASKET { None } else { basket.lines.get(usize::from(award.line)).map(|line| &*line.id) }
}
