//! Checks of the sections about builds: `[build]`, `[update]` and `[[preset]]`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use medsa_update::{WithoutClock, address};
use medsa_wire::MAX_OBJECT;

use super::super::error::Error;
use super::super::raw::{RawBuild, RawPreset, RawUpdate, RawWithoutClock};
use super::super::values::{BuildConfig, ObjectName, Preset, UpdateConfig};
use super::Check;

impl Check<'_> {
    pub(super) fn build(&self, raw: &RawBuild, folder: &Path) -> Result<BuildConfig, Error> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = match raw.threads {
            Some(threads) => self.within("build.threads", threads, 1..=64)? as usize,
            None => cores.get(),
        };
        let threads = NonZeroUsize::new(threads).unwrap_or(cores);
        let confirm_min =
            self.within_or("build.confirm_min", raw.confirm_min, 0.01..=1440.0, 5.0)?;
        let confirm_after = Duration::from_secs_f64(60.0 * confirm_min);
        let key = "build.keep_bytes";
        if let (Some(bytes), None) = (raw.keep_bytes, &raw.others) {
            return Err(self.error(key, bytes, "no such key without build.others"));
        }
        let keep_bytes = self.within_or(key, raw.keep_bytes, 0..=64 << 30, 192 << 20)? as u64;
        let others = raw.others.as_ref().map(|others| folder.join(others));
        Ok(BuildConfig { path: folder.join(&raw.path), confirm_after, threads, others, keep_bytes })
    }

    pub(super) fn update(
        &self,
        raw: &RawUpdate,
        build: &Path,
        folder: &Path,
    ) -> Result<UpdateConfig, Error> {
        if build.is_file() {
            let found = format!("{}, a file", build.display());
            return Err(self.error("build.path", found, "a folder of slots, for [update]"));
        }
        let repository = raw.repository.as_ref().map(|text| {
            address(text, folder).map_err(|_| {
                let expected = "a folder, file:///folder or https://server/folder";
                self.error("update.repository", format!("{text:?}"), expected)
            })
        });
        let repository = repository.transpose()?;
        let every = raw.every_h.map(|hours| {
            let hours = self.within("update.every_h", hours, 0.001..=8760.0)?;
            if repository.is_none() {
                return Err(self.error("update.every_h", hours, "no such key without repository"));
            }
            Ok(Duration::from_secs_f64(3600.0 * hours))
        });
        Ok(UpdateConfig {
            root: folder.join(&raw.root),
            repository,
            name: raw.name.clone(),
            every: every.transpose()?,
            without_clock: match raw.without_clock {
                RawWithoutClock::Refuse => WithoutClock::Refuse,
                RawWithoutClock::IgnoreExpiry => WithoutClock::IgnoreExpiry,
            },
        })
    }

    pub(super) fn presets(
        &self,
        raw: &[RawPreset],
        several_builds: bool,
    ) -> Result<Vec<Preset>, Error> {
        let mut presets: Vec<Preset> = Vec::new();
        for (index, RawPreset { name, objects, build }) in raw.iter().enumerate() {
            let text = |key: String, text: &str| {
                let wrong = |_| self.error(&key, format!("{text:?}"), ObjectName::EXPECTED);
                ObjectName::parse(text).map_err(wrong)
            };
            let key = format!("preset[{index}].name");
            let name = text(key.clone(), name)?.as_str().to_owned();
            if presets.iter().any(|preset| preset.name == name) {
                return Err(self.error(&key, format!("{name:?}"), "a name of its own"));
            }
            let key = format!("preset[{index}].objects");
            if objects.is_empty() || objects.len() > usize::from(MAX_OBJECT) + 1 {
                let expected = format!("1 to {}", MAX_OBJECT + 1);
                return Err(self.error(&key, format!("{} names", objects.len()), expected));
            }
            let objects = objects.iter().map(|object| text(key.clone(), object));
            let objects = objects.collect::<Result<_, _>>()?;
            if let (Some(build), false) = (build, several_builds) {
                let key = format!("preset[{index}].build");
                let expected = "no such key without build.others";
                return Err(self.error(&key, format!("{build:?}"), expected));
            }
            presets.push(Preset { name, objects, build: build.clone() });
        }
        Ok(presets)
    }
}
