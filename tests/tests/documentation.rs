//! What must be said of everything that is public, where no lint asks for it.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The sources of the crates that are published.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates");
    let (mut folders, mut sources) = (vec![crates], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs")
                && path.components().any(|part| part.as_os_str() == "src")
            {
                sources.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    sources
}

/// Whether a future begins here that users hold: a public `async fn`, one of a public trait, or a function that returns
/// one.
fn is_future(lines: &[&str], in_trait: bool) -> bool {
    let line = lines[0].trim_start();
    let signature = lines.iter().take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let signature = signature.split(['{', ';']).next().unwrap_or_default();
    let returns = ["impl Future", "BoxFuture", "Pin<Box<dyn Future"];
    let is_returned = returns.iter().any(|future| signature.contains(&format!("-> {future}")));
    line.starts_with("pub async fn")
        || (line.starts_with("pub fn") && is_returned)
        || (in_trait && (line.starts_with("async fn") || (line.starts_with("fn") && is_returned)))
}

/// The documentation that stands above this line.
fn documentation<'a>(lines: &'a [&'a str], at: usize) -> impl Iterator<Item = &'a str> {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    above.take_while(|line| line.starts_with("///") || line.starts_with("#["))
}

#[test]
fn every_future_says_what_becomes_of_it_when_it_is_dropped() {
    let (mut silent, mut futures) = (Vec::new(), 0);
    for (path, source) in sources() {
        let lines: Vec<_> = source.lines().collect();
        let mut in_trait = false;
        for (at, line) in lines.iter().enumerate() {
            in_trait = line.starts_with("pub trait") || (in_trait && *line != "}");
            if is_future(&lines[at..], in_trait) {
                futures += 1;
                if !documentation(&lines, at).any(|line| line == "/// # Cancel safety") {
                    silent.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
                }
            }
        }
    }
    assert!(futures > 20, "only {futures} were found");
    assert!(silent.is_empty(), "no paragraph on cancel safety:\n{}", silent.join("\n"));
}
