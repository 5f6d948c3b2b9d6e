//! A strict reader of Prometheus' text format 0.0.4: what it does not say is an error.

use std::collections::{BTreeMap, BTreeSet};

/// A sample: the name it stands under, its labels, its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A family of metrics.
#[derive(Clone, Debug)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// The families of a page by name.
pub type Families = BTreeMap<String, Family>;

fn name(text: &str, colons: bool) -> Result<&str, String> {
    let good = |(at, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (at > 0 && c.is_ascii_digit())
    };
    let right = !text.is_empty() && text.char_indices().all(good);
    right.then_some(text).ok_or_else(|| format!("\"{text}\" is no name"))
}

fn value(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        // Rust reads "inf" and "infinity" too.
        _ if text.contains(|c: char| c.is_alphabetic() && c != 'e' && c != 'E') => {
            Err(format!("\"{text}\" is no value"))
        }
        _ => text.parse().map_err(|_| format!("\"{text}\" is no value")),
    }
}

/// Labels from behind `{` to `}`; the rest of the line.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        let (key, after) = rest.split_once("=\"").ok_or("a label has no value")?;
        let key = name(key, false)?;
        let (mut text, mut chars) = (String::new(), after.chars());
        loop {
            match chars.next().ok_or("a label does not end")? {
                '"' => break,
                '\\' => text.push(match chars.next() {
                    Some('\\') => '\\',
                    Some('"') => '"',
                    Some('n') => '\n',
                    other => return Err(format!("\\{other:?} is no escape")),
                }),
                c => text.push(c),
            }
        }
        if labels.insert(key.to_owned(), text).is_some() {
            return Err(format!("label {key} stands twice"));
        }
        rest = chars.as_str();
        match rest.split_at_checked(1) {
            Some((",", after)) => rest = after,
            Some(("}", after)) => return Ok((labels, after)),
            _ => return Err("labels do not end".to_owned()),
        }
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("a sample has no value")?;
    let head = name(&line[..end], true)?.to_owned();
    let (labels, rest) = match &line[end..=end] {
        "{" => labels(&line[end + 1..])?,
        _ => (BTreeMap::new(), &line[end..]),
    };
    let text = rest.strip_prefix(' ').ok_or("no space before the value")?;
    Ok(Sample { name: head, labels, value: value(text)? })
}

/// Reads a page. The message of an error has the line.
pub fn parse(page: &str) -> Result<Families, String> {
    if !page.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut families = Families::new();
    let mut current: Option<(String, bool)> = None;
    for line in page.lines() {
        let wrong = |why: String| format!("{why} in {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').ok_or_else(|| wrong("no text".into()))?;
            let new = !families.contains_key(name(family, true).map_err(wrong)?);
            if !new || help.is_empty() {
                return Err(wrong("a family stands twice or has no help".into()));
            }
            current = Some((family.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type".into()))?;
            let expected = current.as_mut().filter(|(name, typed)| name == family && !typed);
            let (_, typed) = expected.ok_or_else(|| wrong("no HELP right before".into()))?;
            *typed = true;
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(wrong("no such type".into()));
            }
            families.insert(family.to_owned(), Family { kind: kind.to_owned(), samples: Vec::new() });
        } else {
            let sample = sample(line).map_err(wrong)?;
            let (family, _) =
                current.as_ref().filter(|(_, typed)| *typed).ok_or_else(|| wrong("no TYPE before".into()))?;
            let members = families.get_mut(family).ok_or_else(|| wrong("no family".into()))?;
            let suffix =
                sample.name.strip_prefix(family.as_str()).ok_or_else(|| wrong("another family's".into()))?;
            let allowed: &[&str] =
                if members.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !allowed.contains(&suffix) {
                return Err(wrong("another family's".into()));
            }
            if members
                .samples
                .iter()
                .any(|other| (&other.name, &other.labels) == (&sample.name, &sample.labels))
            {
                return Err(wrong("stands twice".into()));
            }
            members.samples.push(sample);
        }
    }
    families.iter().try_for_each(|(name, family)| check(name, family))?;
    Ok(families)
}

/// What a counter and a histogram have to keep to.
fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.samples.is_empty() {
        return Err(format!("{name} has no samples"));
    }
    match family.kind.as_str() {
        "counter" => {
            let good = name.ends_with("_total")
                && family.samples.iter().all(|s| s.value >= 0.0 && s.value.is_finite());
            good.then_some(()).ok_or_else(|| format!("{name} is no counter"))
        }
        "histogram" => {
            let without_le = |sample: &Sample| {
                let mut labels = sample.labels.clone();
                labels.remove("le");
                labels
            };
            let series: BTreeSet<_> = family.samples.iter().map(without_le).collect();
            for labels in series {
                let of = |suffix: &str| -> Vec<&Sample> {
                    let full = format!("{name}{suffix}");
                    family.samples.iter().filter(|s| s.name == full && without_le(s) == labels).collect()
                };
                let (buckets, sum, count) = (of("_bucket"), of("_sum"), of("_count"));
                let limits: Result<Vec<f64>, String> =
                    buckets.iter().map(|s| value(s.labels.get("le").ok_or("a bucket has no le")?)).collect();
                let limits = limits?;
                let rising =
                    limits.is_sorted_by(|a, b| a < b) && buckets.is_sorted_by(|a, b| a.value <= b.value);
                let whole = limits.last() == Some(&f64::INFINITY)
                    && (sum.len(), count.len()) == (1, 1)
                    && buckets.last().map(|s| s.value) == Some(count[0].value)
                    && (count[0].value > 0.0 || sum[0].value == 0.0);
                if !(rising && whole && sum[0].value >= 0.0) {
                    return Err(format!("{name}{labels:?} is no histogram"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The value of a sample with these labels and perhaps others.
pub fn value_of(families: &Families, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
    };
    let all: Vec<&Sample> = families.values().flat_map(|family| &family.samples).filter(fits).collect();
    assert_eq!(all.len(), 1, "{name} {labels:?}");
    all[0].value
}

#[test]
fn what_is_no_exposition_is_refused() {
    let good = "# HELP a_total An a.\n# TYPE a_total counter\na_total{b=\"x\\\"\\\\\\n\",c=\"\"} 1.5e3\n";
    let families = parse(good).unwrap();
    assert_eq!(families["a_total"].samples[0].labels["b"], "x\"\\\n");
    assert_eq!(value_of(&families, "a_total", &[("c", "")]), 1500.0);
    let histogram = "# HELP h An h.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n";
    parse(histogram).unwrap();
    for bad in [
        &good[..good.len() - 1],
        &good.replace("_total", ""),
        &good.replace("1.5e3", "-1"),
        &good.replace("1.5e3", "inf"),
        &good.replace(" 1.5e3", "1.5e3"),
        &good.replace("b=", "c="),
        &good.replace("\\n", "\\t"),
        &good.replace("# TYPE a_total counter\n", ""),
        &good.replace("# TYPE a_total", "# TYPE b_total"),
        &good.replace("counter", "thing"),
        &good.replace("An a.", ""),
        &good.replace("a_total{", "a-total{"),
        &format!("{good}a_total{{c=\"\",b=\"x\\\"\\\\\\n\"}} 2\n"),
        &format!("{good}{good}"),
        &histogram.replace("\"1\"} 2", "\"1\"} 4"),
        &histogram.replace("+Inf", "2"),
        &histogram.replace("h_count 3", "h_count 4"),
        &histogram.replace("h_sum 4\n", ""),
        &histogram.replace("h_sum", "h_summe"),
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
