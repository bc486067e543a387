//! Texts that mean more than a text: numbers, days, currencies, sentences.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde::de::Error as _;
use tessera_domain::Text;
use tessera_domain::number::{Currency, Decimal};
use tessera_domain::time::Moment;
use utoipa::ToSchema;

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub(crate) struct Code(pub(crate) Currency);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Currency::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A decimal, written as a string so that no float stands between the file and the points.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Decimal::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// An instant, or a local time of each store.
pub(crate) struct At(pub(crate) Moment);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let instant = text.parse::<jiff::Timestamp>().map(|at| Moment::At(at.as_millisecond()));
        let at = instant.or_else(|_| text.parse().map(Moment::Local));
        at.map(Self).map_err(|_| D::Error::custom("a local time of each store, such as \"2026-11-27T00:00\", or an instant with its offset, such as \"2026-11-27T00:00:00-05:00\""))
    }
}

/// A local day.
pub(crate) struct OnDay(pub(crate) jiff::civil::Date);

impl<'de> Deserialize<'de> for OnDay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("a day, such as \"2026-01-01\""))
    }
}

/// A sentence in the programme's language, or sentences by language tag, of which one is the programme's.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = programme::Words)]
pub(crate) enum Words {
    #[schema(value_type = String, example = "1 point a dollar")]
    One(Text),
    #[schema(value_type = HashMap<String, String>)]
    ByLanguage(BTreeMap<Text, Text>),
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sentence, or sentences by language such as { en = \"…\", de = \"…\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words::One(text.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Words, A::Error> {
                let texts = BTreeMap::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                if texts.is_empty() { Err(A::Error::custom("one sentence at least, in the programme's language")) } else { Ok(Words::ByLanguage(texts)) }
            }
        }

        from.deserialize_any(Either)
    }
}
