//! Finds the groups whose limits this process lives under: its own and all above it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Trouble,
    level::{Level, Version},
    membership::{Groups, Mount},
};

/// The groups of this process that count memory, the innermost first, with or without limits: a limit may be set later.
/// A function of what is below `root`, which is `/` but in a test.
///
/// # Errors
///
/// When there is none to be seen.
pub(crate) fn levels(root: &Path) -> Result<Vec<Level>, Trouble> {
    let groups = Groups::parse(&read(root, "proc/self/cgroup")?);
    let mounts = Mount::parse_all(&read(root, "proc/self/mountinfo")?);
    // Where a hierarchy of version 1 has the controller, version 2 is mounted for other purposes.
    let found = [Version::One, Version::Two].into_iter().find_map(|version| {
        let group = groups.of(version)?;
        let mounts = mounts.iter().filter(|mount| mount.version == version);
        let levels = mounts.map(|mount| open_all(root, version, mount.directories(group)));
        // The same groups may be mounted in several places, of which one shows more of them.
        levels.max_by_key(Vec::len).filter(|levels| !levels.is_empty())
    });
    found.ok_or(Trouble::NoGroup)
}

fn read(root: &Path, file: &str) -> Result<Vec<u8>, Trouble> {
    fs::read(root.join(file)).map_err(|error| Trouble::Unreadable { file: root.join(file), error })
}

fn open_all(root: &Path, version: Version, directories: Vec<PathBuf>) -> Vec<Level> {
    let below_root = |dir: PathBuf| root.join(dir.strip_prefix("/").unwrap_or(&dir));
    let charged = |(above, dir): &(usize, PathBuf)| *above == 0 || counts_those_below(dir);
    let directories = directories.into_iter().map(below_root).enumerate().filter(charged);
    directories.filter_map(|(_, dir)| Level::open(dir, version)).collect()
}

/// Before Linux 5.11 a group of version 1 could be asked not to count what those below it use.
fn counts_those_below(dir: &Path) -> bool {
    match fs::read(dir.join("memory.use_hierarchy")) {
        Ok(text) => text.trim_ascii() != b"0",
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    fn tree(cgroup: &str, mountinfo: &str) -> Tree {
        let tree = Tree::new();
        tree.write("proc/self/cgroup", cgroup);
        tree.write("proc/self/mountinfo", mountinfo);
        tree
    }

    fn add(tree: &Tree, dir: &str, version: Version, limit: &str) {
        let [limit_file, usage_file] = match version {
            Version::One => ["memory.limit_in_bytes", "memory.usage_in_bytes"],
            Version::Two => ["memory.max", "memory.current"],
        };
        tree.write(&format!("{dir}/{limit_file}"), &format!("{limit}\n"));
        tree.write(&format!("{dir}/{usage_file}"), "1\n");
        tree.write(&format!("{dir}/memory.stat"), "inactive_file 0\ntotal_inactive_file 0\n");
    }

    /// The limits above a process, the innermost first.
    fn limits(tree: &Tree) -> Result<Vec<Option<u64>>, String> {
        let limit = |level: Level| level.read().expect("it is good").map(|reading| reading.limit);
        let levels = levels(tree.root()).map_err(|trouble| trouble.to_string())?;
        Ok(levels.into_iter().map(limit).collect())
    }

    #[test]
    fn every_group_up_to_the_root_counts() {
        let tree = tree("0::/kube/pod/main\n", V2);
        add(&tree, "sys/fs/cgroup/kube/pod/main", Version::Two, "300");
        add(&tree, "sys/fs/cgroup/kube/pod", Version::Two, "200");
        add(&tree, "sys/fs/cgroup/kube", Version::Two, "max");
        tree.write("sys/fs/cgroup/cgroup.procs", ""); // the root of version 2 counts nothing
        assert_eq!(limits(&tree), Ok(vec![Some(300), Some(200), None]));
    }

    #[test]
    fn a_group_without_the_controller_is_passed_over() {
        let tree = tree("0::/user/app\n", V2);
        tree.write("sys/fs/cgroup/user/app/cgroup.procs", "");
        add(&tree, "sys/fs/cgroup/user", Version::Two, "200");
        assert_eq!(limits(&tree), Ok(vec![Some(200)]));
    }

    #[test]
    fn a_group_whose_directory_is_gone_leaves_those_above() {
        let tree = tree("0::/user/app (deleted)\n", V2);
        add(&tree, "sys/fs/cgroup/user", Version::Two, "200");
        assert_eq!(limits(&tree), Ok(vec![Some(200)]));
    }

    #[test]
    fn a_namespace_of_our_own_shows_our_group_as_the_root() {
        let tree = tree("0::/\n", V2);
        add(&tree, "sys/fs/cgroup", Version::Two, "200");
        assert_eq!(limits(&tree), Ok(vec![Some(200)]));
    }

    #[test]
    fn of_a_hybrid_the_version_that_counts_memory_is_taken() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let tree = tree("4:memory:/app\n1:name=systemd:/\n0::/app\n", mounts);
        add(&tree, "sys/fs/cgroup/unified/app", Version::Two, "50");
        add(&tree, "sys/fs/cgroup/memory/app", Version::One, "100");
        add(&tree, "sys/fs/cgroup/memory", Version::One, "9223372036854771712");
        assert_eq!(limits(&tree), Ok(vec![Some(100), None]));
        // Where version 1 shows nothing, version 2 may.
        fs::remove_dir_all(tree.path("sys/fs/cgroup/memory")).unwrap();
        assert_eq!(limits(&tree), Ok(vec![Some(50)]));
    }

    #[test]
    fn a_group_of_version_1_that_does_not_count_those_below_is_passed_over() {
        let mounts = "35 31 0:32 / /cg rw - cgroup cgroup rw,memory\n";
        let tree = tree("4:memory:/a/b\n", mounts);
        add(&tree, "cg/a/b", Version::One, "300");
        tree.write("cg/a/b/memory.use_hierarchy", "0\n");
        add(&tree, "cg/a", Version::One, "200");
        tree.write("cg/a/memory.use_hierarchy", "0\n");
        add(&tree, "cg", Version::One, "100");
        tree.write("cg/memory.use_hierarchy", "1\n");
        assert_eq!(limits(&tree), Ok(vec![Some(300), Some(100)]));
    }

    #[test]
    fn of_several_mounts_the_one_that_shows_most_is_taken() {
        let mounts = "1 0 0:1 /a /inner rw - cgroup2 cgroup2 rw\n\
                      2 0 0:1 / /outer rw - cgroup2 cgroup2 rw\n\
                      3 0 0:1 / /hidden rw - cgroup2 cgroup2 rw\n";
        let tree = tree("0::/a\n", mounts);
        add(&tree, "inner", Version::Two, "200");
        add(&tree, "outer/a", Version::Two, "200");
        add(&tree, "outer", Version::Two, "100");
        assert_eq!(limits(&tree), Ok(vec![Some(200), Some(100)]));
    }

    #[test]
    fn where_nothing_counts_memory_it_says_so() {
        let nowhere = "no control group that counts this process's memory can be seen";
        for (cgroup, mountinfo) in [("", ""), ("0::/\n", ""), ("", V2), ("0::/\n", V2), ("4:memory:/\n", V2)]
        {
            assert_eq!(limits(&tree(cgroup, mountinfo)), Err(nowhere.to_owned()), "{cgroup:?}");
        }
    }

    #[test]
    fn a_system_without_the_files_of_proc_is_named() {
        let error = limits(&Tree::new()).expect_err("there is nothing");
        assert!(error.contains("proc/self/cgroup cannot be read: "), "{error}");
    }
}
