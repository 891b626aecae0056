//! What the journal is made of, with nothing around it.

use std::{
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use futures_channel::oneshot;
use redb::{Database, TableDefinition};

use crate::PAYLOAD;

const RECORDS: TableDefinition<'_, (u128, u64), (&str, &str)> = TableDefinition::new("records");

pub(crate) fn open(path: &Path) -> Database {
    Database::create(path).unwrap()
}

/// One durable commit.
pub(crate) fn write(database: &Database, insert: &[u64], remove: &[u64]) {
    let write = database.begin_write().unwrap();
    {
        let mut records = write.open_table(RECORDS).unwrap();
        for &number in insert {
            records.insert((7, number), (&*format!("job-{number}"), PAYLOAD)).unwrap();
        }
        for &number in remove {
            records.remove((7, number)).unwrap();
        }
    }
    write.commit().unwrap();
}

enum Call {
    Insert(u64, oneshot::Sender<()>),
    Remove(u64),
}

/// A thread that writes whatever has come as one commit.
#[derive(Clone)]
pub(crate) struct Batching(Sender<Call>);

impl Batching {
    pub(crate) fn start(database: Database) -> Self {
        let (calls, incoming) = channel();
        thread::spawn(move || run(&database, &incoming));
        Batching(calls)
    }

    pub(crate) async fn insert(&self, number: u64) {
        let (done, answer) = oneshot::channel();
        self.0.send(Call::Insert(number, done)).unwrap();
        answer.await.unwrap();
    }

    /// With the next one who waits.
    pub(crate) fn remove(&self, number: u64) {
        self.0.send(Call::Remove(number)).unwrap();
    }
}

fn run(database: &Database, incoming: &Receiver<Call>) {
    let (mut insert, mut remove, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    while let Ok(first) = incoming.recv() {
        for call in std::iter::once(first).chain(incoming.try_iter()) {
            match call {
                Call::Insert(number, done) => {
                    insert.push(number);
                    waiting.push(done);
                }
                Call::Remove(number) => remove.push(number),
            }
        }
        if !waiting.is_empty() {
            write(database, &insert, &remove);
            insert.clear();
            remove.clear();
        }
        for done in waiting.drain(..) {
            let _ = done.send(());
        }
    }
}
