//! What the store promises on a disk that does everything wrong.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::value::to_raw_value;
use sundown::Past;

use super::*;
use crate::disk::{Disk, Faults, sized};

/// Jobs by row, each with its checkpoint.
type Model = BTreeMap<Row, Option<String>>;

fn row(sequence: u64) -> Row {
    (7, sequence)
}

fn record(sequence: u64) -> Arc<Record> {
    let payload = to_raw_value(&"x".repeat((sequence % 300) as usize)).unwrap();
    let id = format!("job-{sequence}").try_into().unwrap();
    Arc::new(Record { run: 1, began: sequence, id, past: Past::default(), payload })
}

fn put(sequence: u64) -> Put {
    let (row, record) = (row(sequence), record(sequence));
    Put { row, record, checkpoint: None, end: None, instead_of: None }
}

fn puts(sequences: impl IntoIterator<Item = u64>) -> Batch {
    Batch { puts: sequences.into_iter().map(put).collect(), ..Batch::default() }
}

fn model(contents: &Contents) -> Model {
    let checkpoint = |job: &Found| job.checkpoint.as_ref().map(|checkpoint| checkpoint.get().to_owned());
    contents.jobs.iter().map(|job| (job.row, checkpoint(job))).collect()
}

fn open(disk: &Disk) -> (Store, Model) {
    let (store, contents) = Store::open(disk.medium()).unwrap();
    for job in &contents.jobs {
        assert_eq!(job.record.id.as_str(), format!("job-{}", job.row.1));
        assert_eq!(job.record.payload.get(), record(job.row.1).payload.get());
    }
    (store, model(&contents))
}

/// New jobs, ends of old ones, checkpoints; and what is there afterwards.
fn some_batch(dice: &mut Rng, before: &Model, next: &mut u64) -> (Batch, Model) {
    let (mut batch, mut after) = (Batch::default(), before.clone());
    for _ in 0..dice.u64(0..20) {
        *next += 1;
        batch.puts.push(put(*next));
        after.insert(row(*next), None);
    }
    for &row in before.keys() {
        match dice.u8(0..6) {
            0 | 1 => {
                after.remove(&row);
                batch.forgotten.push(row);
            }
            2 => {
                let checkpoint = to_raw_value(&dice.u64(..)).unwrap();
                after.insert(row, Some(checkpoint.get().to_owned()));
                let checkpoint = Some(checkpoint.into());
                batch.notes.insert(row, Note { checkpoint, ..Note::default() });
            }
            _ => (),
        }
    }
    (batch, after)
}

/// Commits as soon as the store allows.
fn commit_in_time(store: &mut Store, batch: &Batch) -> Result<(), WriteError> {
    store.end_pause();
    store.commit(batch).map_err(|unwritten| unwritten.error)
}

#[test]
fn after_a_power_cut_everything_acknowledged_is_there() {
    let mut dice = Rng::with_seed(11);
    let mut between = 0;
    for _ in 0..sized(150, 3_000) {
        let (disk, mut known, mut next) = (Disk::default(), Model::new(), 0);
        for _boot in 0..4 {
            let cut_at = Some(disk.operations() + dice.u64(1..120));
            disk.set(Faults { cut_at, ..Faults::default() });
            let mut maybe = None;
            if let Ok((mut store, _)) = Store::open(disk.medium()) {
                while !disk.is_off() {
                    let (batch, after) = some_batch(&mut dice, &known, &mut next);
                    match store.commit(&batch) {
                        Ok(()) => known = after,
                        Err(_) => maybe = Some(after),
                    }
                    if dice.u8(0..8) == 0 {
                        store.copied = 0;
                        let open = store.open.take().map(|open| open.database);
                        let _ = open.map(|open| store.copy(Some(&open)));
                    }
                }
            }
            disk.restart(&mut dice);
            let (_, found) = open(&disk);
            between += usize::from(found != known);
            assert!(found == known || Some(&found) == maybe.as_ref(), "{found:?} {known:?}");
            known = found;
        }
    }
    assert!(
        between > 0,
        "no batch in flight has ever come through: the power is not cut in the middle of one"
    );
}

#[test]
fn after_a_failed_sync_no_later_one_is_trusted_with_what_the_disk_may_have_lost() {
    let mut dice = Rng::with_seed(12);
    for _ in 0..sized(60, 1_000) {
        let (disk, mut known, mut next) = (Disk::default(), Model::new(), 0);
        let (mut store, _) = open(&disk);
        for _ in 0..dice.usize(2..10) {
            let failing = dice.u8(0..3) == 0;
            disk.set(Faults { sync: failing, directory: failing && dice.bool(), ..Faults::default() });
            let (mut batch, after) = some_batch(&mut dice, &known, &mut next);
            if commit_in_time(&mut store, &batch).is_ok() {
                known = after;
                continue;
            }
            // What the writer does: what nobody waits for is tried again, what was put is not there.
            let mut retried = known.clone();
            retried.extend(
                batch
                    .notes
                    .iter()
                    .filter_map(|(row, note)| Some((*row, Some(note.checkpoint.as_ref()?.get().to_owned())))),
            );
            retried.retain(|row, _| !batch.forgotten.contains(row));
            batch.forgotten.extend(std::mem::take(&mut batch.puts).into_iter().map(|put| put.row));
            disk.set(Faults::default());
            commit_in_time(&mut store, &batch).unwrap();
            known = retried;
        }
        drop(store);
        disk.restart(&mut dice);
        assert_eq!(open(&disk).1, known);
    }
}

