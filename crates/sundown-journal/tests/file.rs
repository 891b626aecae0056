//! The journal's file: who may read it, who may open it, and what is said if it cannot be.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

mod place;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    process::{Command, Stdio},
};

use sundown_journal::{Journal, JournalError};

use crate::place::{Place, wait};

/// Where the second process finds the journal.
const HELD: &str = "SUNDOWN_TEST_HELD_JOURNAL";

#[test]
fn all_files_are_readable_by_their_owner_only() {
    let place = Place::new();
    let journal = Journal::open(place.journal()).unwrap();
    wait(journal.jobs("resizer").begin("17", "secret")).unwrap().complete().unwrap();
    let mut names: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{entry:?}");
        })
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["jobs.journal", "jobs.journal.lock"]);
}

#[test]
fn one_at_a_time_has_a_journal_by_whatever_name() {
    let place = Place::new();
    let journal = Journal::open(place.journal()).unwrap();
    let link = place.path().join("link");
    symlink(place.journal(), &link).unwrap();
    for name in [&place.journal(), &link] {
        let error = Journal::open(name).unwrap_err();
        assert!(matches!(error, JournalError::InUse { .. }), "{error}");
        assert!(error.to_string().ends_with("jobs.journal is in use by another process"), "{error}");
    }
    drop(journal);
    Journal::open(link).unwrap();
}

#[test]
fn a_journal_begins_where_links_lead_that_lead_to_nothing_yet() {
    let place = Place::new();
    let (data, etc) = (place.path().join("data"), place.path().join("etc"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&etc).unwrap();
    symlink("../data/jobs", etc.join("jobs")).unwrap();
    symlink(etc.join("jobs"), place.path().join("link")).unwrap();
    let journal = Journal::open(place.path().join("link")).unwrap();
    let error = Journal::open(data.join("jobs")).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    drop(journal);
    assert!(data.join("jobs").metadata().unwrap().is_file());
    assert!(place.path().join("link").is_symlink() && etc.join("jobs").is_symlink());
    assert_eq!(fs::read_dir(etc).unwrap().count(), 1, "nothing is put beside the link");
}

#[test]
fn a_journal_does_not_begin_where_links_lead_nowhere() {
    let place = Place::new();
    let (circle, astray) = (place.path().join("circle"), place.path().join("astray"));
    symlink("circle", &circle).unwrap();
    symlink("no/such/directory/jobs", &astray).unwrap();
    for link in [circle, astray] {
        let error = Journal::open(&link).unwrap_err();
        assert!(matches!(error, JournalError::Io { .. }), "{error}");
        assert!(link.is_symlink());
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing is put beside them");
}

#[test]
fn one_at_a_time_has_a_journal_whatever_becomes_of_its_lock() {
    let place = Place::new();
    let journal = Journal::open(place.journal()).unwrap();
    let other = place.path().join("other");
    fs::hard_link(place.journal(), &other).unwrap();
    // What a cleaner does.
    fs::remove_file(place.path().join("jobs.journal.lock")).unwrap();
    for name in [place.journal(), other] {
        let error = Journal::open(&name).unwrap_err();
        assert!(matches!(error, JournalError::InUse { .. }), "{error}");
    }
    let job = wait(journal.jobs("resizer").begin("17", "x")).unwrap();
    drop((job, journal));
    Journal::open(place.journal()).unwrap();
}

/// Not a test of its own: the second process of the next one.
#[test]
fn a_second_process() {
    let Some(path) = env::var_os(HELD) else { return };
    let _journal = Journal::open(path).unwrap();
    // Past the test harness, which has not finished its line.
    std::io::stdout().write_all(b"\nopen\n").unwrap();
    let _ = std::io::stdin().lines().next();
}

#[test]
fn a_journal_that_another_process_has_is_refused_until_that_is_gone() {
    let place = Place::new();
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_second_process", "--nocapture"])
        .env(HELD, place.journal())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "open"));
    assert!(matches!(Journal::open(place.journal()), Err(JournalError::InUse { .. })));
    other.kill().unwrap();
    other.wait().unwrap();
    Journal::open(place.journal()).unwrap();
}

#[test]
fn what_cannot_be_opened_is_refused_with_its_name() {
    let place = Place::new();
    let mut cases = vec![
        place.path().join("no/such/directory/jobs"),
        "/proc/jobs.journal".into(),
        place.path().to_owned(),
    ];
    let read_only = place.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    fs::set_permissions(&read_only, fs::Permissions::from_mode(0o500)).unwrap();
    // To root it is not.
    if fs::write(read_only.join("try"), "").is_err() {
        cases.push(read_only.join("jobs.journal"));
    }
    for path in cases {
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Io { .. }), "{path:?}: {error}");
        assert!(
            error.to_string().starts_with(&format!("the journal {} could not be opened: ", path.display()))
        );
    }
    assert!(!place.path().with_extension("lock").exists(), "nothing is put beside a directory");
    fs::write(place.journal(), "#!/bin/sh\nexit 1\n").unwrap();
    assert!(matches!(Journal::open(place.journal()), Err(JournalError::NotAJournal { .. })));
    assert_eq!(fs::read(place.journal()).unwrap(), b"#!/bin/sh\nexit 1\n");
}

#[test]
fn what_a_crash_has_left_beside_it_does_no_harm() {
    let place = Place::new();
    fs::write(place.path().join("jobs.journal.new"), "half of a copy").unwrap();
    let journal = Journal::open(place.journal()).unwrap();
    let job = wait(journal.jobs("resizer").begin("17", "x")).unwrap();
    journal.close().unwrap();
    fs::write(place.path().join("jobs.journal.new"), "half of a copy").unwrap();
    assert_eq!(Journal::open(place.journal()).unwrap().left_over()[0].key(), job.key());
    assert!(!place.path().join("jobs.journal.new").exists(), "it goes");
    // Beside what is no journal, it is somebody else's.
    fs::write(place.path().join("script"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::write(place.path().join("script.new"), "a draft").unwrap();
    assert!(Journal::open(place.path().join("script")).is_err());
    assert_eq!(fs::read(place.path().join("script.new")).unwrap(), b"a draft");
}
