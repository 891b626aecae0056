//! The head of an HTTP/1.1 message: a start line and fields.

use crate::wire::Broken;

/// The head of a request or an answer.
pub struct Head {
    start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub fn parse(bytes: &[u8]) -> Result<Self, Broken> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter(|line| !line.is_empty())
            .map(|line| match line.split_once(':') {
                Some((name, value)) => Ok((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => Err(Broken::Garbled(format!("header line {line:?}"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { start, fields })
    }

    /// The status of an answer.
    pub fn status(&self) -> Result<u16, Broken> {
        let mut words = self.start.split(' ');
        match (words.next(), words.next().and_then(|word| word.parse().ok())) {
            (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Ok(status),
            _ => Err(Broken::Garbled(format!("status line {:?}", self.start))),
        }
    }

    /// The value of a field; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the sender ends the connection after this.
    pub fn is_last(&self) -> bool {
        self.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }

    pub fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    pub fn length(&self) -> Result<Option<usize>, Broken> {
        let length = self.field("content-length").map(str::parse).transpose();
        length.map_err(|_| Broken::Garbled("content-length".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_its_status_and_fields_in_any_case() {
        let head = Head::parse(b"HTTP/1.1 503 Busy\r\nRETRY-after: 3\r\nConnection: Close").unwrap();
        assert_eq!(head.status(), Ok(503));
        assert_eq!(head.field("retry-after"), Some("3"));
        assert!(head.is_last());
    }

    #[test]
    fn what_is_no_head_is_garbled() {
        assert!(matches!(Head::parse(b"HTTP/1.1 200 OK\r\nnonsense"), Err(Broken::Garbled(_))));
        assert!(matches!(Head::parse(b"hello").unwrap().status(), Err(Broken::Garbled(_))));
    }
}
