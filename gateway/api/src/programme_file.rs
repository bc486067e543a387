//! A programme as written: TOML in a file, JSON in a request, with the same fields; checked as a whole, with findings that
//! name the field, and in a file the line.

mod shape;
mod source;

use serde::Deserialize;
pub use shape::ProgrammeFile;
use tessera_domain::compile::{self, Finding};
use tessera_domain::programme::Programme;
use tessera_domain::time::Millis;

use crate::strict;

/// A finding and the line it is on, from 1; 0 when the text has no such place.
#[derive(Debug)]
pub struct Located {
    pub line: usize,
    pub finding: Finding,
}

/// Reads and compiles a programme, TOML or JSON.
///
/// # Errors
/// Every finding, each with its line.
pub fn read(text: &str, version: u32, serves_from: Millis) -> Result<Programme, Vec<Located>> {
    let file = parse(text).map_err(|finding| vec![finding])?;
    compile(file, version, serves_from).map_err(|findings| located(text, findings))
}

/// Compiles a programme that has been read.
///
/// # Errors
/// Every finding, in the order of its fields.
pub fn compile(file: ProgrammeFile, version: u32, serves_from: Millis) -> Result<Programme, Vec<Finding>> {
    // Before they are compiled, each at the cost of a thread.
    let expressions = file.expressions();
    if expressions > compile::MAX_EXPRESSIONS {
        let text = format!("{expressions} expressions; at most {}: say more with the typed conditions", compile::MAX_EXPRESSIONS);
        return Err(vec![Finding { path: String::new(), text }]);
    }
    compile::compile(&file.source(), version, serves_from)
}

/// Reads a programme of a request.
///
/// # Errors
/// What cannot be read, with its field.
pub fn from_json(programme: &serde_json::Value) -> Result<ProgrammeFile, Vec<Finding>> {
    serde_path_to_error::deserialize(strict::Strict(programme)).map_err(|error| {
        let path = error.path().iter().filter_map(|part| match part {
            serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
        });
        vec![Finding { path: path.collect::<Vec<_>>().join("."), text: error.inner().to_string() }]
    })
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn parse(text: &str) -> Result<ProgrammeFile, Located> {
    let at = |line, message: String| Located { line, finding: Finding { path: String::new(), text: message } };
    if is_json(text) {
        return strict::from_slice(text.as_bytes()).map_err(|e| at(e.line(), e.to_string()));
    }
    let read = toml::Deserializer::parse(text).and_then(|file| ProgrammeFile::deserialize(strict::Strict(file)));
    read.map_err(|e| at(e.span().map_or(0, |span| line_at(text, span.start)), e.message().to_owned()))
}

/// A programme's text as JSON, whatever it was written in.
///
/// # Errors
/// What is wrong with the text.
pub fn as_json(text: &str) -> Result<serde_json::Value, String> {
    if is_json(text) { serde_json::from_str(text).map_err(|e| e.to_string()) } else { toml::from_str(text).map_err(|e| e.to_string()) }
}

/// What in a good programme may surprise its owner, each with its line.
#[must_use]
pub fn warnings(text: &str) -> Vec<Located> {
    parse(text).map_or_else(|_| Vec::new(), |file| located(text, compile::warnings(&file.source())))
}

fn located(text: &str, findings: Vec<Finding>) -> Vec<Located> {
    let tree = if is_json(text) { None } else { toml_edit::Document::parse(text).ok() };
    let locate = |finding: Finding| Located { line: tree.as_ref().map_or(0, |tree| line_of(text, tree.as_item(), &finding.path)), finding };
    findings.into_iter().map(locate).collect()
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The line of the deepest part of a path that the file has.
fn line_of(text: &str, root: &toml_edit::Item, path: &str) -> usize {
    let mut line = 0;
    let mut item = Some(root);
    let mut table: Option<&toml_edit::Table> = None;
    for part in path.split('.') {
        let part = &part.replace("~2", ".").replace("~1", "/").replace("~0", "~");
        let next = match (table, item) {
            (Some(table), _) => table.get(part),
            (None, Some(item)) => item.get(part),
            (None, None) => None,
        };
        table = None;
        if next.is_none()
            && let (Some(toml_edit::Item::ArrayOfTables(tables)), Ok(place)) = (item, part.parse::<usize>())
        {
            table = tables.get(place);
            line = table.and_then(toml_edit::Table::span).map_or(line, |span| line_at(text, span.start));
            item = None;
            continue;
        }
        let Some(found) = next else { break };
        line = found.span().map_or(line, |span| line_at(text, span.start));
        item = Some(found);
    }
    line
}
