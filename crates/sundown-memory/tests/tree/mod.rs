//! A directory that looks like the root of a system with control groups.

use std::{
    env, fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

/// A directory of its own, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Tree(PathBuf);

#[allow(dead_code, reason = "each test that shares it needs another part")]
impl Tree {
    /// An empty one.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let name = format!("sundown-memory-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let root = env::temp_dir().join(name);
            match fs::create_dir(&root) {
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => {
                    created.unwrap();
                    return Tree(root);
                }
            }
        }
    }

    /// One in which this process is in a group `service` of version 2, with this limit and use.
    pub(crate) fn with_group(limit: &str, usage: u64, inactive_file: u64) -> Self {
        let tree = Tree::new();
        tree.write("proc/self/cgroup", "0::/service\n");
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
        tree.write("proc/self/mountinfo", mounts);
        tree.set_limit(limit);
        tree.set_usage(usage, inactive_file);
        tree
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn set_limit(&self, limit: &str) {
        self.write("sys/fs/cgroup/service/memory.max", &format!("{limit:<20}\n"));
    }

    pub(crate) fn set_usage(&self, usage: u64, inactive_file: u64) {
        // The pages first: the working set is never more than it was before and is after.
        let stat = format!("anon 1\ninactive_file {inactive_file:020}\nactive_file 1\n");
        self.write("sys/fs/cgroup/service/memory.stat", &stat);
        self.write("sys/fs/cgroup/service/memory.current", &format!("{usage:020}\n"));
    }

    /// Writes in place, and at once if the length is the same: whoever has the file open reads the old or the new.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        file.set_len(text.len() as u64).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
