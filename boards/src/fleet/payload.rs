//! Payload of a push: the metadata of a repository, and one build.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use medsa_bundle::Limits;
use medsa_update::{Client, Installed, Repository, Source, WithoutClock};
use semver::Version;
use tar::{Builder, Header};
use url::Url;

/// A part of a repository. Devices verify it with the root that they were shipped with. Here it is
/// only verified with the repository's own root, so that nothing expired or damaged is sent.
pub struct PushPayload {
    /// The build.
    pub build: Installed,
    /// Files, with their names in the repository.
    files: Vec<(PathBuf, String)>,
}

impl PushPayload {
    /// Collects the files for the build of that name and version, or the newest of that name.
    ///
    /// # Errors
    /// If the build is missing, or the metadata is invalid or expired.
    pub fn open(folder: &Path, name: &str, version: Option<&Version>) -> anyhow::Result<Self> {
        let root = Repository::open(folder)?.first_root();
        let at = |path: &Path, error: io::Error| anyhow!("{}: {error}", path.display());
        let source = Source {
            url: Url::from_directory_path(fs::canonicalize(folder)?).expect("is absolute"),
            root: fs::read(&root).map_err(|error| at(&root, error))?,
            without_clock: WithoutClock::Refuse,
            limits: Limits::default(),
            patience: Duration::ZERO,
        };
        let seen = tempfile::tempdir()?;
        let build = Client::open(source, seen.path())?.look()?.find(name, version)?.build.clone();
        let mut files = Vec::new();
        for (part, wanted) in [("metadata", ""), ("targets", &*format!("{}.", build.sha256))] {
            let folder = folder.join(part);
            for entry in fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
                let path = entry.map_err(|error| at(&folder, error))?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let Some(name) = name.filter(|name| name.starts_with(wanted)) else { continue };
                if path.is_file() {
                    let name = format!("{part}/{name}");
                    files.push((path, name));
                }
            }
        }
        let is_there = files.iter().any(|(_, name)| name.starts_with("targets/"));
        is_there.then_some(()).with_context(|| {
            format!("{}: {build} is listed, but its file is missing", folder.display())
        })?;
        Ok(Self { build, files })
    }

    /// Writes the payload as a tar file.
    ///
    /// # Errors
    /// Those of the system; one about a file that cannot be read names it.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut archive = Builder::new(to);
        for (path, name) in &self.files {
            let unreadable = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            };
            let file = File::open(path).map_err(unreadable)?;
            let mut header = Header::new_gnu();
            header.set_size(file.metadata().map_err(unreadable)?.len());
            header.set_mode(0o644);
            archive.append_data(&mut header, name, file)?;
        }
        archive.into_inner().map(drop)
    }
}
