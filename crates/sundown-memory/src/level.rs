//! One control group: its files, kept open, and what they say.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{
    Trouble,
    counter::{self, Garbage},
};

/// More than `memory.stat` has had in any kernel so far (1.7 KiB in 6.18).
const STAT: usize = 8 << 10;

/// More than any number, and `max`.
const NUMBER: usize = 64;

/// The two interfaces of the kernel. A process's memory is charged by one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>
    One,
    /// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory>
    Two,
}

/// What a control group's files are called, and the numbers in `memory.stat` that concern those below it, too.
struct Names {
    limit: &'static str,
    usage: &'static str,
    inactive: &'static str,
    /// The smallest limit from here up, beyond what is mounted. Whose it is, and what the others below that one use, is not
    /// known.
    hidden_limit: Option<&'static str>,
}

const STAT_FILE: &str = "memory.stat";

impl Version {
    fn names(self) -> &'static Names {
        match self {
            Version::One => &Names {
                limit: "memory.limit_in_bytes",
                usage: "memory.usage_in_bytes",
                inactive: "total_inactive_file",
                hidden_limit: Some("hierarchical_memory_limit"),
            },
            Version::Two => &Names {
                limit: "memory.max",
                usage: "memory.current",
                inactive: "inactive_file",
                hidden_limit: None,
            },
        }
    }
}

/// What a control group with a limit says at one moment, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) limit: u64,
    /// What is used, less the pages of files that the kernel takes back first.
    pub(crate) working_set: u64,
}

/// A control group whose memory is counted.
pub(crate) struct Level {
    dir: PathBuf,
    names: &'static Names,
    limit: File,
    usage: File,
    stat: File,
}

