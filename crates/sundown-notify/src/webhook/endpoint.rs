//! Where a webhook posts to. What it keeps true: the userinfo of the url goes into a header and nowhere else; what is
//! shown of the url is its scheme, its host and its port. All the rest may be a secret: the webhooks of chats have their
//! token in the path.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use ureq::http::{HeaderValue, Uri};

/// Why a text is no url of a [`Webhook`](super::Webhook). What is shown of it is its scheme, host and port: userinfo,
/// path and query may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// It is no absolute url.
    #[error("webhook url `{url}` is no url: {why}")]
    NotAUrl {
        /// What may be shown of it.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is for another protocol.
    #[error("webhook url `{url}` is for `{scheme}`, not for http or https")]
    NotHttp {
        /// What may be shown of it.
        url: String,
        /// What it begins with.
        scheme: String,
    },
    /// It names no host.
    #[error("webhook url `{url}` has no host")]
    NoHost {
        /// What may be shown of it.
        url: String,
    },
}

pub(super) struct Endpoint {
    /// Without userinfo.
    pub(super) uri: Uri,
    /// What stands for the userinfo.
    pub(super) authorization: Option<HeaderValue>,
    /// What may be shown: scheme, host and port.
    pub(super) shown: String,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, WebhookError> {
        let wrong = |why: &str| WebhookError::NotAUrl { url: redacted(text), why: why.into() };
        let (scheme, rest) =
            scheme(text).ok_or_else(|| wrong("it does not begin with http:// or https://"))?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(WebhookError::NotHttp { url: redacted(text), scheme: scheme.into() });
        }
        let (authority, path) = authority(rest);
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(WebhookError::NoHost { url: redacted(text) });
        }
        let uri: Uri = format!("{scheme}://{host}{path}")
            .parse()
            .map_err(|error: ureq::http::uri::InvalidUri| wrong(&error.to_string()))?;
        let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        if port.is_some_and(|port| !port.is_empty() && port.parse::<u16>().is_err()) {
            return Err(wrong("its port is no number up to 65535"));
        }
        let shown = format!("{}://{host}", scheme.to_ascii_lowercase());
        Ok(Endpoint { uri, authorization: userinfo.map(basic), shown })
    }

    /// Whether it is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// [Basic authentication](https://www.rfc-editor.org/rfc/rfc7617#section-2).
fn basic(userinfo: &str) -> HeaderValue {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded: Vec<u8> =
        percent_decode_str(user).chain([b':']).chain(percent_decode_str(password)).collect();
    let text = format!("Basic {}", BASE64_STANDARD.encode(decoded));
    let mut value = HeaderValue::try_from(text).expect("base64 is valid in a header");
    value.set_sensitive(true);
    value
}

/// What a text begins with, and what is behind that.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    text.split_once("://").filter(|(scheme, _)| is_scheme(scheme))
}

/// Userinfo, host and port, and what is behind them.
fn authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// What may be shown of a text that is no url: rather too little of it.
fn redacted(text: &str) -> String {
    let (scheme, rest) = match scheme(text) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    match authority(rest) {
        // A password with a slash or a question mark in it, or a query with an address.
        (_, behind) if behind.contains('@') => format!("{scheme}…"),
        (authority, _) => scheme + authority.rsplit_once('@').map_or(authority, |(_, host)| host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Endpoint::parse(text).err().expect("it is no url").to_string()
    }

    #[test]
    fn what_is_no_url_of_a_monitor_is_refused_by_name() {
        assert_eq!(
            error("monitor/events"),
            "webhook url `monitor` is no url: it does not begin with http:// or https://"
        );
        assert_eq!(error(""), "webhook url `` is no url: it does not begin with http:// or https://");
        assert_eq!(
            error("http://mon itor/"),
            "webhook url `http://mon itor` is no url: invalid uri character"
        );
        assert_eq!(
            error("amqp://monitor/"),
            "webhook url `amqp://monitor` is for `amqp`, not for http or https"
        );
        for text in ["http://", "http:///events", "https://:8080/", "http://me@/", "http://?q"] {
            assert!(error(text).ends_with("has no host"), "{text}: {}", error(text));
        }
        for text in ["http://monitor:99999/", "http://monitor:8x/", "http://[::1/", "http://monitor/\n"] {
            assert!(error(text).contains("is no url: "), "{text}: {}", error(text));
        }
    }

    #[test]
    fn no_error_shows_a_secret() {
        for text in [
            "me:s3cr3t@monitor",
            "ftp://me:s3cr3t@monitor",
            "http://me:s3cr3t@/",
            "http://me:s3cr3t/x?y@mon itor/",
            "http://mon itor/?token=s3cr3t",
            "http://mon itor/?a@b=s3cr3t#s3cr3t",
            "http://me:s3/cr3t@monitor/s3cr3t",
            "hooks.chat.example/services/s3cr3t",
            "hooks.chat.example/services/s3cr3t?then=http://monitor",
            "https:/hooks.chat.example/services/s3cr3t",
            "ftp://hooks.chat.example/services/s3cr3t",
            "http://hooks.chat.example:99999/services/s3cr3t",
            "http://hooks.chat.example/services/s3 cr3t",
        ] {
            let error = error(text);
            assert!(!error.contains("s3") && !error.contains("cr3t"), "{error}");
        }
    }

    #[test]
    fn of_a_url_only_scheme_host_and_port_are_shown() {
        for (text, shown) in [
            ("https://hooks.chat.example/services/T0/B0/s3cr3t", "https://hooks.chat.example"),
            ("https://me:s3cr3t@monitor:8443/s3cr3t/events?token=s3cr3t#s3cr3t", "https://monitor:8443"),
            ("http://[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().shown, shown);
        }
    }

    #[test]
    fn userinfo_becomes_a_header_and_is_not_shown() {
        let endpoint = Endpoint::parse("HTTPS://me:p%40ss@monitor:8443/events?token=s3cr3t#x").unwrap();
        assert_eq!(endpoint.uri.to_string(), "https://monitor:8443/events?token=s3cr3t");
        assert_eq!(endpoint.shown, "https://monitor:8443");
        // printf 'me:p@ss' | base64
        assert_eq!(endpoint.authorization.unwrap(), "Basic bWU6cEBzcw==");
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        let loopback = |text: &str| Endpoint::parse(text).unwrap().is_loopback();
        assert!(
            loopback("http://localhost:1/") && loopback("http://127.1.2.3/") && loopback("http://[::1]:80/")
        );
        assert!(!loopback("http://localhost.example/") && !loopback("http://10.0.0.1/"));
    }
}
