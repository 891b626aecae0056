//! A disk that is made up, with all that disks do wrong.
//!
//! Each file has what a reader sees and what would be found after a power cut; between them are the writes that were not
//! synced. A sync that fails drops those, as Linux does: readers still see them, and no later sync saves them.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use fastrand::Rng;
use redb::StorageBackend;

use crate::store::Medium;

/// What the disk tears a write into.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: HashMap<u32, Contents>,
    next: u32,
    /// The journal's file, and the one beside it.
    file: Option<u32>,
    beside: Option<u32>,
    /// The file that would be found after a power cut.
    on_disk: Option<u32>,
    faults: Faults,
    /// Writes of any kind so far.
    operations: u64,
    /// Handles of an earlier boot are dead.
    boot: u32,
    /// Each file's last handle, which locks it while it is there.
    handles: HashMap<u32, Weak<File>>,
    off: bool,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    seen: Vec<u8>,
    on_disk: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Len(u64),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Syncs fail.
    pub(crate) sync: bool,
    /// There is no room for one byte more.
    pub(crate) full: bool,
    /// Nothing can be written, and no file made.
    pub(crate) read_only: bool,
    /// The directory cannot be synced.
    pub(crate) directory: bool,
    /// Writes panic, as a bug of the store's would.
    pub(crate) panic: bool,
    /// The power fails at this operation.
    pub(crate) cut_at: Option<u64>,
}

impl Disk {
    pub(crate) fn with_file(contents: &[u8]) -> Self {
        let disk = Disk::default();
        let mut state = disk.lock();
        let contents = Contents { seen: contents.to_vec(), on_disk: contents.to_vec(), unsynced: Vec::new() };
        state.files.insert(0, contents);
        (state.next, state.file, state.on_disk) = (1, Some(0), Some(0));
        drop(state);
        disk
    }

    pub(crate) fn medium(&self) -> Box<dyn Medium> {
        Box::new(Boot { disk: self.clone(), boot: self.lock().boot })
    }

    /// The journal's file.
    pub(crate) fn file(&self) -> Arc<dyn StorageBackend> {
        self.medium().open().unwrap().unwrap()
    }

    /// What is in it.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let state = self.lock();
        state.files[&state.file.unwrap()].seen.clone()
    }

    /// Whether there is a file beside it.
    pub(crate) fn has_copy(&self) -> bool {
        self.lock().beside.is_some()
    }

    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// The disk does nothing until this is dropped.
    pub(crate) fn stall(&self) -> impl Drop + '_ {
        self.lock()
    }

    /// Whether the power has failed.
    pub(crate) fn is_off(&self) -> bool {
        self.lock().off
    }

    /// The power fails now, if it has not, and comes back: of what was not synced any part may be there.
    pub(crate) fn restart(&self, dice: &mut Rng) {
        let mut state = self.lock();
        state.boot += 1;
        state.handles.clear();
        state.off = false;
        state.faults = Faults::default();
        state.file = if dice.bool() { state.file } else { state.on_disk };
        state.on_disk = state.file;
        state.beside = None;
        let found = state.file;
        state.files.retain(|id, _| Some(*id) == found);
        for file in state.files.values_mut() {
            // All of it is lost, or all is there, or any part.
            let odds = [0.0, 1.0, 0.5, 0.9][dice.usize(0..4)];
            for change in std::mem::take(&mut file.unsynced) {
                match change {
                    Change::Len(len) if dice.f64() < odds => file.on_disk.resize(len as usize, 0),
                    Change::Len(_) => (),
                    Change::Write(at, data) => {
                        for (number, sector) in data.chunks(SECTOR).enumerate() {
                            if dice.f64() < odds {
                                put(&mut file.on_disk, at as usize + number * SECTOR, sector);
                            }
                        }
                    }
                }
            }
            file.seen = file.on_disk.clone();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A fault may panic under it, on purpose.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn put(file: &mut Vec<u8>, at: usize, data: &[u8]) {
    if file.len() < at + data.len() {
        file.resize(at + data.len(), 0);
    }
    file[at..at + data.len()].copy_from_slice(data);
}

impl State {
    /// Whether one more write can be tried.
    fn operate(&mut self, boot: u32) -> io::Result<()> {
        self.alive(boot)?;
        self.operations += 1;
        if self.faults.cut_at.is_some_and(|at| self.operations >= at) {
            self.off = true;
        }
        self.alive(boot)?;
        assert!(!self.faults.panic, "a fault of the test");
        if self.faults.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn alive(&self, boot: u32) -> io::Result<()> {
        if self.off || boot != self.boot { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}

/// The disk until the power fails.
struct Boot {
    disk: Disk,
    boot: u32,
}

impl Boot {
    fn handle(&self, state: &mut State, id: u32) -> io::Result<Arc<dyn StorageBackend>> {
        if state.handles.get(&id).is_some_and(|handle| handle.strong_count() > 0) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "an earlier handle of the file is there"));
        }
        let handle = Arc::new(File { disk: self.disk.clone(), boot: self.boot, id });
        state.handles.insert(id, Arc::downgrade(&handle));
        Ok(handle)
    }
}

impl Medium for Boot {
    fn open(&mut self) -> io::Result<Option<Arc<dyn StorageBackend>>> {
        let mut state = self.disk.lock();
        state.alive(self.boot)?;
        state.file.map(|id| self.handle(&mut state, id)).transpose()
    }

    fn begin_copy(&mut self) -> io::Result<Arc<dyn StorageBackend>> {
        let mut state = self.disk.lock();
        state.operate(self.boot)?;
        let id = state.next;
        state.next += 1;
        state.files.insert(id, Contents::default());
        state.beside = Some(id);
        self.handle(&mut state, id)
    }

    fn remove_copy(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.alive(self.boot)?;
        state.beside = None;
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operate(self.boot)?;
        state.file = state.beside.take();
        if state.faults.directory {
            return Err(io::Error::other("the directory could not be synced"));
        }
        state.on_disk = state.file;
        Ok(())
    }
}

#[derive(Debug)]
struct File {
    disk: Disk,
    boot: u32,
    id: u32,
}

impl File {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operate(self.boot)?;
        let full = state.faults.full;
        let Some(file) = state.files.get_mut(&self.id) else { return Ok(()) };
        let grown = match &change {
            Change::Write(at, data) => *at as usize + data.len(),
            Change::Len(len) => *len as usize,
        };
        if full && grown > file.seen.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match &change {
            Change::Write(at, data) => put(&mut file.seen, *at as usize, data),
            Change::Len(len) => file.seen.resize(*len as usize, 0),
        }
        file.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        state.alive(self.boot)?;
        Ok(state.files.get(&self.id).map_or(0, |file| file.seen.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        state.alive(self.boot)?;
        let file = state.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let end = offset as usize + out.len();
        out.copy_from_slice(file.seen.get(offset as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operate(self.boot)?;
        let fails = state.faults.sync;
        let Some(file) = state.files.get_mut(&self.id) else { return Ok(()) };
        let unsynced = std::mem::take(&mut file.unsynced);
        if fails {
            return Err(io::Error::other("the disk could not sync"));
        }
        for change in unsynced {
            match change {
                Change::Write(at, data) => put(&mut file.on_disk, at as usize, &data),
                Change::Len(len) => file.on_disk.resize(len as usize, 0),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }
}

/// So much in every run; so much where `SUNDOWN_FULL` is set, as in a campaign.
pub(crate) fn sized<T>(every_run: T, campaign: T) -> T {
    if std::env::var_os("SUNDOWN_FULL").is_some() { campaign } else { every_run }
}
