//! Every setting, once.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::settings::Settings;

/// One setting.
pub struct Field {
    /// As in the file; in the environment `TESSERA_` and this in capitals, as a flag with dashes.
    pub name: &'static str,
    /// What it means, its unit and range.
    pub help: &'static str,
    /// Not shown by `tessera settings`.
    pub secret: bool,
    /// Reads it; the error says what would be right.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
    /// Its value as it would be written.
    pub get: fn(&Settings) -> String,
}

/// All of them, in the order of the sample file.
pub const FIELDS: &[Field] = &[
    Field { name: "folder", help: "Folder of the store; made if missing", secret: false, set: |s, v| text(&mut s.folder, v), get: |s| s.folder.display().to_string() },
    Field {
        name: "programme",
        help: "Programme file; an edited one is a new version at the next start",
        secret: false,
        set: |s, v| text(&mut s.programme, v),
        get: |s| s.programme.display().to_string(),
    },
    Field {
        name: "listen",
        help: "Address to listen on; port 0 takes a free one, which is printed when the node is ready",
        secret: false,
        set: |s, v| parsed::<SocketAddr>(&mut s.listen, v, "an address and a port, such as 127.0.0.1:8080"),
        get: |s| s.listen.to_string(),
    },
    Field {
        name: "open_to_all",
        help: "Allow an address that is not loopback. There are no keys yet: everyone who reaches it may do everything",
        secret: false,
        set: |s, v| parsed(&mut s.open_to_all, v, "true or false"),
        get: |s| s.open_to_all.to_string(),
    },
    Field { name: "shards", help: "Shards of a new folder, 1 to 1024; one that exists keeps its own", secret: false, set: |s, v| within(&mut s.shards, v, 1, 1_024), get: |s| s.shards.to_string() },
    Field {
        name: "clock_start_at",
        help: "For demonstrations and tests: the time at which a new folder's clock starts, as in RFC 3339",
        secret: false,
        set: |s, v| {
            let at: jiff::Timestamp = v.parse().map_err(|_| "a time with its offset, such as 2017-03-14T12:00:00Z".to_owned())?;
            s.clock_start_at = Some(at);
            Ok(())
        },
        get: |s| s.clock_start_at.map_or(String::new(), |at| at.to_string()),
    },
    Field {
        name: "log",
        help: "What is logged, as tracing's filters: info, or info,tessera_cluster=debug",
        secret: false,
        set: |s, v| text(&mut s.log, v),
        get: |s| s.log.clone(),
    },
    Field { name: "body_bytes", help: "Largest body of a request, 1024 to 16777216 bytes", secret: false, set: |s, v| within(&mut s.body_bytes, v, 1_024, 16 << 20), get: |s| s.body_bytes.to_string() },
    Field {
        name: "patience_seconds",
        help: "Time to send a head, time to send a body, and time in which a peer must take something, 1 to 300 s",
        secret: false,
        set: |s, v| within(&mut s.patience_seconds, v, 1, 300),
        get: |s| s.patience_seconds.to_string(),
    },
    Field { name: "connections", help: "Open connections, 1 to 1000000; more wait", secret: false, set: |s, v| within(&mut s.connections, v, 1, 1_000_000), get: |s| s.connections.to_string() },
    Field { name: "drain_seconds", help: "Time that open requests get when the node stops, 0 to 600 s", secret: false, set: |s, v| within(&mut s.drain_seconds, v, 0, 600), get: |s| s.drain_seconds.to_string() },
    Field {
        name: "in_flight",
        help: "Requests to members at a time, 1 to 1000000; at the bound 503",
        secret: false,
        set: |s, v| within(&mut s.in_flight, v, 1, 1_000_000),
        get: |s| s.in_flight.to_string(),
    },
    Field {
        name: "in_flight_per_member",
        help: "Of those, for one member, 1 to 100000; at the bound 429",
        secret: false,
        set: |s, v| within(&mut s.in_flight_per_member, v, 1, 100_000),
        get: |s| s.in_flight_per_member.to_string(),
    },
    Field {
        name: "awake",
        help: "Members kept awake, 1 to 10000000, about 12 KB each; beyond it the longest idle sleep",
        secret: false,
        set: |s, v| within(&mut s.awake, v, 1, 10_000_000),
        get: |s| s.awake.to_string(),
    },
    Field { name: "idle_seconds", help: "After how long without a request a member sleeps, 1 to 86400 s", secret: false, set: |s, v| within(&mut s.idle_seconds, v, 1, 86_400), get: |s| s.idle_seconds.to_string() },
];

fn text<T: From<String>>(to: &mut T, value: &str) -> Result<(), String> {
    if value.trim().is_empty() {
        return Err("something; it is empty".into());
    }
    *to = value.to_owned().into();
    Ok(())
}

fn parsed<T: FromStr>(to: &mut T, value: &str, right: &str) -> Result<(), String> {
    *to = value.parse().map_err(|_| right.to_owned())?;
    Ok(())
}

fn within<T: FromStr + PartialOrd + Display>(to: &mut T, value: &str, least: T, most: T) -> Result<(), String> {
    match value.parse::<T>() {
        Ok(number) if number >= least && number <= most => {
            *to = number;
            Ok(())
        }
        _ => Err(format!("a whole number between {least} and {most}")),
    }
}
