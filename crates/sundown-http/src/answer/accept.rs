//! What a client would rather read, by its `Accept` (RFC 9110 section 12.5.1).

/// Whether JSON is preferred to plain text: by its weight, else by being named more exactly, else by being named first.
/// Who wants neither, or says nothing, gets text.
pub(super) fn prefers_json(accept: &str) -> bool {
    let weight = |offers: &[&str]| offers.iter().map(|offer| wish(accept, offer)).max().unwrap_or_default();
    let json = weight(&["application/problem+json", "application/json"]);
    json.weight > 0 && json > weight(&["text/plain"])
}

/// How much a media type is wanted. The order of the fields is that of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// In thousandths.
    weight: u16,
    exactness: u8,
    /// How many ranges come after it; nothing for one that is not named.
    before: usize,
}

/// The most exact range that matches decides.
fn wish(accept: &str, offer: &str) -> Wish {
    let ranges = accept.split(',').count();
    let wishes = accept.split(',').enumerate().filter_map(|(place, range)| {
        let mut parts = range.split(';').map(str::trim);
        let exactness = exactness(parts.next()?, offer)?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1000), thousandths)?;
        // Two wildcards are no order of preference.
        let before = if exactness == 0 { 0 } else { ranges - place };
        Some(Wish { weight, exactness, before })
    });
    wishes.max_by_key(|wish| (wish.exactness, wish.before)).unwrap_or_default()
}

/// How exactly a range names it; `None` if it does not.
fn exactness(range: &str, offer: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(offer) {
        return Some(2);
    }
    let (main, sub) = range.split_once('/')?;
    match (main, sub) {
        ("*", "*") => Some(0),
        (_, "*") => offer.split_once('/').is_some_and(|(of, _)| of.eq_ignore_ascii_case(main)).then_some(1),
        _ => None,
    }
}

/// A weight: `0` or `1`, and up to three places, which may not lead beyond 1. `None` if it is none of that.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, places) = weight.split_once('.').unwrap_or((weight, ""));
    if !matches!(whole, "0" | "1") || places.len() > 3 || !places.bytes().all(|place| place.is_ascii_digit())
    {
        return None;
    }
    let thousandths = format!("{whole}{places:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_prefer_it() {
        for accept in [
            "application/json",
            "application/problem+json",
            "Application/JSON; charset=utf-8",
            "application/*",
            "application/json, */*",
            "application/json, text/plain, */*",
            "text/plain;q=0.5, application/json;q=0.8",
            "text/plain;q=0.999, application/problem+json",
            "text/plain;q=0, */*",
            "text/*;q=0.3, application/problem+json;q=0.301",
            "text/*, text/plain;q=0.1, application/json;q=0.5",
            "image/png, application/json;q=0.1",
            "application/json;q=0, application/problem+json",
        ] {
            assert!(prefers_json(accept), "{accept}");
        }
    }

    #[test]
    fn text_is_for_everybody_else() {
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain, application/json",
            "text/*, application/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0.5, text/plain",
            "application/json;q=0.5, */*",
            "application/json;q=0",
            "application/json;q=0, application/problem+json;q=0",
            "application/*, application/json;q=0, application/problem+json;q=0",
            "*/*;q=0",
            "image/png",
            "application/jsonp",
            "application/json;q=1.1",
            "application/json;q=0.1234",
            "application/json;q=+1",
            "application/json;q=x",
            ",;/,*,/json,;q=1",
        ] {
            assert!(!prefers_json(accept), "{accept}");
        }
    }
}
