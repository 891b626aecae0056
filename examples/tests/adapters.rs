//! What the adapters' READMEs say about their size is true.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{fs, path::Path};

/// An adapter that needs more holds something that is not its own. (Tokio's has readers and writers of traits of its own to
/// interrupt.)
const MOST: usize = 450;

/// The lines of a crate's sources, without their tests.
fn lines(sources: &Path) -> usize {
    let files =
        fs::read_dir(sources).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.map(|text| text.lines().take_while(|line| *line != "#[cfg(test)]").count()).sum()
}

#[test]
fn an_adapter_is_as_small_as_its_readme_says() {
    for adapter in ["sundown-tokio", "sundown-smol", "sundown-async-std"] {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(adapter);
        let lines = lines(&home.join("src"));
        let said = format!("This adapter is {lines} lines,");
        let readme = fs::read_to_string(home.join("README.md")).unwrap();
        assert!(readme.contains(&said), "the README of {adapter} should say: {said:?}");
        assert!(lines < MOST, "{adapter} has {lines} lines, {MOST} are too many");
    }
}