#[test]
fn what_fails_is_said_and_nothing_acknowledged_is_lost() {
    type Fault = (&'static str, fn() -> Faults, &'static str);
    let faults: [Fault; 4] = [
        ("full", || Faults { full: true, ..Faults::default() }, "no storage space"),
        ("sync", || Faults { sync: true, ..Faults::default() }, "the disk could not sync"),
        ("read-only", || Faults { read_only: true, ..Faults::default() }, "read-only filesystem"),
        ("panic", || Faults { panic: true, ..Faults::default() }, "a fault of the test"),
    ];
    for (name, fault, said) in faults {
        let disk = Disk::default();
        let (mut store, _) = open(&disk);
        store.commit(&puts(0..100)).unwrap();
        disk.set(fault());
        for round in 0..5 {
            let error = (0..1_000)
                .find_map(|at| commit_in_time(&mut store, &puts([1_000 + round * 1_000 + at])).err());
            let error = error.expect("it fails before long").to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
        disk.set(Faults::default());
        commit_in_time(&mut store, &puts([200])).unwrap();
        disk.restart(&mut Rng::with_seed(1));
        let found: BTreeSet<_> = open(&disk).1.into_keys().collect();
        assert!((0..100).chain([200]).all(|sequence| found.contains(&row(sequence))), "{name}: {found:?}");
    }
}

#[test]
fn while_nobody_knows_which_file_would_be_found_nothing_is_acknowledged() {
    for seed in 0..20 {
        let disk = Disk::default();
        let (mut store, _) = open(&disk);
        store.commit(&puts(0..100)).unwrap();
        for fault in
            [Faults { sync: true, ..Faults::default() }, Faults { directory: true, ..Faults::default() }]
        {
            disk.set(fault);
            for sequence in 300..303 {
                assert!(commit_in_time(&mut store, &puts([sequence])).is_err(), "{fault:?}");
            }
        }
        if seed % 2 == 0 {
            disk.set(Faults::default());
            commit_in_time(&mut store, &puts([200])).unwrap();
        }
        disk.restart(&mut Rng::with_seed(seed));
        let found = open(&disk).1;
        assert!((0..100).all(|sequence| found.contains_key(&row(sequence))), "{found:?}");
        assert!(seed % 2 == 1 || found.contains_key(&row(200)), "{found:?}");
    }
}

#[test]
fn a_store_that_has_failed_pauses_longer_and_longer_and_says_why_at_once() {
    let disk = Disk::default();
    let (mut store, _) = open(&disk);
    disk.set(Faults { sync: true, ..Faults::default() });
    assert!(store.commit(&puts([1])).is_err());
    let first = store.failure.as_ref().unwrap().pause;
    let operations = disk.operations();
    store.failure.as_mut().unwrap().until += Duration::from_secs(60);
    assert!(store.commit(&puts([2])).is_err());
    assert_eq!(disk.operations(), operations, "the disk is left alone in a pause");
    assert!(commit_in_time(&mut store, &puts([3])).is_err());
    assert!(store.failure.as_ref().unwrap().pause > first);
}

#[test]
fn a_journal_whose_first_write_fails_begins_when_the_disk_is_well() {
    for fault in [
        Faults { read_only: true, ..Faults::default() },
        Faults { sync: true, ..Faults::default() },
        Faults { full: true, ..Faults::default() },
        Faults { directory: true, ..Faults::default() },
    ] {
        let disk = Disk::default();
        disk.set(fault);
        assert!(matches!(Store::open(disk.medium()), Err(OpenError::Trouble(Trouble::Io(_)))), "{fault:?}");
        disk.set(Faults::default());
        assert_eq!(open(&disk).1, Model::new());
    }
}

#[test]
fn under_churn_the_file_does_not_grow_for_ever() {
    let disk = Disk::default();
    let (mut store, _) = open(&disk);
    let (at_once, mut most) = (5_000, 0);
    for round in 0..sized(6, 60) {
        let jobs = round * at_once..(round + 1) * at_once;
        store.commit(&puts(jobs.clone())).unwrap();
        most = most.max(disk.contents().len());
        store.commit(&Batch { forgotten: jobs.map(row).collect(), ..Batch::default() }).unwrap();
        store.tidy(0);
        assert!(disk.contents().len() < SMALL as usize, "it is small once the jobs are done");
    }
    assert!(most > 2 * SMALL as usize, "{most}: it has grown in between");
    // And with jobs in it, each of which is replaced again and again.
    let (mut known, mut live) = (Vec::new(), 0);
    for round in 0..sized(40, 400) {
        let jobs = (0..500).map(|number| 1_000_000 + round * 500 + number);
        let batch = puts(jobs.clone());
        live += batch.puts.iter().map(|put| size(&put.record)).sum::<u64>();
        known.extend(jobs);
        let forgotten = if known.len() > 5_000 { known.drain(..500).collect() } else { Vec::new() };
        live -= forgotten.iter().map(|&sequence| size(&record(sequence))).sum::<u64>();
        store.commit(&Batch { forgotten: forgotten.into_iter().map(row).collect(), ..batch }).unwrap();
        store.tidy(live);
        let len = disk.contents().len() as u64;
        assert!(len <= (8 * live).max(2 * SMALL), "round {round}: {len} bytes for {live}");
    }
}

#[test]
fn a_file_that_cannot_be_copied_goes_on_as_it_is() {
    let disk = Disk::default();
    let (mut store, _) = open(&disk);
    store.commit(&puts(0..5_000)).unwrap();
    disk.set(Faults { full: true, ..Faults::default() });
    store.tidy(0);
    assert!(!disk.has_copy(), "half of a copy takes what room is left");
    disk.set(Faults::default());
    store.commit(&puts([5_000])).unwrap();
    store.close().unwrap();
    assert_eq!(open(&disk).1.len(), 5_001);
}

#[test]
fn a_newer_or_a_foreign_file_is_refused_untouched() {
    let disk = Disk::default();
    open(&disk).0.close().unwrap();
    let mut newer = disk.contents();
    newer[16] = b'2';
    type Case = (Vec<u8>, fn(&OpenError) -> bool);
    let cases: [Case; 4] = [
        (newer, |error| matches!(error, OpenError::Newer(2))),
        (b"#!/bin/sh".to_vec(), |error| matches!(error, OpenError::Foreign)),
        (vec![0; 100_000], |error| matches!(error, OpenError::Foreign)),
        (Vec::new(), |error| matches!(error, OpenError::Foreign)),
    ];
    for (file, expected) in cases {
        let disk = Disk::with_file(&file);
        let error = Store::open(disk.medium()).err().unwrap();
        assert!(expected(&error), "{error:?}");
        assert_eq!((disk.contents(), disk.operations()), (file, 0));
    }
}

#[test]
fn a_torn_or_truncated_file_opens_whole_or_says_why_not() {
    let disk = Disk::default();
    let (mut store, _) = open(&disk);
    store.commit(&puts(0..200)).unwrap();
    store.commit(&Batch { forgotten: vec![row(3)], ..Batch::default() }).unwrap();
    let unclean = disk.contents();
    store.close().unwrap();
    let (mut opened, mut refused) = (0, 0);
    let mut look = |file: &[u8], held: &[usize], what: &str| {
        let disk = Disk::with_file(file);
        match Store::open(disk.medium()) {
            Ok((_, contents)) => {
                opened += 1;
                let jobs = contents.jobs.len();
                assert!(held.contains(&jobs), "{what}: it opens with {jobs} jobs, and held {held:?}");
            }
            Err(OpenError::Trouble(trouble)) => {
                refused += 1;
                assert!(!trouble.to_string().is_empty(), "{what}");
                // Whatever the attempt has repaired, the next one is not taken in.
                if let Ok((_, contents)) = Store::open(disk.medium()) {
                    let jobs = contents.jobs.len();
                    panic!("{what}: refused once, and then it opens with {jobs} jobs");
                }
            }
            // What says what the file is has gone too.
            Err(OpenError::Foreign) => {
                assert!(!file.starts_with(b"sundown-journal 1\n") || file.len() < 4096, "{what}")
            }
            Err(newer) => panic!("{what}: {newer:?}"),
        }
    };
    // A last write that was not synced is none: where the file was not closed, the state before it is good too.
    for (whole, held) in [(disk.contents(), &[199][..]), (unclean, &[199, 200])] {
        let last = (whole.len() - 4096..=whole.len()).step_by(sized(11, 1));
        for at in last.chain((0..whole.len()).step_by(sized(5_000, 100))) {
            look(&whole[..at], held, &format!("cut at {at}"));
            let mut torn = whole.clone();
            torn[at..].fill(0xA5);
            look(&torn, held, &format!("torn from {at}"));
        }
        for at in (4096..whole.len()).step_by(512) {
            let mut torn = whole.clone();
            torn[at..at + 512].fill(0);
            look(&torn, held, &format!("the sector at {at} is lost"));
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} {refused}");
}
