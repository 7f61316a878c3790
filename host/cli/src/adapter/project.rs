//! The folder in which an adapter is written: its language and its name.

use anyhow::{Context, bail};
use clap::ValueEnum;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;

/// The largest manifest that is read: a hundred times what one takes.
const MAX_MANIFEST: u64 = 1 << 20;

/// The languages that `adapter new` and `adapter build` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Uses the SDK: components of some kilobytes, as fast as native code
    Rust,
    /// Uses componentize-js: `fetch` and `async`
    Javascript,
    /// Uses componentize-py: the largest components
    Python,
}

impl Language {
    /// The file that tells that a folder is of this language.
    fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Javascript => "package.json",
            Self::Python => "pyproject.toml",
        }
    }
}

/// An adapter's language and name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) language: Language,
    pub(super) name: String,
}

impl Project {
    /// Looks at what is in `folder`.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            bail!(
                "there is no folder {}: make one with `shardwright adapter new NAME --lang …`",
                folder.display()
            );
        }
        let languages = Language::value_variants().iter();
        let Some(&language) = languages
            .clone()
            .find(|language| folder.join(language.manifest()).is_file())
        else {
            let manifests: Vec<_> = languages.map(|language| language.manifest()).collect();
            bail!(
                "{} is no adapter's folder: there is none of {} in it",
                folder.display(),
                manifests.join(", ")
            );
        };
        let manifest = folder.join(language.manifest());
        let text = shardwright_files::read_text(&manifest, MAX_MANIFEST)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        let name = name(language, &text)
            .with_context(|| format!("{} does not say what the adapter is called", manifest.display()))?;
        // It becomes the name of a file.
        super::name::check(&name).with_context(|| manifest.display().to_string())?;
        Ok(Self { language, name })
    }
}

fn name(language: Language, manifest: &str) -> anyhow::Result<String> {
    let found = match language {
        Language::Javascript => serde_json::from_str::<serde_json::Value>(manifest)?["name"]
            .as_str()
            .map(str::to_owned),
        Language::Rust | Language::Python => {
            let table = if language == Language::Rust {
                "package"
            } else {
                "project"
            };
            let manifest = DeTable::parse(manifest)?;
            let table = manifest.get_ref().get(table).map(Spanned::get_ref);
            let name = table.and_then(|table| table.get("name")).map(Spanned::get_ref);
            name.and_then(|name| name.as_str()).map(str::to_owned)
        }
    };
    found.context("there is no name in it")
}

#[cfg(test)]
mod test {
    use super::*;

    fn find(files: &[(&str, &str)]) -> Result<Project, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Project::find(folder.path()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_manifest_tells_language_and_name() {
        for (language, file, text) in [
            (Language::Rust, "Cargo.toml", "[package]\nname = \"a-b\""),
            (Language::Javascript, "package.json", "{\"name\":\"a-b\"}"),
            (Language::Python, "pyproject.toml", "[project]\nname = \"a-b\""),
        ] {
            let name = "a-b".to_owned();
            assert_eq!(find(&[(file, text)]), Ok(Project { language, name }));
        }
    }

    #[test]
    fn what_is_no_project_is_named() {
        for (files, says) in [
            (&[][..], "none of Cargo.toml, package.json, pyproject.toml"),
            (&[("Cargo.toml", "[workspace]")][..], "there is no name in it"),
            (&[("package.json", "{")][..], "package.json"),
            (
                &[("package.json", "{\"name\":\"@me/x\"}")][..],
                "cannot be an adapter's name",
            ),
        ] {
            let error = find(files).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
