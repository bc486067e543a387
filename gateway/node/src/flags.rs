//! The settings as flags: one for each, made from the same list.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, FromArgMatches};
use tessera_config::{FIELDS, Settings};

/// `--settings FILE`, and a flag for each setting.
#[derive(Clone, Default)]
pub(crate) struct Flags {
    file: Option<PathBuf>,
    given: Vec<(String, String)>,
}

impl Flags {
    /// The settings in force.
    pub(crate) fn load(&self) -> Result<Settings, String> {
        Settings::load(self.file.as_deref(), |name| std::env::var(name).ok(), &self.given).map_err(|wrong| wrong.join("\n"))
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FIELDS.iter().filter_map(|field| matches.get_one::<String>(field.name).map(|value| (field.name.to_owned(), value.clone())));
        Ok(Self { file: matches.get_one::<PathBuf>("settings").cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("settings").long("settings").value_name("FILE").env("TESSERA_SETTINGS").help("Settings file; see config/tessera.toml");
        let file = file.value_parser(clap::value_parser!(PathBuf));
        FIELDS.iter().fold(command.arg(file), |command, field| {
            let flag = Arg::new(field.name).long(field.name.replace('_', "-")).help(field.help).value_name("VALUE");
            // A yes is said by the flag alone.
            let flag = if field.name == "open_to_all" { flag.num_args(0..=1).default_missing_value("true") } else { flag };
            command.arg(flag)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}
