//! What is written in the files of a control group, read without an allocation.
//!
//! All of it is text that the kernel writes and that anything else may hold in its place: what is no number is
//! [`Garbage`], never a guess.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Version 1 says "no limit" by the largest multiple of a page that fits its counters, which depends on the size of a
/// page: 9223372036854771712 for 4 KiB. An exbibyte is no limit anywhere.
const NO_LIMIT: u64 = 1 << 60;

/// It is not what the kernel writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbage;

/// Reads a file from its beginning, as much of it as fits.
pub(crate) fn read<'b>(file: &File, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..length])
}

/// A file that holds one number. One that is too large for 64 bits is the largest that is not.
pub(crate) fn number(text: &[u8]) -> Result<u64, Garbage> {
    let digits = text.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Garbage);
    }
    let append = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Ok(digits.iter().fold(0, append))
}

/// A file that holds a limit; `None` if there is none.
pub(crate) fn limit(text: &[u8]) -> Result<Option<u64>, Garbage> {
    if text.trim_ascii() == b"max" {
        return Ok(None);
    }
    number(text).map(as_limit)
}

/// Nothing can live under a limit of zero: it is what a system writes that has no notion of one.
pub(crate) fn as_limit(number: u64) -> Option<u64> {
    (1..NO_LIMIT).contains(&number).then_some(number)
}

/// The number behind a name, in a file that has one such pair a line; `None` if no line has the name. A line without
/// its end may be cut in the middle of the number: it does not count.
pub(crate) fn field(text: &[u8], name: &str) -> Result<Option<u64>, Garbage> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let value = |line: &[u8]| line.strip_prefix(name.as_bytes())?.strip_prefix(b" ").map(number);
    lines.filter_map(value).next().transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(number(b"4096\n"), Ok(4096));
        assert_eq!(number(b"0000004096          \n"), Ok(4096), "as padded by whoever writes in place");
        assert_eq!(number(b"18446744073709551615\n"), Ok(u64::MAX));
        assert_eq!(
            number(b"99999999999999999999999999\n"),
            Ok(u64::MAX),
            "more than fits is the most that fits"
        );
        for garbage in ["", "\n", "-1\n", "+1\n", "4k\n", "1 2\n", "1.5\n", "max\n", "0x10\n", "\0", "٣\n"] {
            assert_eq!(number(garbage.as_bytes()), Err(Garbage), "{garbage:?}");
        }
    }

    #[test]
    fn no_limit_has_many_spellings() {
        // Of version 2; of version 1 with pages of 4 KiB and 64 KiB; of kernels before 3.19; of a system without limits.
        let spellings = [
            "max\n",
            "9223372036854771712\n",
            "9223372036854710272\n",
            "9223372036854775807\n",
            "18446744073709551615\n",
            "0\n",
        ];
        for none in spellings {
            assert_eq!(limit(none.as_bytes()), Ok(None), "{none:?}");
        }
        assert_eq!(limit(b"536870912\n"), Ok(Some(512 << 20)));
        assert_eq!(limit(b"1\n"), Ok(Some(1)));
        assert_eq!(limit(b"maximum\n"), Err(Garbage));
        assert_eq!(limit(b""), Err(Garbage));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let stat = b"active_file 1\ntotal_inactive_file 2\ninactive_file_thp 3\ninactive_file 4\n";
        assert_eq!(field(stat, "inactive_file"), Ok(Some(4)));
        assert_eq!(field(stat, "total_inactive_file"), Ok(Some(2)));
        assert_eq!(field(stat, "file"), Ok(None));
        assert_eq!(field(b"", "inactive_file"), Ok(None));
        assert_eq!(field(b"inactive_file\n", "inactive_file"), Ok(None));
        assert_eq!(field(b"inactive_file many\n", "inactive_file"), Err(Garbage));
    }

    #[test]
    fn a_text_that_is_cut_anywhere_yields_the_whole_number_or_none() {
        let stat = b"anon 77\ninactive_file 123456\nactive_file 9\n";
        for end in 0..stat.len() {
            let found = field(&stat[..end], "inactive_file");
            assert!(matches!(found, Ok(None | Some(123_456))), "{end}: {found:?}");
        }
    }
}
