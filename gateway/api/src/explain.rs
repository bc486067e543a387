//! An award as a sentence (rule 9): rendered from the programme version that the record names.

use tessera_domain::earn::{Award, Source, WHOLE_BASKET};
use tessera_domain::Text;
use tessera_domain::programme::{Programme, Sentence, same_language};

/// Rule id, kind and sentence of an award.
pub struct Explained<'a> {
    pub rule: &'a str,
    pub kind: &'static str,
    pub text: &'a str,
}

/// Explains one award, in the first of the wanted languages that there is.
#[must_use]
pub fn explain<'a>(programme: &'a Programme, wanted: &[Text], award: &Award) -> Explained<'a> {
    let said = |sentence: &'a Sentence| sentence.in_languages(&programme.language, wanted);
    // A rule that the version does not have can only come from another version's record.
    let unknown = ("", "");
    match award.source {
        Source::Base(rule) => {
            let (rule, text) = programme.earn.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, said(&r.text)));
            Explained { rule, kind: "base", text }
        }
        Source::Multiplier(rule) => {
            let (rule, text) = programme.multipliers.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, said(&r.text)));
            Explained { rule, kind: "multiplier", text }
        }
        Source::Bonus(rule) => {
            let (rule, text) = programme.bonuses.get(usize::from(rule)).map_or(unknown, |r| (&*r.id, said(&r.text)));
            Explained { rule, kind: "bonus", text }
        }
        Source::CampaignCap(campaign) => Explained { rule: campaign_id(programme, campaign), kind: "campaign_cap", text: ours(&CAMPAIGN_CAP, programme, wanted) },
        Source::CampaignBudget(campaign) => Explained { rule: campaign_id(programme, campaign), kind: "campaign_budget", text: ours(&CAMPAIGN_BUDGET, programme, wanted) },
        Source::PurchaseCap(_) => Explained { rule: "", kind: "cap", text: ours(&PURCHASE_CAP, programme, wanted) },
        Source::MemberCap(_) => Explained { rule: "", kind: "cap", text: ours(&MEMBER_CAP, programme, wanted) },
    }
}

fn campaign_id(programme: &Programme, campaign: u16) -> &str {
    programme.campaigns.get(usize::from(campaign)).map_or("", |campaign| &campaign.id)
}

/// Our own sentences, in the languages that are shipped.
type Ours = [(&'static str, &'static str); 3];
const PURCHASE_CAP: Ours = [
    ("en", "The most that one purchase can earn"),
    ("de", "Mehr kann ein Einkauf nicht einbringen"),
    ("es", "Lo máximo que puede sumar una compra"),
];
const CAMPAIGN_CAP: Ours = [
    ("en", "The most that you can earn in this campaign"),
    ("de", "Mehr können Sie bei dieser Aktion nicht sammeln"),
    ("es", "Lo máximo que puede sumar en esta campaña"),
];
const CAMPAIGN_BUDGET: Ours = [
    ("en", "All points of this campaign have been given out"),
    ("de", "Alle Punkte dieser Aktion sind vergeben"),
    ("es", "Se han repartido todos los puntos de esta campaña"),
];
const MEMBER_CAP: Ours = [
    ("en", "The most that you can earn in this period"),
    ("de", "Mehr können Sie in diesem Zeitraum nicht sammeln"),
    ("es", "Lo máximo que puede sumar en este período"),
];

fn ours(sentences: &Ours, programme: &Programme, wanted: &[Text]) -> &'static str {
    let of = |tag: &str| sentences.iter().find(|(language, _)| same_language(language, tag)).map(|(_, text)| *text);
    wanted.iter().find_map(|tag| of(tag)).or_else(|| of(&programme.language)).unwrap_or(sentences[0].1)
}

/// Id of the line that an award is on; `None`: the whole basket.
#[must_use]
pub fn line<'a>(basket: &'a tessera_domain::basket::Basket, award: &Award) -> Option<&'a str> {
    if award.line == WHOLE_BASKET { None } else { basket.lines.get(usize::from(award.line)).map(|line| &*line.id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programme_file;

    const RULE: &str = r#"text = "1 point a dollar""#;

    fn sample(text: &str) -> Result<Programme, Vec<programme_file::Located>> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/programme.toml");
        let sample = std::fs::read_to_string(file).expect("the sample programme");
        assert!(sample.contains(RULE));
        programme_file::read(&sample.replacen(RULE, text, 1), 1, 0)
    }

    #[test]
    fn rule_09_sentences_in_the_language_that_is_wanted() {
        let programme = sample(r#"text = { en = "1 point a dollar", de = "1 Punkt je Dollar", pt-BR = "1 ponto por dólar" }"#).expect("good");
        let base = programme.earn.iter().position(|rule| &*rule.id == "base").and_then(|place| u16::try_from(place).ok()).expect("it is there");
        let said = |source, wanted: &[&str]| {
            let wanted: Vec<Text> = wanted.iter().map(|tag| (*tag).into()).collect();
            explain(&programme, &wanted, &Award { line: 0, source, points: 1 }).text.to_owned()
        };
        for (wanted, text) in [(&["de-CH", "en"][..], "1 Punkt je Dollar"), (&["fr", "pt"], "1 ponto por dólar"), (&["en", "de"], "1 point a dollar"), (&["fr"], "1 point a dollar"), (&[], "1 point a dollar")] {
            assert_eq!(said(Source::Base(base), wanted), text, "{wanted:?}");
        }
        assert_eq!(said(Source::PurchaseCap(0), &["es-MX"]), "Lo máximo que puede sumar una compra");
        let findings = sample(r#"text = { de = "1 Punkt je Dollar" }"#).expect_err("none in the programme's language");
        assert_eq!(findings[0].finding.path, "earn.0.text");
        assert!(sample(r#"text = { en = "x", german = "y" }"#).is_err());
    }
}
