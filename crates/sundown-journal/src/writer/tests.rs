//! What the writer keeps while the disk is down.

use std::time::Instant;

use serde_json::value::to_raw_value;
use sundown::Past;

use super::*;
use crate::{
    disk::{Disk, Faults},
    store::{End, Found, Put, Record, Row},
};

fn body(disk: &Disk) -> Body {
    let (store, _) = Store::open(disk.medium()).unwrap();
    let (room, queue) = (Room::new(u64::MAX, u64::MAX), Arc::new(Queue::default()));
    Body { store, room, queue, watches: Vec::new() }
}

fn record() -> Arc<Record> {
    let id = "job".to_owned().try_into().unwrap();
    let payload = to_raw_value(&1).unwrap();
    Arc::new(Record { run: 1, began: 1, id, past: Past::default(), payload })
}

/// A begin that fails.
fn fail_to_put(body: &mut Body, row: Row) {
    let record = record();
    let mut answer = body.queue.put(Put { row, record, checkpoint: None, end: None, instead_of: None });
    let work = body.queue.next(None);
    body.write(work);
    assert!(answer.try_recv().unwrap().unwrap().is_err());
}

#[test]
fn what_is_refused_while_the_disk_is_down_leaves_nothing_behind() {
    let disk = Disk::default();
    let mut body = body(&disk);
    disk.set(Faults { sync: true, ..Faults::default() });
    // Nobody knows whether the first came onto the disk. With a sync that has failed, no later one is begun.
    for sequence in 0..1_000 {
        fail_to_put(&mut body, (7, sequence));
    }
    let waiting = body.queue.next(Some(Instant::now())).batch;
    assert_eq!(waiting.forgotten, [(7, 0)]);
    assert!(waiting.puts.is_empty() && waiting.notes.is_empty());
}

#[test]
fn what_is_put_back_gives_way_to_what_came_later() {
    let checkpoint =
        |number: u64| Note { checkpoint: Some(to_raw_value(&number).unwrap().into()), ..Note::default() };
    let run = |component: &str| Some(Run { component: component.into(), reason: None });
    let queue = Queue::default();
    for (row, number) in [((7, 1), 1), ((7, 2), 1)] {
        queue.note(row, checkpoint(number));
    }
    queue.run(1, run("one"));
    queue.run(2, run("two"));
    queue.forget((7, 3));
    let failed = queue.next(Some(Instant::now())).batch;
    queue.note((7, 2), checkpoint(2));
    queue.run(2, None);
    queue.forget((7, 4));
    queue.put_back(failed);
    let all = queue.next(Some(Instant::now())).batch;
    let noted = |row| all.notes[&row].checkpoint.as_ref().unwrap().get().to_owned();
    assert_eq!((noted((7, 1)), noted((7, 2))), ("1".to_owned(), "2".to_owned()));
    assert!(all.runs[&1].is_some() && all.runs[&2].is_none());
    assert_eq!(all.forgotten, [(7, 3), (7, 4)]);
}

#[test]
fn what_is_resumed_meanwhile_is_not_put_back() {
    let old = Found { row: (7, 1), record: record(), checkpoint: None, end: End::default() };
    let queue = Queue::default();
    queue.note(old.row, Note::restore(&old));
    let failed = queue.next(Some(Instant::now())).batch;
    let instead_of = Some(Arc::new(old));
    let _answer = queue.put(Put { row: (8, 1), record: record(), checkpoint: None, end: None, instead_of });
    queue.put_back(failed);
    assert!(queue.next(Some(Instant::now())).batch.notes.is_empty());
}
