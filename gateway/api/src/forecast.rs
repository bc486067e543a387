//! The way to the next tier as a sentence: "120 points to Gold by 31 Dec 2026".

use tessera_domain::Text;
use tessera_domain::member::View;
use tessera_domain::programme::{Metric, Programme, same_language};

/// Words of a language.
struct Words {
    language: &'static str,
    points: [&'static str; 2],
    visits: [&'static str; 2],
    /// Between whole and part of a number.
    mark: char,
    /// Of a date, as strftime.
    date: &'static str,
    sentence: fn(&str, &str, &str) -> String,
}

const ALL: [Words; 3] = [
    Words {
        language: "en",
        points: ["point", "points"],
        visits: ["visit", "visits"],
        mark: '.',
        date: "%-d %b %Y",
        sentence: |missing, tier, date| format!("{missing} to {tier} by {date}"),
    },
    Words {
        language: "de",
        points: ["Punkt", "Punkte"],
        visits: ["Besuch", "Besuche"],
        mark: ',',
        date: "%-d.%-m.%Y",
        sentence: |missing, tier, date| format!("Noch {missing} bis {tier}, bis zum {date}"),
    },
    Words {
        language: "es",
        points: ["punto", "puntos"],
        visits: ["visita", "visitas"],
        mark: ',',
        date: "%-d/%-m/%Y",
        sentence: |missing, tier, date| format!("{missing} más para {tier}, hasta el {date}"),
    },
];

/// In the first of the wanted languages that is shipped, otherwise the programme's, otherwise English. `None`: the member has the
/// highest tier, or nothing is missing.
#[must_use]
pub fn forecast(programme: &Programme, view: &View, wanted: &[Text]) -> Option<String> {
    let next = programme.tiers.levels.get(usize::from(view.tier) + 1)?;
    let missing = next.threshold - view.tier_metric;
    if missing <= 0 {
        return None;
    }
    let of = |tag: &str| ALL.iter().find(|words| same_language(words.language, tag));
    let words = wanted.iter().find_map(|tag| of(tag)).or_else(|| of(&programme.language)).unwrap_or(&ALL[0]);
    let counted = |decimals: u8, names: &[&str; 2]| format!("{} {}", number(missing, decimals, words.mark), names[usize::from(missing != 10_i64.pow(u32::from(decimals)))]);
    let missing = match programme.tiers.metric {
        Metric::Points(wallet) => counted(programme.wallet(wallet).decimals, &words.points),
        Metric::Spend(currency) => format!("{} {}", number(missing, currency.exponent(), words.mark), currency.as_str()),
        Metric::Visits => counted(0, &words.visits),
    };
    Some((words.sentence)(&missing, &next.name, &view.tier_until.date().strftime(words.date).to_string()))
}

/// In whole units, with as many digits after the mark as it has.
fn number(value: i64, decimals: u8, mark: char) -> String {
    let one = 10_i64.pow(u32::from(decimals));
    if decimals == 0 { value.to_string() } else { format!("{}{mark}{:0width$}", value / one, value % one, width = usize::from(decimals)) }
}

#[cfg(test)]
mod tests {
    use tessera_domain::time::Day;

    use super::*;

    #[test]
    fn the_way_to_the_next_tier_in_the_language_that_is_wanted() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/programme.toml");
        let mut programme = crate::programme_file::read(&std::fs::read_to_string(file).expect("the sample"), 1, 0).expect("good");
        let until = Day::of(jiff::civil::date(2026, 12, 31));
        let mut view = View {
            seq: 1,
            figures: Default::default(),
            tier: 0,
            tier_period: Day::default(),
            tier_metric: 880,
            tier_until: until,
            programme: 1,
            enrolled_at: 0,
            good_until: 0,
        };
        let said = |programme: &Programme, view: &View, wanted: &[&str]| forecast(programme, view, &wanted.iter().map(|tag| (*tag).into()).collect::<Vec<_>>());
        assert_eq!(said(&programme, &view, &[]).as_deref(), Some("120 points to Silver by 31 Dec 2026"));
        assert_eq!(said(&programme, &view, &["fr", "de-CH"]).as_deref(), Some("Noch 120 Punkte bis Silver, bis zum 31.12.2026"));
        view.tier_metric = 999;
        assert_eq!(said(&programme, &view, &["es"]).as_deref(), Some("1 punto más para Silver, hasta el 31/12/2026"));
        programme.tiers.metric = Metric::Spend("USD".parse().expect("a currency"));
        assert_eq!(said(&programme, &view, &["de"]).as_deref(), Some("Noch 0,01 USD bis Silver, bis zum 31.12.2026"));
        programme.tiers.metric = Metric::Visits;
        view.tier_metric = 998;
        assert_eq!(said(&programme, &view, &["en"]).as_deref(), Some("2 visits to Silver by 31 Dec 2026"));
        view.tier_metric = 1_000;
        assert_eq!(said(&programme, &view, &[]), None, "nothing is missing");
        view.tier = u8::try_from(programme.tiers.levels.len() - 1).expect("few");
        assert_eq!(said(&programme, &view, &[]), None, "the highest");
    }
}
