//! Where a journal's bytes are: a file, the one that will take its place, and the lock that keeps others out.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::StorageBackend;

use crate::JournalError;

/// Who may look at the journal and at what stands beside it: its owner.
const MODE: u32 = 0o600;

/// A place for a journal.
///
/// What it opens is locked until it is dropped: who opens the journal again drops it first.
pub(crate) trait Medium: Send + 'static {
    /// The journal's file, if there is one.
    fn open(&mut self) -> io::Result<Option<Arc<dyn StorageBackend>>>;

    /// An empty file beside it.
    fn begin_copy(&mut self) -> io::Result<Arc<dyn StorageBackend>>;

    /// No file beside it any more.
    fn remove_copy(&mut self) -> io::Result<()>;

    /// The file beside it takes its place. When this returns without an error, it has done so on the disk too.
    fn replace(&mut self) -> io::Result<()>;
}

/// A file in a directory.
///
/// There are two locks. One is on a file of its own, which stays where it is, since the journal's file is replaced now and
/// then; but a cleaner may remove it, and a second hard link to the journal has another beside it. So the journal's file
/// is locked too, whenever it is open.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The journal's file, if there was one, until it is opened for the first time.
    found: Option<Disk>,
    /// Held, and let go of by the system, whatever way the process ends.
    _lock: File,
}

impl Directory {
    pub(crate) fn lock(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let path = resolve(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(MODE)
            .open(beside(&path, "lock"))
            .map_err(failed)?;
        match try_lock(&lock).and_then(|()| Disk::open(&path)) {
            Ok(found) => Ok(Directory { path, found, _lock: lock }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(JournalError::InUse { path }),
            Err(error) => Err(failed(error)),
        }
    }
}

fn try_lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => in_use(),
        TryLockError::Error(error) => error,
    })
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "it is in use by another process")
}

/// The file's one name, whatever links lead to it: it is what is locked, and what is replaced.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        // Before anything is put beside it.
        Ok(path) if path.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        Err(error) => return Err(error),
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = fs::canonicalize(directory.unwrap_or(Path::new(".")))?;
    let path = directory.join(name);
    match fs::read_link(&path) {
        // The journal begins where the link leads, often to another disk, and not in its place. That this ends is seen
        // to by the system, which finds nothing but an error where links lead in a circle or are too many.
        Ok(target) => resolve(&directory.join(target)),
        Err(_) => Ok(path),
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

impl Medium for Directory {
    fn open(&mut self) -> io::Result<Option<Arc<dyn StorageBackend>>> {
        let found = match self.found.take() {
            None => Disk::open(&self.path)?,
            found => found,
        };
        Ok(found.map(|disk| Arc::new(disk) as Arc<dyn StorageBackend>))
    }

    fn begin_copy(&mut self) -> io::Result<Arc<dyn StorageBackend>> {
        // What a crash has left.
        self.remove_copy()?;
        let path = beside(&self.path, "new");
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
        Ok(Arc::new(Disk::lock(file)?))
    }

    fn remove_copy(&mut self) -> io::Result<()> {
        match fs::remove_file(beside(&self.path, "new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&mut self) -> io::Result<()> {
        fs::rename(beside(&self.path, "new"), &self.path)?;
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
        File::open(directory)?.sync_all()
    }
}

/// A file of the system's, locked.
#[derive(Debug)]
struct Disk(File);

impl Disk {
    /// The file there, if there is one.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let disk = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Disk::lock(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Between the two steps who had it may have put another in its place.
        let (locked, there) = (disk.0.metadata()?, fs::metadata(path)?);
        if (locked.dev(), locked.ino()) == (there.dev(), there.ino()) {
            Ok(Some(disk))
        } else {
            Err(in_use())
        }
    }

    fn lock(file: File) -> io::Result<Self> {
        try_lock(&file)?;
        Ok(Disk(file))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The lock would last as long as any copy of the descriptor, and a child that was forked meanwhile has one.
        let _ = self.0.unlock();
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::PermissionsExt, process};

    use super::*;

    #[test]
    fn a_copy_is_its_owners_from_the_start_and_takes_the_files_place() {
        let place = env::temp_dir().join(format!("sundown-journal-medium-{}", process::id()));
        fs::create_dir(&place).unwrap();
        let path = place.join("jobs");
        let mut directory = Directory::lock(&path).unwrap();
        assert!(directory.open().unwrap().is_none());
        // Somebody else's, readable by all.
        fs::write(beside(&path, "new"), "x").unwrap();
        fs::set_permissions(beside(&path, "new"), fs::Permissions::from_mode(0o644)).unwrap();
        directory.begin_copy().unwrap().write(0, b"contents").unwrap();
        let mode = fs::metadata(beside(&path, "new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        directory.replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"contents");
        assert!(!beside(&path, "new").exists());
        assert_eq!(directory.open().unwrap().unwrap().len().unwrap(), 8);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_file_is_locked_before_it_takes_the_journals_place_until_it_is_dropped() {
        let place = env::temp_dir().join(format!("sundown-journal-medium-locked-{}", process::id()));
        fs::create_dir(&place).unwrap();
        let path = place.join("jobs");
        let mut directory = Directory::lock(&path).unwrap();
        let copy = directory.begin_copy().unwrap();
        directory.replace().unwrap();
        fs::remove_file(beside(&path, "lock")).unwrap();
        let other = Directory::lock(&path).unwrap_err();
        assert!(matches!(other, JournalError::InUse { .. }), "{other}");
        assert_eq!(directory.open().unwrap_err().to_string(), "it is in use by another process");
        drop(copy);
        let again = directory.open().unwrap();
        assert!(again.is_some() && Directory::lock(&path).is_err());
        drop(again);
        Directory::lock(&path).unwrap();
        fs::remove_dir_all(place).unwrap();
    }
}
