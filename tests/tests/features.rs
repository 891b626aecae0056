//! The table of features says where each is shown: it is held to what is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the survey has.
const ROWS: usize = 52;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The links of a line of Markdown, as their texts and targets.
fn links(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('[').skip(1).filter_map(|rest| {
        let (text, rest) = rest.split_once("](")?;
        Some((text, rest.split_once(')')?.0))
    })
}

/// What is wrong with a row, if anything.
fn wrong(root: &Path, row: &str) -> Vec<String> {
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    let shown = links(row).filter_map(|(name, file)| {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        (!text.contains(&format!("fn {name}("))).then(|| format!("row {}: no {name} in {file}", cells[1]))
    });
    let missing = links(row).next().is_none() && !cells[3].starts_with("not yet");
    shown.chain(missing.then(|| format!("row {}: not shown by anything", cells[1]))).collect()
}

#[test]
fn each_feature_is_shown_by_what_is_there() {
    let root = workspace();
    let table = fs::read_to_string(root.join("FEATURES.md")).expect("the table is there");
    let rows: Vec<_> =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).skip(1).collect();
    let numbers: Vec<_> = rows.iter().map(|row| row.split('|').nth(1).unwrap_or_default().trim()).collect();
    assert_eq!(numbers, (1..=ROWS).map(|row| row.to_string()).collect::<Vec<_>>());
    let wrong: Vec<_> = rows.iter().flat_map(|row| wrong(&root, row)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_there_is_found_out() {
    let root = workspace();
    let row = |shown: &str| format!("| 1 | a feature | here | {shown} |");
    assert_eq!(
        wrong(&root, &row("[each_feature_is_shown_by_what_is_there](tests/tests/features.rs)")).len(),
        0
    );
    assert_eq!(wrong(&root, &row("[no_such_test](tests/tests/features.rs)")).len(), 1);
    assert_eq!(wrong(&root, &row("[main](no/such/file.rs)")).len(), 1);
    assert_eq!(wrong(&root, &row("")).len(), 1);
}

#[test]
fn no_crate_allows_unsafe_code() {
    let root = workspace();
    for one in fs::read_dir(root.join("crates")).expect("the crates are there") {
        let lib = one.expect("it can be read").path().join("src/lib.rs");
        let text = fs::read_to_string(&lib).expect("a crate has a lib.rs");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{}", lib.display());
    }
}
