//! Words for people: names from files made harmless, things counted.

/// Characters that a path or a cell of a table may have.
pub const LONGEST: usize = 36;

/// True for what would act on a terminal rather than be shown, or turn the direction of writing.
fn is_harmful(c: char) -> bool {
    let turning = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    c.is_control() || turning
}

/// Text from a file made fit to be shown: no control characters, nothing that turns the direction of
/// writing.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// [`plain`], at most `limit` characters of it.
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown: String =
        text.chars().take(limit).map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// A sentence about a file without the file's name, which stands above it already.
pub fn without_name(sentence: &str, name: &str) -> String {
    let rest = match sentence.strip_prefix(name) {
        Some(rest) if rest.starts_with(": ") => rest[2..].to_string(),
        Some(rest) if rest.starts_with(' ') => format!("it{rest}"),
        _ => sentence.to_string(),
    };
    printable(&rest, 500)
}

/// The end of a path that is too long: that is where paths differ.
pub fn ending(path: &str) -> String {
    match path.chars().count().checked_sub(LONGEST) {
        Some(over) if over > 0 => ['…'].into_iter().chain(path.chars().skip(over + 1)).collect(),
        _ => path.to_owned(),
    }
}

/// "1 picture", "2 pictures", "3 categories", "4 classes".
pub fn count(number: usize, thing: &str) -> String {
    let plural = match thing.strip_suffix('y') {
        _ if number == 1 => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None if thing.ends_with('s') => format!("{thing}es"),
        None => format!("{thing}s"),
    };
    format!("{number} {plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_shown_harmless() {
        assert_eq!(printable("a\x1b[31m\r\nb\u{202e}c", 40), "a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}c");
        assert_eq!(printable(&"x".repeat(1000), 5), "xxxx…");
        assert_eq!(printable("naïve", 5), "naïve");
    }

    #[test]
    fn things_are_counted() {
        let counted = [(1, "category"), (0, "category"), (2, "class"), (1, "class"), (3, "picture")];
        let words = counted.map(|(number, thing)| count(number, thing));
        assert_eq!(words, ["1 category", "0 categories", "2 classes", "1 class", "3 pictures"]);
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        let path = format!("{}/süß/a.jpg", "x".repeat(50));
        assert!(ending(&path).starts_with("…xxx") && ending(&path).ends_with("x/süß/a.jpg"));
        assert_eq!((ending(&path).chars().count(), ending("a.jpg")), (LONGEST, "a.jpg".to_owned()));
    }
}
