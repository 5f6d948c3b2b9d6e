//! What nobody else should see in texts that Spotter shows or hands out: passwords and tokens.

/// What stands in place of a secret.
pub const HIDDEN: &str = "***";
/// Names that contain one of these words are those of secrets.
const WORDS: [&str; 5] = ["password", "passwd", "secret", "token", "credential"];
/// Short names that cameras use for passwords in the query of an address.
const NAMES: [&str; 8] = ["pwd", "pass", "passphrase", "pw", "psw", "auth", "apikey", "api_key"];

/// True for the name of a field or of a query parameter whose value is secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || NAMES.contains(&name.as_str())
}

/// An address without user name and password; secret values in its query are [`HIDDEN`].
pub fn without_credentials(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let rest = rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    without_query_secrets(&format!("{scheme}://{rest}"))
}

/// A text whose addresses have no user name, no password and no secret values any more.
pub fn without_logins(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                shown.push_str(HIDDEN);
                &after[at..]
            }
            None => after,
        };
    }
    without_query_secrets(&(shown + rest))
}

/// The text with the value of every `?name=value` and `&name=value` hidden whose name is secret.
fn without_query_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(mark) = rest.find(['?', '&', ';']) {
        let (before, after) = rest.split_at(mark + 1);
        shown.push_str(before);
        rest = after;
        let name =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.%".contains(c))).unwrap_or(after.len());
        if after[name..].starts_with('=') && is_secret(&after[..name]) {
            let value = &after[name + 1..];
            let end =
                value.find(|c: char| c.is_whitespace() || "&;#\"'<>)".contains(c)).unwrap_or(value.len());
            shown.push_str(&after[..=name]);
            shown.push_str(HIDDEN);
            rest = &value[end..];
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        assert_eq!(without_credentials("rtsp://root:p@ss@cam:554/a@b?c=d"), "rtsp://cam:554/a@b?c=d");
        assert_eq!(without_credentials("rtsp://cam/a@b"), "rtsp://cam/a@b");
        let query = "rtsp://bob:s3cret@cam/x?user=bob&password=a%20b&pwd=1&size=2;PASS=3#f";
        assert_eq!(
            without_credentials(query),
            "rtsp://cam/x?user=bob&password=***&pwd=***&size=2;PASS=***#f"
        );
        assert_eq!(without_credentials("a?password=b"), "a?password=b");
    }

    #[test]
    fn logins_and_query_secrets_go_out_of_any_text() {
        assert_eq!(without_logins("rtsp://a@b@host"), "rtsp://***@host");
        assert_eq!(without_logins(""), "");
        assert_eq!(
            without_logins(
                "cannot play rtsp://a:b@h/x?access_token=abc&n=1: gone; try rtsp://h?pw=é again (?)"
            ),
            "cannot play rtsp://***@h/x?access_token=***&n=1: gone; try rtsp://h?pw=*** again (?)"
        );
        for whole in
            ["is it there? password=1", "rtsp://h/?compass=1&passing=2", "what?&;=", "?token", "a?é=1"]
        {
            assert_eq!(without_logins(whole), whole);
        }
    }

    #[test]
    fn names_of_secrets_are_known() {
        for secret in ["password", "Password", "mqtt_password", "api_tokens", "pwd", "PASS", "apikey"] {
            assert!(is_secret(secret), "{secret}");
        }
        for other in ["user", "compass", "passing", "author", "key_frames", ""] {
            assert!(!is_secret(other), "{other}");
        }
    }
}
