//! A process of this binary, as another one starts it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A process of this binary; ended when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut process = Command::new(binary).args(arguments).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let words = process.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(words).lines();
        let mut said = String::new();
        for line in lines.by_ref() {
            let line = line.map_err(|e| e.to_string())?;
            if let Some((_, address)) = line.split_once("ready on http://") {
                let address = address.trim().parse().map_err(|_| format!("not an address: {address}"))?;
                // Read on, or the child stops at a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { process, address });
            }
            said.push_str(&line);
        }
        Err(format!("{} did not start: {said}", arguments.first().unwrap_or(&"")))
    }

    /// Resident memory (Linux).
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let kb = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kb.unwrap_or(0) * 1024
    }

    /// CPU seconds used so far, by user and system (Linux; ticks of 10 ms).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        // utime and stime are fields 14 and 15 of proc(5); the first two are before the parenthesis.
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Asks it to stop and waits; answers whether it ended well.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        asked.map_err(|e| e.to_string())?;
        let ended = self.process.wait().map_err(|e| e.to_string())?;
        if ended.success() { Ok(()) } else { Err(format!("the node ended with {ended}")) }
    }
}
