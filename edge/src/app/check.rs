//! Check of a configuration: everything that the start needs is tested, without changing anything,
//! listening or connecting.

use std::path::Path;
use std::sync::Arc;

use medsa_engine::Workers;
use medsa_engine::acceptance::check_vectors;

use super::objects::objects;
use crate::config::{self, BrokerPlace, Config, Deidentification};
use crate::error::Error;
use crate::files;
use crate::mqtt::outbox::Outbox;
use crate::updates::{self, BuildFile, Loaded};
use crate::{degrade, http, log, records, source};

/// Checks everything that [`Service::start`](super::Service::start) and captures need. Returns the name and
/// version of the build and the number of its acceptance vectors.
///
/// # Errors
/// All problems: one [`Error::Unusable`] per key.
pub fn check(config: &Config) -> Result<(String, usize), Vec<Error>> {
    let mut problems = Problems(Vec::new());
    let load = |path: &Path| {
        let workers = Workers::new(config.build.threads);
        let Loaded { build, network } = BuildFile::open(path)?.load(config, &workers)?;
        Ok::<_, updates::Error>((network.build.to_string(), check_vectors(&build)?))
    };
    let build = updates::file_in_use(&config.build.path).and_then(|(path, _)| load(&path));
    let build = problems.keep("build.path", build);
    if let Some(folder) = &config.build.others {
        let mut misnamed = Vec::new();
        let names = updates::other_names(folder, |error| misnamed.push(error));
        let names = problems.keep("build.others", names).unwrap_or_default();
        let loaded = names.iter().map(|name| load(&updates::other_file(folder, name)).map(drop));
        for found in misnamed.into_iter().map(Err).chain(loaded) {
            problems.keep("build.others", found);
        }
        problems.keep("build.others", files::check_writable(folder));
        problems.0.extend(presets_without_build(config, &names));
    }
    if let Some(configured) = &config.degrade {
        let smaller = configured.smaller_build.as_deref().map(load).transpose();
        problems.keep("degrade.smaller_build", smaller);
        problems.keep("degrade.thermal_file", degrade::check(configured));
    }
    if let Some(size) = problems.keep("source", source::check(&config.source, &config.file)) {
        problems.keep("prompt", objects(config, size, Arc::default()));
    }
    if let BrokerPlace::External { url, access } = &config.broker.place {
        problems.keep("broker", access.load(url));
    }
    if let Some(config) = &config.http {
        problems.keep("http", http::check(config));
    }
    if let Some(records) = &config.records {
        problems.keep("records.folder", records::check(records));
        problems.0.extend(captures_kept(config).err());
    }
    if let Some(outbox) = &config.outbox {
        problems.keep("outbox.path", Outbox::check(&outbox.path));
    }
    if let Some(update) = &config.update {
        let root = std::fs::read(&update.root).map_err(files::Error::io(&update.root));
        problems.keep("update.root", root);
    }
    problems.keep("log", log::check(&config.log));
    match build {
        Some(build) if problems.0.is_empty() => Ok(build),
        _ => Err(problems.0),
    }
}

/// Checks that not every capture would be refused.
fn captures_kept(config: &Config) -> Result<(), Error> {
    match config.source.intake.deidentification() {
        Deidentification::Masked => Ok(()),
        Deidentification::Unmasked => {
            let expected = "the rectangles that hide what identifies the patient, or [] if there is \
                            nothing to hide; without it, every capture for [records] is refused";
            Err(config::Error::value(&config.file, "source.blank", "missing", expected).into())
        }
    }
}

/// Examinations whose build is not among `names`, those of further builds.
fn presets_without_build(config: &Config, names: &[String]) -> impl Iterator<Item = Error> {
    let known: Vec<_> =
        [updates::MAIN].into_iter().chain(names.iter().map(String::as_str)).collect();
    config.presets.iter().enumerate().filter_map(move |(index, preset)| {
        let build = preset.build.as_deref().filter(|build| !known.contains(build))?;
        let (key, found) = (format!("preset[{index}].build"), format!("{build:?}"));
        let expected = format!("one of {}", known.join(", "));
        Some(config::Error::value(&config.file, &key, found, expected).into())
    })
}

/// Problems found so far.
struct Problems(Vec<Error>);

impl Problems {
    /// Returns the result, or records the problem with the key.
    fn keep<T>(&mut self, key: &'static str, checked: Result<T, impl Into<Error>>) -> Option<T> {
        let problem = |source: Error| Error::Unusable { key, source: source.into() };
        checked.map_err(|error| self.0.push(problem(error.into()))).ok()
    }
}
