//! `tessera check` and `tessera settings`.

use std::path::{Path, PathBuf};

use tessera_api::programme_file::{self, Located};
use tessera_config::Settings;

use crate::flags::Flags;

/// What is checked.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// A programme file; absent: the one that the settings name.
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Found<'a> {
    file: &'a Path,
    good: bool,
    findings: Vec<OneFinding>,
    warnings: Vec<OneFinding>,
}

#[derive(serde::Serialize)]
struct OneFinding {
    line: usize,
    field: String,
    text: String,
}

pub(crate) fn check(asked: &Check) -> Result<(), String> {
    let settings = asked.flags.load()?;
    let path = asked.file.as_ref().unwrap_or(&settings.programme);
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let read = programme_file::read(&text, 1, 0);
    let warnings = programme_file::warnings(&text);
    if asked.json {
        let shown = |found: &Located| OneFinding { line: found.line, field: found.finding.path.clone(), text: found.finding.text.clone() };
        let findings = read.as_ref().err().into_iter().flatten().map(shown).collect();
        let found = Found { file: path, good: read.is_ok(), findings, warnings: warnings.iter().map(shown).collect() };
        crate::say(&serde_json::to_string_pretty(&found).map_err(|e| e.to_string())?);
        return if read.is_ok() { Ok(()) } else { Err("the programme is not good".into()) };
    }
    let programme = read.map_err(|findings| told(path, &findings))?;
    if !warnings.is_empty() {
        crate::say(&format!("{}\nthese are warnings: the programme can serve", told(path, &warnings)));
    }
    crate::say(&format!(
        "{}: good; wallets: {}, {} earn rules, {} multipliers, {} bonuses, {} tiers; the settings are good",
        path.display(),
        programme.wallets.len(),
        programme.earn.len(),
        programme.multipliers.len(),
        programme.bonuses.len(),
        programme.tiers.levels.len()
    ));
    Ok(())
}

/// Findings as lines for people.
pub(crate) fn told(path: &Path, findings: &[Located]) -> String {
    let lines = findings.iter().map(|located| {
        let place = if located.line > 0 { format!("{}:{}", path.display(), located.line) } else { path.display().to_string() };
        format!("{place}: {}{}{}", located.finding.path, if located.finding.path.is_empty() { "" } else { ": " }, located.finding.text)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[derive(serde::Serialize)]
struct Setting {
    name: &'static str,
    value: String,
    origin: String,
    help: &'static str,
}

pub(crate) fn show(settings: &Settings, json: bool) -> Result<(), String> {
    let all: Vec<Setting> = settings.shown().map(|shown| Setting { name: shown.name, value: shown.value, origin: shown.origin.to_string(), help: shown.help }).collect();
    if json {
        crate::say(&serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?);
    } else {
        for Setting { name, value, origin, .. } in all {
            crate::say(&format!("{name:<22} {value:<46} {origin}"));
        }
    }
    Ok(())
}
