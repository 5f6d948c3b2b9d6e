//! Parameters of a request's query.

use crate::base::error::{Error, Kind, Result};

/// The value of a query parameter, decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            // Two hexadecimal digits are at most 255.
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of a query parameter that is a whole number.
///
/// # Errors
/// `Kind::Usage` where it is something else.
pub fn number(query: &str, name: &str) -> Result<Option<u64>> {
    let Some(value) = parameter(query, name) else { return Ok(None) };
    // "+7" and "-0" are numbers to Rust.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("{name} must be a whole number from 0 on, not \"{}\"", value.escape_default()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_decoded() {
        let query = "a=1&name=m%C3%BC+b%2fc%&b=%zz&empty=&plus=%2B1";
        let value = |name: &str| parameter(query, name);
        assert_eq!(value("name").as_deref(), Some("mü b/c%"));
        assert_eq!((value("b").as_deref(), value("empty").as_deref()), (Some("%zz"), Some("")));
        assert_eq!(value("c"), None);
        assert_eq!(number(query, "a").unwrap(), Some(1));
        for bad in ["b", "empty", "plus"] {
            assert!(number(query, bad).is_err(), "{bad}");
        }
    }
}
