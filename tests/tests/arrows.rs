//! Which room may depend on which. A new arrow is drawn here first, or not at all.

use std::collections::BTreeSet;
use std::path::Path;

/// Folder → the rooms of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("actors/domain", &[]),
    ("actors/codec", &["domain"]),
    ("actors", &["domain", "codec", "storage", "cluster"]),
    ("cluster", &["storage"]),
    ("config", &[]),
    ("storage", &[]),
    ("storage/embedded", &["storage"]),
    ("gateway", &["api", "actors", "domain", "cluster"]),
    ("gateway/api", &["domain"]),
    ("gateway/client", &["api"]),
    ("gateway/node", &["api", "actors", "client", "cluster", "codec", "config", "domain", "gateway", "storage", "storage-embedded"]),
    ("tests", &[]),
];

/// What the domain may use of others' code: nothing that reads a clock, a file or a socket.
const DOMAIN_MAY_USE: &[&str] = &["bnum", "iso_currency", "jiff", "num-traits", "smallvec", "smol_str", "thiserror", "xxhash-rust"];

fn dependencies(folder: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).expect("every room has a Cargo.toml");
    let manifest: toml::Table = toml::from_str(&text).expect("it is TOML");
    let table = |name: &str| manifest.get(name).and_then(toml::Value::as_table).map(|t| t.keys().cloned().collect()).unwrap_or_default();
    let all: [BTreeSet<String>; 2] = [table("dependencies"), table("build-dependencies")];
    all.into_iter().flatten().collect()
}

#[test]
fn rooms_depend_only_along_the_arrows() {
    for (folder, may) in ARROWS {
        for dependency in dependencies(folder) {
            if let Some(room) = dependency.strip_prefix("tessera-") {
                assert!(may.contains(&room), "{folder} must not depend on {room}: draw the arrow in tests/tests/arrows.rs, with a reason, or do without");
            }
        }
    }
}

#[test]
fn every_room_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(root).expect("a workspace")).expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    let found: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(drawn, found);
}

#[test]
fn the_domain_is_pure() {
    for dependency in dependencies("actors/domain") {
        assert!(DOMAIN_MAY_USE.contains(&dependency.as_str()), "the domain must not use {dependency}");
    }
}
