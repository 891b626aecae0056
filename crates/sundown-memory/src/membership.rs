//! Where this process belongs, and where that can be seen: what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
//!
//! Pure functions of the two texts, which are bytes: a path need not be Unicode.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

use crate::level::Version;

/// The path of the group that memory is charged to, as this process's namespace shows it, for each version. A process
/// has one in version 2 even where that counts no memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) one: Option<PathBuf>,
    pub(crate) two: Option<PathBuf>,
}

impl Groups {
    /// Reads `/proc/self/cgroup`: a line `4:memory:/path` or `0::/path` for each hierarchy.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut groups = Groups::default();
        for line in text.split(|byte| *byte == b'\n') {
            // The path may have colons itself.
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (Some(hierarchy), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let path = || Some(PathBuf::from(OsString::from_vec(path.to_vec())));
            if controllers.split(|byte| *byte == b',').any(|controller| controller == b"memory") {
                groups.one = path();
            } else if hierarchy == b"0" && controllers.is_empty() {
                groups.two = path();
            }
        }
        groups
    }

    pub(crate) fn of(&self, version: Version) -> Option<&Path> {
        match version {
            Version::One => self.one.as_deref(),
            Version::Two => self.two.as_deref(),
        }
    }
}

/// A place where groups that count memory can be seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) version: Version,
    /// Which group is seen at its point.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Reads `/proc/self/mountinfo`: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>.
    pub(crate) fn parse_all(text: &[u8]) -> Vec<Mount> {
        text.split(|byte| *byte == b'\n').filter_map(Self::parse).collect()
    }

    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|byte| *byte == b' ');
        // id, parent, device, root, mount point, options, any number of tags, and after a dash: type, source, options.
        let (root, point) = (fields.nth(3)?, fields.next()?);
        fields.find(|field| *field == b"-")?;
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let version = match kind {
            b"cgroup2" => Version::Two,
            b"cgroup" if options.split(|byte| *byte == b',').any(|option| option == b"memory") => {
                Version::One
            }
            _ => return None,
        };
        Some(Mount { version, root: unescape(root), point: unescape(point) })
    }

    /// The directories of this group and of those above it, as far as they can be seen here, the innermost first.
    pub(crate) fn directories(&self, group: &Path) -> Vec<PathBuf> {
        // A mount that was made outside our namespace: at its point is a group above ours, and the way down from there is
        // not known.
        let above = |part| matches!(part, Component::RootDir | Component::ParentDir);
        if self.root != Path::new("/") && self.root.components().all(above) {
            return vec![self.point.clone()];
        }
        let Ok(below) = group.strip_prefix(&self.root) else { return Vec::new() };
        // A group outside our namespace cannot be found below its root.
        if below.components().any(|part| part == Component::ParentDir) {
            return Vec::new();
        }
        below.ancestors().map(|part| self.point.join(part)).collect()
    }
}

/// The kernel writes a space, a tab, a line's end and a backslash as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, behind) = match *rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref behind @ ..] => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), behind)
            }
            _ => (first, behind),
        };
        path.push(byte);
        rest = behind;
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> (Option<String>, Option<String>) {
        let Groups { one, two } = Groups::parse(text.as_bytes());
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        (one.map(text), two.map(text))
    }

    /// What a group's directories are on the only mount of this text.
    fn directories(mountinfo: &str, group: &str) -> Vec<String> {
        let mounts = Mount::parse_all(mountinfo.as_bytes());
        let [mount] = &mounts[..] else { panic!("one mount: {mounts:?}") };
        let found = mount.directories(Path::new(group));
        found.iter().map(|path| path.to_str().unwrap().trim_end_matches('/').to_owned()).collect()
    }

    #[test]
    fn a_group_is_found_in_each_version() {
        assert_eq!(groups("0::/a/b\n"), (None, Some("/a/b".into())));
        let hybrid = "12:cpu,cpuacct:/x\n4:hugetlb,memory:/kube/pod\n1:name=systemd:/y\n0::/z\n";
        assert_eq!(groups(hybrid), (Some("/kube/pod".into()), Some("/z".into())));
        assert_eq!(
            groups("0::/system.slice/a:b.service\n"),
            (None, Some("/system.slice/a:b.service".into()))
        );
    }

    #[test]
    fn what_is_no_membership_is_none() {
        for text in ["", "\n", "0::", "0:", "4:memory", "x", "1:name=memory:/a\n", "5:memoryx:/a\n"] {
            let (one, two) = groups(text);
            assert_eq!(one, None, "{text:?}");
            assert!(two.is_none_or(|path| path.is_empty()), "{text:?}");
        }
    }

    #[test]
    fn a_group_below_the_mount_has_all_those_above_it() {
        let mount = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let expected = ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"];
        assert_eq!(directories(mount, "/a/b"), expected);
        assert_eq!(directories(mount, "/"), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn a_container_that_sees_its_own_group_only_finds_it_at_the_mount() {
        // Docker without a namespace of groups: the path is the host's, and so is the mount's root.
        let mount = "9 8 0:3 /docker/f00 /sys/fs/cgroup/memory ro master:16 - cgroup cgroup rw,memory\n";
        assert_eq!(directories(mount, "/docker/f00"), ["/sys/fs/cgroup/memory"]);
        let below = ["/sys/fs/cgroup/memory/worker", "/sys/fs/cgroup/memory"];
        assert_eq!(directories(mount, "/docker/f00/worker"), below);
        assert_eq!(directories(mount, "/docker/f00d"), [""; 0], "a name that only begins alike");
        assert_eq!(directories(mount, "/"), [""; 0], "what is seen there is not ours");
    }

    #[test]
    fn a_mount_from_outside_our_namespace_shows_a_group_above_ours() {
        let mount = "9 8 0:3 /../.. /host/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(directories(mount, "/a"), ["/host/cgroup"]);
        let beside = "9 8 0:3 /../other /host/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(directories(beside, "/a"), [""; 0]);
    }

    #[test]
    fn a_group_outside_our_namespace_is_not_found() {
        let mount = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(directories(mount, "/../other"), [""; 0]);
        assert_eq!(directories(mount, "a"), [""; 0], "no path of a group");
    }

    #[test]
    fn a_point_with_odd_characters_is_unescaped() {
        let mount = "31 23 0:28 / /mnt/a\\040b\\134c\\9 rw - cgroup2 cgroup2 rw\n";
        assert_eq!(directories(mount, "/"), ["/mnt/a b\\c\\9"]);
    }

    #[test]
    fn other_mounts_and_broken_lines_are_passed_over() {
        let text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
                    33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    34 31 0:31 / /sys/fs/cgroup/x rw - cgroup cgroup rw,memory_like\n\
                    31 23 0:28 / /sys/fs/cgroup\n\
                    - cgroup2\n\
                    31 23 0:28 / /sys/fs/cgroup rw - cgroup2\n\n";
        assert_eq!(Mount::parse_all(text.as_bytes()), []);
    }
}