impl Level {
    /// `None` if the directory has not all of the files, as the root of version 2 has not.
    pub(crate) fn open(dir: PathBuf, version: Version) -> Option<Self> {
        let names = version.names();
        let open = |name| File::open(dir.join(name)).ok();
        let (limit, usage, stat) = (open(names.limit)?, open(names.usage)?, open(STAT_FILE)?);
        Some(Level { dir, names, limit, usage, stat })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it says now; `None` if it has no limit. Allocates nothing.
    pub(crate) fn read(&self) -> Result<Option<Reading>, Failure> {
        let Names { limit: limit_file, usage: usage_file, inactive, hidden_limit } = self.names;
        let mut buffer = [0; NUMBER];
        let of = |file| move |why: Why| Failure { file, why };

        let text = counter::read(&self.limit, &mut buffer).map_err(Why::Io).map_err(of(limit_file))?;
        let own = counter::limit(text).map_err(Why::from).map_err(of(limit_file))?;
        if own.is_none() && hidden_limit.is_none() {
            return Ok(None);
        }
        let mut stat = [0; STAT];
        let stat = counter::read(&self.stat, &mut stat).map_err(Why::Io).map_err(of(STAT_FILE))?;
        let field = |name| counter::field(stat, name).map_err(Why::from).map_err(of(STAT_FILE));
        let hidden = match hidden_limit {
            Some(name) => field(name)?.and_then(counter::as_limit),
            None => None,
        };
        let Some(limit) = own.into_iter().chain(hidden).min() else { return Ok(None) };
        // Without it all of the page cache would count.
        let inactive = field(inactive)?.ok_or(Failure { file: STAT_FILE, why: Why::Garbage })?;

        let text = counter::read(&self.usage, &mut buffer).map_err(Why::Io).map_err(of(usage_file))?;
        let usage = counter::number(text).map_err(Why::from).map_err(of(usage_file))?;
        // The two are not of the same moment.
        Ok(Some(Reading { limit, working_set: usage.saturating_sub(inactive) }))
    }

    /// The same failure in words.
    pub(crate) fn trouble(&self, failure: Failure) -> Trouble {
        let (group, file) = (self.dir.clone(), failure.file);
        match failure.why {
            Why::Io(error) => Trouble::Unseen { group, file, error },
            Why::Garbage => Trouble::Garbage { group, file },
        }
    }
}

/// Why there is no reading, without an allocation.
#[derive(Debug)]
pub(crate) struct Failure {
    file: &'static str,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    Garbage,
}

impl From<Garbage> for Why {
    fn from(_: Garbage) -> Self {
        Why::Garbage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const MIB: u64 = 1 << 20;

    fn read(tree: &Tree, version: Version) -> Result<Option<Reading>, String> {
        let level = Level::open(tree.path("group"), version).expect("the files are there");
        level.read().map_err(|failure| level.trouble(failure).to_string())
    }

    fn v2(limit: &str, usage: &str, stat: &str) -> Tree {
        let tree = Tree::new();
        tree.write("group/memory.max", limit);
        tree.write("group/memory.current", usage);
        tree.write("group/memory.stat", stat);
        tree
    }

    fn v1(limit: &str, usage: &str, stat: &str) -> Tree {
        let tree = Tree::new();
        tree.write("group/memory.limit_in_bytes", limit);
        tree.write("group/memory.usage_in_bytes", usage);
        tree.write("group/memory.stat", stat);
        tree
    }

    #[test]
    fn the_working_set_is_what_is_used_less_what_the_kernel_takes_back_first() {
        let tree = v2("268435456\n", "209715200\n", "anon 5\nactive_file 7\ninactive_file 157286400\n");
        let expected = Reading { limit: 256 * MIB, working_set: 50 * MIB };
        assert_eq!(read(&tree, Version::Two), Ok(Some(expected)));
        let tree = v1("268435456\n", "209715200\n", "inactive_file 7\ntotal_inactive_file 157286400\n");
        assert_eq!(read(&tree, Version::One), Ok(Some(expected)));
    }

    #[test]
    fn more_inactive_pages_than_use_are_no_use() {
        let tree = v2("4096\n", "10\n", "inactive_file 11\n");
        assert_eq!(read(&tree, Version::Two), Ok(Some(Reading { limit: 4096, working_set: 0 })));
    }

    #[test]
    fn a_group_without_a_limit_of_its_own_has_none_in_version_2() {
        let tree = v2("max\n", "nobody looks at this", "nor at this");
        assert_eq!(read(&tree, Version::Two), Ok(None));
    }

    #[test]
    fn version_1_knows_of_limits_that_are_hidden_from_us() {
        let none = "9223372036854771712\n";
        let stat = |hidden: &str| format!("hierarchical_memory_limit {hidden}total_inactive_file 0\n");
        assert_eq!(read(&v1(none, "10\n", &stat(none)), Version::One), Ok(None));
        let hidden = v1(none, "10\n", &stat("100\n"));
        assert_eq!(read(&hidden, Version::One), Ok(Some(Reading { limit: 100, working_set: 10 })));
        let both = v1("50\n", "10\n", &stat("100\n"));
        assert_eq!(read(&both, Version::One), Ok(Some(Reading { limit: 50, working_set: 10 })));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let trouble = |limit, usage, stat| {
            let tree = v2(limit, usage, stat);
            let trouble = read(&tree, Version::Two).expect_err("it is garbage");
            trouble.replace(tree.path("group").to_str().unwrap(), "G")
        };
        let good = "inactive_file 1\n";
        let garbage = |file: &str| {
            format!("the limit of G is not seen: {file} holds no number that a control group would write")
        };
        assert_eq!(trouble("", "1\n", good), garbage("memory.max"));
        assert_eq!(trouble("9\n", "", good), garbage("memory.current"));
        for stat in ["", "anon 1\n", "inactive_file 1", "inactive_file x\n"] {
            assert_eq!(trouble("9\n", "1\n", stat), garbage("memory.stat"), "{stat:?}");
        }
    }

    #[test]
    fn a_stat_that_is_larger_than_any_is_read_as_far_as_it_goes() {
        let filler = "filler 1\n".repeat(2 * STAT / 9);
        let first = v2("9\n", "8\n", &format!("inactive_file 3\n{filler}"));
        assert_eq!(read(&first, Version::Two), Ok(Some(Reading { limit: 9, working_set: 5 })));
        assert!(read(&v2("9\n", "8\n", &format!("{filler}inactive_file 3\n")), Version::Two).is_err());
    }

    #[test]
    fn a_group_without_one_of_the_files_is_none() {
        for missing in ["memory.max", "memory.current", "memory.stat"] {
            let tree = v2("9\n", "8\n", "inactive_file 3\n");
            tree.remove(&format!("group/{missing}"));
            assert!(Level::open(tree.path("group"), Version::Two).is_none(), "{missing}");
        }
    }

    #[test]
    fn a_group_that_is_gone_is_trouble() {
        // As after the removal of a directory: what was open can no longer be read.
        let tree = v2("9\n", "8\n", "inactive_file 3\n");
        let mut level = Level::open(tree.path("group"), Version::Two).unwrap();
        level.usage = File::open(tree.path("group")).unwrap();
        let failure = level.read().expect_err("a directory cannot be read");
        let trouble = level.trouble(failure).to_string();
        let expected = format!("the limit of {} is not seen: memory.current", level.dir.display());
        assert!(trouble.starts_with(&format!("{expected} cannot be read: ")), "{trouble}");
    }
}
