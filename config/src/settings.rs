//! The settings in force, and from where each came.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::fields::{FIELDS, Field};

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct Settings {
    pub folder: PathBuf,
    pub programme: PathBuf,
    pub listen: SocketAddr,
    pub open_to_all: bool,
    pub shards: u16,
    pub clock_start_at: Option<jiff::Timestamp>,
    pub log: String,
    pub body_bytes: usize,
    pub patience_seconds: u64,
    pub connections: usize,
    pub drain_seconds: u64,
    pub in_flight: usize,
    pub in_flight_per_member: u32,
    pub awake: usize,
    pub idle_seconds: u64,
    origins: Vec<Origin>,
}

/// From where a setting came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    Default,
    /// A file and a line of it.
    File(PathBuf, usize),
    Environment,
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A setting as it is shown.
pub struct Shown {
    pub name: &'static str,
    /// A secret is hidden.
    pub value: String,
    pub origin: Origin,
    pub help: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: "tessera-data".into(),
            programme: "config/programme.toml".into(),
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            open_to_all: false,
            shards: 16,
            clock_start_at: None,
            log: "info,ractor=warn,fjall=warn,lsm_tree=warn".into(),
            body_bytes: 1 << 20,
            patience_seconds: 10,
            connections: 8_192,
            drain_seconds: 10,
            in_flight: 4_096,
            in_flight_per_member: 256,
            awake: 200_000,
            idle_seconds: 120,
            origins: vec![Origin::Default; FIELDS.len()],
        }
    }
}

impl Settings {
    /// Reads defaults, then the file, then the environment, then the flags; later ones win.
    ///
    /// # Errors
    /// Every wrong setting: its name, where it stands, what would be right.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>, flags: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut settings = Self::default();
        let mut wrong = Vec::new();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => settings.read_file(path, &text, &mut wrong),
                Err(error) => wrong.push(format!("the settings {} cannot be read: {error}", path.display())),
            }
        }
        for field in FIELDS {
            let name = format!("TESSERA_{}", field.name.to_uppercase());
            if let Some(value) = environment(&name) {
                settings.set(field, &value, Origin::Environment, &name, &mut wrong);
            }
        }
        for (name, value) in flags {
            let Some(field) = FIELDS.iter().find(|field| field.name == name) else { continue };
            settings.set(field, value, Origin::Flag, &format!("--{}", name.replace('_', "-")), &mut wrong);
        }
        if !settings.open_to_all && !settings.listen.ip().is_loopback() {
            wrong.push(format!("listen: {} is not a loopback address and there are no keys yet; listen on 127.0.0.1, or set open_to_all", settings.listen));
        }
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }

    fn read_file(&mut self, path: &Path, text: &str, wrong: &mut Vec<String>) {
        let line_at = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        let document = match toml_edit::Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map_or(0, |span| line_at(span.start));
                return wrong.push(format!("{}:{line}: {}", path.display(), error.message()));
            }
        };
        for (key, item) in document.iter() {
            let line = item.span().map_or(0, |span| line_at(span.start));
            let place = format!("{}:{line}: {key}", path.display());
            let Some(field) = FIELDS.iter().find(|field| field.name == key) else {
                let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
                wrong.push(format!("{place}: there is no such setting; there are {}", names.join(", ")));
                continue;
            };
            let value = match item.as_value() {
                Some(toml_edit::Value::String(text)) => text.value().clone(),
                Some(toml_edit::Value::Integer(number)) => number.value().to_string(),
                Some(toml_edit::Value::Boolean(yes)) => yes.value().to_string(),
                _ => {
                    wrong.push(format!("{place}: must be a text, a whole number, true or false"));
                    continue;
                }
            };
            self.set(field, &value, Origin::File(path.to_owned(), line), &place, wrong);
        }
    }

    fn set(&mut self, field: &Field, value: &str, origin: Origin, place: &str, wrong: &mut Vec<String>) {
        match (field.set)(self, value) {
            Ok(()) => {
                if let Some(at) = FIELDS.iter().position(|other| other.name == field.name) {
                    self.origins[at] = origin;
                }
            }
            Err(right) => {
                let sent = if field.secret { "(hidden)" } else { value };
                wrong.push(format!("{place} = {sent:?}: must be {right}"));
            }
        }
    }

    /// Every setting in force.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        FIELDS.iter().zip(&self.origins).map(|(field, origin)| {
            let value = if field.secret { "(hidden)".into() } else { (field.get)(self) };
            Shown { name: field.name, value, origin: origin.clone(), help: field.help }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_win_and_say_so() {
        let flags = [("shards".to_owned(), "8".to_owned())];
        let environment = |name: &str| match name {
            "TESSERA_SHARDS" => Some("4".to_owned()),
            "TESSERA_AWAKE" => Some("77".to_owned()),
            _ => None,
        };
        let settings = Settings::load(None, environment, &flags).expect("good settings");
        assert_eq!((settings.shards, settings.awake), (8, 77));
        let origin = |name: &str| settings.shown().find(|shown| shown.name == name).map(|shown| shown.origin);
        assert_eq!((origin("shards"), origin("awake"), origin("log")), (Some(Origin::Flag), Some(Origin::Environment), Some(Origin::Default)));
    }

    #[test]
    fn wrong_ones_name_themselves_and_the_fix() {
        let environment = |name: &str| (name == "TESSERA_SHARDS").then(|| "many".to_owned());
        let flags = [("listen".to_owned(), "0.0.0.0:80".to_owned())];
        let wrong = Settings::load(None, environment, &flags).expect_err("two are wrong");
        assert_eq!(wrong[0], "TESSERA_SHARDS = \"many\": must be a whole number between 1 and 1024");
        assert!(wrong[1].starts_with("listen: 0.0.0.0:80 is not a loopback address"));
    }

    #[test]
    fn the_sample_file_holds_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tessera.toml");
        let settings = Settings::load(Some(&path), |_| None, &[]).expect("a good sample");
        for (shown, default) in settings.shown().zip(Settings::default().shown()) {
            assert_eq!(shown.value, default.value, "{}", shown.name);
        }
    }
}
